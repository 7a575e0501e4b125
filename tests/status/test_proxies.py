"""What a StreamProxy says of its sidecars."""

from typing import Any

import pytest

from lastcall_operator.api.names import Reason
from lastcall_operator.injection import Refusal, Template
from lastcall_operator.status.proxies import ProxyView, conditions, counts, rejections, settled
from lastcall_operator.status.records import Note, Waiting
from lastcall_operator.status.services import Bypass
from tests.status.scenes import NOW, pod, proxy_view, reading


def told(view: ProxyView) -> dict[str, tuple[bool | None, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in conditions(view)}


ONE = (pod(),)
TEMPLATE = Template("default", "Deployment", "chat", "uid-chat", {})
PORTS = Refusal(TEMPLATE, Reason.PORT_CONFLICT, "8080 taken")
OTHER = Refusal(TEMPLATE, Reason.INJECTION_REFUSED, "no such port")
PULL = (pod(ready=False, waiting=(Waiting("lastcall", "ErrImagePull", "no  such\ntag"),)),)
SECRET = (pod(ready=False, waiting=(Waiting("app", "CreateContainerConfigError", 'secret "x" not found'),)),)


@pytest.mark.parametrize(
    ("view", "kind", "status", "reason", "words"),
    [
        pytest.param(proxy_view(*ONE), "Accepted", True, "Valid", "", id="accepted"),
        pytest.param(proxy_view(mistake="spec.x", hash=None), "Accepted", False, "Invalid", "spec.x", id="mistake"),
        pytest.param(proxy_view(mistake="spec.x"), "Accepted", False, "Invalid", "before stays", id="kept"),
        pytest.param(proxy_view(mistake="spec.x"), "Configured", False, "NotAccepted", "", id="not-in-force"),
        pytest.param(proxy_view(mistake="spec.x"), "Ready", False, "Invalid", "spec.x", id="not-ready-by-mistake"),
        pytest.param(proxy_view(*ONE), "Configured", True, "ConfigApplied", "1 sidecar", id="configured"),
        pytest.param(proxy_view(*ONE, hash="b"), "Configured", False, "Waiting", "chat-0", id="old-hash"),
        pytest.param(proxy_view(*ONE, readings={}), "Configured", False, "Waiting", "0 of 1", id="unasked"),
        pytest.param(proxy_view(), "Configured", True, "NoPods", "", id="no-pods"),
        pytest.param(
            proxy_view(*ONE, readings={"uid-chat-0": reading(config_error="limits: no")}),
            "Configured", False, "ConfigRejected", "chat-0: limits: no", id="rejected",
        ),
        pytest.param(proxy_view(*ONE), "Ready", True, "Ready", "1 pod", id="ready"),
        pytest.param(proxy_view(pod(ready=False)), "Ready", False, "PodsNotReady", "chat-0", id="not-ready"),
        pytest.param(proxy_view(), "Ready", False, "NoPods", "no pod", id="nobody"),
        pytest.param(proxy_view(plain=("a",)), "Ready", False, "NoPods", "1 pod without: made before", id="plain"),
        pytest.param(
            proxy_view(plain=("a",), uninjected="nothing is injected here"),
            "Ready", False, "NoPods", "1 pod without: nothing is injected here", id="never-injected",
        ),
        pytest.param(proxy_view(*ONE, plain=("a",)), "Ready", True, "Ready", "1 pod without", id="ready-and-plain"),
        pytest.param(
            proxy_view(pod(notes=(Note("Bypassed", "hostPort"),))),
            "Ready", False, "Bypassed", "hostPort", id="ready-but-bypassed",
        ),
        pytest.param(proxy_view(*PULL), "Ready", False, "ImagePullFailed", "no such tag", id="image"),
        pytest.param(proxy_view(*SECRET), "Ready", False, "SecretNotFound", '"x"', id="secret"),
        pytest.param(
            proxy_view(pod(ready=False, crashing=("app",), listening=(15080, 15081))),
            "Ready", False, "AppCrashes", "container app ends again and again beside its sidecar", id="crashing",
        ),
        pytest.param(
            proxy_view(pod(ready=False, crashing=("app",), listening=(15080, 15081))),
            "Ready", False, "AppCrashes", "listens on 15080 and 15081", id="crashing-ports",
        ),
        pytest.param(
            proxy_view(pod(ready=False, crashing=("app",), deleted=NOW)),
            "Ready", False, "NoPods", "", id="crashing-and-leaving",
        ),
        pytest.param(
            proxy_view(pod(ready=False), unmounted=(("chat-0", ""),)),
            "Ready", False, "SecretNotFound", "no reason", id="unmounted",
        ),
        pytest.param(proxy_view(*ONE), "Bypassed", False, "None", "", id="not-bypassed"),
        pytest.param(
            proxy_view(*ONE, bypassing=(Bypass("svc", "8000", ONE),)),
            "Bypassed", True, "Bypassed", "svc", id="bypassed",
        ),
        pytest.param(
            proxy_view(pod(notes=(Note("Other", "x"), Note("Bypassed", "hostPort")))),
            "Bypassed", True, "Bypassed", "hostPort", id="bypassed-by-host-port",
        ),
        pytest.param(proxy_view(*ONE), "PortConflict", False, "None", "", id="no-conflict-of-ports"),
        pytest.param(proxy_view(*ONE, refused=(OTHER,)), "PortConflict", False, "None", "", id="refused-otherwise"),
        pytest.param(
            proxy_view(*ONE, refused=(OTHER, PORTS)), "PortConflict", True, "PortConflict", "8080", id="port"
        ),
        pytest.param(
            proxy_view(*ONE, refused=(PORTS,)), "Ready", False, "PortConflict", "sidecar: 8080 taken", id="refused"
        ),
        pytest.param(
            proxy_view(*ONE, refused=(OTHER, PORTS)), "Ready", False, "InjectionRefused", "1 workload more", id="both"
        ),
        pytest.param(proxy_view(*ONE), "KeyUnusable", False, "None", "", id="the-key-is-good"),
        pytest.param(
            proxy_view(*ONE, unsigned="Secret x: no"), "KeyUnusable", True, "KeyUnusable", "Secret x: no", id="no-key"
        ),
        pytest.param(
            proxy_view(pod(notes=(Note("PreStopKept", "its"),))),
            "PreStopKept", True, "PreStopKept", "its", id="kept-hook",
        ),
        pytest.param(proxy_view(*ONE), "Conflicted", False, "Alone", "", id="alone"),
        pytest.param(proxy_view(*ONE, older="first"), "Conflicted", True, "Conflicted", "first", id="younger"),
    ],
)  # fmt: skip
def test_a_condition(view: ProxyView, kind: str, status: bool, reason: str, words: str) -> None:
    found = told(view)[kind]
    assert found[:2] == (status, reason)
    assert words in found[2]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"b": "no", "a": "no"}, "a, b: no"),
        ({"a": "no", "b": "never", "c": "no"}, "a, c: no; b: never"),
        ({"a": "1", "b": "2", "c": "3", "d": "4"}, "a: 1; b: 2; c: 3"),
        (dict.fromkeys("abcde", "no"), "a, b, c and 2 more: no"),
    ],
    ids=["alike", "two-errors", "too-many-errors", "too-many-pods"],
)
def test_every_pod_that_refused_is_named_with_its_error(errors: dict[str, str], expected: str) -> None:
    pods = [pod(name) for name in errors]
    view = proxy_view(*pods, readings={each.uid: reading(config_error=errors[each.name]) for each in pods})
    assert rejections(view) == expected


def test_counts() -> None:
    view = proxy_view(pod("a"), pod("b", deleted=NOW, ready=False), plain=("c",))
    assert counts(view) == {
        "pods": {"matched": 3, "injected": 2, "ready": 1, "configured": 2, "draining": 1},
        "inFlight": 0,
        "configHash": "sha256:a",
    }
    assert "configHash" not in counts(proxy_view(*ONE, hash=None))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"mistake": "x"}, False),
        ({"refused": (PORTS,)}, False),
        ({"hash": "b"}, False),
        ({"pods": (pod(ready=False),)}, False),
        ({"pods": (pod(deleted=NOW),)}, False),
        ({"readings": {"uid-chat-0": reading(config_error="x")}}, False),
    ],
    ids=["settled", "mistake", "refused", "waiting", "unready", "leaving", "rejected"],
)
def test_when_nothing_is_awaited(changes: dict[str, Any], expected: bool) -> None:
    given = {"pods": ONE, "readings": {"uid-chat-0": reading()}, "hash": "sha256:a"}
    assert settled(ProxyView(**(given | changes))) is expected
