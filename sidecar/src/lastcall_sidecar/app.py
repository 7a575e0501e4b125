"""The two ASGI applications: a lean function for what goes upstream, Quart for our own routes.

A Quart route costs three times as much as the whole relay of a short answer; so its `asgi_app` is wrapped on the
traffic listener, and sees only what is ours.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from quart import Quart

from .errors import Refusal
from .exchange import Headers, Receive, Send
from .guard import PREFLIGHT_HEADERS, Names, check_browser, is_preflight
from .ids import new_request_id
from .live import Live
from .pipeline import Pipeline
from .routing import protocol_of, resolve
from .settings import Mode
from .wire.anthropic import ANTHROPIC
from .wire.headers import joined
from .wire.protocol import ErrorKind, Protocol, Route
from .wire.target import TargetError, parse

ASGI = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class Traffic:
    """The traffic listener's application."""

    def __init__(self, own: Quart, pipeline: Pipeline, live: Live, *, loopback: bool) -> None:
        self._own = own
        self._pipeline = pipeline
        self._live = live
        self._names = Names.LOOPBACK if loopback else Names.LISTED

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request: upstream, or one of our own routes."""
        settings = self._live.settings
        header = joined(scope["headers"])
        extra: Headers = []
        # For answers that do not come from the pipeline. While draining the next request is asked to go elsewhere.
        ours = _adding(send, [(b"connection", b"close")]) if self._pipeline.draining else send
        protocol: Protocol = ANTHROPIC
        try:
            target = parse(scope["extensions"].get("lastcall.target", scope["raw_path"]))
            if target.origin is not None:
                # The host that it names is meant, whatever Host says (RFC 9112, 3.2.2).
                header[b"host"] = target.origin.partition(b"://")[2]
                scope = {**scope, "headers": list(header.items())}
            protocol = protocol_of(scope["method"], target.path, header)
            if settings.mode is not Mode.INGRESS:
                check_upgrade(scope)
                extra = check_browser(
                    header,
                    origins=settings.listen.cors_origins,
                    hosts=settings.listen.allowed_hosts,
                    names=self._names,
                )
                if extra:
                    ours = _adding(ours, extra)
                    if is_preflight(scope["method"], header):
                        await answer(ours, 204, PREFLIGHT_HEADERS, b"")
                        return
            way = resolve(settings, scope["method"], target.path, header)
        except TargetError as error:
            await refuse(ours, Refusal(400, ErrorKind.INVALID_REQUEST, str(error)), protocol)
        except Refusal as refusal:
            await refuse(ours, refusal, protocol)
        else:
            if way is None:
                await self._own(scope, receive, ours)  # type: ignore[arg-type]  # Quart's scope is a TypedDict
            else:
                raw = target.raw if way.upstream_path == target.path else _renamed(target.raw, target.path, way)
                await self._pipeline.serve(way, raw, scope, header, receive, send, extra)


def _adding(send: Send, headers: Headers) -> Send:
    async def adding(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return adding


def _renamed(raw: bytes, path: str, way: Route) -> bytes:
    return way.upstream_path.encode("ascii") + raw[len(path) :]


class Guarded:
    """The admin listener's application: Quart behind the same door."""

    def __init__(self, own: Quart, live: Live, *, loopback: bool) -> None:
        self._own = own
        self._live = live
        self._names = Names.LOOPBACK if loopback else Names.ANY
        #: Requests that are being answered; some of them wait for the drain's end.
        self.under_way = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.under_way += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self.under_way -= 1

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        listen = self._live.settings.listen
        header = joined(scope["headers"])
        try:
            check_upgrade(scope)
            check_browser(header, origins=listen.cors_origins, hosts=listen.allowed_hosts, names=self._names)
        except Refusal as refusal:
            await refuse(send, refusal, ANTHROPIC)
        else:
            await self._own(scope, receive, send)  # type: ignore[arg-type]  # Quart's scope is a TypedDict


def check_upgrade(scope: dict[str, Any]) -> None:
    """Refuse to change the protocol; Codex, for one, then goes on over HTTP at once, where it tries a 501 again.

    Errors: Refusal (426).
    """
    if "lastcall.upgrade" in scope["extensions"]:
        raise Refusal(426, ErrorKind.INVALID_REQUEST, "no websockets or other upgrades here: use HTTP/1.1 as it is")


async def refuse(send: Send, refusal: Refusal, protocol: Protocol) -> None:
    """Answer where no request of ours has begun."""
    request_id = new_request_id()
    body = protocol.error_body(refusal.status, refusal.kind, refusal.message, request_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-lastcall-request-id", request_id.encode("ascii")),
    ]
    if refusal.status == 426:
        headers.append((b"upgrade", b"HTTP/1.1"))  # RFC 9110, 15.5.22: it names what will do
    await answer(send, refusal.status, headers, body)


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a small answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
