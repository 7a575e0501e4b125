"""The ceiling: whoever is still served when it comes is told so in words of its own protocol, counted and logged."""

import asyncio
import json
import time

import pytest
from tests.support.calls import HEADERS, call, error_event, is_whole, question
from tests.support.gated import EVENTS_BEFORE_GATE, GatedUpstream
from tests.support.metrics import scrape
from tests.support.raw_client import Answer, End, NoAnswerError, RawClient
from tests.support.running import gated_sidecar, running, together
from tests.support.scripted_upstream import Connection, Request, chunk, head, sse_head
from tests.support.sidecar_process import SidecarProcess

from lastcall_sidecar.testing.directives import find
from lastcall_sidecar.testing.planning import last_user_text, plan
from lastcall_sidecar.testing.script import write

CEILING_SECONDS = 2
SLACK_SECONDS = 4
LIMITS = {"drain": {"settleSeconds": 0, "ceilingSeconds": CEILING_SECONDS}}
NAMED = f"ceiling of {CEILING_SECONDS} s (drain.ceilingSeconds)"
#: The clients of a sidecar when the ceiling comes, and what each asks for.
ASKED = {
    "stream": question("[fake seed=1]"),
    "stream with half an event": question("[fake seed=2 misbehave=truncate]"),
    "plain, before its head": question("[fake seed=3]", stream=False),
    "plain, half its body": question("[fake seed=4 misbehave=truncate]", stream=False),
    "queued": question("[fake seed=5]"),
}
SLOTS = 4
UPLOADING = "uploading"


