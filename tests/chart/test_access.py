"""Who may do what: every rule of the chart, in a table. A right more, or one less, is a change of this file."""

from typing import Any

import pytest

from tests.chart.rendering import CHART, Values, named, objects

_READ = ("get", "list", "watch")
#: (groups, resources, names) of a rule, and its verbs, by the role's name without the release's.
#: Helm's records of the release, of this revision and those that a rollback to it may be.
_RECORDS = " ".join(f"sh.helm.release.v1.lastcall.v{number}" for number in range(1, 22))
_RULES: dict[str, dict[tuple[str, str, str], tuple[str, ...]]] = {
    "operator": {
        ("", "pods", ""): (*_READ, "patch", "delete"),
        ("apps", "deployments replicasets statefulsets", ""): _READ,
        ("", "services", ""): _READ,
        ("lastcall.dev", "drainpolicies streamproxies", ""): _READ,
        ("lastcall.dev", "drainpolicies", ""): ("patch",),
        ("lastcall.dev", "drainpolicies/status streamproxies/status", ""): ("patch",),
        ("", "configmaps", ""): ("get", "list", "create", "patch", "delete"),
        ("", "events", ""): ("list", "create", "patch"),
        ("networking.k8s.io", "networkpolicies", ""): ("list",),
    },
    "operator-discovery": {
        ("apiextensions.k8s.io", "customresourcedefinitions", ""): ("list", "watch"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""): ("list",),
    },
    "operator-own": {
        ("", "secrets", "lastcall-drain-key"): ("get",),
        ("", "secrets", ""): ("create",),
    },
    "webhook": {
        ("", "pods", ""): ("get", "list", "patch"),
        ("apps", "deployments replicasets statefulsets", ""): ("get",),
        ("apps", "replicasets", ""): ("list",),
        ("argoproj.io", "rollouts/scale", ""): ("get",),
        ("policy", "poddisruptionbudgets", ""): ("list",),
        ("lastcall.dev", "drainpolicies", ""): ("get", "list", "patch"),
        ("lastcall.dev", "streamproxies", ""): ("list",),
        ("", "events", ""): ("create", "patch"),
    },
    "webhook-own": {
        ("", "secrets", "lastcall-drain-key"): ("get",),
        ("", "secrets", "lastcall-webhook-tls"): ("get", "update"),
        ("", "secrets", ""): ("create",),
    },
    "webhook-authority": {
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""): ("list",),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "lastcall-injection"): ("get", "patch"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "lastcall-removals"): ("get", "patch"),
    },
    "uninstall": {("", "pods", ""): ("list", "patch")},
    "uninstall-own": {
        ("", "configmaps secrets", _RECORDS): ("get",),
    },
    "uninstall-webhooks": {
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "lastcall-injection"): ("delete",),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "lastcall-removals"): ("delete",),
    },
    "view": {("lastcall.dev", "drainpolicies streamproxies", ""): _READ},
    "edit": {("lastcall.dev", "drainpolicies", ""): ("create", "delete", "deletecollection", "patch", "update")},
    "admin": {("lastcall.dev", "streamproxies", ""): ("create", "delete", "deletecollection", "patch", "update")},
}  # fmt: skip
_PEERING = {("kopf.dev", "clusterkopfpeerings kopfpeerings", ""): ("get", "list", "watch", "patch")}
_EVERYTHING: Values = {
    "operator.networkPolicy.enabled": True,
    "podMonitor.enabled": True,
    "gateway.networkPolicy.enabled": True,
}


def _roles(values: Values | None = None) -> dict[str, dict[str, Any]]:
    found = [document for document in objects(values) if document["kind"] in {"ClusterRole", "Role"}]
    return {document["metadata"]["name"].removeprefix("lastcall-"): document for document in found}


def _table(role: dict[str, Any]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    table = {}
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
        key = tuple(" ".join(rule.get(part, [])) for part in ("apiGroups", "resources", "resourceNames"))
        assert len(key) == 3
        table[key] = tuple(rule["verbs"])
    assert len(table) == len(role["rules"])
    return table


def test_the_rights_are_these_and_no_other() -> None:
    assert {name: _table(role) for name, role in _roles(_EVERYTHING).items()} == _RULES


def test_a_peering_that_is_named_may_be_signed() -> None:
    assert _table(_roles({"operator.peering": "team"})["operator"]) == {**_RULES["operator"], **_PEERING}


def test_the_uninstall_may_delete_resources_only_when_their_definitions_go() -> None:
    resources = {
        ("lastcall.dev", "drainpolicies streamproxies", ""): ("list", "delete"),
        ("", "configmaps", ""): ("list", "delete"),
    }
    assert _table(_roles({"crds.keep": False})["uninstall"]) == _RULES["uninstall"] | resources


def test_nothing_is_granted_by_a_star_and_no_secret_is_listed() -> None:
    for role in _roles().values():
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            if "secrets" in rule["resources"]:
                assert role["kind"] == "Role"
                assert role["metadata"]["namespace"] == "llm"
                assert not {"list", "watch", "delete"} & set(rule["verbs"])
                assert rule["verbs"] == ["create"] or rule["resourceNames"]


@pytest.mark.parametrize("process", ["operator", "webhook"])
def test_every_right_of_a_process_in_others_namespaces_has_its_reason_right_above(process: str) -> None:
    lines = [line.strip() for line in (CHART / "templates" / f"{process}-clusterrole.yaml").read_text().splitlines()]
    rules = [index for index, line in enumerate(lines) if line.startswith("- apiGroups:")]
    assert len(rules) == len(_RULES[process]) + (len(_PEERING) if process == "operator" else 0)
    assert [lines[index] for index in rules if not lines[index - 1].startswith("# ")] == []


def _bindings(values: Values | None = None) -> set[tuple[str, str, str, str, str]]:
    found = set()
    for document in objects(values):
        if document["kind"] in {"ClusterRoleBinding", "RoleBinding"}:
            (subject,) = document["subjects"]
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "llm")
            role = document["roleRef"]
            where = document["metadata"].get("namespace", "")
            assert (document["kind"] == "RoleBinding") is bool(where)
            found.add((document["kind"], where, role["kind"], role["name"], subject["name"]))
    return found


