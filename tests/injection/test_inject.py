"""What an injection makes of a pod, mode by mode."""

import json
from copy import deepcopy

import pytest
from tests.injection.pods import DEFAULTS, app, env, pod, proxy, sidecar

from lastcall_operator.injection import InjectionDefaults, InjectionError, inject, undo, wants_injection

WAIT = {"httpGet": {"path": "/drain/wait?role=app", "port": 15081, "scheme": "HTTP"}}
EXEC = {"exec": {"command": ["lastcall-sidecar", "drain", "--wait"]}}


def injected(of=None, mode="Ingress", **spec):
    return inject(of or pod(), proxy(mode, **spec), DEFAULTS).pod


def notes(of, mode="Ingress", **spec):
    return [(str(note.reason), note.message) for note in inject(of, proxy(mode, **spec), DEFAULTS).notes]


def test_ingress_puts_a_native_sidecar_before_the_app():
    before = pod()
    kept = deepcopy(before)
    after = injected(before)
    made = sidecar(after)
    assert before == kept
    assert made["restartPolicy"] == "Always"
    assert made["image"] == "lastcall-sidecar:0.1.0"
    assert made["imagePullPolicy"] == "IfNotPresent"
    assert made["args"] == ["serve", "--config", "/etc/lastcall/config/lastcall.yaml"]
    assert made["ports"] == [{"name": "lastcall-admin", "containerPort": 15081, "protocol": "TCP"}]
    assert env(made) == {
        "LASTCALL_POD__NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "LASTCALL_POD__UID": {"fieldRef": {"fieldPath": "metadata.uid"}},
        "LASTCALL_LOGS__LEVEL": "info",
        "LASTCALL_LISTEN__TRAFFIC": "[::]:15080",
        "LASTCALL_LISTEN__ADMIN": "[::]:15081",
        "LASTCALL_UPSTREAM__URL": "http://127.0.0.1:8000",
    }
    assert made["lifecycle"] == {"preStop": EXEC}
    assert made["startupProbe"]["httpGet"] == {"path": "/livez", "port": 15081}
    assert made["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 15081}
    assert (made["livenessProbe"]["timeoutSeconds"], made["livenessProbe"]["failureThreshold"]) == (10, 6)
    assert made["livenessProbe"]["terminationGracePeriodSeconds"] == 60
    assert made["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 15081}
    assert made["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    assert after["spec"]["containers"] == [
        app(
            ports=[
                {"name": "http-app", "containerPort": 8000},
                {"name": "http", "containerPort": 15080, "protocol": "TCP"},
            ],
            lifecycle={"preStop": WAIT},
        )
    ]
    assert after["spec"]["terminationGracePeriodSeconds"] == 30 + 1920 + 5 + 30
    assert after["metadata"]["labels"] == {
        "app": "chat",
        "lastcall.dev/inject": "true",
        "lastcall.dev/sidecar": "true",
    }


def test_the_sidecar_is_as_restricted_pod_security_asks():
    context = sidecar(injected())["securityContext"]
    assert context["runAsNonRoot"] is True
    assert not {"runAsUser", "runAsGroup"} & set(context), "OpenShift gives it one"
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_sidecar_of_a_pod_of_root_is_not_root():
    before = pod(securityContext={"runAsUser": 0})
    assert sidecar(injected(before))["securityContext"]["runAsUser"] == 65532
    assert "runAsUser" not in sidecar(injected(pod(securityContext={"runAsUser": 1000})))["securityContext"]


@pytest.mark.parametrize("mode", ["Ingress", "Egress", "Gateway"])
@pytest.mark.parametrize(
    ("theirs", "joined"),
    [(None, []), ("cache", ["cache"]), ("cache, more", ["cache, more"]), ("", [])],
    ids=["none", "theirs", "two of theirs", "empty"],
)
def test_our_volumes_do_not_keep_a_node_from_being_removed(mode, theirs, joined):
    name = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    before = pod()
    if theirs is not None:
        before["metadata"]["annotations"] = {name: theirs}
    after = injected(before, mode)
    ours = [it["name"] for it in after["spec"]["volumes"] if "emptyDir" in it]
    assert ours == (["lastcall-run"] if mode == "Gateway" else ["lastcall-run", "lastcall-tmp"])
    assert after["metadata"]["annotations"][name] == ",".join([*joined, *ours])
    assert injected(after, mode) == after
    assert undo(after) == (before if theirs else pod())


def test_the_annotations_say_what_was_done():
    annotations = injected(pod(terminationGracePeriodSeconds=7))["metadata"]["annotations"]
    assert annotations["lastcall.dev/admin-port"] == "15081"
    assert annotations["lastcall.dev/stream-proxy"] == "chat"
    assert json.loads(annotations["lastcall.dev/original"]) == {
        "terminationGracePeriodSeconds": 7,
        "containers": {"app": {"preStop": None, "ports": {"http": "http-app"}, "declared": {"http": 15080}}},
    }
    written = json.loads(annotations["lastcall.dev/injected"])
    assert written["version"] == 2
    assert written["hash"].startswith("sha256:")
    assert "lastcall.dev/notes" not in annotations


def test_the_hash_is_of_what_is_ours_and_changes_with_it():
    def written(of, **spec):
        return json.loads(injected(of, **spec)["metadata"]["annotations"]["lastcall.dev/injected"])["hash"]

    others = pod(volumes=[{"name": "kube-api-access-x7", "emptyDir": {}}], initContainers=[app("init", ports=[])])
    assert written(pod()) == written(others)
    assert written(pod()) != written(pod(), sidecar={"image": "other:1"})
    assert written(pod()) != written(pod(), drain={"settleSeconds": 6})


def test_configuration_and_secrets_are_mounted_as_folders():
    after = injected(
        upstream={"apiKeySecretRef": {"name": "vendor", "key": "token"}},
        auth={"apiKeysSecretRef": {"name": "clients", "key": "list"}},
    )
    assert after["spec"]["volumes"] == [
        {"name": "lastcall-config", "configMap": {"name": "lastcall-chat"}},
        {
            "name": "lastcall-upstream",
            "secret": {"secretName": "vendor", "defaultMode": 0o444, "items": [{"key": "token", "path": "api-key"}]},
        },
        {
            "name": "lastcall-clients",
            "secret": {"secretName": "clients", "defaultMode": 0o444, "items": [{"key": "list", "path": "api-keys"}]},
        },
        {"name": "lastcall-run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "lastcall-tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    assert {mount["name"]: mount["mountPath"] for mount in sidecar(after)["volumeMounts"]} == {
        "lastcall-config": "/etc/lastcall/config",
        "lastcall-upstream": "/etc/lastcall/secrets/upstream",
        "lastcall-clients": "/etc/lastcall/secrets/clients",
        "lastcall-run": "/run/lastcall",
        "lastcall-tmp": "/tmp",
    }
    assert not [mount for mount in sidecar(after)["volumeMounts"] if "subPath" in mount]


def test_the_key_of_each_upstream_has_a_folder_of_its_own():
    named = [
        {"name": "vllm", "provider": "OpenAI", "models": ["qwen*"]},
        {"name": "eu", "provider": "Anthropic", "models": ["eu.*"], "apiKeySecretRef": {"name": "vendor", "key": "t"}},
        {"name": "x" * 40, "provider": "OpenAI", "models": ["*"], "apiKeySecretRef": {"name": "vendor"}},
    ]
    for mode in ("Egress", "Gateway"):
        after = injected(mode=mode, upstreams=named)
        volumes = {each["name"]: each for each in after["spec"]["volumes"] if "upstream" in each["name"]}
        assert list(volumes) == ["lastcall-upstream-eu", f"lastcall-upstream-{'x' * 40}"]
        assert max(map(len, volumes)) <= 63
        assert volumes["lastcall-upstream-eu"]["secret"] == {
            "secretName": "vendor",
            "defaultMode": 0o444,
            "items": [{"key": "t", "path": "api-key"}],
        }
        container = sidecar(after) if mode == "Egress" else after["spec"]["containers"][0]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["lastcall-upstream-eu"] == "/etc/lastcall/secrets/upstream-eu"
        assert set(volumes) <= set(mounts)


def test_it_stands_first_and_what_was_there_stays():
    init, volume = {"name": "migrate", "image": "m:1"}, {"name": "data", "emptyDir": {}}
    spec = injected(pod(initContainers=[init], volumes=[volume]))["spec"]
    assert [container["name"] for container in spec["initContainers"]] == ["lastcall", "migrate"]
    assert spec["volumes"][0] == volume


# The port.


def test_probes_and_hooks_of_the_app_follow_its_port():
    get = {"httpGet": {"path": "/ready", "port": "http"}}
    own = app(
        readinessProbe=get,
        livenessProbe={"tcpSocket": {"port": "http"}},
        startupProbe={"httpGet": {"path": "/", "port": 8000}},
        lifecycle={"postStart": get},
    )
    (after,) = injected(pod(own))["spec"]["containers"]
    assert after["readinessProbe"]["httpGet"]["port"] == "http-app"
    assert after["livenessProbe"]["tcpSocket"]["port"] == "http-app"
    assert after["startupProbe"]["httpGet"]["port"] == 8000
    assert after["lifecycle"]["postStart"]["httpGet"]["port"] == "http-app"


def test_a_kept_hook_follows_the_port_too():
    own = app(lifecycle={"preStop": {"httpGet": {"path": "/bye", "port": "http"}}})
    (after,) = injected(pod(own), drain={"preStopPolicy": "Keep"})["spec"]["containers"]
    assert after["lifecycle"]["preStop"]["httpGet"]["port"] == "http-app"


@pytest.mark.parametrize("wanted", [8000, "8000", "http"])
def test_the_port_is_found_by_name_or_number(wanted):
    other = app("metrics", ports=[{"name": "metrics", "containerPort": 9000}])
    after = injected(pod(other, app()), appPort=wanted)
    assert after["spec"]["containers"][1]["ports"][1] == {"name": "http", "containerPort": 15080, "protocol": "TCP"}
    assert env(sidecar(after))["LASTCALL_UPSTREAM__URL"] == "http://127.0.0.1:8000"
    assert after["spec"]["containers"][0]["ports"] == other["ports"]
    assert after["spec"]["containers"][1]["ports"][0]["name"] == "http-app"


@pytest.mark.parametrize(
    ("declared", "renamed", "taken_over"),
    [
        pytest.param([("streaming-chat", 8000)], ["streaming-c-app"], ["streaming-chat"], id="15 characters at most"),
        pytest.param([("a-very-long-x", 8000)], ["a-very-long-app"], ["a-very-long-x"], id="no two hyphens"),
        pytest.param([("http", 8000), ("http-app", 9)], ["http-app2", "http-app"], ["http"], id="unique"),
        pytest.param([("http", 8000), ("web", 8000)], ["http-app", "web-app"], ["http", "web"], id="all its names"),
        pytest.param([(None, 8000)], [None], ["lastcall"], id="no name"),
        pytest.param([(None, 8000), ("lastcall", 9)], [None, "lastcall"], [], id="no name, and ours is taken"),
    ],
)
def test_the_name_of_the_port_is_the_sidecar_s(declared, renamed, taken_over):
    ports = [{"containerPort": number, **({"name": name} if name else {})} for name, number in declared]
    after = injected(pod(app(ports=ports)), appPort=8000)
    declared = after["spec"]["containers"][0]["ports"]
    assert [port.get("name") for port in declared] == [*renamed, *taken_over]
    assert {port["containerPort"] for port in declared[len(renamed) :]} <= {15080}
    assert [port["name"] for port in sidecar(after)["ports"]] == ["lastcall-admin"]
    assert undo(after) == pod(app(ports=ports))


@pytest.mark.parametrize(
    ("containers", "traffic", "admin"),
    [
        pytest.param([app(ports=[{"name": "http", "containerPort": 15080}])], 18080, 15081, id="the app has 15080"),
        pytest.param(
            [app(ports=[{"name": "http", "containerPort": 15081}])], 15080, 18081, id="the app has the admin port"
        ),
        pytest.param(
            [app(), app("b", ports=[{"containerPort": port} for port in (15080, 18080, 15081, 18081)])],
            28080,
            28081,
            id="two of each taken",
        ),
        pytest.param(
            [app(livenessProbe={"grpc": {"port": 15080}})], 18080, 15081, id="a probe asks an undeclared port"
        ),
        pytest.param([app(), app("udp", ports=[{"containerPort": 15080, "protocol": "UDP"}])], 15080, 15081, id="UDP"),
    ],
)
def test_the_sidecar_listens_where_nobody_else_does(containers, traffic, admin):
    after = injected(pod(*containers))
    assert env(sidecar(after))["LASTCALL_LISTEN__TRAFFIC"] == f"[::]:{traffic}"
    assert env(sidecar(after))["LASTCALL_LISTEN__ADMIN"] == f"[::]:{admin}"
    assert after["metadata"]["annotations"]["lastcall.dev/admin-port"] == str(admin)
    assert after["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"]["port"] == admin


def test_an_app_that_does_not_declare_the_port_that_everybody_likes_has_it():
    made = env(sidecar(injected()))
    used = {made[name].rpartition(":")[2] for name in ("LASTCALL_LISTEN__TRAFFIC", "LASTCALL_LISTEN__ADMIN")}
    assert not used & {"80", "3000", "5000", "8000", "8080", "8081", "8443", "8888", "9000", "9090"}


def test_a_port_of_an_init_container_is_taken_too():
    init = {"name": "mesh", "restartPolicy": "Always", "ports": [{"containerPort": 15080}]}
    assert env(sidecar(injected(pod(initContainers=[init]))))["LASTCALL_LISTEN__TRAFFIC"] == "[::]:18080"


@pytest.mark.parametrize(("name", "where"), [("http", "ports[http]"), (None, "ports[8000]")])
def test_a_host_port_is_told_to_bypass(name, where):
    port = {"containerPort": 8000, "hostPort": 8000, **({"name": name} if name else {})}
    ((reason, message),) = notes(pod(app(ports=[port])), appPort=8000)
    assert reason == "Bypassed"
    assert f"containers[app].{where}.hostPort" in message


# Hooks and graces.


def test_a_pre_stop_of_the_app_s_own_is_replaced_and_told():
    own = {"exec": {"command": ["sleep", "20"]}}
    before = pod(app(lifecycle={"preStop": own, "stopSignal": "SIGINT"}))
    after = injected(before)
    assert after["spec"]["containers"][0]["lifecycle"] == {"preStop": WAIT, "stopSignal": "SIGINT"}
    original = json.loads(after["metadata"]["annotations"]["lastcall.dev/original"])
    assert original["containers"]["app"]["preStop"] == own
    ((reason, message),) = notes(before)
    assert reason == "PreStopReplaced"
    assert "spec.containers[app].lifecycle.preStop" in message
    assert json.loads(after["metadata"]["annotations"]["lastcall.dev/notes"]) == [
        {"reason": reason, "message": message}
    ]


def test_a_pre_stop_is_kept_on_request_and_told():
    own = {"exec": {"command": ["sleep", "20"]}}
    before = pod(app(lifecycle={"preStop": own}), app("b", ports=[]))
    after = injected(before, drain={"preStopPolicy": "Keep"})
    assert after["spec"]["containers"][0]["lifecycle"]["preStop"] == own
    assert after["spec"]["containers"][1]["lifecycle"]["preStop"] == WAIT
    ((reason, message),) = notes(before, drain={"preStopPolicy": "Keep"})
    assert reason == "PreStopKept"
    assert "containers[app]" in message


def test_a_wait_that_the_app_has_already_is_no_news():
    assert notes(pod(app(lifecycle={"preStop": WAIT}))) == []


@pytest.mark.parametrize(
    ("mode", "drain", "own", "grace"),
    [
        ("Ingress", {"ceilingSeconds": 90, "settleSeconds": 2}, None, 30 + 90 + 2 + 30),
        ("Ingress", {"ceilingSeconds": 90, "settleSeconds": 2}, 5, 5 + 90 + 2 + 30),
        ("Egress", {"ceilingSeconds": 90, "settleSeconds": 2}, 5, 5 + 2 + 30),
        ("Egress", {"ceilingSeconds": 90, "settleSeconds": 2, "egressWait": "UntilIdle"}, 5, 5 + 90 + 2 + 30),
        ("Gateway", {"ceilingSeconds": 90, "settleSeconds": 2}, 0, 0 + 90 + 2 + 30),
    ],
)
def test_the_grace_period_covers_the_drain(mode, drain, own, grace):
    more = {} if own is None else {"terminationGracePeriodSeconds": own}
    assert injected(pod(**more), mode, drain=drain)["spec"]["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize(("own", "expected"), [(None, 30), (7, 7), (0, 1)])
def test_a_hung_app_is_restarted_after_its_own_grace(own, expected):
    more = {} if own is None else {"terminationGracePeriodSeconds": own}
    probe = {"tcpSocket": {"port": 8000}}
    theirs = {**probe, "terminationGracePeriodSeconds": 3}
    mesh = {"name": "mesh", "restartPolicy": "Always", "livenessProbe": probe}
    containers = [
        app(livenessProbe=probe, startupProbe=probe, readinessProbe=probe),
        app("b", ports=[], livenessProbe=theirs),
    ]
    spec = injected(pod(*containers, initContainers=[mesh], **more))["spec"]
    first, second = spec["containers"]
    assert first["livenessProbe"]["terminationGracePeriodSeconds"] == expected
    assert first["startupProbe"]["terminationGracePeriodSeconds"] == expected
    assert "terminationGracePeriodSeconds" not in first["readinessProbe"]
    assert second["livenessProbe"] == theirs
    assert spec["initContainers"][1]["livenessProbe"]["terminationGracePeriodSeconds"] == expected


@pytest.mark.parametrize("mode", ["Ingress", "Egress", "Gateway"])
def test_a_hung_sidecar_is_restarted_in_a_minute_and_not_after_the_drain_s_time(mode):
    after = injected(pod(), mode)["spec"]
    made = after["containers"][0] if mode == "Gateway" else after["initContainers"][0]
    for probe in ("livenessProbe", "startupProbe"):
        assert made[probe]["terminationGracePeriodSeconds"] == 60
    assert "terminationGracePeriodSeconds" not in made.get("readinessProbe", {})  # the API server refuses it there


def test_a_gateway_s_own_probe_keeps_the_grace_that_it_was_made_with():
    before = pod(app(livenessProbe={"tcpSocket": {"port": 8080}}), terminationGracePeriodSeconds=7)
    after = injected(before, "Gateway")
    (made,) = after["spec"]["containers"]
    assert made["livenessProbe"] == {"tcpSocket": {"port": 8080}, "terminationGracePeriodSeconds": 7}
    assert made["startupProbe"]["terminationGracePeriodSeconds"] == 60
    assert undo(after) == before


# Egress.


def test_egress_leads_the_app_through_the_sidecar_and_gates_nothing():
    own = app(env=[{"name": "OPENAI_BASE_URL", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}])
    after = injected(pod(own, initContainers=[{"name": "warm", "image": "w"}]), "Egress")
    made = sidecar(after)
    assert "readinessProbe" not in made
    assert env(made)["LASTCALL_LISTEN__TRAFFIC"] == "127.0.0.1:15080"
    assert env(made)["LASTCALL_LISTEN__ADMIN"] == "[::]:15081"
    assert "LASTCALL_UPSTREAM__URL" not in env(made)
    assert [port["name"] for port in made["ports"]] == ["lastcall-admin"]
    (container,) = after["spec"]["containers"]
    assert env(container)["OPENAI_BASE_URL"] == {"configMapKeyRef": {"name": "c", "key": "k"}}
    assert env(container)["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:15080"
    assert container["ports"] == own["ports"]
    assert "lifecycle" not in container
    assert env(after["spec"]["initContainers"][1]) == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:15080",
        "OPENAI_BASE_URL": "http://127.0.0.1:15080/v1",
    }


def test_egress_leaves_an_app_alone_that_says_where_it_calls():
    own = app(env=[{"name": name, "value": "http://mine"} for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")])
    assert injected(pod(own), "Egress")["spec"]["containers"] == [own]


def test_egress_apps_wait_on_request():
    after = injected(pod(), "Egress", drain={"egressWait": "UntilIdle"})
    assert after["spec"]["containers"][0]["lifecycle"] == {"preStop": WAIT}


# Gateway.


def test_gateway_configures_the_pod_s_only_container():
    own = {"name": "gateway", "image": "lastcall-sidecar:0.1.0", "readinessProbe": {"tcpSocket": {"port": 8080}}}
    after = injected(pod(own), "Gateway")
    assert "initContainers" not in after["spec"]
    (made,) = after["spec"]["containers"]
    assert made["image"] == own["image"]
    assert made["args"] == ["serve", "--config", "/etc/lastcall/config/lastcall.yaml"]
    assert made["readinessProbe"] == own["readinessProbe"]
    assert made["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 8081}
    assert made["startupProbe"]["httpGet"] == {"path": "/livez", "port": 8081}
    assert made["lifecycle"]["preStop"] == EXEC
    assert env(made)["LASTCALL_LISTEN__TRAFFIC"] == "[::]:8080"
    assert [mount["name"] for mount in made["volumeMounts"]] == ["lastcall-config", "lastcall-run"]
    assert [volume["name"] for volume in after["spec"]["volumes"]] == ["lastcall-config", "lastcall-run"]
    assert undo(after) == pod(own)


def test_a_gateway_may_be_called_as_a_sidecar_is():
    own = {"name": "lastcall", "image": "i", "livenessProbe": {"tcpSocket": {"port": 8080}}}
    after = injected(pod(own), "Gateway")
    (made,) = after["spec"]["containers"]
    assert made["lifecycle"]["preStop"] == EXEC
    assert made["livenessProbe"]["terminationGracePeriodSeconds"] == 30
    assert inject(after, proxy("Gateway"), DEFAULTS).pod == after
    assert undo(after) == pod(own)


def test_a_gateway_listens_where_its_own_variables_say():
    own = {
        "name": "gateway",
        "image": "i",
        "args": ["serve", "--config=/etc/lastcall/config/lastcall.yaml"],
        "env": [{"name": "LASTCALL_LISTEN__ADMIN", "value": "0.0.0.0:9999"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data/"}],
    }
    after = injected(pod(own), "Gateway")
    assert after["metadata"]["annotations"]["lastcall.dev/admin-port"] == "9999"
    assert after["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"] == 9999
    assert after["spec"]["containers"][0]["args"] == own["args"]


# What cannot be.


@pytest.mark.parametrize(
    ("of", "mode", "spec", "words", "reason"),
    [
        pytest.param(pod(hostNetwork=True), "Ingress", {}, ["spec.hostNetwork"], "PortConflict", id="host network"),
        pytest.param(pod(os={"name": "windows"}), "Ingress", {}, ["spec.os"], None, id="Windows"),
        pytest.param(
            pod(nodeSelector={"kubernetes.io/os": "windows"}), "Egress", {}, ["Windows"], None, id="Windows node"
        ),
        pytest.param(
            pod(), "Ingress", {"appPort": "grpc"}, ["spec.appPort", "grpc", "http (8000)"], None, id="no port"
        ),
        pytest.param(pod(app(ports=[])), "Ingress", {"appPort": 8000}, ["spec.appPort", "none"], None, id="no ports"),
        pytest.param(
            pod(app(ports=[{"name": "https", "containerPort": 8443}])),
            "Ingress",
            {"appPort": 8443},
            ["spec.appPort", "8443 speaks TLS", "called https", "plain HTTP only"],
            None,
            id="a port of TLS by its name",
        ),
        pytest.param(
            pod(app(readinessProbe={"httpGet": {"path": "/", "port": "http", "scheme": "HTTPS"}})),
            "Ingress",
            {},
            ["spec.appPort", "8000 speaks TLS", "asks it by HTTPS"],
            None,
            id="a port of TLS by its probe",
        ),
        pytest.param(
            pod(app(ports=[{"containerPort": 1}])), "Ingress", {}, ["unnamed (1)"], None, id="a port without a name"
        ),
        pytest.param(
            pod(app(ports=[{"name": "http", "containerPort": 8000, "protocol": "UDP"}])),
            "Ingress",
            {},
            ["TCP"],
            None,
            id="UDP",
        ),
        pytest.param(
            pod(app(), app()), "Ingress", {}, ["containers[app]", "http"], "PortConflict", id="two of one name"
        ),
        pytest.param(
            pod(app(), app("b")), "Ingress", {}, ["spec.appPort", "app and b"], "PortConflict", id="two claim the name"
        ),
        pytest.param(
            pod(app(), app("b", ports=[{"name": "http", "containerPort": 1}])),
            "Ingress",
            {"appPort": 8000},
            ["spec.containers[b].ports", "http"],
            "PortConflict",
            id="another has the name, the number is meant",
        ),
        pytest.param(
            pod(app(), app("b", ports=[{"containerPort": port} for port in (15080, 18080, 28080)])),
            "Ingress",
            {},
            ["15080, 18080, 28080", "traffic"],
            "PortConflict",
            id="no free port",
        ),
        pytest.param(
            pod(app("lastcall")), "Ingress", {}, ["spec.containers[lastcall]"], None, id="the name of a container"
        ),
        pytest.param(
            pod(app("g"), initContainers=[{"name": "lastcall"}]),
            "Gateway",
            {},
            ["spec.initContainers[lastcall]"],
            None,
            id="the name of a gateway's init container",
        ),
        pytest.param(
            pod(initContainers=[{"name": "lastcall"}]),
            "Egress",
            {},
            ["spec.initContainers[lastcall]"],
            None,
            id="the name of an init container",
        ),
        pytest.param(
            pod(volumes=[{"name": "lastcall-run"}]),
            "Egress",
            {},
            ["spec.volumes[lastcall-run]"],
            None,
            id="a volume's name",
        ),
        pytest.param(
            pod(volumes=[{"name": "lastcall-upstream-eu"}]),
            "Egress",
            {},
            ["spec.volumes[lastcall-upstream-eu]"],
            None,
            id="the name of a volume of an upstream",
        ),
        pytest.param(
            pod(),
            "Egress",
            {"sidecar": {"image": "evil/sidecar:1"}},
            ["spec.sidecar.image", "evil/sidecar:1", "good/*"],
            None,
            id="an image that is not allowed",
        ),
        pytest.param(
            pod(),
            "Egress",
            {"sidecar": {"resources": {"requests": {"memory": "1Gi\n"}}}},
            ["spec.sidecar.resources", "1Gi"],
            None,
            id="no quantity",
        ),
        pytest.param(pod(app(), app("b")), "Gateway", {}, ["spec.containers", "app, b"], None, id="two gateways"),
        pytest.param({"metadata": {}, "spec": {"containers": []}}, "Gateway", {}, ["none"], None, id="no gateway"),
        pytest.param(pod(app(args=["serve"])), "Gateway", {}, ["containers[app].args"], None, id="other arguments"),
        pytest.param(
            pod(app(env=[{"name": "LASTCALL_LISTEN__ADMIN", "value": "0.0.0.0:no"}])),
            "Gateway",
            {},
            ["env[LASTCALL_LISTEN__ADMIN]"],
            None,
            id="no admin port",
        ),
        pytest.param(
            pod(app(volumeMounts=[{"name": "mine", "mountPath": "/etc/lastcall/config"}])),
            "Gateway",
            {},
            ["volumeMounts[mine]"],
            None,
            id="a mount in the way",
        ),
        pytest.param(
            {"metadata": {"annotations": {"lastcall.dev/injected": "{}", "lastcall.dev/original": "[]"}}, "spec": {}},
            "Egress",
            {},
            ["lastcall.dev/original"],
            None,
            id="an annotation that nobody of ours wrote",
        ),
    ],
)
def test_what_cannot_be_injected_is_refused_with_the_field(of, mode, spec, words, reason):
    defaults = InjectionDefaults(image="any", allowed_images=("good/*",))
    with pytest.raises(InjectionError) as caught:
        inject(of, proxy(mode, **spec), defaults)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("ghcr.io/org/lastcall-evil/x", "ghcr.io/org/lastcall*"),
        ("ghcr.io/org/evil/lastcall:1", "ghcr.io/*/lastcall:*"),
        ("ghcr.io/org/lastcall", "ghcr.io/*"),
        ("evil.example/ghcr.io/org/lastcall", "*ghcr.io/org/lastcall"),
        ("ghcr.io/org/Lastcall", "ghcr.io/org/lastcall"),
        ("lastcall", "*/lastcall"),
    ],
)
def test_a_pattern_s_star_does_not_cross_a_slash(image, allowed):
    with pytest.raises(InjectionError, match="not among the images"):
        inject(pod(), proxy(sidecar={"image": image}), InjectionDefaults(image="any", allowed_images=(allowed,)))


@pytest.mark.parametrize("allowed", [(), ("good/*",), ("x", "good/side*")])
def test_an_allowed_image_is_taken(allowed):
    defaults = InjectionDefaults(image="any", pull_policy="Always", allowed_images=allowed)
    made = sidecar(inject(pod(), proxy(sidecar={"image": "good/sidecar:2"}), defaults).pod)
    assert made["image"] == "good/sidecar:2"
    assert made["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("of", "wanted"),
    [(pod(), True), ({}, False), ({"metadata": {"labels": {"lastcall.dev/inject": "yes"}}}, False)],
)
def test_pods_ask_by_their_label(of, wanted):
    assert wants_injection(of) is wanted