class Unfinished(GatedUpstream):
    """Leaves some answers in their very middle."""

    async def _answer(self, connection: Connection, request: Request) -> None:
        asked = json.loads(request.body)
        directive = find(last_user_text(asked))
        if directive.misbehave is None:
            await super()._answer(connection, request)
            return
        script = write(plan(asked, directive))
        if asked["stream"]:
            await connection.send(sse_head() + chunk(script.events[0]) + chunk(script.events[1][:20]))
        else:
            framing = ("content-type: application/json", f"content-length: {len(script.document)}")
            await connection.send(head("200 OK", *framing) + script.document[: len(script.document) // 2])
        await connection.wait_gone(3600)


def in_front_of(upstream: GatedUpstream, settings: dict) -> SidecarProcess:
    return SidecarProcess({"upstream": {"url": upstream.url}, **settings})


async def ask(sidecar: SidecarProcess, body: bytes) -> Answer | NoAnswerError:
    async with await RawClient.connect(sidecar.url) as client:
        await client.request("POST", "/v1/messages", HEADERS, body)
        try:
            return await client.answer()
        except NoAnswerError as error:
            return error


async def upload_half(sidecar: SidecarProcess) -> Answer | NoAnswerError:
    async with await RawClient.connect(sidecar.url) as client:
        request = client.request_bytes("POST", "/v1/messages", HEADERS, question())
        await client.send(request[:-10])
        try:
            return await client.answer()
        except NoAnswerError as error:
            return error


async def busy(sidecar: SidecarProcess) -> dict[str, asyncio.Task]:
    """Every kind of client there is, each at its place."""
    clients = {}
    for name, body in ASKED.items():
        clients[name] = asyncio.create_task(ask(sidecar, body))
        queued = int(name == "queued")
        await asyncio.to_thread(sidecar.wait_for, in_flight=len(clients), queued=queued)
    clients[UPLOADING] = asyncio.create_task(upload_half(sidecar))
    await asyncio.to_thread(sidecar.wait_for, in_flight=len(clients), streams=2)
    return clients


async def told(clients: dict[str, asyncio.Task]) -> dict[str, Answer | NoAnswerError]:
    return dict(zip(clients, await asyncio.gather(*clients.values()), strict=True))


async def by_sigterm():
    settings = {**LIMITS, "limits": {"maxConcurrent": SLOTS}}
    async with Unfinished() as upstream, running(in_front_of(upstream, settings)) as sidecar:
        clients = await busy(sidecar)
        started = time.monotonic()
        sidecar.terminate()
        answers = await told(clients)
        ended = time.monotonic()
        code = await asyncio.to_thread(sidecar.wait, 20)
        exited = time.monotonic()
        return {
            "answers": answers,
            "code": code,
            "told": ended - started,
            "exited": exited - started,
            "log": [json.loads(line) for line in sidecar.output().splitlines() if line.startswith("{")],
        }


async def by_prestop():
    """The control socket alone: the sidecar stays, and can be asked what it has done."""
    settings = {**LIMITS, "limits": {"maxConcurrent": SLOTS}}
    async with Unfinished() as upstream, running(in_front_of(upstream, settings)) as sidecar:
        clients = await busy(sidecar)
        waiter = asyncio.create_task(asyncio.to_thread(sidecar.command_line, "drain", "--wait"))
        answers = await told(clients)
        finished = await waiter
        livez = await asyncio.to_thread(sidecar.wait_for, in_flight=0)
        metrics = await scrape(sidecar)
        upstream.gate.set()
        late = await call(sidecar.url)
        after = await asyncio.to_thread(sidecar.livez)
        started = time.monotonic()
        sidecar.terminate()
        code = await asyncio.to_thread(sidecar.wait, 20)
        return {
            "answers": answers,
            "waiter": finished,
            "livez": livez,
            "metrics": metrics,
            "late": late,
            "after": after,
            "code": code,
            "exited": time.monotonic() - started,
        }


async def a_client_that_never_reads():
    text = "[fake events=64 event_bytes=100000]"
    async with gated_sidecar(LIMITS) as (upstream, sidecar):
        upstream.gate.set()
        async with await RawClient.connect(sidecar.url, receive_buffer_bytes=4096, limit_bytes=4096) as client:
            client.stop_reading()
            await client.request("POST", "/v1/messages", HEADERS, question(text))
            await asyncio.to_thread(sidecar.wait_for, streams=1)
            started = time.monotonic()
            sidecar.terminate()
            code = await asyncio.to_thread(sidecar.wait, 60)
            return {"code": code, "seconds": time.monotonic() - started}


async def a_client_that_never_reads_its_last_bytes():
    """The request is over for us, its last bytes are in our buffer, and nobody takes them."""
    text = "[fake events=64 event_bytes=9000]"
    async with gated_sidecar(LIMITS) as (upstream, sidecar):
        upstream.gate.set()
        async with await RawClient.connect(sidecar.url, receive_buffer_bytes=4096, limit_bytes=4096) as client:
            client.stop_reading()
            await client.request("POST", "/v1/messages", HEADERS, question(text, stream=False))
            await asyncio.to_thread(sidecar.wait_for, totals_accepted=1)
            started = time.monotonic()
            sidecar.terminate()
            code = await asyncio.to_thread(sidecar.wait, 120)
            return {"code": code, "seconds": time.monotonic() - started}


class Lingering(GatedUpstream):
    """Does not end its answer where the stream has ended."""

    async def _answer(self, connection: Connection, request: Request) -> None:
        script = write(plan(json.loads(request.body), find("")))
        await connection.send(sse_head() + b"".join(map(chunk, script.events)))
        await connection.wait_gone(3600)


async def a_stream_that_is_over():
    """Its client has had the terminal event when the ceiling comes: nothing is missing but the connection's own end."""
    async with Lingering() as upstream, running(in_front_of(upstream, LIMITS)) as sidecar:
        client = asyncio.create_task(ask(sidecar, question()))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        sidecar.terminate()
        answer = await client
        await asyncio.to_thread(sidecar.wait, 20)
        return {"answer": answer, "log": [json.loads(line) for line in sidecar.output().splitlines()]}


async def other_protocols():
    """What other clients than Anthropic's are told."""
    answers = {}
    async with GatedUpstream() as upstream:
        for name, settings in {
            "an app's own": {"mode": "Ingress", "upstream": {"url": upstream.url, "provider": "Any"}},
            "openai": {"upstream": {"url": upstream.url, "provider": "OpenAI"}},
        }.items():
            async with running(SidecarProcess({**settings, **LIMITS})) as sidecar:
                path = "/v1/chat/completions" if name == "openai" else "/chat"
                stream = asyncio.create_task(call(sidecar.url, path=path))
                await asyncio.to_thread(sidecar.wait_for, streams=1)
                sidecar.terminate()
                answers[name] = await stream
                assert await asyncio.to_thread(sidecar.wait, 20) == 0
    return answers


@pytest.fixture(scope="module")
def outcomes():
    return together(
        by_sigterm,
        by_prestop,
        a_client_that_never_reads,
        a_client_that_never_reads_its_last_bytes,
        a_stream_that_is_over,
        other_protocols,
    )


@pytest.fixture(params=["by_sigterm", "by_prestop"])
def seen(request, outcomes):
    return outcomes[request.param]


def test_a_stream_ends_with_an_error_event_that_names_the_ceiling(seen):
    answer = seen["answers"]["stream"]
    assert answer.head.status == 200
    assert len(answer.events()) == EVENTS_BEFORE_GATE + 1
    error = error_event(answer)
    assert error is not None
    assert error["type"] == "error"
    assert NAMED in error["error"]["message"]


def test_half_an_event_is_discarded_before_the_error_event(seen):
    answer = seen["answers"]["stream with half an event"]
    assert len(answer.events()) == 2
    assert answer.events()[0][1].startswith(b"event: message_start")
    assert NAMED in error_event(answer)["error"]["message"]


@pytest.mark.parametrize("name", ["plain, before its head", "queued", UPLOADING])
def test_whoever_has_had_nothing_yet_gets_a_503_that_names_the_ceiling(seen, name):
    answer = seen["answers"][name]
    assert answer.head.status == 503
    assert answer.head.get("connection") == "close"
    assert answer.end is End.COMPLETE
    assert NAMED in json.loads(answer.body)["error"]["message"]


def test_a_plain_answer_that_has_begun_is_left_unterminated(seen):
    answer = seen["answers"]["plain, half its body"]
    assert answer.head.status == 200
    assert answer.end is not End.COMPLETE


def test_after_sigterm_the_process_leaves_when_the_ceiling_has_come(outcomes):
    seen = outcomes["by_sigterm"]
    assert seen["code"] == 0
    assert CEILING_SECONDS <= seen["told"] <= seen["exited"] < CEILING_SECONDS + SLACK_SECONDS


def test_every_drop_is_logged_loudly(outcomes):
    log = outcomes["by_sigterm"]["log"]
    dropped = [line for line in log if line["event"] == "request dropped: the drain's ceiling was reached"]
    assert len(dropped) == len({line["request_id"] for line in dropped}) == len(ASKED)
    assert {line["level"] for line in dropped} == {"error"}
    assert log[-1]["event"] == "leaving"
    assert log[-1]["dropped"] == len(ASKED)


def test_a_stream_that_was_over_is_no_drop_and_not_called_one(outcomes):
    seen = outcomes["a_stream_that_is_over"]
    assert seen["answer"].end is End.COMPLETE
    assert seen["answer"].body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert [line for line in seen["log"] if line["level"] == "error"] == []
    assert (seen["log"][-1]["completed"], seen["log"][-1]["dropped"]) == (1, 0)


def test_the_waiter_is_told_that_the_drain_expired(outcomes):
    waiter = outcomes["by_prestop"]["waiter"]
    assert waiter.returncode == 1
    assert json.loads(waiter.stdout)["state"] == "expired"


def test_every_drop_is_counted(outcomes):
    seen = outcomes["by_prestop"]
    assert seen["livez"]["drain"]["state"] == "expired"
    # Whoever had not finished asking has lost no answer.
    assert seen["livez"]["totals"]["dropped"] == len(ASKED)
    assert seen["livez"]["totals"]["failed"] == 1
    assert seen["metrics"]["lastcall_streams_dropped_total", "ceiling"] == len(ASKED)
    assert seen["metrics"]["lastcall_drain_duration_seconds_count", "expired"] == 1


def test_an_expired_sidecar_still_serves_and_leaves_at_once_on_sigterm(outcomes):
    seen = outcomes["by_prestop"]
    assert is_whole(seen["late"])
    assert seen["after"]["drain"]["state"] == "expired"
    assert seen["code"] == 0
    assert seen["exited"] < SLACK_SECONDS


@pytest.mark.parametrize("name", ["a_client_that_never_reads", "a_client_that_never_reads_its_last_bytes"])
def test_nobody_who_does_not_read_holds_the_process_past_its_ceiling(outcomes, name):
    assert outcomes[name]["code"] == 0
    # Last words, and then last bytes, may take 5 s each; a pod's grace period has 30 s to spare.
    assert outcomes[name]["seconds"] < CEILING_SECONDS + 10 + SLACK_SECONDS


def test_an_apps_own_stream_gets_an_error_event_and_no_proper_end(outcomes):
    answer = outcomes["other_protocols"]["an app's own"]
    assert NAMED in error_event(answer)["error"]["message"]
    assert answer.end is not End.COMPLETE


def test_an_openai_stream_gets_its_error_and_no_done(outcomes):
    answer = outcomes["other_protocols"]["openai"]
    last = answer.events()[-1][1].decode()
    assert NAMED in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert b"[DONE]" not in answer.body