_ALWAYS = {
    ("RoleBinding", "llm", "Role", "lastcall-operator-own", "lastcall-operator"),
    ("RoleBinding", "llm", "Role", "lastcall-webhook-own", "lastcall-webhook"),
    ("ClusterRoleBinding", "", "ClusterRole", "lastcall-webhook-authority", "lastcall-webhook"),
    ("ClusterRoleBinding", "", "ClusterRole", "lastcall-operator-discovery", "lastcall-operator"),
    ("ClusterRoleBinding", "", "ClusterRole", "lastcall-uninstall-webhooks", "lastcall-uninstall"),
    ("RoleBinding", "llm", "Role", "lastcall-uninstall-own", "lastcall-uninstall"),
}


def test_by_default_the_rights_hold_in_the_whole_cluster() -> None:
    assert _bindings() == _ALWAYS | {
        ("ClusterRoleBinding", "", "ClusterRole", "lastcall-operator", "lastcall-operator"),
        ("ClusterRoleBinding", "", "ClusterRole", "lastcall-webhook", "lastcall-webhook"),
        ("ClusterRoleBinding", "", "ClusterRole", "lastcall-uninstall", "lastcall-uninstall"),
    }


@pytest.mark.parametrize(
    ("values", "namespaces"),
    [
        pytest.param({}, {"team-a", "team-b", "llm"}, id="the gateway's own is among them"),
        pytest.param({"gateway.drainPolicy.enabled": False}, {"team-a", "team-b"}, id="without the gateway's policy"),
        pytest.param({"gateway.enabled": False}, {"team-a", "team-b"}, id="without a gateway"),
    ],
)
def test_named_namespaces_bound_everything(values: Values, namespaces: set[str]) -> None:
    values = {"operator.namespaces": ["team-a", "team-b"], **values}
    assert _bindings(values) == _ALWAYS | {
        ("RoleBinding", namespace, "ClusterRole", f"lastcall-{process}", f"lastcall-{process}")
        for namespace in namespaces
        for process in ("operator", "webhook", "uninstall")
    }
    assert ("", "namespaces", "") in _table(_roles(values)["operator-discovery"])
    for process in ("operator", "webhook"):
        (container,) = named("Deployment", values)[process]["spec"]["template"]["spec"]["containers"]
        watched = {flag.partition("=")[2] for flag in container["args"] if flag.startswith("--namespace=")}
        assert watched == namespaces
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for configuration in named(kind, values).values():
            for webhook in configuration["webhooks"]:
                _, only = webhook["namespaceSelector"]["matchExpressions"]
                assert (only["operator"], set(only["values"])) == ("In", namespaces)


def test_an_uninstall_makes_nothing_in_a_namespace_that_may_be_gone() -> None:
    made = [
        document
        for document in objects({"operator.namespaces": ["team-a"]})
        if document["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-delete"
    ]
    assert {document["metadata"].get("namespace", "llm") for document in made} == {"llm"}
    without = _bindings({"operator.namespaces": ["team-a"], "operator.uninstall.enabled": False})
    assert not [binding for binding in without if "uninstall" in binding[3]]


def test_each_process_has_an_account_of_its_own_and_only_it_a_token() -> None:
    accounts = named("ServiceAccount")
    assert set(accounts) == {"operator", "webhook", "gateway"}  # and the uninstall's, while it runs
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for name, deployment in named("Deployment").items():
        spec = deployment["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == f"lastcall-{name}"
        assert spec["automountServiceAccountToken"] is (name != "gateway")
    mine = {"operator.serviceAccount.create": False, "operator.serviceAccount.name": "mine"}
    assert set(named("ServiceAccount", mine)) == {"gateway"}
    for process in ("operator", "webhook"):
        assert named("Deployment", mine)[process]["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_stream_proxies_are_written_by_admins_alone() -> None:
    aggregated = {
        name: {label.rpartition("-")[2] for label in role["metadata"]["labels"] if "aggregate-to-" in label}
        for name, role in _roles().items()
    }
    assert {name: roles for name, roles in aggregated.items() if roles} == {
        "view": {"view"},
        "edit": {"edit", "admin"},
        "admin": {"admin"},
    }
    assert not {"view", "edit", "admin"} & set(_roles({"operator.aggregateRoles": False}))


def test_with_cert_manager_the_webhook_touches_no_certificate_and_no_authority() -> None:
    roles = _roles({"certManager.enabled": True})
    removals = ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "lastcall-removals")
    others = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "")
    # The secret path, and no authority.
    assert _table(roles["webhook-authority"]) == {others: ("list",), removals: ("get", "patch")}
    assert ("", "secrets", "lastcall-webhook-tls") not in _table(roles["webhook-own"])
