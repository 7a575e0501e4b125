"""Plays the demo: cluster, traffic, rollout, verdict. Called by the command line; needs the extra `demo`."""

import asyncio
import contextlib
import importlib
import importlib.util
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from lastcall_operator.demo.plain import PlainLines
from lastcall_operator.demo.rollouts import restart_naively, roll_out
from lastcall_operator.demo.scene import Scene, Stage
from lastcall_operator.demo.verdict import Outcome, Verdict, judge_run
from lastcall_operator.errors import MissingExtraError
from lastcall_operator.local.cluster import LocalCluster
from lastcall_operator.local.gauge import Totals
from lastcall_operator.local.processes import child_environment, sidecar_program
from lastcall_operator.rollout import DrainPolicy

if TYPE_CHECKING:
    from lastcall_operator.local.traffic import Traffic

REPLICAS = 3
#: The default is 5 s, because a cluster's endpoints lag by about a second. Here the front looks twice a second.
SETTLE_SECONDS = 2
EXIT_INTERRUPTED = 130
#: Until every seat has its stream, and some their second.
_WARM_UP_SECONDS = 3.0
_FRAME_SECONDS = 0.2
#: A sidecar releases a request a moment after its client has had the last byte.
_AGREE_SECONDS = 3.0
#: The extra's libraries, as they are imported.
_EXTRA = ("anthropic", "rich")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    naive: bool = False
    stay: bool = False
    streams: int = 60
    picture: bool = True


class Show(Protocol):
    """Whatever shows the run: a picture, or plain lines."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End, and leave what has been shown."""

    def show(self, scene: Scene) -> None:
        """Show a scene."""

    def conclude(self, verdict: Verdict, complaints: list[str]) -> None:
        """Show the verdict."""

    def say(self, sentence: str) -> None:
        """Show a sentence."""


