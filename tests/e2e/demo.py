"""`scripts/kind-demo`: a rolling restart under live clients, told line by line, and the verdict at the end.

Exit code 0 only if every stream ended whole; with `--bare`, the fake LLM itself is restarted the ordinary way, and
exit code 0 needs drops.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

from tests.e2e.gauge import Books, restart, settled, watched
from tests.e2e.kube import BARE_URL, GATEWAY, GATEWAY_URL, Api, api, kubectl
from tests.e2e.load import Load, Shape
from tests.e2e.verdict import Verdict, summary

_BAR = 30


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _picture(elapsed: float, load: Load, books: Books) -> str:
    """Draw one moment: the clients' side in one line, one line for each pod that is there."""
    whole = len(load.outcomes) - len(load.broken())
    lines = [
        f"{elapsed:5.1f} s   clients: {load.live:3d} under way, {whole:4d} ended whole, {len(load.broken())} broken"
    ]
    for seen in books.pods.values():
        if seen.gone is None:
            word = "leaving, " + seen.state if seen.leaving is not None else seen.state
            lines.append(
                f"          {seen.pod.name}  {'█' * min(seen.in_flight, _BAR):{_BAR}} {seen.in_flight:3d}  {word}"
            )
    return "\n".join(lines)


async def _tell(started: float, picture: Callable[[float], str]) -> None:
    while True:
        _say(picture(time.monotonic() - started))
        await asyncio.sleep(2)


async def _gateway(door: Api, shape: Shape) -> int:
    before = {pod.uid for pod in await settled(door, within_seconds=180)}
    started = time.monotonic()
    async with watched(door) as books, Load(GATEWAY_URL, shape) as load:
        teller = asyncio.create_task(_tell(started, lambda elapsed: _picture(elapsed, load, books)))
        await load.saturated()
        await asyncio.sleep(4)
        _say(f"--- kubectl rollout restart deployment/{GATEWAY}")
        await restart(f"deployment/{GATEWAY}")
        await kubectl("rollout", "status", f"deployment/{GATEWAY}", "--timeout=300s", within_seconds=310)
        _say("--- the new pods are Ready; the old ones serve what they carry")
        await settled(door, within_seconds=shape.longest_seconds + 60)
        _say("--- every old pod is gone; the clients finish")
        outcomes = await load.finish()
        teller.cancel()
    _say(summary(outcomes))
    replaced = len(before - {seen.pod.uid for seen in books.pods.values() if seen.gone is None})
    broken = len(load.broken())
    _say(f"{len(outcomes)} requests: {len(outcomes) - broken} whole and verbatim, {broken} broken.")
    _say(f"{replaced} pods replaced under live streams in {time.monotonic() - started:.0f} s.")
    return 0 if not load.broken() and replaced == len(before) else 1


async def _bare(shape: Shape) -> int:
    started = time.monotonic()
    async with Load(BARE_URL, shape) as load:
        teller = asyncio.create_task(_tell(started, lambda elapsed: _picture(elapsed, load, Books())))
        await load.saturated()
        await asyncio.sleep(4)
        _say("--- kubectl rollout restart deployment/bare: the fake LLM itself, no gateway, no drain")
        await restart("deployment/bare")
        await kubectl("rollout", "status", "deployment/bare", "--timeout=300s", within_seconds=310)
        outcomes = await load.finish()
        teller.cancel()
    dropped = sum(outcome.verdict is Verdict.DROPPED for outcome in outcomes)
    _say(summary(outcomes))
    _say(f"{len(outcomes)} requests, {len(load.broken())} broken: {dropped} of them were cut in their middle.")
    return 0 if dropped else 1


async def _main(arguments: argparse.Namespace) -> int:
    shape = Shape(clients=arguments.clients, longest_seconds=arguments.longest)
    if arguments.bare:
        return await _bare(shape)
    async with api() as door:
        return await _gateway(door, shape)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="kind-demo", description="A rolling restart under live streams.")
    parser.add_argument("--clients", type=int, default=60, help="clients at a time (60)")
    parser.add_argument("--longest", type=float, default=60.0, metavar="SECONDS", help="the longest stream (60)")
    parser.add_argument("--bare", action="store_true", help="restart the fake LLM itself, without the gateway")
    sys.exit(asyncio.run(_main(parser.parse_args())))
