"""The gateway's pods: how they are probed, how they leave, and that they may do nothing that they need not."""

from typing import Any

import pytest

from tests.chart.rendering import Values, config, container, one, pod


@pytest.mark.parametrize(
    ("ceiling", "settle", "grace"),
    [
        pytest.param(1920, 5, 1955, id="the defaults"),
        pytest.param(120, 5, 155, id="a short ceiling"),
        pytest.param(86400, 300, 86730, id="the longest that there is"),
        pytest.param(25, 5, 60, id="exactly the floor"),
        pytest.param(1, 0, 60, id="below the floor"),
    ],
)
def test_the_grace_period_covers_ceiling_settle_and_exit(ceiling: int, settle: int, grace: int) -> None:
    values = {"gateway.config.drain.ceilingSeconds": ceiling, "gateway.config.drain.settleSeconds": settle}
    assert pod(values)["terminationGracePeriodSeconds"] == grace
    assert (config(values)["drain"]["ceilingSeconds"], config(values)["drain"]["settleSeconds"]) == (ceiling, settle)


def test_pre_stop_drains_over_the_control_socket_and_waits() -> None:
    assert container()["lifecycle"] == {"preStop": {"exec": {"command": ["lastcall-sidecar", "drain", "--wait"]}}}
    assert config()["admin"] == {"controlSocket": "/run/lastcall/control.sock"}
    assert {"name": "run", "mountPath": "/run/lastcall"} in container()["volumeMounts"]


@pytest.mark.parametrize(
    ("probe", "path", "port", "patience_seconds"),
    [
        pytest.param("startupProbe", "/livez", "admin", 60, id="startup"),
        pytest.param("readinessProbe", "/ready", "http", 6, id="readiness follows the drain"),
        pytest.param("livenessProbe", "/livez", "admin", 60, id="liveness is patient and does not"),
    ],
)
def test_probes(probe: str, path: str, port: str, patience_seconds: int) -> None:
    found = container()[probe]
    assert found["httpGet"] == {"path": path, "port": port}
    assert found["periodSeconds"] * found["failureThreshold"] == patience_seconds


def test_a_busy_loop_has_ten_seconds_to_answer_the_liveness_probe_six_times() -> None:
    probe = container()["livenessProbe"]
    assert (probe["timeoutSeconds"], probe["failureThreshold"]) == (10, 6)


def test_a_hung_container_is_restarted_in_a_minute_and_not_after_the_drain_s_time() -> None:
    graces = {name: it.get("terminationGracePeriodSeconds") for name, it in container().items() if "Probe" in name}
    assert graces == {"startupProbe": 60, "readinessProbe": None, "livenessProbe": 60}


def test_a_rollout_takes_no_pod_before_its_successor_is_ready() -> None:
    strategy = one("Deployment", {"gateway.maxSurge": "25%"})["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}}


def test_pods_meet_the_restricted_standard_with_a_read_only_root() -> None:
    test_pod = one("Pod")["spec"]
    for spec in (pod(), test_pod):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert spec["automountServiceAccountToken"] is False
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
    assert one("ServiceAccount")["automountServiceAccountToken"] is False


def test_only_folders_are_mounted_because_a_sub_path_never_changes() -> None:
    values = {"gateway.upstreamApiKey.value": "k", "gateway.clientApiKeys.value": "c"}
    assert not [mount for mount in container(values)["volumeMounts"] if "subPath" in mount]


def test_what_has_to_be_written_has_a_folder_that_goes_with_the_pod() -> None:
    volumes = {volume["name"]: volume.get("emptyDir") for volume in pod()["volumes"]}
    writable = {mount["mountPath"]: volumes[mount["name"]] for mount in container()["volumeMounts"]}
    assert {path: folder for path, folder in writable.items() if folder} == {
        "/run/lastcall": {"medium": "Memory", "sizeLimit": "1Mi"},
        "/tmp": {"sizeLimit": "64Mi"},
    }
    assert [mount["mountPath"] for mount in container()["volumeMounts"] if mount.get("readOnly")] == [
        "/etc/lastcall/config"
    ]


def test_other_services_do_not_become_settings() -> None:
    for spec in (pod(), one("Pod")["spec"]):
        assert spec["enableServiceLinks"] is False  # LASTCALL_GATEWAY_SERVICE_HOST and its kin


def test_the_test_runs_once_and_not_for_ever() -> None:
    spec = one("Pod", {"gateway.test.timeoutSeconds": 90})["spec"]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 150)


def test_the_pod_is_known_to_itself_and_to_the_operator() -> None:
    env = container({"operator.enabled": False})["env"]
    fields = {item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in env}
    assert fields == {"LASTCALL_POD__NAME": "metadata.name", "LASTCALL_POD__UID": "metadata.uid"}
    metadata = one("Deployment", {"gateway.ports.admin": 9091})["spec"]["template"]["metadata"]
    assert metadata["labels"]["lastcall.dev/sidecar"] == "true"
    assert metadata["annotations"]["lastcall.dev/admin-port"] == "9091"


def test_ports_go_into_the_file_and_the_container_alike() -> None:
    values = {"gateway.ports.traffic": 9090, "gateway.ports.admin": 9091}
    assert {port["name"]: port["containerPort"] for port in container(values)["ports"]} == {"http": 9090, "admin": 9091}
    assert config(values)["listen"]["traffic"] == "[::]:9090"
    assert config(values)["listen"]["admin"] == "[::]:9091"