def run(options: Options, environ: Mapping[str, str], out: TextIO) -> int:
    """Play the demo; gives the exit code. LastcallError when it cannot be played."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"The demo needs {' and '.join(missing)}. Install it with: pip install 'lastcall-operator[demo]'"
        )
    program, show = sidecar_program(), _choose_show(options, out)
    directory, code = Path(tempfile.mkdtemp(prefix="lastcall-")), 1
    try:
        code = asyncio.run(Demo(options, program, directory, child_environment(environ), show).until_signal())
    finally:
        if code == 1:
            show.say(f"What the processes said is in {directory}.")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return code


class Demo:
    """One run, from the first process to the last."""

    def __init__(
        self, options: Options, program: Path, directory: Path, environment: Mapping[str, str], show: Show
    ) -> None:
        self._options = options
        self._program = program
        self._directory = directory
        self._environment = environment
        self._show = show
        self._stage = Stage(naive=options.naive, start=time.monotonic())
        self._stop = asyncio.Event()
        self._staying = False

    async def until_signal(self) -> int:
        """Play; SIGINT, SIGTERM or SIGHUP end it early, and every process with it."""
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._play())

        def interrupt() -> None:
            if not self._stop.is_set() and not self._staying:
                task.cancel()  # once: a second Ctrl-C must not disturb the cleaning up
            self._stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, interrupt)
        try:
            with self._show:
                return 0 if await task else 1
        except asyncio.CancelledError:
            self._show.say("Interrupted: every process has been ended.")
            return EXIT_INTERRUPTED

    async def _play(self) -> bool:
        """Set everything up, play, and judge; tells whether the run showed what it claims."""
        stage, rng = self._stage, random.Random()  # noqa: S311  # chooses pods and pauses
        frames = asyncio.create_task(self._frames())
        # The SDK takes a second or two to import: meanwhile the processes start.
        loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, "lastcall_operator.local.traffic"))
        stage.tell(f"start a fake LLM and {REPLICAS} sidecars (settleSeconds: {SETTLE_SECONDS})", time.monotonic())
        cluster = LocalCluster(
            self._program,
            self._directory,
            self._environment,
            replicas=REPLICAS,
            settle_seconds=SETTLE_SECONDS,
            rng=rng,
            clock=time.monotonic,
        )
        stage.cluster = cluster
        try:
            async with cluster:
                await loading
                traffic = _traffic(cluster.url, self._options.streams, stage, rng)
                try:
                    verdict = await self._judge(cluster, traffic)
                    await _cancel(frames)
                    self._show.show(stage.scene(time.monotonic()))
                    self._show.conclude(verdict, stage.ledger.complaints())
                    if self._options.stay:
                        await self._stay(cluster)
                finally:
                    await traffic.close()
        finally:
            await _cancel(frames)
        return verdict.good

    async def _judge(self, cluster: LocalCluster, traffic: "Traffic") -> Verdict:
        """Roll out in the middle of the streams, and see what became of them."""
        stage = self._stage
        stage.tell(f"{self._options.streams} clients ask for streams of 1 to 20 s, again and again", time.monotonic())
        stage.doing = "warming up: the sidecars take their first streams"
        traffic.start()
        await asyncio.sleep(_WARM_UP_SECONDS)
        begun = time.monotonic()
        if self._options.naive:
            await restart_naively(cluster, stage)
        else:
            await roll_out(cluster, stage, DrainPolicy())
        rollout_seconds = time.monotonic() - begun
        stage.tell("last call: nobody asks again, and the streams under way end", time.monotonic())
        stage.doing = "last call: waiting for the last streams"
        all_ended = await traffic.last_call()
        traffic.check()
        stage.doing = "done"
        score = stage.ledger.score()
        await cluster.refresh()
        if not self._options.naive:  # a killed sidecar takes its counts with it
            await _until_agreed(cluster, Totals(accepted=score.started, completed=score.verbatim))
        cluster.check()
        return judge_run(
            Outcome(
                naive=self._options.naive,
                score=score,
                totals=cluster.totals,
                exits=tuple(cluster.exits),
                replicas=cluster.replicas,
                rollout_seconds=rollout_seconds,
                all_ended=all_ended,
            )
        )

    async def _stay(self, cluster: LocalCluster) -> None:
        """Keep it all up until somebody has seen enough."""
        self._staying = True
        say = self._show.say
        say("")
        say("Everything stays up until Ctrl-C:")
        say(f"  the Service   ANTHROPIC_BASE_URL={cluster.url} (any API key)")
        for pod in cluster.pods:
            say(f"  {pod.name}     {pod.url}   gauge: {pod.admin_url}/livez   metrics: {pod.admin_url}/metrics")
        say(f"  the fake LLM  {cluster.upstream_url}")
        await self._stop.wait()

    async def _frames(self) -> None:
        while True:
            self._show.show(self._stage.scene(time.monotonic()))
            await asyncio.sleep(_FRAME_SECONDS)


def _choose_show(options: Options, out: TextIO) -> Show:
    """Draw in a terminal; write lines anywhere else."""
    if not (options.picture and out.isatty()):
        return PlainLines(out)
    from rich.console import Console  # noqa: PLC0415  # plain lines do without

    from lastcall_operator.demo.picture import Picture  # noqa: PLC0415  # plain lines do without

    return Picture(Console(file=out))


def _traffic(url: str, streams: int, stage: Stage, rng: random.Random) -> "Traffic":
    from lastcall_operator.local.traffic import Traffic  # noqa: PLC0415  # it imports the SDK, which takes its time

    return Traffic(url, streams, stage.ledger, rng)


async def _until_agreed(cluster: LocalCluster, expected: Totals) -> None:
    """Give the sidecars a moment to count their last streams."""
    deadline = time.monotonic() + _AGREE_SECONDS
    while cluster.totals != expected and time.monotonic() < deadline:
        await asyncio.sleep(_FRAME_SECONDS)
        await cluster.refresh()


async def _cancel(task: "asyncio.Task[None]") -> None:
    """End a task that runs for ever; raises what ended it before."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
