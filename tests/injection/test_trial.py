"""A template is tried before there is a pod: what the webhook would refuse is known."""

import pytest
from tests.injection.pods import DEFAULTS, app, pod, proxy

from lastcall_operator.injection import Refusal, refusals, template_of

TAKEN = pod(app(), app("b", ports=[{"containerPort": port} for port in (15080, 18080, 28080)]))


def workload(of=None, kind="Deployment", name="chat", **metadata):
    template = {key: value for key, value in (of or pod()).items() if key in {"metadata", "spec"}}
    about = {"name": name, "namespace": "llm", "uid": f"uid-{name}", **metadata}
    return template_of({"metadata": about, "spec": {"template": template}}, kind)


def tried(*templates, of=None, among=None):
    mine = of or proxy()
    return refusals(templates, mine, among or [mine], DEFAULTS)


def test_a_template_that_can_be_injected_is_no_news():
    assert tried(workload()) == ()


def test_a_taken_port_is_a_conflict_of_ports():
    template = workload(TAKEN)
    (refusal,) = tried(template)
    assert (refusal.template, refusal.reason) == (template, "PortConflict")
    assert refusal.message.startswith("Deployment chat: spec.containers[].ports: none of 15080, 18080, 28080 is free")


def test_every_other_refusal_is_told_as_well():
    found = tried(workload(name="b"), workload(name="a"), of=proxy(appPort="grpc"))
    assert [(each.template.name, each.reason) for each in found] == [
        ("a", "InjectionRefused"),
        ("b", "InjectionRefused"),
    ]
    assert "spec.appPort" in found[0].message


def test_a_template_is_tried_for_the_streamproxy_that_its_pods_would_get():
    older, younger = proxy(name="old"), proxy(name="young", created="2026-11-22T11:00:00Z")
    assert tried(workload(TAKEN), of=younger, among=[younger, older]) == ()
    assert len(tried(workload(TAKEN), of=older, among=[younger, older])) == 1
    assert tried(workload(TAKEN), of=proxy(selector={"matchLabels": {"app": "mail"}})) == ()


OWNED = [{"kind": "Deployment", "name": "chat", "uid": "u", "controller": True}]


@pytest.mark.parametrize(
    ("found", "there"),
    [
        (workload(), True),
        (workload(kind="StatefulSet", ownerReferences=OWNED), True),
        (workload(kind="ReplicaSet"), True),
        (workload(kind="ReplicaSet", ownerReferences=OWNED), False),
        (workload({"metadata": {"labels": {"app": "chat"}}, "spec": {}}), False),
        (template_of({"metadata": {"name": "a", "uid": "u"}}, "Deployment"), False),
    ],
    ids=["a Deployment", "of an operator's", "a ReplicaSet", "a Deployment's ReplicaSet", "no label", "no spec"],
)
def test_templates_are_those_of_whoever_makes_pods_that_ask(found, there):
    assert (found is not None) is there


def test_a_refusal_names_its_workload():
    assert Refusal(workload(), "PortConflict", "m").template.api_version == "apps/v1"
