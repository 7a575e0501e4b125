"""The process from start to SIGTERM: not ready at once, serving for a while yet, and then gone."""

import asyncio
import signal
import sys

import aiohttp

from lastcall_operator.cluster.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from lastcall_operator.testing import FakeCluster

from .stage import free_ports

PROGRAM = """
import asyncio, sys
from lastcall_operator.settings import Settings
from lastcall_operator.webhook.process import main
asyncio.run(main(Settings(
    own_namespace="lastcall", fullname="f", webhook_port=int(sys.argv[1]), admin_port=int(sys.argv[2]),
    kubeconfig=sys.argv[3],
)))
"""


async def status(port, path):
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}{path}", headers={"connection": "close"}) as answer,
        ):
            return answer.status
    except aiohttp.ClientError:
        return None


async def until(port, path, wanted):
    async with asyncio.timeout(30):
        while await status(port, path) != wanted:  # noqa: ASYNC110 - another process is watched from outside
            await asyncio.sleep(0.05)


async def test_it_leaves_before_it_ends(tmp_path):
    async with FakeCluster() as cluster:
        for resource, name in ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals")):
            cluster.put(resource, {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {}}]})
        config = tmp_path / "config"
        config.write_text(
            "{apiVersion: v1, kind: Config, current-context: c,"
            f" clusters: [{{name: k, cluster: {{server: '{cluster.url}'}}}}], users: [{{name: u, user: {{token: t}}}}],"
            " contexts: [{name: c, context: {cluster: k, user: u}}]}"
        )
        tls, plain = free_ports(2)
        arguments = (sys.executable, "-c", PROGRAM, str(tls), str(plain), str(config))
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        await until(plain, "/readyz", 200)
        process.send_signal(signal.SIGTERM)
        await until(plain, "/readyz", 503)
        assert await status(plain, "/livez") == 200
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0
        events = [part for part in ("webhook.started", "webhook.leaving", "webhook.ended") if part in output.decode()]
        assert events == ["webhook.started", "webhook.leaving", "webhook.ended"]