_SERVICE = [f"lastcall-gateway{rest}" for rest in ("", ".llm", ".llm.svc", ".llm.svc.cluster.local")]
_INGRESS: Values = {"gateway.ingress.enabled": True, "gateway.ingress.hosts": ["llm.example", "*.chat.example"]}
_ROUTE: Values = {"gateway.httpRoute.enabled": True, "gateway.httpRoute.parentRefs": [{"name": "front"}]}


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        pytest.param({}, _SERVICE, id="the Service's"),
        pytest.param(
            {"clusterDomain": "corp.example"}, [*_SERVICE[:3], "lastcall-gateway.llm.svc.corp.example"], id="a domain"
        ),
        pytest.param({"gateway.ingress.hosts": ["off.example"]}, _SERVICE, id="an Ingress that is off"),
        pytest.param(_INGRESS, [*_SERVICE, "llm.example", "*.chat.example"], id="an Ingress"),
        pytest.param(
            {**_ROUTE, "gateway.httpRoute.hostnames": ["r.example"]}, [*_SERVICE, "r.example"], id="a route with names"
        ),
        pytest.param(_ROUTE, [], id="a route that takes the Gateway's names, which the chart does not know"),
        pytest.param({"gateway.service.type": "LoadBalancer"}, [], id="a balancer, whose name is not known either"),
        pytest.param({"gateway.service.type": "NodePort"}, [], id="the nodes"),
        pytest.param(
            {"gateway.service.type": "LoadBalancer", "gateway.config.listen.allowedHosts": ["llm.example"]},
            [*_SERVICE, "llm.example"],
            id="a balancer whose name is told",
        ),
        pytest.param({"gateway.config.listen.allowedHosts": ["*"]}, [*_SERVICE, "*"], id="any"),
    ],
)
def test_the_gateway_answers_to_the_names_that_its_clients_use(values: Values, hosts: list[str]) -> None:
    assert config(values)["listen"]["allowedHosts"] == hosts


@pytest.mark.parametrize(
    ("values", "restarts"),
    [
        pytest.param({"gateway.config.limits.maxConcurrent": 7}, False, id="a limit"),
        pytest.param({"gateway.config.upstream.url": "http://elsewhere:1"}, False, id="the upstream"),
        pytest.param({"gateway.config.upstream.models": {"gpt-4o": "a"}}, False, id="other names for models"),
        pytest.param({"gateway.config.streaming.heartbeatSeconds": 3}, False, id="the heartbeat"),
        pytest.param({"gateway.config.logs.level": "debug"}, False, id="the log"),
        pytest.param({"gateway.config.listen.keepAliveSeconds": 7}, True, id="the listeners"),
        pytest.param({"gateway.ports.traffic": 9090}, True, id="a port"),
        pytest.param({"gateway.config.drain.ceilingSeconds": 60}, True, id="the ceiling, by the grace period"),
    ],
)
def test_only_what_a_running_sidecar_cannot_take_over_restarts_the_pods(values: Values, restarts: bool) -> None:
    templates = [one("Deployment", changed)["spec"]["template"] for changed in ({}, values)]
    assert config(values) != config()
    assert (templates[0] != templates[1]) is restarts


def test_a_new_secret_value_or_chart_label_restarts_nothing() -> None:
    one_key, another = ({"gateway.upstreamApiKey.value": value} for value in ("one", "another"))
    assert one("Deployment", one_key) == one("Deployment", another)
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels)


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "lastcall-sidecar:0.1.0", id="the chart's version"),
        pytest.param({"sidecar.image.tag": "1.2"}, "lastcall-sidecar:1.2", id="a tag"),
        pytest.param(
            {"sidecar.image.tag": "1.2", "sidecar.image.digest": f"sha256:{'a' * 64}"},
            f"lastcall-sidecar@sha256:{'a' * 64}",
            id="a digest wins",
        ),
        pytest.param({"sidecar.image.repository": "example.com/x"}, "example.com/x:0.1.0", id="a registry"),
    ],
)
def test_the_image_in_the_gateway_and_in_the_test(image: Values, reference: str) -> None:
    assert container(image)["image"] == reference
    assert one("Pod", image)["spec"]["containers"][0]["image"] == reference


def test_pods_of_one_revision_spread_over_nodes_and_zones() -> None:
    constraints = pod()["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for item in constraints:
        assert item["matchLabelKeys"] == ["pod-template-hash"]
        assert item["labelSelector"] == one("Deployment")["spec"]["selector"]
    assert "topologySpreadConstraints" not in pod({"gateway.topologySpread.enabled": False})


@pytest.mark.parametrize("values", [{}, {"gateway.upstreamApiKey.value": "k", "gateway.extraVolumes": [{"name": "x"}]}])
def test_every_mount_has_its_volume(values: Values) -> None:
    names = {volume["name"] for volume in pod(values)["volumes"]}
    assert {mount["name"] for mount in container(values)["volumeMounts"]} <= names


def test_selectors_meet_the_gateway_s_pods_and_not_the_test_s() -> None:
    def meets(selector: dict[str, Any], labels: dict[str, Any]) -> bool:
        return selector.items() <= labels.items()

    selector = one("Service")["spec"]["selector"]
    assert one("PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": selector}
    assert one("Deployment")["spec"]["selector"] == {"matchLabels": selector}
    assert meets(selector, one("Deployment")["spec"]["template"]["metadata"]["labels"])
    assert not meets(selector, one("Pod")["metadata"]["labels"])
