"""The admin listener's routes: readiness, the whole gauge, metrics, and the operator's drain."""

import asyncio
import json
from typing import Any

from quart import Quart, Response, request

from lastcall_sidecar.auth import TokenError, check_drain_token
from lastcall_sidecar.core.drain import IllegalTransition
from lastcall_sidecar.status import Status
from lastcall_sidecar.telemetry.metrics import CONTENT_TYPE, Metrics

from .common import make_app, problem, reply

#: How long an app's preStop waits for a final drain to begin before it concludes that none does: an app that is
#: restarted by its own liveness probe must not wait for a drain that nobody started.
FINAL_DRAIN_STARTS_WITHIN_SECONDS = 5.0
#: The longest lease over HTTP, in seconds: an operator that dies may not keep a pod out of service for longer.
MAX_LEASE_SECONDS = 600
MAX_REASON_CHARS = 200


def admin_app(status: Status, metrics: Metrics) -> Quart:
    """The application of the admin listener."""
    app = make_app("lastcall-admin")

    @app.get("/health")
    async def health() -> Response:
        return reply(*status.health())

    @app.get("/ready")
    async def ready() -> Response:
        return reply(*status.ready())

    @app.get("/livez")
    async def livez() -> Response:
        return reply(200, status.livez_whole(asyncio.get_running_loop().time()))

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.exposition(), 200, content_type=CONTENT_TYPE)

    @app.post("/drain")
    async def drain() -> Response:
        return await refusal(status) or await _drain(status)

    @app.delete("/drain")
    async def undrain() -> Response:
        return await refusal(status) or _undrain(status)

    @app.get("/drain/wait")
    async def wait() -> Response:
        if request.args.get("role") != "app":
            return problem(400, "role must be `app`")
        return await _wait(status)

    return app


async def refusal(status: Status) -> Response | None:
    """Why the caller may not lease a drain; None when it may."""
    public_key = status.live.settings.drain.public_key
    if public_key is None:
        return problem(404, "remote drains are off: no drain.publicKey is configured")
    presented = ", ".join(request.headers.getlist("authorization"))  # two are none
    try:
        # In a thread: the first one imports cryptography, which takes longer than streams should wait.
        await asyncio.to_thread(check_drain_token, presented, public_key=public_key, pod_uid=status.pod_uid)
    except TokenError as error:
        return problem(401, f"drain token refused: {error}")
    return None


async def _drain(status: Status) -> Response:
    try:
        asked = _lease(json.loads(await request.get_data() or b"{}"))
    except (ValueError, RecursionError) as error:
        return problem(400, str(error))
    status.drains.request(*asked)
    return reply(200, status.livez_whole(asyncio.get_running_loop().time()))


def _lease(body: Any) -> tuple[str, float]:
    """Reason and seconds of a leased drain.

    Errors: ValueError.
    """
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - the caller's mistake, not a type of ours
    seconds, reason = body.get("leaseSeconds"), body.get("reason", "remote drain")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= MAX_LEASE_SECONDS:
        raise ValueError(f"leaseSeconds must be an integer from 1 to {MAX_LEASE_SECONDS}: a remote drain is a lease")
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARS:
        raise ValueError(f"reason must be a string of at most {MAX_REASON_CHARS} characters")
    reason.encode()  # JSON can hold half a surrogate pair, which is no text that could be logged
    return reason, float(seconds)


def _undrain(status: Status) -> Response:
    if status.drains.draining:
        try:
            status.drains.cancel()
        except IllegalTransition as error:
            return problem(409, str(error))
    return reply(200, status.livez_whole(asyncio.get_running_loop().time()))


async def _wait(status: Status) -> Response:
    """What an app's preStop waits for. It starts nothing."""
    drains = status.drains
    if not await drains.wait_for(lambda loop: loop.drain.final, FINAL_DRAIN_STARTS_WITHIN_SECONDS):
        return reply(200, {"waited": False, "state": drains.drain.state.value})
    await drains.wait_for(lambda loop: loop.ended)
    return reply(200, {"waited": True, "state": drains.drain.state.value})
