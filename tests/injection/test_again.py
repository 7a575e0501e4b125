"""Injecting twice is injecting once, whatever came in between; and an injection can be taken back."""

import json
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.injection.pods import DEFAULTS, app, pod, proxy, sidecar

from lastcall_operator.injection import InjectionError, inject, json_patch, undo

_NAMES = ["http", "metrics", "http-app", "streaming-chat", "web"]
_HOOK = st.none() | st.sampled_from(
    [{"exec": {"command": ["sleep", "5"]}}, {"httpGet": {"path": "/bye", "port": "http"}}, {"sleep": {"seconds": 3}}]
)
_PROBE = st.none() | st.fixed_dictionaries(
    {"httpGet": st.fixed_dictionaries({"path": st.just("/"), "port": st.sampled_from([*_NAMES, 8000])})},
    optional={"terminationGracePeriodSeconds": st.integers(1, 99), "periodSeconds": st.integers(1, 9)},
)


@st.composite
def containers(draw, name, first_port):
    made = {"name": name, "image": "i"}
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=3))
    ports = [{"name": each, "containerPort": first_port + index} for index, each in enumerate(names)]
    if ports or draw(st.booleans()):
        made["ports"] = ports
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = draw(_PROBE)
        if probe is not None:
            made[field] = probe
    hook = draw(_HOOK)
    if hook is not None:
        made["lifecycle"] = {"preStop": hook}
    if draw(st.booleans()):
        made["env"] = [{"name": "ANTHROPIC_BASE_URL", "value": "http://mine"}]
    if draw(st.booleans()):
        made["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    return made


@st.composite
def pods(draw):
    count = draw(st.integers(1, 3))
    made = pod(*[draw(containers(f"c{index}", 8000 + 40 * index)) for index in range(count)])
    if draw(st.booleans()):
        made["spec"]["initContainers"] = [draw(containers("init", 9000))]
    grace = draw(st.none() | st.integers(0, 600))
    if grace is not None:
        made["spec"]["terminationGracePeriodSeconds"] = grace
    if draw(st.booleans()):
        made["metadata"]["annotations"] = {"team": "a"}
    return made


def made_proxy(mode, keep, names):
    wait = {"egressWait": "UntilIdle"} if "+" in mode else {}
    named = {"provider": "OpenAI", "models": ["*"], "apiKeySecretRef": {"name": "vendor"}}
    upstreams = [] if mode == "Ingress" else [{"name": name, **named} for name in names]
    return proxy(mode.removesuffix("+"), drain={"preStopPolicy": keep, **wait}, upstreams=upstreams)


proxies = st.builds(
    made_proxy,
    st.sampled_from(["Ingress", "Egress", "Egress+", "Gateway"]),
    st.sampled_from(["Replace", "Keep"]),
    st.lists(st.sampled_from(["a", "b-1"]), unique=True),
)


@settings(max_examples=200, deadline=None)
@given(pods(), proxies, proxies)
def test_twice_is_once_and_undone_is_as_before(before, first, second):
    kept = deepcopy(before)
    try:
        once = inject(before, first, DEFAULTS)
    except InjectionError:
        assert before == kept
        return
    assert before == kept
    assert inject(once.pod, first, DEFAULTS) == once
    restored = undo(once.pod)
    assert restored == kept
    try:
        fresh = inject(before, second, DEFAULTS)
    except InjectionError:
        return
    assert inject(once.pod, second, DEFAULTS) == fresh  # a template that was copied from an injected pod
    json.dumps(once.pod)


def test_a_container_that_another_webhook_added_gets_its_wait():
    once = inject(pod(), proxy(), DEFAULTS).pod
    once["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    once["spec"]["initContainers"].insert(0, {"name": "mesh-init", "image": "mesh:1"})
    twice = inject(once, proxy(), DEFAULTS)
    assert twice.pod["spec"]["containers"][1]["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain/wait?role=app"
    assert twice.pod["spec"]["containers"][0] == once["spec"]["containers"][0]
    assert [it["name"] for it in twice.pod["spec"]["initContainers"]] == ["lastcall", "mesh-init"]
    assert inject(twice.pod, proxy(), DEFAULTS) == twice


def test_a_hook_of_the_app_s_own_comes_back():
    before = pod(app(lifecycle={"preStop": {"exec": {"command": ["its", "own"]}}, "stopSignal": "SIGINT"}))
    once = inject(before, proxy(), DEFAULTS).pod
    assert once["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain/wait?role=app"
    assert undo(once) == before


def test_what_somebody_changed_since_is_theirs():
    once = inject(pod(), proxy(), DEFAULTS).pod
    theirs = {"exec": {"command": ["their", "hook"]}}
    once["spec"]["containers"][0]["lifecycle"]["preStop"] = theirs
    assert undo(once)["spec"]["containers"][0]["lifecycle"]["preStop"] == theirs
    again = inject(once, proxy(), DEFAULTS)
    assert [note.reason for note in again.notes] == ["PreStopReplaced"]


def test_an_older_injection_gives_way():
    old = inject(pod(), proxy(sidecar={"image": "lastcall-sidecar:0.0.1"}), DEFAULTS).pod
    new = inject(pod(), proxy(), DEFAULTS)
    assert sidecar(old) != sidecar(new.pod)
    assert inject(old, proxy(), DEFAULTS) == new


def test_an_injection_without_its_record_is_taken_out_as_far_as_it_goes():
    once = inject(pod(), proxy(), DEFAULTS).pod
    del once["metadata"]["annotations"]["lastcall.dev/original"]
    assert "initContainers" not in undo(once)["spec"]


@pytest.mark.parametrize(
    "before", [{}, {"metadata": {"annotations": {"lastcall.dev/injected": "{}"}}}], ids=["bare", "marked"]
)
def test_a_pod_with_nothing_in_it_is_no_trouble(before):
    assert undo(before) in ({}, {"metadata": {}})


def test_annotations_and_names_of_others_stay():
    before = pod()
    before["metadata"]["annotations"] = {"team": "a"}
    before["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": "http-app"}}  # a name that nobody has
    before["spec"]["containers"][0]["lifecycle"] = {"stopSignal": "SIGINT"}
    once = inject(before, proxy(), DEFAULTS).pod
    assert once["spec"]["containers"][0]["ports"][0]["name"] == "http-app2"
    assert undo(once) == before


def test_nothing_is_patched_the_second_time():
    once = inject(pod(), proxy(), DEFAULTS).pod
    assert json_patch(once, inject(once, proxy(), DEFAULTS).pod) == []


def test_an_image_that_another_webhook_has_rewritten_stays():
    once = inject(pod(), proxy(), DEFAULTS).pod
    pinned = "mirror.example/lastcall-sidecar@sha256:0123"
    sidecar(once)["image"] = pinned
    once["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    twice = inject(once, proxy(), DEFAULTS).pod
    assert sidecar(twice)["image"] == pinned
    assert inject(twice, proxy(), DEFAULTS).pod == twice
    assert undo(twice)["spec"]["containers"][1] == {"name": "mesh", "image": "mesh:1"}
    other = proxy(sidecar={"image": "lastcall-sidecar:0.2.0"})
    assert sidecar(inject(twice, other, DEFAULTS).pod)["image"] == "lastcall-sidecar:0.2.0"
