"""Any number of sidecars in one process: one listening socket, a loopback address each (127.1.x.y)."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass(slots=True)
class FakeSidecar:
    """What one says of itself, and what was asked of it."""

    ip: str
    pod: str
    uid: str
    in_flight: int = 0
    #: serving, draining, drained, expired
    state: str = "serving"
    final: bool = False
    #: connects, and never answers
    hangs: bool = False
    #: this status instead of an answer
    status: int = 200
    #: the bodies of the leases that were asked for, and their headers
    leases: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0
    #: this instead of what a sidecar says
    says: dict[str, Any] | None = None
    #: of the configuration that it has
    config_hash: str = "sha256:0"

    def livez(self) -> dict[str, Any]:
        """The answer of `/livez`."""
        if self.says is not None:
            return self.says
        since = None if self.state == "serving" else "2026-11-22T10:00:00.000Z"
        return {
            "status": "ok",
            "in_flight": self.in_flight,
            "draining": self.state != "serving",
            "timestamp": "2026-11-22T10:00:00.000Z",
            "streams": self.in_flight,
            "queued": 0,
            "oldest_request_seconds": 1.0 if self.in_flight else None,
            "drain": {
                "state": self.state,
                "reason": None,
                "final": self.final,
                "since": since,
                "deadline": None,
                "lease_expires": None,
            },
            "config": {"generation": 1, "hash": self.config_hash, "error": None},
            "totals": {"accepted": 0, "completed": 0, "failed": 0, "disconnected": 0, "dropped": 0, "refused": 0},
            "pod": self.pod,
            "pod_uid": self.uid,
            "started": "2026-11-22T09:00:00.000Z",
            "version": "0.1.0",
        }


class FakeSidecars:
    """Use it with `async with`; `add` gives a sidecar its address."""

    def __init__(self) -> None:
        self._by_ip: dict[str, FakeSidecar] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_post("/drain", self._drain)
        app.router.add_delete("/drain", self._undrain)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "0.0.0.0", 0, backlog=1024)  # noqa: S104 - all of 127.0.0.0/8
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def add(self, pod: str, uid: str, *, in_flight: int = 0, state: str = "serving") -> FakeSidecar:
        """One more sidecar."""
        number = len(self._by_ip) + 1
        sidecar = FakeSidecar(f"127.1.{number >> 8}.{number & 255}", pod, uid, in_flight, state)
        self._by_ip[sidecar.ip] = sidecar
        return sidecar

    def _asked(self, request: web.Request) -> FakeSidecar:
        assert request.transport is not None  # noqa: S101 - a request under way has one
        return self._by_ip[request.transport.get_extra_info("sockname")[0]]

    async def _livez(self, request: web.Request) -> web.Response:
        sidecar = self._asked(request)
        sidecar.asked += 1
        if sidecar.hangs:
            await asyncio.sleep(3600)
        return web.json_response(sidecar.livez(), status=sidecar.status)

    async def _drain(self, request: web.Request) -> web.Response:
        sidecar = self._asked(request)
        sidecar.leases.append(await request.json())
        sidecar.headers.append(dict(request.headers))
        sidecar.state = "draining"
        return web.json_response(sidecar.livez(), status=sidecar.status)

    async def _undrain(self, request: web.Request) -> web.Response:
        sidecar = self._asked(request)
        sidecar.headers.append(dict(request.headers))
        sidecar.state = "serving"
        return web.json_response(sidecar.livez(), status=409 if sidecar.final else sidecar.status)
