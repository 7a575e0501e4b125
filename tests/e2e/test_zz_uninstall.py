"""Scenario 10, the other half: after `helm uninstall` workloads serve, new pods start, and nothing is stuck.

The last file of the folder: it takes Lastcall away, and puts it back for whoever runs the tests again.
"""

import subprocess

import pytest

from tests.e2e import kube
from tests.e2e.kube import run
from tests.e2e.stage import (
    app_container,
    broken,
    deployment,
    drain_policy,
    pod_template,
    service,
    staged,
    stream_proxy,
)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

_BASE = ("kubectl", "--context", kube.CONTEXT)


async def test_after_uninstall_workloads_serve_and_new_pods_start(cluster: None) -> None:
    async with staged("uninstall") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 2))
        pods = await stage.ready(2)
        held = [stage.hold(pod, 2, 45) for pod in pods]
        await stage.carries(dict.fromkeys(pods, 2))
        try:
            await kube.helm("uninstall", "lastcall", "--wait", "--timeout=150s")
            assert broken([verdict for pod in held for verdict in await pod.wait()]) == []
            for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
                assert "lastcall" not in await run(*_BASE, "get", kind, "--output=name")
            for pod in await stage.pods():
                marks = pod["metadata"]["annotations"]
                assert "controller.kubernetes.io/pod-deletion-cost" not in marks
                assert "finalizers" not in pod["metadata"]
            await stage.kubectl("scale", "deployment/chat", "--replicas=3")
            await stage.ready(3)
            await stage.kubectl("delete", "streamproxies,drainpolicies", "--all", "--timeout=20s")
        finally:
            done = subprocess.run([kube.ROOT / "scripts" / "kind-up"], capture_output=True, text=True, check=False)  # noqa: ASYNC221
            assert done.returncode == 0, done.stdout + done.stderr
