"""Which Services lead around the sidecar, of pods as an injection makes them."""

from typing import Any

import pytest

from lastcall_operator.api.streamproxy import parse_stream_proxy
from lastcall_operator.injection import InjectionDefaults, inject
from lastcall_operator.status.records import Pod, pod_record, service_record
from lastcall_operator.status.services import Bypass, bypassing, sentence
from tests.status.scenes import pod_body


def injected(mode: str = "Ingress", *, name: str = "chat-0", containers: Any = None, **env: str) -> Pod:
    body = pod_body(name)
    port = {"name": "http", "containerPort": 8000}
    body["spec"]["containers"] = containers or [{"name": "app", "ports": [{"containerPort": 9}, port]}]
    body["spec"]["initContainers"] = [{"name": "other", "ports": [{"name": "http-app", "containerPort": 1}]}]
    spec: dict[str, Any] = {"mode": mode, "selector": {"matchLabels": {"app": "chat"}}}
    if mode == "Ingress":
        spec["appPort"] = "http"
    made = inject(body, parse_stream_proxy({"metadata": {"name": "chat"}, "spec": spec}), InjectionDefaults("i")).pod
    for container in made["spec"]["initContainers"]:
        for variable in container.get("env", []):
            variable["value"] = env.get(variable["name"], variable.get("value", ""))
    return pod_record(made)


def service(*ports: dict[str, Any], name: str = "s", **spec: Any) -> Any:
    body = {"metadata": {"name": name, "namespace": "default"}}
    return service_record({**body, "spec": {"selector": {"app": "chat"}, "ports": list(ports), **spec}})


@pytest.mark.parametrize(
    ("port", "around"),
    [
        pytest.param({"port": 80, "targetPort": "http"}, None, id="the name"),
        pytest.param({"port": 80, "targetPort": 8080}, None, id="the sidecar's number"),
        pytest.param({"port": 80, "targetPort": 8000}, "8000", id="the app's number"),
        pytest.param({"port": 8000}, "8000", id="no target: the same number"),
        pytest.param({"port": 80, "targetPort": "http-app"}, None, id="a name that an init container has, too"),
        pytest.param({"port": 80, "targetPort": "http-app2"}, "http-app2", id="the app's new name"),
        pytest.param({"port": 80, "targetPort": "nothing"}, None, id="a name that nobody has"),
        pytest.param({"port": 80, "targetPort": 8000, "protocol": "UDP"}, None, id="UDP"),
    ],
)
def test_a_service_around_the_sidecar_is_found(port: Any, around: str | None) -> None:
    pods = (injected(), injected(name="chat-1"))
    found = bypassing([service({"port": 9, "targetPort": 9}, port)], pods)
    assert found == (() if around is None else (Bypass("s", around, pods),))


def test_a_name_is_a_tcp_port_s() -> None:
    ports = [{"name": "q", "containerPort": 8000, "protocol": "UDP"}, {"name": "http", "containerPort": 8000}]
    pod = injected(containers=[{"name": "app", "ports": ports}])
    assert bypassing([service({"port": 80, "targetPort": "q"})], [pod]) == ()


@pytest.mark.parametrize(
    "spec", [{"selector": {"app": "other"}}, {"selector": {}}, {"selector": None}], ids=["others", "empty", "none"]
)
def test_services_of_others_do_not_count(spec: Any) -> None:
    assert bypassing([service({"port": 8000}, **spec)], [injected()]) == ()


@pytest.mark.parametrize("value", ["", "http://127.0.0.1", "https://api.anthropic.com"])
def test_a_sidecar_that_stands_before_no_app_is_not_passed_by(value: str) -> None:
    assert bypassing([service({"port": 8000})], [injected(LASTCALL_UPSTREAM__URL=value)]) == ()
    assert bypassing([service({"port": 8000})], [injected("Egress"), pod_record(pod_body())]) == ()


def test_one_sentence_for_all_of_them() -> None:
    two = bypassing([service({"port": 8000}, name="b"), service({"port": 8000}, name="a")], [injected()])
    assert [each.service for each in two] == ["a", "b"]
    assert sentence(two).startswith("Service a, b lead around the sidecar: a targets the app's own port 8000;")
    assert sentence(two[:1]).startswith("Service a leads around the sidecar: a targets")
