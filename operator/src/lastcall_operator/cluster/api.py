"""The Kubernetes API as plain dictionaries: what is called, how long it may take, and what its refusals mean.

The client's connections, credentials and their renewal come from `kubernetes.aio`; its generated models do not: they
take ten times as long to read as JSON, and none of ours are among them. Foreign errors become ours here and nowhere
else.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from lastcall_operator.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)

from .kubeconfig import find_kubeconfig
from .resources import PODS, Resource

#: Seconds for one call, connecting included. Ten times what a loaded API server takes for 500 pods; whoever has less
#: time, as the webhook has, sets a limit around.
CALL_SECONDS = 10.0
#: What `LIST` returns in one answer; more comes in pages.
PAGE = 1000
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Object = dict[str, Any]
Objects = list[Object]

_ERRORS: dict[int, type[ApiError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ConflictError,
    422: InvalidError,
    429: ApiUnavailableError,
}


async def configure(*, kubeconfig: str | None = None, context: str | None = None) -> Configuration:
    """Address and credentials: of the kubeconfig that kubectl would take, else of the pod's service account.

    Errors: ApiUnavailableError, when neither is there, or what is there leads nowhere.
    """
    configuration = Configuration()
    found = await asyncio.to_thread(find_kubeconfig, kubeconfig, context)
    try:
        if found is not None:
            files = os.pathsep.join(map(str, found.files))
            await load_kube_config(config_file=files, context=found.context, client_configuration=configuration)
        elif "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(configuration)
        else:
            raise ApiUnavailableError(
                "no cluster: there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod"
            )
    except (ConfigException, OSError) as error:
        raise ApiUnavailableError(f"no cluster: {_one_line(error)}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # what the client's reader raises for a kubeconfig with values of other types than it expects
        raise ApiUnavailableError(f"no cluster: the kubeconfig is invalid: {_one_line(error)}") from error
    return configuration


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Api:
    """A connection to one API server. Every method raises ApiError, of the class that says what kind of no it was."""

    def __init__(self, configuration: Configuration, *, timeout_seconds: float = CALL_SECONDS) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = "lastcall"
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self.host: str = configuration.host

    @classmethod
    async def connect(
        cls, *, kubeconfig: str | None = None, context: str | None = None, timeout_seconds: float = CALL_SECONDS
    ) -> Self:
        """Connect as `configure` says.

        Errors: ApiUnavailableError.
        """
        configuration = await configure(kubeconfig=kubeconfig, context=context)
        return cls(configuration, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> Objects:
        """The objects of a namespace, or of all; `labels` and `fields` are selectors. Items do not tell their kind."""
        found: Objects = []
        query: dict[str, Any] = {"limit": PAGE, "labelSelector": labels, "fieldSelector": fields}
        while True:
            page = await self.call("GET", resource.path(namespace), query=query)
            found += page.get("items") or []
            if not (token := page.get("metadata", {}).get("continue")):
                return found
            query["continue"] = token

    async def list_in(self, resource: Resource, namespaces: Iterable[str], *, labels: str | None = None) -> Objects:
        """The objects of these namespaces; without any, of the whole cluster."""
        wanted = tuple(namespaces)
        if not wanted:
            return await self.list(resource, labels=labels)
        return [item for each in wanted for item in await self.list(resource, each, labels=labels)]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object."""
        return await self.call("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """One object, or None when it is not there."""
        try:
            return await self.get(resource, namespace, name)
        except NotFoundError:
            return None

    async def create(self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object; ConflictError when there is one of its name."""
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        query = {"dryRun": "All" if dry_run else None}
        return await self.call("POST", resource.path(namespace), query=query, body=full)

    async def replace(self, resource: Resource, namespace: str | None, name: str, body: Object) -> Object:
        """Replace an object; ConflictError when its `metadata.resourceVersion` is no longer the newest."""
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self.call("PUT", resource.path(namespace, name), body=full)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Object | Objects,
        *,
        subresource: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Patch an object: a dictionary is a merge patch, a list a JSON patch.

        With `resource_version` a merge patch applies to that version alone: ConflictError otherwise.
        """
        kind = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        if isinstance(patch, dict) and resource_version is not None:
            metadata = {**patch.get("metadata", {}), "resourceVersion": resource_version}
            patch = {**patch, "metadata": metadata}
        return await self.call("PATCH", resource.path(namespace, name, subresource), body=patch, content_type=kind)

    async def annotate(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        annotations: Mapping[str, str | None],
        *,
        resource_version: str | None = None,
    ) -> Object:
        """Write annotations; None removes one."""
        patch: Object = {"metadata": {"annotations": dict(annotations)}}
        return await self.patch(resource, namespace, name, patch, resource_version=resource_version)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object; with `uid` only that very one (ConflictError otherwise)."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        await self.call("DELETE", resource.path(namespace, name), body=body)

    async def evict(self, namespace: str, name: str, *, grace_seconds: int | None = None) -> None:
        """Ask for an eviction; ApiUnavailableError (429) when a budget or a webhook refuses it for now."""
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
        }
        if grace_seconds is not None:
            body["deleteOptions"] = {"gracePeriodSeconds": grace_seconds}
        await self.call("POST", PODS.path(namespace, name, "eviction"), body=body)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Object | Objects | None = None,
        content_type: str = JSON,
    ) -> Object:
        """One request; the answer's body. Query parameters that are None are left out."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        url = f"{self.host}{path}{'?' + urlencode(given) if given else ''}"
        headers = {**self._client.default_headers, "Accept": JSON, "Content-Type": content_type}
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            data: bytes = await response.read()
        except TimeoutError as error:
            limit = self._timeout.total
            raise ApiUnavailableError(f"{method} {path}: no answer within {limit:.0f} s") from error
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or _one_line(error.os_error)
            raise ApiUnavailableError(f"the API server {self.host} cannot be reached: {why}") from error
        except (aiohttp.ClientError, OSError, ConfigException, ApiException) as error:
            raise ApiUnavailableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        return _read(method, path, response.status, data)


def _read(method: str, path: str, status: int, data: bytes) -> Object:
    try:
        found = msgspec.json.decode(data) if data else {}
    except msgspec.DecodeError:
        found = None  # a proxy's page, or a webhook's plain text
    if status < 300 and isinstance(found, dict):
        return found
    told = found if isinstance(found, dict) else {}
    message = told.get("message") or f"status {status}"
    error = _ERRORS.get(status, ApiUnavailableError if status >= 500 or status < 300 else ApiError)
    raise error(f"{method} {path}: {message}", status=status, reason=told.get("reason") or "")
