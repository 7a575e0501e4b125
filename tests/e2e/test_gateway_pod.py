"""What runs in the pod, and what becomes of everybody when it is killed."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Figures
from tests.e2e.gauge import settled, watched
from tests.e2e.kube import GATEWAY, GATEWAY_URL, Api, CommandFailedError, get, helm, kill, kubectl, until
from tests.e2e.load import Ask, Load, Shape
from tests.e2e.verdict import Verdict, summary
from tests.support.raw_client import Answer, End, RawClient

pytestmark = pytest.mark.e2e

_HEADERS = [("x-api-key", "a-client"), ("anthropic-version", "2023-06-01"), ("connection", "close")]


async def _python(pod: str, program: str) -> str:
    return await kubectl("exec", pod, "--", "python", "-c", program)


async def test_the_container_is_nobody_special_and_can_write_nothing_but_its_own_folders(api: Api) -> None:
    pod = (await api.pods())[0].name
    facts = json.loads(
        await _python(
            pod,
            "import json, os; status = dict(line.split(':', 1) for line in open('/proc/1/status'));"
            "print(json.dumps({'uid': os.getuid(), 'gid': os.getgid(), 'groups': os.getgroups(),"
            " 'caps': status['CapEff'].strip(), 'no_new_privileges': status['NoNewPrivs'].strip(),"
            " 'seccomp': status['Seccomp'].strip(),"
            " 'token': os.path.exists('/var/run/secrets/kubernetes.io/serviceaccount/token')}))",
        )
    )
    assert facts == {
        "uid": 65532,
        "gid": 65532,
        "groups": [65532],
        "caps": "0" * 16,
        "no_new_privileges": "1",
        "seccomp": "2",
        "token": False,
    }
    for folder in ("/", "/opt/lastcall", "/etc/lastcall", "/etc/lastcall/config", "/home", "/usr/local"):
        with pytest.raises(CommandFailedError, match="Read-only file system"):
            await _python(pod, f"open('{folder}/x', 'w')")
    for folder in ("/run/lastcall", "/tmp"):
        await _python(pod, f"import os; open('{folder}/x', 'w').close(); os.remove('{folder}/x')")
    with pytest.raises(CommandFailedError, match="No module named pip"):
        await kubectl("exec", pod, "--", "python", "-m", "pip", "--version")


async def test_the_control_socket_is_the_container_s_own(api: Api) -> None:
    pod = (await api.pods())[0].name
    mode = await _python(pod, "import os; print(oct(os.stat('/run/lastcall/control.sock').st_mode & 0o777))")
    assert mode.strip() == "0o600"
    assert "serving" in (await kubectl("exec", pod, "--", "lastcall-sidecar", "status")).lower()


async def test_the_pod_knows_its_own_name_and_uid(api: Api) -> None:
    for pod in await api.pods():
        account = await api.livez(pod.name)
        assert account is not None
        assert (account["pod"], account["pod_uid"]) == (pod.name, pod.uid)


async def test_helm_test_streams_through_the_gateway(api: Api) -> None:
    output = await helm("test", "lastcall", "--logs")
    assert "a whole stream of" in output
    assert "message_stop" in output


async def test_the_api_server_accepts_the_chart_with_everything_turned_on(api: Api, tmp_path: Path) -> None:
    values = tmp_path / "values.json"
    values.write_text(
        json.dumps(
            {
                "fullnameOverride": "everything",
                # They are in the cluster, and another release's.
                "crds": {"enabled": False},
                "operator": {"networkPolicy": {"enabled": True}},
                "gateway": {
                    "clientApiKeys": {"value": "one\n"},
                    "autoscaling": {"enabled": True},
                    "ingress": {"enabled": True, "hosts": ["llm.example"]},
                    "networkPolicy": {"enabled": True, "adminFrom": [{"namespaceSelector": {}}], "egress": [{}]},
                },
            }
        )
    )
    chart = str(Path(__file__).parents[2] / "charts" / "lastcall")
    rendered = await helm("template", "everything", chart, "--values", str(values), "--validate")
    applied = await kubectl("apply", "--dry-run=server", "--filename=-", stdin=rendered.encode())
    for kind in (
        "deployment.apps",
        "service",
        "configmap",
        "secret",
        "horizontalpodautoscaler",
        "networkpolicy",
        "ingress",
    ):
        assert kind in applied
    assert "Warning" not in applied


async def test_a_killed_container_takes_only_its_own_streams_along_and_comes_back(
    api: Api, diagnostics: Path, figures: Figures
) -> None:
    shape = Shape(clients=24, shortest_seconds=20.0, longest_seconds=24.0, longest_pause_seconds=0.2, plain_share=0.0)
    async with watched(api, diagnostics) as books, Load(GATEWAY_URL, shape) as load:
        await load.saturated()
        finishing = asyncio.create_task(load.finish())  # nobody new: only what is under way counts here
        before = {uid: seen.pod.restarts for uid, seen in books.pods.items()}
        accounts: list[tuple[int, str, str]] = []

        async def all_are_there() -> bool:
            found = [await api.livez(seen.pod.name) for seen in books.pods.values()]
            accounts[:] = [(each["in_flight"], each["pod"], each["pod_uid"]) for each in found if each]
            return sum(in_flight for in_flight, *_ in accounts) == load.live

        # What a client has begun, a pod carries: from here on nothing comes, and for 20 s nothing ends.
        await until(all_are_there, 20, "the pods carry what the clients have begun")
        assert load.outcomes == []
        carried, name, uid = max(accounts)
        await kill(name, "gateway", "serve")
        outcomes = await finishing
        pods = {pod.uid: pod for pod in await settled(api, within_seconds=60)}
    figures(load, books)

    broken = load.broken()
    assert carried > 0
    assert len(broken) == carried, summary(outcomes)
    assert all(outcome.verdict is Verdict.DROPPED for outcome in broken), summary(outcomes)
    after = {uid: pod.restarts for uid, pod in pods.items()}
    assert after == {**before, uid: before[uid] + 1}
    assert (await get("deployment", GATEWAY))["status"]["readyReplicas"] == 3


async def _streamed(seconds: float, number: int) -> Answer:
    """A stream through the gateway, to whatever end."""
    async with await RawClient.connect(GATEWAY_URL) as client:
        ask = Ask(number, seconds, stream=True, noise=False)
        await client.request("POST", "/v1/messages", [*_HEADERS, ("content-type", "application/json")], ask.body)
        return await client.answer()


def _is_an_error_of_anthropic_s(text: bytes) -> None:
    told = json.loads(text)
    assert told["type"] == "error"
    assert told["error"]["type"] == "api_error"
    assert told["error"]["message"]


async def test_a_killed_upstream_is_told_in_the_protocol_s_own_words_and_its_return_is_found(api: Api) -> None:
    async def in_flight() -> int:
        found = [await api.livez(pod.name) for pod in await api.pods()]
        return sum(account["in_flight"] for account in found if account)

    async def carries(count: int) -> bool:
        return await in_flight() == count

    (upstream,) = (await get("pods", "--selector=app=upstream"))["items"]
    live = [asyncio.create_task(_streamed(40, number)) for number in range(9)]
    await until(lambda: carries(9), 30, "nine streams are under way")
    try:
        # Nobody new gets there: else the kubelet has it up again before anybody could ask.
        await kubectl("patch", "service", "upstream", "--patch", '{"spec": {"selector": {"app": "nobody"}}}')
        await kill(upstream["metadata"]["name"], "fake-llm", "fake-llm")
        for answer in await asyncio.wait_for(asyncio.gather(*live), 30):
            assert answer.head.status == 200
            assert answer.end is End.COMPLETE  # the error is the end: the client need not guess
            last = answer.events()[-1][1]
            assert last.startswith(b"event: error\n"), last
            _is_an_error_of_anthropic_s(last.partition(b"data: ")[2])
            assert b"message_stop" not in bytes(answer.body)
        await until(lambda: carries(0), 10, "nothing is in flight")
        for number in range(6):
            answer = await _streamed(1, number)
            assert answer.head.status == 502
            _is_an_error_of_anthropic_s(bytes(answer.body))
    finally:
        await kubectl("patch", "service", "upstream", "--patch", '{"spec": {"selector": {"app": "upstream"}}}')

    async def serves() -> bool:
        return (await _streamed(0.1, 1)).head.status == 200

    await until(serves, 60, "the gateway finds its upstream again")
    await kubectl("rollout", "status", "deployment/upstream", "--timeout=60s")
    for number in range(6):
        answer = await _streamed(1, number)
        assert (answer.head.status, answer.end) == (200, End.COMPLETE)
        assert answer.events()[-1][1].startswith(b"event: message_stop\n")
