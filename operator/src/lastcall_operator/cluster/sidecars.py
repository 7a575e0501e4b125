"""Sidecars over HTTP: what they carry, asked of many at once, and leased drains.

A sidecar's pod is somebody else's: no redirects, no proxies, no cookies, no compression, 64 KiB at most. Whatever is
no answer counts as silence; nothing here takes silence for idleness.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from lastcall_operator.api import names
from lastcall_operator.api.annotations import admin_port
from lastcall_operator.api.gauge import MAX_LIVEZ_BYTES, Gauge, GaugeError, parse_livez
from lastcall_operator.errors import SidecarError

#: Sidecars that are asked at once.
CONCURRENCY = 64
#: Seconds for one answer; a busy loop may take as long.
ANSWER_SECONDS = 2.0
#: Seconds for a connection: across a cluster it takes milliseconds, and those that never connect hold up the others.
CONNECT_SECONDS = 0.5
#: Misses in a row after which a sidecar's load is unknown.
MISSES = 3
#: Misses within this many seconds count once: controllers ask again within milliseconds.
MISS_SECONDS = 1.0
#: Pods whose misses are remembered.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """A sidecar's admin port, and the pod that must answer there."""

    name: str
    uid: str
    ip: str
    port: int

    @property
    def url(self) -> str:
        """Where its routes are."""
        return f"http://[{self.ip}]:{self.port}" if ":" in self.ip else f"http://{self.ip}:{self.port}"


def target_of(pod: Mapping[str, Any]) -> Target | None:
    """The sidecar of a pod; None: it has none, no address yet, or the node's address (host network)."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    if (metadata.get("labels") or {}).get(names.SIDECAR_LABEL) != names.TRUE:
        return None
    ip = status.get("podIP")
    if not ip or (pod.get("spec") or {}).get("hostNetwork"):
        return None
    return Target(metadata["name"], metadata["uid"], ip, admin_port(metadata.get("annotations")))


@dataclass(slots=True)
class _Miss:
    count: int
    at: float


class Sidecars:
    """Asks sidecars. Keeps connections and how often each was silent in a row. Made inside the event loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            # Our own semaphore bounds what is under way; connections at rest are one per sidecar.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "lastcall", "Accept-Encoding": "identity"},
        )
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._misses: OrderedDict[str, _Miss] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def misses(self, uid: str) -> int:
        """How often in a row the pod's sidecar did not answer."""
        miss = self._misses.get(uid)
        return 0 if miss is None else miss.count

    async def poll(self, targets: Sequence[Target], within_seconds: float = ANSWER_SECONDS) -> dict[str, Gauge | None]:
        """What each says of itself, by pod UID; None: no answer in time. Those that were silent are asked last."""
        found: dict[str, Gauge | None] = {target.uid: None for target in targets}
        if not targets:
            return found
        started: set[str] = set()

        async def ask(target: Target) -> None:
            async with self._slots:
                started.add(target.uid)
                found[target.uid] = await self._ask(target)

        tasks = [asyncio.create_task(ask(target)) for target in sorted(targets, key=lambda each: self.misses(each.uid))]
        try:
            await asyncio.wait(tasks, timeout=within_seconds)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        self._remember(found, started)
        return found

    async def lease(self, target: Target, seconds: int, reason: str, headers: Mapping[str, str]) -> Gauge:
        """Start or renew a leased drain. `headers` carry the token.

        Errors: SidecarError.
        """
        return await self._change("POST", target, headers, {"reason": reason[:200], "leaseSeconds": seconds})

    async def cancel(self, target: Target, headers: Mapping[str, str]) -> Gauge:
        """Take a leased drain back.

        Errors: SidecarError; its status is 409 when the drain is final.
        """
        return await self._change("DELETE", target, headers, None)

    async def _ask(self, target: Target) -> Gauge | None:
        try:
            async with self._session.get(f"{target.url}/livez", allow_redirects=False) as response:
                gauge = parse_livez(await _body(response)) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None
        # Addresses are given to others when a pod is gone: another pod's answer is none.
        return gauge if gauge is not None and gauge.pod_uid in {"", target.uid} else None

    async def _change(
        self, method: str, target: Target, headers: Mapping[str, str], body: dict[str, Any] | None
    ) -> Gauge:
        url = f"{target.url}/drain"
        try:
            async with self._session.request(
                method, url, json=body, headers=dict(headers), allow_redirects=False
            ) as response:
                data = await _body(response)
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, GaugeError) as error:
            raise SidecarError(f"{target.name}: no answer from its sidecar: {type(error).__name__}") from error
        if status != 200:
            raise SidecarError(f"{target.name}: its sidecar refused ({status}): {_short(data)}", status=status)
        try:
            return parse_livez(data)
        except GaugeError as error:
            raise SidecarError(f"{target.name}: {error}", status=status) from error

    def _remember(self, found: Mapping[str, Gauge | None], started: set[str]) -> None:
        now = asyncio.get_running_loop().time()
        for uid, gauge in found.items():
            if gauge is not None:
                self._misses.pop(uid, None)
            elif uid in started:  # who was never asked has not been silent
                miss = self._misses.setdefault(uid, _Miss(0, now - MISS_SECONDS))
                if now - miss.at >= MISS_SECONDS:
                    miss.count, miss.at = miss.count + 1, now
                self._misses.move_to_end(uid)
        while len(self._misses) > _REMEMBERED:
            self._misses.popitem(last=False)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    data = b""
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > MAX_LIVEZ_BYTES:
            raise GaugeError(f"more than {MAX_LIVEZ_BYTES} bytes")
    return data


def _short(data: bytes) -> str:
    return " ".join(data[:200].decode("utf-8", "replace").split())
