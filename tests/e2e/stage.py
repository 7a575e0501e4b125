"""One scenario's namespace: an app of its own behind Lastcall, loads on chosen pods, and who left when.

The app is the fake LLM, which cuts its streams on SIGTERM as most apps do. Pods are reached one by one through the API
server's proxy, so that a test says what each carries; everything together through a NodePort on a node's address.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e import kube
from tests.e2e.kube import CommandFailedError, until
from tests.e2e.verdict import Verdict, judge_body

#: What the API server's proxy and the kubelets need beyond the stream itself.
PATIENCE_SECONDS = 30.0
#: How the detail of a stream begins whose connection was broken: its client cannot take it for a whole one.
UNCLEAN = "unclean end"
_HEADERS = {"x-api-key": "a-client", "anthropic-version": "2023-06-01"}
_numbers = itertools.count(1)

Object = dict[str, Any]


@dataclass
class Held:
    """Streams on one pod. `verdicts` is complete when `wait` returns."""

    pod: str
    tasks: list[asyncio.Task[tuple[Verdict, str]]]
    #: set when the head of each stream's answer has come
    begun: list[asyncio.Event] = field(default_factory=list)

    async def under_way(self, within_seconds: float = 30.0) -> None:
        """Wait until all of them stream."""
        async with asyncio.timeout(within_seconds):
            await asyncio.gather(*(event.wait() for event in self.begun))

    async def wait(self) -> list[tuple[Verdict, str]]:
        """All of them, to their ends."""
        return await asyncio.gather(*self.tasks)

    @property
    def live(self) -> int:
        """How many are under way."""
        return sum(not task.done() for task in self.tasks)

    def ended(self) -> list[tuple[Verdict, str]]:
        """How those ended that have."""
        return [task.result() for task in self.tasks if task.done()]

    async def abandon(self) -> None:
        """Leave them: their clients go away."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass
class Departures:
    """Who left, in which order, and who was terminating at the same time. Times are seconds since the epoch.

    The nodes are containers: their clock is this machine's. A deletion is seen after it has happened, never before.
    """

    #: pod names in the order of their deletion timestamps' appearance
    order: list[str] = field(default_factory=list)
    #: by name: when its deletion was seen, and when it was gone
    leaving: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)

    def most_at_once(self, among: set[str], idle_since: Mapping[str, float] | None = None) -> int:
        """The largest number of these pods that were terminating, and not idle yet, at one moment."""
        forever, idle = float("inf"), idle_since or {}
        ends = {name: min(self.gone.get(name, forever), idle.get(name, forever)) for name in among & set(self.leaving)}
        busy = {name: end for name, end in ends.items() if end > self.leaving[name]}  # the others left idle
        marks = [mark for name, end in busy.items() for mark in ((self.leaving[name], 1), (end, -1))]
        most = now = 0
        for _, step in sorted(marks):
            now += step
            most = max(most, now)
        return most


