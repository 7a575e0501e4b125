"""Whose a pod is, and which Services go past its sidecar."""

import pytest
from tests.injection.pods import DEFAULTS, app, pod, proxy

from lastcall_operator.injection import InjectionError, bypass, choose_proxy, inject, require_proxy

OLD = proxy(name="z-old", created="2026-11-22T10:00:00Z")
NEW = proxy(name="new", created="2026-11-22T10:00:01Z")
TWIN = proxy(name="a-twin", created="2026-11-22T10:00:01Z")
OTHER = proxy(name="other", selector={"matchLabels": {"app": "other"}})


def test_the_oldest_that_selects_the_pod_wins_and_then_the_name():
    chosen, losers = choose_proxy({"app": "chat", "more": "x"}, [NEW, OTHER, TWIN, OLD])
    assert chosen is OLD
    assert losers == (TWIN, NEW)


def test_nobody_is_nobody():
    assert choose_proxy({"app": "mail"}, [OLD, OTHER]) == (None, ())
    with pytest.raises(InjectionError, match="no StreamProxy"):
        require_proxy({"app": "mail"}, [OLD])
    assert require_proxy({"app": "chat"}, [OLD]) is OLD


def service(*ports, selector=None, name="chat"):
    return {"metadata": {"name": name}, "spec": {"selector": selector or {"app": "chat"}, "ports": list(ports)}}


def injected(mode="Ingress", of=None):
    return inject(of or pod(), proxy(mode), DEFAULTS).pod


@pytest.mark.parametrize(
    ("port", "past"),
    [
        pytest.param({"port": 80, "targetPort": "http"}, False, id="the name"),
        pytest.param({"port": 80, "targetPort": 8080}, False, id="the sidecar's number"),
        pytest.param({"port": 80, "targetPort": 8000}, True, id="the app's number"),
        pytest.param({"port": 8000}, True, id="no target: the same number"),
        pytest.param({"port": 80, "targetPort": "http-app"}, True, id="the app's new name"),
        pytest.param({"port": 80, "targetPort": "nothing"}, False, id="a name that nobody has"),
        pytest.param({"port": 80, "targetPort": 8000, "protocol": "UDP"}, False, id="UDP"),
    ],
)
def test_a_service_that_leads_to_the_app_is_told_once(port, past):
    found = bypass([service(port)], [injected(), injected()])
    assert len(found) == past
    if past:
        assert found[0].reason == "Bypassed"
        assert "Service chat: spec.ports[].targetPort" in found[0].message


def test_services_of_other_pods_and_pods_without_a_sidecar_before_an_app_do_not_count():
    port = {"port": 80, "targetPort": 8000}
    pods = [injected()]
    assert bypass([service(port, selector={"app": "mail"})], pods) == ()
    assert (
        bypass([{"metadata": {"name": "manual"}, "spec": {"ports": [port]}}, {"metadata": {"name": "none"}}], pods)
        == ()
    )
    assert bypass([service(port)], [pod(), injected("Egress"), pod(initContainers=[{"name": "other"}])]) == ()
    mesh = {"name": "mesh", "restartPolicy": "Always", "env": []}
    assert (
        len(bypass([service(port, port), service({"port": 8000}, name="b")], [injected(of=pod(initContainers=[mesh]))]))
        == 2
    )


def test_a_sidecar_without_an_app_s_address_is_before_no_app():
    bare = pod(app(), initContainers=[{"name": "lastcall"}])
    assert bypass([service({"port": 8000})], [bare]) == ()
