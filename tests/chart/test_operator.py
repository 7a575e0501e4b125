"""The operator's two processes, and what is made and removed around them."""

import argparse
from typing import Any

import pytest
import yaml

from lastcall_operator.settings import add_flags, from_arguments
from tests.chart.rendering import RenderError, Values, config, container, named, objects, one, text

_PROCESSES = ("operator", "webhook")
_ALL: Values = {
    "operator.networkPolicy.enabled": True,
    "podMonitor.enabled": True,
    "certManager.enabled": True,
    "gateway.upstreamApiKey.value": "k",
}


def _pod(process: str, values: Values | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = named("Deployment", values)[process]["spec"]["template"]["spec"]
    return spec


def _container(process: str, values: Values | None = None) -> dict[str, Any]:
    (found,) = _pod(process, values)["containers"]
    assert isinstance(found, dict)
    return found


def _pod_specs(values: Values) -> dict[str, dict[str, Any]]:
    found = {}
    for document in objects(values):
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Pod":
            found[name] = document["spec"]
        elif document["kind"] in {"Deployment", "Job"}:
            found[name] = document["spec"]["template"]["spec"]
    return found


def test_without_the_operator_nothing_of_it_is_there() -> None:
    rendered = text({"operator.enabled": False, "crds.enabled": False})
    for word in ("webhook", "uninstall", "lastcall-operator", "DrainPolicy", "drain-key", "ClusterRole"):
        assert word not in rendered, word
    assert {"operator", "webhook", "gateway"} == set(named("Deployment"))


@pytest.mark.parametrize("values", [pytest.param({}, id="by default"), pytest.param(_ALL, id="with everything")])
def test_every_pod_meets_the_restricted_standard_with_a_read_only_root(values: Values) -> None:
    specs = _pod_specs(values)
    assert len(specs) == 6  # three Deployments, two tests, one Job
    for name, spec in specs.items():
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context), f"{name}: OpenShift gives it one"
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), name
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }, name
            assert "memory" in each["resources"]["limits"], name
            assert "cpu" not in each["resources"]["limits"], name
            mounted = {mount["name"] for mount in each.get("volumeMounts", [])}
            assert mounted <= {volume["name"] for volume in spec.get("volumes", [])}, name


