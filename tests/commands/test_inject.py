"""`lastcall inject` prints what the webhook would do, and names what is wrong."""

import json

import pytest
import yaml

from lastcall_operator import cli

PROXY = """\
apiVersion: lastcall.dev/v1alpha1
kind: StreamProxy
metadata: {name: chat}
spec: {selector: {matchLabels: {app: chat}}, mode: Ingress, appPort: http}
"""
WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  selector: {matchLabels: {app: chat}}
  template:
    metadata: {labels: {app: chat, lastcall.dev/inject: "true"}}
    spec:
      containers:
        - name: app
          image: app
          ports: [{name: http, containerPort: 8000}]
          lifecycle: {preStop: {exec: {command: [sleep, "20"]}}}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: chat}\nspec: {selector: {app: chat}}\n"


@pytest.fixture
def manifest(tmp_path):
    def write(*documents, name="all.yaml"):
        path = tmp_path / name
        path.write_text("---\n".join(documents))
        return str(path)

    return write


def test_a_template_gets_its_sidecar_and_everything_else_is_as_it_was(manifest, capsys):
    assert cli.main(["inject", "-f", manifest(PROXY, WORKLOAD, SERVICE), "--sidecar-image", "r/lastcall:1"]) == 0
    said = capsys.readouterr()
    proxy, workload, service = yaml.safe_load_all(said.out)
    assert (proxy, service) == (yaml.safe_load(PROXY), yaml.safe_load(SERVICE))
    pod = workload["spec"]["template"]["spec"]
    assert [(made["name"], made["image"]) for made in pod["initContainers"]] == [("lastcall", "r/lastcall:1")]
    assert pod["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain/wait?role=app"
    assert "Deployment/chat: PreStopReplaced" in said.err


def test_what_was_printed_can_be_given_again(manifest, capsys):
    cli.main(["inject", "-f", manifest(PROXY, WORKLOAD)])
    once = capsys.readouterr().out
    cli.main(["inject", "-f", manifest(once, name="once.yaml")])
    assert capsys.readouterr().out == once


def test_proxies_come_from_another_file_and_scripts_get_a_list(manifest, capsys):
    proxies = manifest(PROXY, name="proxies.yaml")
    assert cli.main(["inject", "-f", manifest(WORKLOAD), "--proxy", proxies, "-o", "json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert item["spec"]["template"]["metadata"]["labels"]["lastcall.dev/sidecar"] == "true"


def test_nothing_that_asks_is_said(manifest, capsys):
    assert cli.main(["inject", "-f", manifest(SERVICE)]) == 0
    assert "no pod in there asks for a sidecar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        pytest.param([WORKLOAD], "Deployment/chat: ", id="no proxy selects it"),
        pytest.param([PROXY.replace("http}", "grpc}"), WORKLOAD], "grpc", id="no such port"),
        pytest.param(
            [PROXY.replace("Ingress", "Sideways")], "document 1 (StreamProxy chat): spec.mode", id="a bad proxy"
        ),
        pytest.param(["- 1\n"], "document 1: not a Kubernetes object", id="no object"),
        pytest.param(["a: [\n"], "is no YAML", id="no YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_document(manifest, capsys, documents, sentence):
    assert cli.main(["inject", "-f", manifest(*documents)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lastcall: ")
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_not_there_is_a_sentence(capsys):
    assert cli.main(["inject", "-f", "no-such.yaml"]) == 1
    assert capsys.readouterr().err == "lastcall: no-such.yaml: No such file or directory\n"


@pytest.mark.parametrize(
    ("of_workload", "of_proxy", "words", "code"),
    [
        pytest.param(None, None, [], 0, id="neither names one"),
        pytest.param(None, None, ["-n", "llm"], 0, id="both are in the one that is said"),
        pytest.param("llm", None, ["-n", "llm"], 0, id="the workload names it"),
        pytest.param(None, "llm", ["-n", "llm"], 0, id="the proxy names it"),
        pytest.param("llm", None, [], 0, id="the proxy goes with any"),
        pytest.param("other", None, ["-n", "llm"], 1, id="the workload is elsewhere"),
        pytest.param(None, "other", ["-n", "llm"], 1, id="the proxy is elsewhere"),
        pytest.param("llm", "other", [], 1, id="two namespaces"),
    ],
)
def test_what_names_no_namespace_is_in_the_one_that_is_said(manifest, of_workload, of_proxy, words, code):
    def within(text, namespace):
        document = yaml.safe_load(text)
        if namespace:
            document["metadata"]["namespace"] = namespace
        return yaml.safe_dump(document)

    path = manifest(within(PROXY, of_proxy), within(WORKLOAD, of_workload))
    assert cli.main(["inject", "-f", path, *words]) == code