class Stage:
    """A namespace of the cluster with one workload in it, `chat`."""

    def __init__(self, http: httpx.AsyncClient, namespace: str, image: str, node: str) -> None:
        self.http, self.namespace, self.image, self.node = http, namespace, image, node

    async def kubectl(self, *argv: str, within_seconds: float = 120.0, stdin: bytes | None = None) -> str:
        """Run kubectl in this namespace."""
        command = ("kubectl", "--context", kube.CONTEXT, "--namespace", self.namespace, *argv)
        return await kube.run(*command, within_seconds=within_seconds, stdin=stdin)

    async def get(self, *argv: str) -> Any:
        """`kubectl get … -o json`, parsed."""
        return json.loads(await self.kubectl("get", *argv, "--output", "json"))

    async def apply(self, *objects: Object) -> None:
        """Apply objects, strictly: an unknown field is an error."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        await self.kubectl("apply", "--validate=strict", "--filename=-", stdin=json.dumps(listed).encode())

    async def patch(self, what: str, change: Object, *options: str) -> None:
        """Merge a change into an object."""
        await self.kubectl("patch", what, "--type=merge", f"--patch={json.dumps(change)}", *options)

    async def pods(self, selector: str = "app=chat") -> list[Object]:
        """The workload's pods, whole; those that end, too."""
        answer = await self.http.get(f"/api/v1/namespaces/{self.namespace}/pods", params={"labelSelector": selector})
        found: list[Object] = answer.raise_for_status().json()["items"]
        return found

    async def ready(self, count: int, within_seconds: float = 120.0, selector: str = "app=chat") -> list[str]:
        """Wait until there are just so many pods, all Ready; their names, sorted."""
        found: list[Object] = []

        async def holds() -> bool:
            found[:] = await self.pods(selector)
            return len(found) == count and all(is_ready(pod) and not ending(pod) for pod in found)

        try:
            await until(holds, within_seconds, f"{count} Ready pods in {self.namespace}")
        except AssertionError as error:
            states = [(pod["metadata"]["name"], pod["status"].get("phase"), is_ready(pod)) for pod in found]
            events = await self.kubectl("get", "events", "--sort-by=.lastTimestamp")
            raise AssertionError(f"{error}\n{states}\n{events[-4000:]}") from None
        return sorted(pod["metadata"]["name"] for pod in found)

    async def admin_port(self, pod: str) -> int:
        """Where the sidecar of a pod answers: injected ones and gateways listen on different ports."""
        answer = await self.http.get(f"/api/v1/namespaces/{self.namespace}/pods/{pod}")
        return int(answer.json()["metadata"]["annotations"]["lastcall.dev/admin-port"])

    async def livez(self, pod: str) -> Object | None:
        """What the sidecar in a pod says of itself; None when it cannot be asked."""
        try:
            port = await self.admin_port(pod)
            answer = await self.http.get(f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/livez")
        except (httpx.HTTPError, KeyError):
            return None
        found: Object | None = answer.json() if answer.status_code == 200 else None
        return found

    def hold(self, pod: str, streams: int, seconds: float, port: int | None = None) -> Held:
        """Keep so many streams of that length on a pod; without a port on its sidecar's."""
        begun = [asyncio.Event() for _ in range(streams)]
        return Held(pod, [asyncio.create_task(self._stream(pod, port, seconds, event)) for event in begun], begun)

    async def carries(self, loads: Mapping[str, int], within_seconds: float = 30.0) -> None:
        """Wait until the pods say that they carry this."""
        seen: dict[str, int | None] = {}

        async def holds() -> bool:
            for pod in loads:
                gauge = await self.livez(pod)
                seen[pod] = None if gauge is None else gauge["in_flight"]
            return seen == dict(loads)

        try:
            await until(holds, within_seconds, f"loads {dict(loads)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; they say {seen}") from None

    async def _stream(self, pod: str, port: int | None, seconds: float, begun: asyncio.Event) -> tuple[Verdict, str]:
        body = ask(seconds)
        try:
            # The traffic port is the one before the admin port, here as there.
            port = await self.admin_port(pod) - 1 if port is None else port
            url = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/v1/messages"
            async with self.http.stream("POST", url, json=body, headers=_HEADERS, timeout=PATIENCE_SECONDS) as answer:
                begun.set()
                received = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx.TimeoutException as error:
            return Verdict.DROPPED if begun.is_set() else Verdict.REFUSED, f"silence: {error!r}"
        except httpx.HTTPError as error:
            return Verdict.DROPPED if begun.is_set() else Verdict.REFUSED, f"{UNCLEAN}: {error!r}"
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return judge_body(answer.status_code, headers, received, stream=True, clean=True)

    @asynccontextmanager
    async def departures(self, selector: str = "app=chat") -> AsyncIterator[Departures]:
        """Watch who leaves while the block runs."""
        found = Departures()
        task = asyncio.create_task(self._watch(found, selector))
        await asyncio.sleep(0.5)  # until the watch stands
        try:
            yield found
            if task.done():
                task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self, found: Departures, selector: str) -> None:
        params = {"labelSelector": selector, "watch": "1"}
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        async with self.http.stream("GET", path, params=params, timeout=None) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                name = event["object"]["metadata"]["name"]
                if ending(event["object"]) and name not in found.leaving:
                    found.leaving[name] = time.time()
                    found.order.append(name)
                if event["type"] == "DELETED":
                    found.gone[name] = time.time()

    async def condition(self, what: str, kind: str) -> Object | None:
        """A condition of an object by its type."""
        listed = (await self.get(what)).get("status", {}).get("conditions", [])
        return next((item for item in listed if item["type"] == kind), None)

    async def says(self, what: str, kind: str, status: str, *words: str, within_seconds: float = 60.0) -> Object:
        """Wait until an object's condition has this status and its message these words."""
        seen: list[Object | None] = [None]

        async def holds() -> bool:
            seen[0] = await self.condition(what, kind)
            return (
                seen[0] is not None
                and seen[0]["status"] == status
                and all(word in f"{seen[0]['reason']} {seen[0]['message']}" for word in words)
            )

        try:
            await until(holds, within_seconds, f"{what}: {kind}={status} with {words}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen[0]}") from None
        assert seen[0] is not None
        return seen[0]

    async def events(self, reason: str) -> list[str]:
        """The messages of all events with this reason, in this namespace."""
        found = (await self.get("events"))["items"]
        return [item.get("message") or item.get("note", "") for item in found if item["reason"] == reason]

    async def decisions(self) -> str:
        """What the webhook has decided about this namespace's pods, and where it could not: for a failure's message."""
        log = await kube.kubectl("logs", "--selector=app.kubernetes.io/component=webhook", "--tail=-1")
        sets = {pod["metadata"]["name"].rpartition("-")[0] for pod in await self.pods()}
        found = [json.loads(line) for line in log.splitlines() if '"event":"removal.' in line]
        told = [
            f"{line['timestamp']} {line['event']} {line['pod']} {line.get('allowed')} {line.get('why')}"
            for line in found
            if any(name in str(line.get("pod")) for name in sets)
        ]
        return "\n".join(sorted(told))

    async def url(self) -> str:
        """The workload's Service from this machine, through a node."""
        service = await self.get("service", "chat")
        return f"http://{self.node}:{service['spec']['ports'][0]['nodePort']}"