def test_every_object_says_whose_it_is_and_those_with_a_namespace_where() -> None:
    cluster_wide = {
        "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip
    for document in objects(_ALL):
        metadata = document["metadata"]
        if document["kind"] != "CustomResourceDefinition":
            assert metadata["name"].startswith("lastcall"), metadata["name"]
            assert metadata["labels"]["app.kubernetes.io/instance"] == "lastcall"
        assert metadata.get("namespace") == (None if document["kind"] in cluster_wide else "llm"), metadata["name"]


def test_there_is_one_controller_and_never_two() -> None:
    spec = named("Deployment")["operator"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_webhook_is_always_there() -> None:
    spec = named("Deployment")["webhook"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    selector = spec["selector"]
    budget = named("PodDisruptionBudget")["webhook"]["spec"]
    assert (budget["maxUnavailable"], budget["selector"]) == (1, selector)
    constraints = _pod("webhook")["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(item["labelSelector"] == selector for item in constraints)
    assert "topologySpreadConstraints" not in _pod("webhook", {"webhook.topologySpread.enabled": False})
    assert "webhook" not in named("PodDisruptionBudget", {"webhook.podDisruptionBudget.enabled": False})


def test_a_webhook_that_leaves_has_time_to_answer_until_nobody_asks_it() -> None:
    farewell_seconds, requests_under_way_seconds = 5, 4  # of the process itself
    assert _pod("webhook")["terminationGracePeriodSeconds"] > farewell_seconds + requests_under_way_seconds


def test_the_service_leads_to_the_webhook_alone() -> None:
    service = named("Service")["webhook"]["spec"]
    assert service["ports"] == [{"name": "webhook", "port": 443, "targetPort": "webhook"}]
    assert {port["name"]: port["containerPort"] for port in _container("webhook")["ports"]} == {
        "webhook": 9443,
        "admin": 9081,
    }
    labels = {name: item["spec"]["template"]["metadata"]["labels"] for name, item in named("Deployment").items()}
    assert [name for name, found in labels.items() if service["selector"].items() <= found.items()] == ["webhook"]


@pytest.mark.parametrize("process", _PROCESSES)
def test_probes_are_patient(process: str) -> None:
    found = _container(process)
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    for probe in ("startupProbe", "livenessProbe"):
        assert found[probe]["httpGet"] == {"path": "/livez", "port": "admin"}
        assert found[probe]["periodSeconds"] * found[probe]["failureThreshold"] == 60


@pytest.mark.parametrize(("process", "command"), [("operator", "controller"), ("webhook", "webhook")])
def test_the_flags_are_those_that_the_processes_read(process: str, command: str) -> None:
    values = {
        "operator.namespaces": ["team-a"],
        "operator.allowedImages": ["registry.example/*", "mirror.example/lastcall:*"],
        "operator.otlpEndpoint": "http://collector:4318",
        "operator.logLevel": "warning",
        "sidecar.image.tag": "7",
        "sidecar.image.pullPolicy": "Never",
        "certManager.enabled": True,
    }
    first, *flags = _container(process, values)["args"]
    assert first == command
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    add_flags(parser)
    settings = from_arguments(parser.parse_args(flags), {})
    assert settings.own_namespace == "llm"
    assert settings.namespaces == ("team-a", "llm")
    assert settings.allowed_images == ("registry.example/*", "mirror.example/lastcall:*")
    assert (settings.sidecar_image, settings.sidecar_pull_policy) == ("lastcall-sidecar:7", "Never")
    assert (settings.log_level, settings.otlp_endpoint) == ("warning", "http://collector:4318")
    assert settings.certificate_folder == ("/etc/lastcall/tls" if process == "webhook" else None)
    # The names that the process makes of --fullname are the chart's.
    assert settings.webhook_service in {f"lastcall-{name}" for name in named("Service", values)}
    assert settings.mutating_configuration in text(values)
    assert settings.validating_configuration in text(values)
    assert settings.webhook_secret in text(values)
    assert settings.drain_key_secret in text(values)
    ports = {port["name"]: port["containerPort"] for port in _container("webhook")["ports"]}
    assert ports == {"webhook": settings.webhook_port, "admin": settings.admin_port}
    (name,) = [item for item in _container(process)["env"] if item["name"] == "LASTCALL_OPERATOR_POD_NAME"]
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_a_peering_is_off_unless_it_is_named() -> None:
    named_one = {"operator.peering": "team"}
    assert "--peering=team" in _container("operator", named_one)["args"]
    assert not [flag for flag in _container("operator")["args"] if "peering" in flag]
    assert "--peering=team" not in _container("webhook", named_one)["args"]


def test_the_gateway_leaves_by_a_policy_that_comes_after_its_definition() -> None:
    policy = one("DrainPolicy")
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade,post-rollback"
    assert policy["spec"] == {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": one("Deployment")["metadata"]["name"]},
        "order": "LeastBusyFirst",
        "holdDeadlineSeconds": 3600,
        "evictions": "Hold",
        "pollSeconds": 5,
    }
    assert one("DrainPolicy", {"gateway.drainPolicy.maxDraining": "25%"})["spec"]["maxDraining"] == "25%"
    for without in ("gateway.enabled", "operator.enabled", "gateway.drainPolicy.enabled"):
        assert "DrainPolicy" not in {document["kind"] for document in objects({without: False})}, without


def test_the_gateway_s_policy_goes_with_the_release() -> None:
    first, last = [document for document in objects() if document["kind"] == "DrainPolicy"]
    if first["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete":
        first, last = last, first
    assert last["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert "hook-succeeded" in last["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert "hook-succeeded" not in first["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert (last["spec"], last["metadata"]["name"]) == (first["spec"], first["metadata"]["name"])


def test_leased_drains_of_the_gateway_are_checked_with_the_operator_s_key_if_it_is_there() -> None:
    (key,) = [item for item in container()["env"] if item["name"] == "LASTCALL_DRAIN__PUBLIC_KEY"]
    assert key["valueFrom"]["secretKeyRef"] == {"name": "lastcall-drain-key", "key": "public.pem", "optional": True}
    assert "drain-key" not in str(container({"operator.enabled": False}))
    mine = {"gateway.config.drain.publicKey": "a key"}
    assert "LASTCALL_DRAIN__PUBLIC_KEY" not in str(container(mine)["env"])
    assert config(mine)["drain"]["publicKey"] == "a key"


def test_the_operator_reaches_the_gateway_s_admin_port_through_its_network_policy() -> None:
    values = {"gateway.networkPolicy.enabled": True}
    _, admin = one("NetworkPolicy", values)["spec"]["ingress"]
    assert admin["ports"] == [{"port": "admin", "protocol": "TCP"}]
    (peer,) = admin["from"]
    (component,) = peer["podSelector"]["matchExpressions"]
    assert component["values"] == ["operator", "webhook"]
    for process in _PROCESSES:
        labels = named("Deployment")[process]["spec"]["template"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()
        assert labels["app.kubernetes.io/component"] in component["values"]


def test_network_policies_of_the_processes() -> None:
    values: dict[str, Any] = {"operator.networkPolicy.enabled": True}
    assert named("NetworkPolicy", values)["operator"]["spec"]["ingress"] == []
    (webhook,) = named("NetworkPolicy", values)["webhook"]["spec"]["ingress"]
    assert webhook == {"ports": [{"port": "webhook", "protocol": "TCP"}]}
    values["operator.networkPolicy.webhookFrom"] = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    (webhook,) = named("NetworkPolicy", values)["webhook"]["spec"]["ingress"]
    assert webhook["from"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    values["operator.networkPolicy.adminFrom"] = [{"podSelector": {}}]
    values["operator.networkPolicy.egress"] = [{}]
    for process in _PROCESSES:
        spec = named("NetworkPolicy", values)[process]["spec"]
        admin = {"ports": [{"port": "admin", "protocol": "TCP"}], "from": [{"podSelector": {}}]}
        assert spec["ingress"][-1] == admin
        assert (spec["policyTypes"], spec["egress"]) == (["Ingress", "Egress"], [{}])


def test_metrics_of_all_three_are_read() -> None:
    monitor = named("PodMonitor", {"podMonitor.enabled": True})[""]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("admin", "/metrics")
    (component,) = monitor["selector"]["matchExpressions"]
    assert set(component["values"]) == set(named("Deployment"))


def test_the_uninstall_hook_is_bounded_and_its_rights_go_with_it() -> None:
    hooks = [
        document
        for document in objects()
        if document["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-delete"
        and document["kind"] != "DrainPolicy"
    ]
    weights = {document["kind"]: int(document["metadata"]["annotations"]["helm.sh/hook-weight"]) for document in hooks}
    assert max(weights, key=lambda kind: weights[kind]) == "Job"
    assert set(weights) == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Job"}
    for document in hooks:
        policy = document["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded"
    (job,) = [document for document in hooks if document["kind"] == "Job"]
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (180, 2)
    assert "Job" not in {document["kind"] for document in objects({"operator.uninstall.enabled": False})}


@pytest.mark.parametrize(
    ("keep", "removes"), [pytest.param(True, False, id="kept"), pytest.param(False, True, id="not kept")]
)
def test_the_uninstall_hook_removes_resources_only_when_their_definitions_go(keep: bool, removes: bool) -> None:
    (job,) = [document for document in objects({"crds.keep": keep}) if document["kind"] == "Job"]
    command, *flags = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert command == "uninstall"
    assert ("--remove-resources" in flags) is removes
    assert "--fullname=lastcall" in flags
    assert "--release-record=sh.helm.release.v1.lastcall.v1" in flags


def test_the_helm_test_of_the_webhook_knows_its_authority_and_not_its_key() -> None:
    spec = one("Pod", part="webhook")["spec"]
    (review,) = spec["containers"]
    compile(review["args"][0], "the test's program", "exec")
    (volume,) = spec["volumes"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["ca.crt"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"operator.namespaces": ["Team_A"]}, "does not match pattern", id="no namespace"),
        pytest.param({"operator.namespaces": ["kube-system"]}, "kube-system is never looked after", id="kube-system"),
        pytest.param({"operator.logLevel": "loud"}, "value must be one of", id="an unknown level"),
        pytest.param({"operator.otlpEndpoint": "collector:4318"}, "does not match pattern", id="no URL"),
        pytest.param({"operator.serviceAccount.name": "a"}, "a name goes with create: false", id="an unused name"),
        pytest.param({"operator.runAsUser": 0}, "minimum: got 0, want 1", id="root"),
        pytest.param({"webhook.replicas": 0}, "minimum: got 0, want 1", id="no webhook"),
        pytest.param(
            {"webhook.injectionTimeoutSeconds": 31}, "maximum: got 31, want 30", id="more than Kubernetes has"
        ),
        pytest.param({"gateway.drainPolicy.maxDraining": 0}, "'/gateway/drainPolicy/maxDraining'", id="no one may go"),
        pytest.param({"gateway.drainPolicy.order": "Any"}, "value must be one of", id="an unknown order"),
        pytest.param({"operator.replicas": 2}, "additional properties 'replicas' not allowed", id="two controllers"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(values: Values, sentence: str) -> None:
    with pytest.raises(RenderError) as refused:
        text(values)
    assert sentence in str(refused.value)


_SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"


@pytest.mark.parametrize("theirs", [pytest.param("", id="ours alone"), pytest.param("cache", id="with theirs")])
def test_no_volume_keeps_the_autoscaler_from_a_node(theirs: str) -> None:
    values = {f"{part}.podAnnotations": {"team": "a", _SAFE: theirs} for part in ("gateway", "operator")}
    deployments = named("Deployment", values)
    assert len(deployments) == 3
    for name, each in deployments.items():
        template = each["spec"]["template"]
        local = [volume["name"] for volume in template["spec"]["volumes"] if "emptyDir" in volume]
        listed = template["metadata"]["annotations"][_SAFE].split(",")
        assert listed == [*([theirs] if theirs else []), *local], name
        assert template["metadata"]["annotations"]["team"] == "a", name


def test_a_user_that_is_given_is_taken() -> None:
    for name, spec in _pod_specs({"gateway.runAsUser": 4711, "operator.runAsUser": 4711}).items():
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (4711, 4711), name


def test_secrets_can_be_read_by_the_user_that_the_cluster_gives() -> None:
    values = {
        "certManager.enabled": True,
        "gateway.upstreamApiKey.existingSecret": "u",
        "gateway.clientApiKeys.existingSecret": "c",
    }
    secrets = [
        volume["secret"]
        for each in named("Deployment", values).values()
        for volume in each["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert secrets
    assert {each["defaultMode"] for each in secrets} == {0o444}, "there is no group that both have"


@pytest.mark.parametrize(
    ("version", "values", "there"),
    [
        pytest.param("1.29.0", {}, False, id="1.29 has none"),
        pytest.param("1.30.0", {}, True, id="1.30"),
        pytest.param("1.34.4", {"operator.admissionPolicy.enabled": False}, False, id="switched off"),
    ],
)
def test_the_accounts_are_held_to_our_own_annotations_where_kubernetes_can(
    version: str, values: dict[str, Any], there: bool
) -> None:
    kinds = {document["kind"] for document in yaml.safe_load_all(text(values, version=version)) if document}
    assert ({"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} <= kinds) is there


def test_whatever_the_accounts_may_do_to_configmaps_is_held_to_our_own() -> None:
    documents = yaml.safe_load_all(text({}, version="1.34.4"))
    (spec,) = (each["spec"] for each in documents if each and each["kind"] == "ValidatingAdmissionPolicy")
    judged = {
        operation
        for rule in spec["matchConstraints"]["resourceRules"]
        if "configmaps" in rule["resources"]
        for operation in rule["operations"]
    }
    roles = [
        rule for role in named("ClusterRole").values() for rule in role["rules"] if "configmaps" in rule["resources"]
    ]
    operations = {"create": "CREATE", "patch": "UPDATE", "update": "UPDATE", "delete": "DELETE"}
    allowed = {operations[verb] for rule in roles for verb in rule["verbs"] if verb not in {"get", "list", "watch"}}
    assert allowed == judged
