"""What anybody may send to the webhook's port: bounded in size, in sum and in time, and never a traceback."""

import asyncio
import json

import pytest

from lastcall_operator.cluster.resources import STREAM_PROXIES
from lastcall_operator.webhook.bodies import MAX_BODY_BYTES, BoundedBodies

from .stage import HOST, staged

POD_SPEC = {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8000}]}]}
PATHS = ["/mutate/pods", "/validate/removals"]


@pytest.fixture
async def stage():
    async with staged() as found:
        yield found


async def connected(stage, path, length):
    """A connection whose request has been begun, with a body of so many bytes to come."""
    port = stage.webhooks[0][1].webhook_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=stage.trusted, server_hostname=HOST)
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def status(reader):
    async with asyncio.timeout(10):
        return int((await reader.readline()).split()[1])


async def post(stage, path, data):
    reader, writer = await connected(stage, path, len(data))
    writer.write(data)
    found = await status(reader)
    writer.close()
    return found


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_too_large_is_refused_before_all_of_it_is_read(stage, path):
    reader, writer = await connected(stage, path, 16 * 1024 * 1024)
    writer.write(b" " * (MAX_BODY_BYTES + 1))
    assert await status(reader) == 413
    writer.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b"[" * 100_000, id="deep and open"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep"),
        pytest.param(b'{"request": ' * 50_000 + b"1" + b"}" * 50_000, id="deep objects"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"apiVersion": "admission.k8s.io/v1", "request": {"uid": 1}}', id="odd types"),
        pytest.param(b'{"request": {"uid": "u", "namespace": "n", "object": {"metadata": []}}}', id="odd metadata"),
    ],
)
async def test_what_is_no_review_is_told_so(stage, path, data):
    assert await post(stage, path, data) == 400


@pytest.mark.parametrize("labels", [[], ["a"], "lastcall.dev/inject", 7, None], ids=repr)
async def test_odd_labels_ask_for_nothing(stage, labels):
    review = {"request": {"uid": "u", "namespace": "default", "object": {"metadata": {"labels": labels}}}}
    assert await stage.call("/mutate/pods", review) == {"uid": "u", "allowed": True}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(7, id="a number"),
        pytest.param({"containers": 7}, id="containers that are a number"),
        pytest.param({"containers": ["a"]}, id="a container that is a text"),
        pytest.param({**POD_SPEC, "volumes": [{}]}, id="a volume without a name"),
        pytest.param({**POD_SPEC, "terminationGracePeriodSeconds": "x"}, id="a grace that is a text"),
        pytest.param({**POD_SPEC, "x": json.loads("[" * 900 + "]" * 900)}, id="deep"),
    ],
)
async def test_a_pod_as_no_api_server_has_one_is_told_so(stage, spec):
    chosen = {"selector": {"matchLabels": {"app": "chat"}}, "mode": "Ingress", "appPort": "http"}
    stage.cluster.put(STREAM_PROXIES, {"metadata": {"name": "chat", "namespace": "default"}, "spec": chosen})
    pod = {"metadata": {"labels": {"app": "chat", "lastcall.dev/inject": "true"}}, "spec": spec}
    review = {"request": {"uid": "u", "namespace": "default", "object": pod}}
    assert await post(stage, "/mutate/pods", json.dumps(review).encode()) == 400


class Request:
    """One request to an ASGI application: pieces of its body as they are put, and what was sent for it."""

    def __init__(self, app):
        self._pieces = asyncio.Queue()
        self.sent = []
        self.task = asyncio.create_task(app({"type": "http"}, self._pieces.get, self._send))

    async def _send(self, message):
        self.sent.append(message)

    def put(self, piece, more=True):
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self):
        self._pieces.put_nowait({"type": "http.disconnect"})

    @property
    def status(self):
        return self.sent[0]["status"]


async def echo(scope, receive, send):
    """An application that says how much it was given."""
    message = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(message["body"])).encode()})


async def test_all_bodies_together_are_bounded_and_given_back():
    app = BoundedBodies(echo, total_bytes=1000)
    first, second = Request(app), Request(app)
    first.put(b"x" * 900)
    while app.held_bytes < 900:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0)
    second.put(b"x" * 101)
    await second.task
    assert second.status == 503
    assert (b"connection", b"close") in second.sent[0]["headers"]
    first.put(b"x", more=False)
    await first.task
    assert (first.status, first.sent[1]["body"]) == (200, b"901")
    third = Request(app)
    third.put(b"x" * 1000, more=False)
    await third.task
    assert third.status == 200
    assert app.held_bytes == 0


async def test_a_body_that_does_not_come_is_ended():
    app = BoundedBodies(echo, body_seconds=0.01)
    request = Request(app)
    request.put(b"{")
    await request.task
    assert request.status == 408
    assert app.held_bytes == 0


async def test_nothing_is_said_to_a_client_that_left():
    app = BoundedBodies(echo)
    request = Request(app)
    request.put(b"{")
    request.leave()
    await request.task
    assert request.sent == []
    assert app.held_bytes == 0


async def test_large_bodies_are_answered_one_at_a_time():
    under_way, most = 0, 0

    async def slow(scope, receive, send):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        await echo(scope, receive, send)
        under_way -= 1

    app = BoundedBodies(slow)
    requests = [Request(app) for _ in range(4)]
    for request in requests:
        request.put(b"x" * 300_000, more=False)
    await asyncio.gather(*(request.task for request in requests))
    assert [request.status for request in requests] == [200] * 4
    assert most == 1
