"""Pods and StreamProxies for these tests."""

from typing import Any

from lastcall_operator.api.streamproxy import StreamProxy, parse_stream_proxy
from lastcall_operator.injection import InjectionDefaults

DEFAULTS = InjectionDefaults(image="lastcall-sidecar:0.1.0")


def proxy(
    mode: str = "Ingress", name: str = "chat", *, created: str = "2026-11-22T10:00:00Z", **spec: Any
) -> StreamProxy:
    base: dict[str, Any] = {"selector": {"matchLabels": {"app": "chat"}}, "mode": mode}
    if mode == "Ingress":
        base["appPort"] = "http"
    metadata = {"name": name, "namespace": "llm", "uid": f"uid-{name}", "generation": 3, "creationTimestamp": created}
    return parse_stream_proxy(
        {"apiVersion": "lastcall.dev/v1alpha1", "kind": "StreamProxy", "metadata": metadata, "spec": {**base, **spec}}
    )


def app(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "app:1", "ports": [{"name": "http", "containerPort": 8000}], **more}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"app": "chat", "lastcall.dev/inject": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "chat-1", "namespace": "llm", "labels": labels},
        "spec": {"containers": list(containers or [app()]), **spec},
    }


def sidecar(of: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = of["spec"]["initContainers"][0]
    assert first["name"] == "lastcall"
    return first


def env(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container.get("env", [])}
