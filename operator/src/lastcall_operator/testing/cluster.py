"""A small API server over real HTTP.

It holds objects, answers LIST, GET, POST, PUT, PATCH and DELETE, and knows resourceVersions; it hands `/livez` through
to the sidecars that it was given, and takes note of what is executed in pods. No validation, no defaults, no watches,
no controllers.
"""

import asyncio
import copy
import itertools
import json
from collections import Counter
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import Resource

from .sidecars import FakeSidecar

Object = dict[str, Any]
Key = tuple[str, str | None, str]


class FakeCluster:
    """Use it with `async with`. `put` an object, let the code under test act, and `get` it again."""

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._versions = itertools.count(1)
        #: kinds as the API server lists them, by the path of their group and version
        self._served: dict[str, list[Object]] = {}
        self._runner: web.AppRunner | None = None
        #: requests by method and plural
        self.requests: Counter[tuple[str, str]] = Counter()
        #: every answer is this late, in seconds
        self.delay_seconds = 0.0
        #: every answer is this status instead
        self.failing: int | None = None
        #: requests, by method and plural, that get this status instead
        self.refused: dict[tuple[str, str], HTTPStatus] = {}
        #: namespaces that are gone, and the rights in them with them
        self.gone: set[str] = set()
        #: by how many seconds more the answers to others are late
        self.slow: dict[tuple[str, str], float] = {}
        #: every write with a resourceVersion conflicts
        self.conflicts = False
        #: who answers behind `pods/NAME:PORT/proxy/livez`, by the pod's name
        self.sidecars: dict[str, FakeSidecar] = {}
        #: what was executed: the pod's name and the words; it fails with `exec_failure`, or else succeeds
        self.executed: list[tuple[str, list[str]]] = []
        self.exec_failure: str | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def connect(self, *, timeout_seconds: float = 10.0) -> Api:
        """A client of this API server."""
        configuration = Configuration()
        configuration.host = self.url
        return Api(configuration, timeout_seconds=timeout_seconds)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Put an object there, whatever was there before."""
        metadata = obj.setdefault("metadata", {})
        served = self._served.setdefault(f"/apis/{resource.api_version}", [])
        served += [
            {"kind": resource.kind, "name": each}
            for each in (resource.plural, f"{resource.plural}/status")
            if {"kind": resource.kind, "name": each} not in served
        ]
        namespace = metadata.get("namespace") if resource.namespaced else None
        metadata.setdefault("uid", f"uid-{resource.plural}-{metadata['name']}")
        metadata.setdefault("creationTimestamp", "2026-11-22T10:00:00Z")
        metadata["resourceVersion"] = str(next(self._versions))
        self._objects[resource.plural, namespace, metadata["name"]] = copy.deepcopy(obj)
        return obj

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """An object as it is now; KeyError without one."""
        return copy.deepcopy(self._objects[resource.plural, namespace if resource.namespaced else None, name])

    def all(self, resource: Resource) -> list[Object]:
        """All objects of a kind, as they are now."""
        return [copy.deepcopy(obj) for (plural, _, _), obj in self._objects.items() if plural == resource.plural]

    def remove(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Take an object away."""
        del self._objects[resource.plural, namespace if resource.namespaced else None, name]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path in self._served:
            return web.json_response({"kind": "APIResourceList", "resources": self._served[request.path]})
        plural, namespace, name = _parse(request.path)
        self.requests[request.method, plural] += 1
        if late := self.delay_seconds + self.slow.get((request.method, plural), 0.0):
            await asyncio.sleep(late)
        if self.failing is not None:
            return _status(self.failing, "InternalError", "as asked for")
        refused = HTTPStatus.FORBIDDEN if namespace in self.gone else self.refused.get((request.method, plural))
        if refused is not None:
            return _status(refused, refused.phrase.replace(" ", ""), "as asked for")
        if name is not None and request.path.endswith("/exec"):
            return await self._exec(request, name)
        if name is not None and request.path.endswith("/proxy/livez"):
            sidecar = self.sidecars.get(name.partition(":")[0])
            return _status(503, "ServiceUnavailable", "no") if sidecar is None else web.json_response(sidecar.livez())
        body = json.loads(await request.read() or b"null")
        if request.method == "POST":
            return self._create(plural, namespace, body)
        if name is None:
            return self._list(plural, namespace, request.query.get("labelSelector", ""))
        return self._one(request, (plural, namespace, name), body)

    def _one(self, request: web.Request, key: Key, body: Any) -> web.Response:
        found = self._objects.get(key)
        if found is None:
            return _status(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        if request.method == "GET":
            return web.json_response(_scale(found) if request.path.endswith("/scale") else found)
        if request.method == "DELETE":
            grace = (body or {}).get("gracePeriodSeconds")
            if (
                grace is not None and "deletionTimestamp" in found["metadata"]
            ):  # it may be shortened, and is still there
                return self._write(key, _merged(found, {"metadata": _shortened(found["metadata"], grace)}), None)
            del self._objects[key]
            return web.json_response({"kind": "Status", "status": "Success"})
        if request.method == "PUT":
            return self._write(key, body, body["metadata"].get("resourceVersion"))
        if request.content_type == "application/json-patch+json":
            try:
                return self._write(key, _json_patched(found, body), None)
            except AssertionError:
                return _status(422, "Invalid", "the test of the patch failed")
        metadata = body.get("metadata") or {}
        if metadata.get("uid") not in {None, found["metadata"]["uid"]}:
            return _status(409, "Conflict", "Precondition failed: UID in precondition")
        return self._write(key, _merged(found, body), metadata.get("resourceVersion"))

    async def _exec(self, request: web.Request, pod: str) -> web.WebSocketResponse:
        self.executed.append((pod, request.query.getall("command")))
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        failed = self.exec_failure
        status = {"status": "Success"} if failed is None else {"status": "Failure", "message": failed}
        await socket.send_bytes(b"\x03" + json.dumps(status).encode())
        await socket.close()
        return socket

    def _create(self, plural: str, namespace: str | None, body: Object) -> web.Response:
        key = (plural, namespace, body["metadata"].get("name", ""))
        if key in self._objects:
            return _status(409, "AlreadyExists", f'{plural} "{key[2]}" already exists')
        body["metadata"].setdefault("uid", f"uid-{plural}-{key[2]}")
        return self._store(key, body)

    def _list(self, plural: str, namespace: str | None, labels: str) -> web.Response:
        items = [
            obj
            for (each, within, _), obj in self._objects.items()
            if each == plural and namespace in {None, within} and _selected(labels, obj)
        ]
        return web.json_response({"kind": "List", "metadata": {}, "items": items})

    def _write(self, key: Key, body: Object, version: str | None) -> web.Response:
        if version is not None and (self.conflicts or version != self._objects[key]["metadata"]["resourceVersion"]):
            return _status(409, "Conflict", f"{key[2]}: the object has been modified")
        return self._store(key, body)

    def _store(self, key: Key, body: Object) -> web.Response:
        # Another dictionary than before: who has seen the old object keeps its version.
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(next(self._versions))}}
        self._objects[key] = body
        return web.json_response(body)


