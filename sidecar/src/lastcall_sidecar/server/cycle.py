"""One request and its answer, as the application has them: ASGI's `scope`, `receive` and `send`.

Made by `http1.py` for each head. Hypercorn's own `HTTPStream` passes each message through four objects, a lock and
h11; here a message is framed and written where it comes in. What the client sends waits here, too, at most one message
of it: then the socket is left alone, and TCP pushes back.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .answers import SWITCHING_PROTOCOLS, AnswerHead, BadAnswer, frame
from .heads import RequestHead

if TYPE_CHECKING:
    from .http1 import HTTP1

Message = Mapping[str, Any]

_DISCONNECT: Message = {"type": "http.disconnect"}
_ASGI = {"spec_version": "2.1", "version": "3.0"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Cycle:
    """A request under way. `put`, `leave` are the reader's; `receive`, `send` the application's."""

    __slots__ = (
        "_getter",
        "_messages",
        "_owner",
        "answer",
        "gone",
        "head",
        "left",
        "may_switch",
        "over",
        "scope",
        "waits_for_continue",
    )

    def __init__(self, owner: "HTTP1", head: RequestHead) -> None:
        self._owner = owner
        self._messages: deque[Message] = deque()
        self._getter: asyncio.Future[None] | None = None
        self.head = head
        #: The client is gone, or what it sent was refused: nothing more is sent to it.
        self.gone = False
        #: The answer is whole.
        self.over = False
        #: The answer's head, once it has left, and how much of its length is still to come.
        self.answer: AnswerHead | None = None
        self.left = 0
        self.waits_for_continue = head.expects_continue
        #: Whether the next bytes of the client may be another protocol's.
        self.may_switch = bool(head.upgrade) and head.may_switch
        path, _, query = head.target.partition(b"?")
        connection = owner.connection
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": head.version,
            "asgi": _ASGI,
            "method": head.method,
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": head.headers,
            "client": connection.client,
            "server": connection.server,
            "state": {},
            "extensions": {
                "lastcall.connection": connection,
                #: As it came: ASGI's path and query lose a `?` with nothing behind it.
                "lastcall.target": head.target,
                #: In the client's own spelling.
                "lastcall.headers": head.raw_headers,
            },
        }
        if head.upgrade:
            #: The protocols that the client offers, and whether it could change to one of them here.
            self.scope["extensions"]["lastcall.upgrade"] = head.upgrade
            self.scope["extensions"]["lastcall.may_switch"] = head.may_switch

    # From the client.

    @property
    def full(self) -> bool:
        """Whether a message waits here, so that no more is to be read yet."""
        return bool(self._messages)

    def put(self, body: bytes, more: bool) -> None:
        """A part of the body came; without `more`, its end."""
        self.waits_for_continue = False
        if not self.over:
            self._messages.append({"type": "http.request", "body": body, "more_body": more})
            self._wake()

    def leave(self) -> None:
        """The client is gone, or nobody is to hear more of it: overtakes what waits here, but for a tunnel's bytes."""
        self.gone = True
        if self.answer is None or not self.answer.tunnel:
            self._messages.clear()
        self._wake()

    def _wake(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)

    async def receive(self) -> Message:
        """ASGI's: the next part of the body; after its end, and repeatedly, that the client is gone."""
        if self.waits_for_continue and self.answer is None and not self.gone:
            self.waits_for_continue = False
            self._owner.connection.write(_CONTINUE)
        while not self._messages:
            if self.gone:
                return _DISCONNECT
            self._getter = self._owner.connection.loop.create_future()
            await self._getter
        message = self._messages.popleft()
        self._owner.wants_more()
        return message

    # To the client.

    @property
    def answered(self) -> bool:
        """Whether the client has all of the answer, so that its next request is no pipelining."""
        return self.over or (self.answer is not None and self.answer.length is not None and self.left == 0)

    async def send(self, message: Message) -> None:
        """ASGI's: the answer's head, then its body; waits while the client is behind. To nobody, it does nothing.

        Errors: BadAnswer.
        """
        if self.gone:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.answer is not None and not self.over:
            more = message.get("more_body", False)
            connection = self._owner.connection
            if data := self._framed(self.answer, message.get("body", b""), more):
                connection.write(data)
                if connection.is_behind():
                    await connection.drained()
            if not more:
                self._owner.finished(self)
        elif kind == "http.response.start" and self.answer is None:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise BadAnswer(f"{kind} has no place here")

    def _begin(self, status: int, headers: Any) -> None:
        owner, head = self._owner, self.head
        if status == SWITCHING_PROTOCOLS and not self.may_switch:
            raise BadAnswer("nobody offered to change the protocol")
        self.answer = frame(
            status,
            headers,
            is_head=head.method == "HEAD",
            chunks=head.version == "1.1",
            # What is left of a body that we refuse may never come: no other request can follow.
            close=owner.close_after or (status >= 400 and not owner.read_whole),
        )
        self.left = self.answer.length or 0
        owner.connection.write(self.answer.data)
        if self.answer.tunnel:
            owner.begin_tunnel()

    def _framed(self, answer: AnswerHead, body: bytes, more: bool) -> bytes:
        """A part of the body as it leaves; with the last one goes what ends it."""
        if not more:
            self.over = True
        if answer.bodiless:
            return b""
        if answer.chunked:
            if more:
                return b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        if answer.length is not None:
            self.left -= len(body)
            if self.left < 0 or (self.left and not more):
                self.over = False
                raise BadAnswer("the body is not as long as its Content-Length")
        return body
