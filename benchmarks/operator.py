"""The operator among 500 simulated sidecars: `python -m benchmarks.operator [--pods 500] [--removals 60]`.

The sidecars (real HTTP endpoints, an address each) and the API server are another process. First the controller, in a
process of its own as in a cluster, asks them every 5 s: at rest, while their numbers move, and each second while a pod
leaves; its CPU is counted. Then the webhook serves over TLS in this process, together with the client that asks as the
API server does: each removal comes when what was seen for the last one is no longer shared, so that each makes its own
LIST and its own poll. Prints a line of JSON; exit code 1, and a sentence for each, past the limits.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import random
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from kubernetes.aio.client.configuration import Configuration

from benchmarks.workload import POLL_SECONDS, Workload, workload
from lastcall_operator import logs
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import PODS, VALIDATING_WEBHOOKS
from lastcall_operator.controller.process import main as controller
from lastcall_operator.settings import Settings
from lastcall_operator.testing import pod_deletion_review
from lastcall_operator.webhook.process import Webhook, running

#: CPU seconds per second that the controller may take to poll: half a core.
CORES = 0.5
#: Seconds within which 99 of 100 removals must be answered.
ANSWER_SECONDS = 1.5
#: The share of the polls that are due in a window; with fewer the CPU would be of something else.
POLLED = 0.8

HOST = "f-webhook.lastcall.svc"
#: Longer than the quarter of a second for which a look at the workload is shared.
APART_SECONDS = 0.35
START_SECONDS = 60.0
BURST = 50


# The controller: CPU.


def _run_controller(kubeconfig: str, port: int) -> None:
    logs.set_up("error", "json")
    asyncio.run(controller(Settings(kubeconfig=kubeconfig, admin_port=port, own_namespace="default")))


@contextmanager
def _controlling(url: str) -> Iterator[psutil.Process]:
    """A controller that runs until the block ends."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {"token": "nobody"}}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubeconfig"
        path.write_text(json.dumps(config))
        (port,) = _free_ports(1)
        process = multiprocessing.get_context("spawn").Process(target=_run_controller, args=(str(path), port))
        process.start()
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.join(15)
            process.kill()


def polling(of: Workload, seconds: float) -> dict[str, Any]:
    """The controller's cores at rest, while numbers move, and while a pod leaves."""
    with _controlling(of.url) as process:
        started = time.perf_counter()
        while (seen := of.ask("seen"))["in_flight"] != seen["carried"] or seen["configured"] != "True":
            if time.perf_counter() - started > START_SECONDS:
                raise TimeoutError(f"the controller has not seen everything: {seen}")
            time.sleep(0.2)
        found: dict[str, Any] = {"first_look_seconds": round(time.perf_counter() - started, 1)}
        for name, word in (("rest", "rest"), ("moving", "move"), ("leaving", "leave")):
            of.ask(word)
            time.sleep(POLL_SECONDS)
            asked, cpu, began = of.ask("asked"), sum(process.cpu_times()[:2]), time.perf_counter()
            time.sleep(seconds)
            took = time.perf_counter() - began
            found[f"{name}_cores"] = round((sum(process.cpu_times()[:2]) - cpu) / took, 3)
            found[f"{name}_polls_per_second"] = round((of.ask("asked") - asked) / took, 1)
        found["rss_mib"] = round(process.memory_info().rss / 1024**2)
        of.ask("rest")
    return found


# The webhook: latency.


class _Caller:
    """Calls the webhook as the API server does."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings, bundle: str) -> None:
        self._http = http
        self._context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
        self._url = f"https://127.0.0.1:{settings.webhook_port}/validate/removals"
        self.said: list[str] = []

    async def remove(self, victim: dict[str, Any]) -> float:
        """Ask for one removal; gives the seconds until its answer."""
        body = json.dumps(pod_deletion_review(victim))
        headers = {"content-type": "application/json"}
        started = time.perf_counter()
        async with self._http.post(
            self._url, data=body, headers=headers, ssl=self._context, server_hostname=HOST
        ) as answer:
            review = await answer.json()
        self.said.append(review["response"]["auditAnnotations"]["why"])
        return time.perf_counter() - started


async def _ready(webhook: Webhook) -> None:
    async with asyncio.timeout(20):
        while not webhook.ready:  # noqa: ASYNC110 - seen from outside, as a probe does
            await asyncio.sleep(0.02)


async def removing(url: str, removals: int) -> dict[str, Any]:
    """Figures of the webhook: seconds."""
    configuration = Configuration()
    configuration.host = url
    tls, plain = _free_ports(2)
    settings = Settings(own_namespace="lastcall", fullname="f", webhook_port=tls, admin_port=plain)
    chance = random.Random(11)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(configuration))
        webhook = await stack.enter_async_context(running(settings, api, host="127.0.0.1"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await _ready(webhook)
        found = await api.get(VALIDATING_WEBHOOKS, None, "f-removals")
        caller = _Caller(http, settings, found["webhooks"][0]["clientConfig"]["caBundle"])
        victims = [each for each in await api.list(PODS) if "deletionTimestamp" not in each["metadata"]]
        first = await caller.remove(victims[0])  # the one that writes the costs of all
        await asyncio.sleep(5)
        cpu, seconds = time.process_time(), []
        for _ in range(removals):
            seconds.append(await caller.remove(chance.choice(victims)))
            await asyncio.sleep(APART_SECONDS)
        cpu = time.process_time() - cpu
        burst_started = time.perf_counter()
        burst = await asyncio.gather(*(caller.remove(victim) for victim in chance.sample(victims, BURST)))
        burst_seconds = time.perf_counter() - burst_started
    return {
        "removals": removals,
        "first_seconds": round(first, 3),
        "p50_seconds": round(statistics.median(seconds), 3),
        "p99_seconds": round(statistics.quantiles(seconds, n=100, method="inclusive")[98], 3),
        "max_seconds": round(max(seconds), 3),
        "cpu_seconds_per_removal": round(cpu / removals, 3),
        f"burst_of_{BURST}_seconds": round(burst_seconds, 3),
        f"burst_of_{BURST}_slowest_seconds": round(max(burst), 3),
        "faults": sum("could not decide" in why for why in caller.said),
    }


def past(figures: dict[str, Any], pods: int) -> Iterator[str]:
    """What is not as it must be, as sentences."""
    due = POLLED * pods / POLL_SECONDS
    for name in ("rest", "moving"):
        cores, polls = figures["controller"][f"{name}_cores"], figures["controller"][f"{name}_polls_per_second"]
        if cores > CORES:
            yield f"the controller took {cores} cores ({name}), more than {CORES}"
        if polls < due:
            yield f"only {polls} sidecars were asked a second ({name}), fewer than {due:.0f}"
    if (p99 := figures["webhook"]["p99_seconds"]) > ANSWER_SECONDS:
        yield f"a removal took {p99} s at p99, more than {ANSWER_SECONDS}"
    if faults := figures["webhook"]["faults"]:
        yield f"{faults} removals could not be decided"


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator", description=__doc__)
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0, help="each window in which CPU is counted")
    parser.add_argument("--removals", type=int, default=60)
    arguments = parser.parse_args()
    logs.set_up("error", "json")
    with workload(arguments.pods) as found:
        figures = {
            "pods": arguments.pods,
            "controller": polling(found, arguments.seconds),
            "webhook": asyncio.run(removing(found.url, arguments.removals)),
        }
    print(json.dumps(figures))
    problems = list(past(figures, arguments.pods))
    for problem in problems:
        print(f"past the limit: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