def _parse(path: str) -> tuple[str, str | None, str | None]:
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = None
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return parts[0], namespace, parts[1] if len(parts) > 1 else None


def _scale(found: Object) -> Object:
    """The scale subresource of a custom resource: the object's metadata with its UID, and its selector as text."""
    labels = found["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return {
        "kind": "Scale",
        "metadata": {key: found["metadata"][key] for key in ("name", "namespace", "uid")},
        "spec": {"replicas": found["spec"]["replicas"]},
        "status": {"replicas": found["spec"]["replicas"], "selector": selector},
    }


def _shortened(metadata: Object, grace_seconds: int) -> Object:
    """A grace counts from the first deletion, and is only ever shortened."""
    before = metadata["deletionGracePeriodSeconds"]
    after = min(before, grace_seconds)
    ends = datetime.fromisoformat(metadata["deletionTimestamp"]) - timedelta(seconds=before - after)
    return {"deletionGracePeriodSeconds": after, "deletionTimestamp": ends.isoformat()}


def _selected(query: str, obj: Object) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, _, value in (term.partition("=") for term in query.split(",") if term))


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _json_patched(old: Object, patch: list[Object]) -> Object:
    """The part of RFC 6902 that is used here: test, add and replace of members."""
    new = copy.deepcopy(old)
    for operation in patch:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent: Any = new
        for part in way:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        if operation["op"] == "test":
            if parent.get(last) != operation["value"]:
                raise AssertionError(operation["path"])
        else:
            parent[last] = operation["value"]
    return new


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code)