def ask(seconds: float) -> Object:
    """A request for a stream of that length."""
    number = next(_numbers)
    prompt = f"[fake seconds={seconds:.2f} events={max(8, int(seconds * 2))} seed={number} kind=text]"
    return {
        "model": "fake-llm-1",
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": prompt}],
    }


def is_ready(pod: Object) -> bool:
    """Whether a pod's condition Ready is true."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))


def ending(pod: Object) -> bool:
    """Whether a pod has been deleted."""
    return "deletionTimestamp" in pod["metadata"]


async def still_live(held: Iterable[Held]) -> None:
    """See that every stream is under way, wherever its pod is by now; then leave them, instead of waiting for them."""
    held = list(held)
    assert [verdict for pod in held for verdict in pod.ended()] == []
    await asyncio.gather(*(pod.abandon() for pod in held))


def broken(verdicts: list[tuple[Verdict, str]]) -> list[tuple[Verdict, str]]:
    """All that did not end whole."""
    return [item for item in verdicts if item[0] is not Verdict.WHOLE]


# The objects.

_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def app_container(image: str, **more: Any) -> Object:
    """The app: the fake LLM on port 8000, named `http`."""
    return {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["fake-llm", "--listen", "0.0.0.0:8000"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": _RESTRICTED,
        **more,
    }


def pod_template(container: Object, *, injected: bool = True, labels: Mapping[str, str] | None = None) -> Object:
    """The workload's pods: one app, injected unless told otherwise."""
    marks = {"app": "chat", **({"lastcall.dev/inject": "true"} if injected else {}), **(labels or {})}
    return {
        "metadata": {"labels": marks},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def deployment(template: Object, replicas: int, **spec: Any) -> Object:
    """The workload as a Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "chat"}}, "template": template, **spec},
    }


def stateful_set(template: Object, replicas: int) -> Object:
    """The workload as a StatefulSet that waits for somebody to delete its pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "chat"},
        "spec": {
            "replicas": replicas,
            "serviceName": "chat",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"app": "chat"}},
            "template": template,
        },
    }


def service(**port: Any) -> Object:
    """The Service of the workload, by the port's name, on a port of each node."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "chat"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", **port}],
        },
    }


def stream_proxy(name: str = "chat", *, longest_seconds: int = 85, **spec: Any) -> Object:
    """A StreamProxy in mode Ingress, for streams of at most so long; a leaving pod waits for them."""
    return {
        "apiVersion": "lastcall.dev/v1alpha1",
        "kind": "StreamProxy",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "chat"}},
            "mode": "Ingress",
            "appPort": "http",
            "limits": {"maxDurationSeconds": longest_seconds},
            "drain": {"ceilingSeconds": longest_seconds + 5, "settleSeconds": 2},
            **spec,
        },
    }


def drain_policy(kind: str = "Deployment", name: str = "chat", **spec: Any) -> Object:
    """A DrainPolicy of the workload."""
    return {
        "apiVersion": "lastcall.dev/v1alpha1",
        "kind": "DrainPolicy",
        "metadata": {"name": name},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "chat"}, "pollSeconds": 2, **spec},
    }


@asynccontextmanager
async def staged(name: str) -> AsyncIterator[Stage]:
    """A fresh namespace `e2e-<name>`, restricted, deleted afterwards (its end is not waited for)."""
    namespace = f"e2e-{name}"
    base = ("kubectl", "--context", kube.CONTEXT)
    with contextlib.suppress(CommandFailedError):
        await kube.run(
            *base, "delete", "namespace", namespace, "--ignore-not-found", "--timeout=150s", within_seconds=160
        )
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    await kube.run(*base, "create", "--filename=-", stdin=json.dumps(manifest).encode())
    gateway = await kube.get("deployment", kube.GATEWAY)
    nodes = json.loads(await kube.run(*base, "get", "nodes", "--output=json"))["items"]
    node = next(
        address["address"]
        for item in nodes
        if "node-role.kubernetes.io/control-plane" in item["metadata"]["labels"]
        for address in item["status"]["addresses"]
        if address["type"] == "InternalIP"
    )
    async with kube.proxied() as http:
        try:
            image = gateway["spec"]["template"]["spec"]["containers"][0]["image"]
            yield Stage(http, namespace, image, node)
        finally:
            await kube.run(*base, "delete", "namespace", namespace, "--wait=false")
