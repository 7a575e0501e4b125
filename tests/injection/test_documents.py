"""`lastcall inject -f`: manifests as they would be in the cluster."""

from copy import deepcopy

import pytest
from tests.injection.pods import DEFAULTS, app, pod, proxy

from lastcall_operator.injection import InjectionError, inject, inject_documents


def workload(kind, *way):
    template = {"metadata": {"labels": pod()["metadata"]["labels"]}, "spec": {"containers": [app()]}}
    document = template
    for key in reversed(way):
        document = {key: document}
    return {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "chat"}, **document}, template


@pytest.mark.parametrize(
    "kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet", "ReplicationController"]
)
def test_templates_get_what_their_pods_would_get(kind):
    document, template = workload(kind, "spec", "template")
    kept = deepcopy(document)
    made = inject_documents([document], [proxy()], DEFAULTS)
    assert made.documents[0]["spec"]["template"] == inject(template, proxy(), DEFAULTS).pod
    assert made.injected == 1
    assert document == kept


def test_cron_jobs_have_it_deeper():
    document, template = workload("CronJob", "spec", "jobTemplate", "spec", "template")
    (made,) = inject_documents([document], [proxy("Egress")], DEFAULTS).documents
    assert made["spec"]["jobTemplate"]["spec"]["template"] == inject(template, proxy("Egress"), DEFAULTS).pod


def test_pods_and_lists_of_them():
    listed = {"apiVersion": "v1", "kind": "List", "items": [pod(), {"kind": "Service"}]}
    made = inject_documents([pod(), listed], [proxy()], DEFAULTS)
    whole = inject(pod(), proxy(), DEFAULTS).pod
    assert made.documents == (whole, {**listed, "items": [whole, {"kind": "Service"}]})
    assert made.injected == 2


@pytest.mark.parametrize(
    "document",
    [
        None,
        "text",
        {"kind": "Service"},
        {"kind": "Deployment", "spec": None},
        {"kind": "Deployment", "spec": {"template": {"metadata": {"labels": {"app": "chat"}}}}},
        {"kind": "List", "items": None},
        {"kind": "PodList", "items": [{"kind": "ConfigMap"}]},
        {},
    ],
    ids=["empty", "text", "service", "no spec", "not labelled", "empty list", "list of others", "nothing"],
)
def test_everything_else_passes_unchanged(document):
    made = inject_documents([document], [proxy()], DEFAULTS)
    assert made.documents == (document,)
    assert made.injected == 0


def test_notes_name_the_document():
    document = pod(app(lifecycle={"preStop": {"exec": {"command": ["sleep", "5"]}}}))
    ((where, note),) = inject_documents([{"kind": "List", "items": [document]}], [proxy()], DEFAULTS).notes
    assert where == "Pod/chat-1"
    assert note.reason == "PreStopReplaced"


@pytest.mark.parametrize(
    ("namespace", "found"), [("llm", True), (None, True), ("other", False)], ids=["its own", "not said", "another"]
)
def test_a_stream_proxy_is_of_one_namespace(namespace, found):
    document = pod()
    del document["metadata"]["namespace"]
    if namespace is not None:
        document["metadata"]["namespace"] = namespace
    if found:
        assert inject_documents([document], [proxy()], DEFAULTS).injected == 1
    else:
        with pytest.raises(InjectionError, match=r"Pod/chat-1: .*no StreamProxy"):
            inject_documents([document], [proxy()], DEFAULTS)


def test_an_error_names_the_document_without_a_name_too():
    document = {**pod(hostNetwork=True), "metadata": {"labels": pod()["metadata"]["labels"]}}
    with pytest.raises(InjectionError, match=r"^Pod/: spec\.hostNetwork") as caught:
        inject_documents([document], [proxy()], DEFAULTS)
    assert caught.value.reason == "PortConflict"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"containers": [{"image": "a"}]}, id="a container without a name"),
        pytest.param({"containers": [{"name": "a", "ports": [{"name": "http"}]}]}, id="a port without a number"),
        pytest.param({"containers": ["app"]}, id="a container that is a word"),
        pytest.param({"containers": [app(ports="http")]}, id="ports that are a word"),
    ],
)
def test_what_is_no_pod_is_told_by_its_name(spec):
    with pytest.raises(InjectionError, match=r"^Pod/chat-1: no API server takes"):
        inject_documents([pod(**spec)], [proxy()], DEFAULTS)
