"""An injection that comes again keeps what others gave to what is ours, and updates what it has set itself.

Once a webhook has changed a pod, the API server runs LimitRanger, AlwaysPullImages and the like again, and then the
webhooks with `reinvocationPolicy: IfNeeded`:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy
"""

import json
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.injection.pods import DEFAULTS, app, env, pod, proxy, sidecar
from tests.injection.test_again import pods, proxies

from lastcall_operator.injection import InjectionError, inject, json_patch, undo


def ours(of, mode):
    return of["spec"]["containers"][0] if mode == "Gateway" else sidecar(of)


def put(container, path, value):
    *parents, last = path
    for key in parents:
        container = container.setdefault(key, {})
    if isinstance(container.get(last), list):
        container[last] = [*container[last], *value]
    else:
        container[last] = value


ADDED = {
    "a limit of CPU from a LimitRange": (("resources", "limits", "cpu"), "1"),
    "a request of storage from a LimitRange": (("resources", "requests", "ephemeral-storage"), "1Gi"),
    "a variable": (("env",), [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]),
    "two variables": (("env",), [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}]),
    "a source of variables": (("envFrom",), [{"configMapRef": {"name": "proxies"}}]),
    "a mount": (("volumeMounts",), [{"name": "ca", "mountPath": "/etc/ssl/certs"}]),
    "a user": (("securityContext", "runAsUser"), 1000680000),
    "a label of SELinux": (("securityContext", "seLinuxOptions"), {"level": "s0:c26,c5"}),
    "a capability": (("securityContext", "capabilities", "add"), ["NET_BIND_SERVICE"]),
    "a port": (("ports",), [{"name": "debug", "containerPort": 9999}]),
    "the API server's defaults": (("livenessProbe", "successThreshold"), 1),
    "a default in a probe's request": (("startupProbe", "httpGet", "scheme"), "HTTP"),
    "a hook": (("lifecycle", "postStart"), {"exec": {"command": ["true"]}}),
    "a header of a hook": (("terminationMessagePolicy",), "FallbackToLogsOnError"),
}


def add(of, mode, additions):
    made = deepcopy(of)
    for name in additions:
        put(ours(made, mode), *ADDED[name])
    return made


@pytest.mark.parametrize("mode", ["Ingress", "Egress", "Gateway"])
@pytest.mark.parametrize("name", ADDED)
def test_what_another_webhook_added_to_the_sidecar_stays(name, mode):
    once = add(inject(pod(), proxy(mode), DEFAULTS).pod, mode, [name])
    again = inject(once, proxy(mode), DEFAULTS).pod
    assert again == once
    assert json_patch(once, again) == []


