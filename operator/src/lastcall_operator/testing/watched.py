"""A FakeCluster that kopf can watch: discovery, and watches that tell what has changed since they last looked."""

import asyncio
import json
from typing import Any

from aiohttp import web

from .cluster import FakeCluster

#: Seconds between two looks of a watch.
LOOK_SECONDS = 0.02
#: kopf wants them to be there; nothing of ours is in them.
_UNUSED = {"namespaces", "customresourcedefinitions"}
_CLUSTER_WIDE = {*_UNUSED, "clusterkopfpeerings"}
_RESOURCES = {
    "/api/v1": [
        ("pods", "Pod"),
        ("services", "Service"),
        ("events", "Event"),
        ("configmaps", "ConfigMap"),
        ("namespaces", "Namespace"),
    ],
    "/apis/apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition")],
    "/apis/apps/v1": [
        ("deployments", "Deployment"),
        ("replicasets", "ReplicaSet"),
        ("statefulsets", "StatefulSet"),
    ],
    "/apis/kopf.dev/v1": [("clusterkopfpeerings", "ClusterKopfPeering")],
    "/apis/lastcall.dev/v1alpha1": [("streamproxies", "StreamProxy"), ("drainpolicies", "DrainPolicy")],
}


class WatchedCluster(FakeCluster):
    """As FakeCluster; what the controller watches is in its discovery."""

    def __init__(self) -> None:
        super().__init__()
        self._oldest = 0

    def restart(self) -> None:
        """End every watch, and remember nothing of what was before."""
        self._oldest = next(self._versions)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if (found := _discovery(request.path)) is not None:
            return web.json_response(found)
        if request.query.get("watch"):
            return await self._watch(request)
        if request.method == "GET" and request.path.rsplit("/", 1)[-1] in _UNUSED:
            return web.json_response({"metadata": {"resourceVersion": str(self._oldest or 1)}, "items": []})
        answer = await super()._handle(request)
        body = answer.body if request.method == "GET" and isinstance(answer, web.Response) else None
        if isinstance(body, bytes) and b'"items"' in body:
            listed = json.loads(body)
            return web.json_response({**listed, "metadata": {"resourceVersion": self._newest(request.path)}})
        return answer

    def _newest(self, path: str) -> str:
        plural = path.rsplit("/", 1)[-1]
        versions = (int(obj["metadata"]["resourceVersion"]) for obj in self._all_of(plural).values())
        return str(max((self._oldest, *versions)))

    def _all_of(self, plural: str) -> dict[str, dict[str, Any]]:
        return {obj["metadata"]["uid"]: obj for (each, _, _), obj in self._objects.items() if each == plural}

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rsplit("/", 1)[-1]
        label = request.query.get("labelSelector", "")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since, oldest = int(request.query.get("resourceVersion") or 0), self._oldest
        if since < oldest:
            await _send(response, "ERROR", {"code": 410, "reason": "Expired"})
            return response
        known = {
            uid: obj for uid, obj in self._all_of(plural).items() if int(obj["metadata"]["resourceVersion"]) <= since
        }
        while request.transport is not None and not request.transport.is_closing() and self._oldest == oldest:
            now = {uid: obj for uid, obj in self._all_of(plural).items() if _fits(label, obj)}
            for uid, obj in now.items():
                old = known.get(uid)
                if old is None or old["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                    await _send(response, "ADDED" if old is None else "MODIFIED", obj)
            for uid, obj in known.items():
                if uid not in now and _fits(label, obj):
                    await _send(response, "DELETED", obj)
            known = now
            await asyncio.sleep(LOOK_SECONDS)
        return response


def _fits(label: str, obj: dict[str, Any]) -> bool:
    key, _, value = label.partition("=")
    return not label or (obj["metadata"].get("labels") or {}).get(key) == value


async def _send(response: web.StreamResponse, kind: str, obj: dict[str, Any]) -> None:
    await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")


def _discovery(path: str) -> dict[str, Any] | None:
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        groups = [path.split("/")[2:] for path in _RESOURCES if path.startswith("/apis/")]
        return {
            "groups": [
                {
                    "name": group,
                    "versions": [{"version": version, "groupVersion": f"{group}/{version}"}],
                    "preferredVersion": {"version": version, "groupVersion": f"{group}/{version}"},
                }
                for group, version in groups
            ]
        }
    if path not in _RESOURCES:
        return None
    verbs = ["get", "list", "watch", "patch", "create", "delete"]
    return {
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "kind": kind,
                "namespaced": plural not in _CLUSTER_WIDE,
                "verbs": verbs,
            }
            for plural, kind in _RESOURCES[path]
        ]
    }
