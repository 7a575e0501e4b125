"""`lastcall drain` and `undrain`: a lease over a pod's own control socket, so that nothing needs our key."""

import argparse
import asyncio
import json
from typing import Any

import aiohttp
from kubernetes.aio.stream import WsApiClient

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object, configure
from lastcall_operator.cluster.resources import PODS
from lastcall_operator.errors import LastcallError, NotFoundError

from .rows import row_of, seconds
from .session import Exit, Where, as_json, connect, gauge, where

#: A sidecar refuses longer leases: whoever drains must come back.
MAX_LEASE_SECONDS = 600
#: Seconds for one command in a container.
EXEC_SECONDS = 20.0
#: How often `--wait` looks, and renews.
_LOOK_SECONDS = 1.0
_ERROR_CHANNEL = 3


class DrainError(LastcallError):
    """The sidecar did not do it; the message is its own."""


async def drain(arguments: argparse.Namespace) -> int:
    """Lease a drain; with --wait, renew it until the pod is DRAINED. One that expired still carries something: no."""
    place, (_, name) = await where(arguments), arguments.pod
    async with await connect(place) as api:
        pod = await _pod(api, place, name)
        await _control(place, pod, "drain", "--lease", str(arguments.lease))
        if not arguments.wait:
            return await _tell(api, place, name, arguments.output)
        return await _until_drained(api, place, pod, arguments)


async def undrain(arguments: argparse.Namespace) -> int:
    """Take a lease back: the pod serves again. A final drain cannot be taken back."""
    place, (_, name) = await where(arguments), arguments.pod
    async with await connect(place) as api:
        await _control(place, await _pod(api, place, name), "undrain")
        return await _tell(api, place, name, arguments.output)


async def _until_drained(api: Api, place: Where, pod: Object, arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    end, renew = loop.time() + arguments.timeout, loop.time() + arguments.lease / 2
    name = pod["metadata"]["name"]
    while (state := await gauge(api, pod)) is None or state.state not in {"drained", "expired"}:
        now = loop.time()
        if now >= end:
            await _tell(api, place, name, arguments.output)
            return Exit.NOT
        if now >= renew:
            await _control(place, pod, "drain", "--lease", str(arguments.lease))
            renew = now + arguments.lease / 2
        await asyncio.sleep(_LOOK_SECONDS)
    await _tell(api, place, name, arguments.output)
    return Exit.DONE if state.state == "drained" else Exit.NOT


async def _pod(api: Api, place: Where, name: str) -> Object:
    pod = await api.get(PODS, place.namespace, name)
    if pod["metadata"].get("labels", {}).get(names.SIDECAR_LABEL) != names.TRUE:
        raise NotFoundError(
            f"pod {place.namespace}/{name} has no sidecar (no label {names.SIDECAR_LABEL}={names.TRUE})"
        )
    return pod


async def _tell(api: Api, place: Where, name: str, output: str | None) -> int:
    pod = await api.get(PODS, place.namespace, name)
    row = row_of(pod, await gauge(api, pod))
    if output == "json":
        print(as_json(row.to_json()))
    else:
        carried = "it does not say what it carries" if row.in_flight is None else f"{row.in_flight} in flight"
        oldest = f", the oldest for {seconds(row.oldest_seconds)}" if row.oldest_seconds else ""
        print(f"pod/{row.pod}: {row.shown_state}, {carried}{oldest}")
    return Exit.DONE


def container_of(pod: Object) -> str:
    """The container that holds the sidecar: the injected one, or the pod's only one."""
    spec = pod["spec"]
    injected = [item["name"] for item in spec.get("initContainers", []) if item["name"] == names.SIDECAR_CONTAINER]
    return str(injected[0] if injected else spec["containers"][0]["name"])


async def _control(place: Where, pod: Object, *words: str) -> None:
    """Run `lastcall-sidecar` in the sidecar's container.

    Errors: DrainError.
    """
    configuration = await configure(kubeconfig=place.kubeconfig, context=place.context)
    metadata = pod["metadata"]
    path = PODS.path(metadata["namespace"], metadata["name"], "exec")
    query = [
        ("container", container_of(pod)),
        ("stdout", "true"),
        ("stderr", "true"),
        ("command", ["lastcall-sidecar", *words]),
    ]
    async with WsApiClient(configuration) as client:
        headers = dict(client.default_headers)
        try:
            async with asyncio.timeout(EXEC_SECONDS):
                await client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
                url = f"{configuration.host}{path}"
                socket = await client.request("GET", url, query_params=query, headers=headers, _preload_content=False)
                said, status = await _converse(socket)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise DrainError(f"exec into {metadata['name']} failed: {error or type(error).__name__}") from error
    if status.get("status") != "Success":
        raise DrainError(f"lastcall-sidecar {' '.join(words)}: {said.strip() or status.get('message', 'failed')}")


async def _converse(request: Any) -> tuple[str, dict[str, Any]]:
    said: list[str] = []
    status: dict[str, Any] = {}
    async with request as socket:
        async for message in socket:
            data: bytes = message.data if isinstance(message.data, bytes) else str(message.data).encode()
            if data[:1] == bytes([_ERROR_CHANNEL]):
                status = json.loads(data[1:])
            else:
                said.append(data[1:].decode(errors="replace"))
    return "".join(said), status