@settings(max_examples=100, deadline=None)
@given(pods(), proxies, st.data())
def test_nothing_that_others_add_is_lost_or_moved(before, wanted, data):
    try:
        once = inject(before, wanted, DEFAULTS).pod
    except InjectionError:
        return
    mode = str(wanted.spec.mode)
    once = add(once, mode, data.draw(st.lists(st.sampled_from(sorted(ADDED)), unique=True)))
    spec = once["spec"]
    spec["volumes"][-1].setdefault("emptyDir", {})["theirs"] = True
    if data.draw(st.booleans()):
        spec["volumes"].insert(data.draw(st.integers(0, len(spec["volumes"]))), {"name": "ca", "emptyDir": {}})
    if data.draw(st.booleans()):
        spec["serviceAccountName"] = "default"
        spec["containers"][0].setdefault("env", []).append({"name": "HTTPS_PROXY", "value": "p"})
        spec["containers"][-1].setdefault("volumeMounts", []).append({"name": "ca", "mountPath": "/ca"})
        spec["containers"][-1].setdefault("ports", []).append({"name": "debug", "containerPort": 7})
    assert inject(once, wanted, DEFAULTS).pod == once


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("image",), "mirror.example/lastcall-sidecar@sha256:0123"),
        (("imagePullPolicy",), "Always"),
        (("resources", "requests", "cpu"), "25m"),
        (("livenessProbe", "httpGet"), {"path": "/app-health/lastcall/livez", "port": 15020}),
        (("securityContext", "seccompProfile"), {"type": "Localhost", "localhostProfile": "strict.json"}),
    ],
    ids=["a mirror", "AlwaysPullImages", "the vertical autoscaler", "Istio's probes", "a profile of seccomp"],
)
def test_a_value_that_a_policy_of_the_cluster_has_rewritten_stays(path, value):
    once = inject(pod(), proxy(), DEFAULTS).pod
    put(sidecar(once), path, value)
    once["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    twice = inject(once, proxy(), DEFAULTS).pod
    assert sidecar(twice) == sidecar(once)
    assert inject(twice, proxy(), DEFAULTS).pod == twice


def test_how_the_sidecar_is_run_is_ours():
    once = inject(pod(), proxy(), DEFAULTS).pod
    kept = deepcopy(once)
    made = sidecar(once)
    made["args"] = ["version"]
    made["env"] = [{**item, "value": "theirs"} for item in made["env"] if item["name"].startswith("LASTCALL_LISTEN")]
    made["volumeMounts"] = made["volumeMounts"][1:]
    del made["lifecycle"], made["restartPolicy"]
    again = sidecar(inject(once, proxy(), DEFAULTS).pod)
    assert env(again) == env(sidecar(kept))
    assert sorted(again["volumeMounts"], key=str) == sorted(sidecar(kept)["volumeMounts"], key=str)
    same = ("args", "lifecycle", "restartPolicy")
    assert [again[key] for key in same] == [sidecar(kept)[key] for key in same]


def test_a_changed_injection_updates_what_is_ours_and_keeps_the_rest():
    old = proxy("Egress", sidecar={"resources": {"limits": {"cpu": "2"}}}, auth={"apiKeysSecretRef": {"name": "c"}})
    once = inject(pod(), old, DEFAULTS).pod
    once = add(
        once, "Egress", ["a variable", "a mount", "a label of SELinux", "a request of storage from a LimitRange"]
    )
    once["spec"]["volumes"].append({"name": "ca", "emptyDir": {}})
    again = inject(once, proxy(), DEFAULTS).pod
    fresh = inject(pod(), proxy(), DEFAULTS).pod
    assert sidecar(again)["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "512Mi"},
    }
    assert env(sidecar(again)) == {**env(sidecar(fresh)), "HTTPS_PROXY": "http://proxy:3128"}
    assert sidecar(again)["volumeMounts"] == [
        *sidecar(fresh)["volumeMounts"],
        {"name": "ca", "mountPath": "/etc/ssl/certs"},
    ]
    assert sidecar(again)["securityContext"]["seLinuxOptions"] == {"level": "s0:c26,c5"}
    assert again["spec"]["containers"] == fresh["spec"]["containers"]
    assert again["spec"]["volumes"] == [{"name": "ca", "emptyDir": {}}, *fresh["spec"]["volumes"]]


def test_a_probe_that_is_asked_no_longer_goes_with_the_defaults_that_the_api_server_gave_it():
    once = inject(pod(), proxy("Ingress"), DEFAULTS).pod
    probe = sidecar(once)["readinessProbe"]
    probe["successThreshold"] = 1
    probe["httpGet"]["scheme"] = "HTTP"
    assert inject(once, proxy("Egress"), DEFAULTS).pod == inject(pod(), proxy("Egress"), DEFAULTS).pod


def test_what_others_gave_stays_when_a_container_of_theirs_takes_the_sidecar_s_port():
    once = add(inject(pod(), proxy(), DEFAULTS).pod, "Ingress", ["a limit of CPU from a LimitRange"])
    port = int(once["metadata"]["annotations"]["lastcall.dev/admin-port"])
    once["spec"]["containers"].append({"name": "mesh", "image": "mesh:1", "ports": [{"containerPort": port}]})
    again = inject(once, proxy(), DEFAULTS).pod
    moved = int(again["metadata"]["annotations"]["lastcall.dev/admin-port"])
    assert moved != port
    assert sidecar(again)["livenessProbe"]["httpGet"]["port"] == moved
    assert sidecar(again)["resources"]["limits"]["cpu"] == "1"


def test_variables_of_one_name_stay_as_many_as_they_are():
    twice = [{"name": "PATH_LIKE", "value": "a"}, {"name": "PATH_LIKE", "value": "$(PATH_LIKE):b"}]
    once = inject(pod(app(env=twice)), proxy("Egress"), DEFAULTS).pod
    once["spec"]["containers"][0]["env"].append({"name": "LAST", "value": "1"})
    assert inject(once, proxy("Egress"), DEFAULTS).pod == once


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"fields":[]}', '{"fields":{"volumes":{"a":1}}}'])
def test_an_injection_that_did_not_say_what_it_set_is_replaced(text):
    once = add(inject(pod(), proxy(), DEFAULTS).pod, "Ingress", ["a variable"])
    once["metadata"]["annotations"]["lastcall.dev/injected"] = text
    assert inject(once, proxy(), DEFAULTS) == inject(pod(), proxy(), DEFAULTS)
    assert undo(once) == pod()


def test_what_an_injection_set_is_said_in_few_bytes():
    text = inject(pod(), proxy(), DEFAULTS).pod["metadata"]["annotations"]["lastcall.dev/injected"]
    assert len(text) < 2048
    assert json.loads(text)["fields"]["initContainers"]["lastcall"]["image"] == {}
