"""With a token of the operator's or the webhook's nobody changes a pod but for our own annotations."""

import json

import pytest

from tests.e2e import kube
from tests.e2e.kube import CommandFailedError

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

_ACCOUNTS = ["lastcall-operator", "lastcall-webhook"]


async def _patch(account: str, what: str, change: object, namespace: str = kube.NAMESPACE) -> str:
    user = f"system:serviceaccount:{kube.NAMESPACE}:{account}"
    return await kube.kubectl(
        "patch", what, "--namespace", namespace, f"--as={user}", "--type=merge", f"--patch={json.dumps(change)}",
        "--dry-run=server",
    )  # fmt: skip


async def _gateway_pod() -> str:
    """One that stays: of a pod that is being deleted the API server refuses some changes itself."""
    pods = (await kube.get("pods", "--selector", kube.GATEWAY_PODS))["items"]
    return next(str(pod["metadata"]["name"]) for pod in pods if "deletionTimestamp" not in pod["metadata"])


@pytest.mark.parametrize("account", _ACCOUNTS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"spec": {"activeDeadlineSeconds": 60}}, "do not change a spec", id="a spec"),
        pytest.param({"metadata": {"labels": {"app": "other"}}}, "no labels", id="a label"),
        pytest.param({"metadata": {"finalizers": ["a.example/b"]}}, "no labels, finalizers", id="a finalizer"),
        pytest.param({"metadata": {"annotations": {"other": "x"}}}, "no annotations but", id="another's annotation"),
    ],
)
async def test_a_stolen_token_changes_no_pod(cluster: None, account: str, change: object, words: str) -> None:
    pod = await _gateway_pod()
    with pytest.raises(CommandFailedError, match=words):
        await _patch(account, f"pod/{pod}", change)


@pytest.mark.parametrize("account", _ACCOUNTS)
async def test_our_own_annotations_are_ours_to_write(cluster: None, account: str) -> None:
    pod = await _gateway_pod()
    marks = {"lastcall.dev/held-since": "x", "controller.kubernetes.io/pod-deletion-cost": "3"}
    assert "patched" in await _patch(account, f"pod/{pod}", {"metadata": {"annotations": marks}})


async def test_the_controller_writes_no_configmap_but_ours(cluster: None) -> None:
    with pytest.raises(CommandFailedError, match="whose names begin with lastcall-"):
        await _patch("lastcall-operator", "configmap/kube-root-ca.crt", {"data": {"ca.crt": "x"}})


async def test_the_controller_deletes_no_configmap_but_ours(cluster: None) -> None:
    user = f"system:serviceaccount:{kube.NAMESPACE}:lastcall-operator"
    with pytest.raises(CommandFailedError, match="whose names begin with lastcall-"):
        await kube.kubectl(
            "delete", "configmap/kube-root-ca.crt", "--namespace", kube.NAMESPACE, f"--as={user}", "--dry-run=server"
        )
