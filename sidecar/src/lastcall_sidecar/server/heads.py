"""The head of a request: bytes to a `RequestHead`, or the reason why they are refused. Pure; used by `http1.py`.

One grammar, RFC 9112's, without the leniences that it permits: what two readers could take for two things is how
requests get smuggled. So: no folded lines, no bare CR or LF, no blank before a colon, no control character anywhere,
`Content-Length` or `Transfer-Encoding` once and not both, exactly one `Host`. The patterns are possessive: each byte
of a head is looked at once, however it was made.

h11 asks the same in ten times the time, and llhttp (`httptools`) is lenient in places, so that a pattern like this one
would have to stand before it all the same.
"""

import re
from dataclasses import dataclass

#: What a head ends with, and the longest that we take, in bytes: what common proxies pass on.
HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 65536
#: Header fields of a request, and trailer fields of a body; each costs microseconds, and 65,536 bytes would hold
#: 16,000. Clients send 20, proxies in front of them add ten.
MAX_FIELDS = 200
#: A request's method and the names of headers (RFC 9110, 5.6.2).
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
#: A header's value: no control character but the tab; bytes above 127 are opaque.
VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
#: Digits of a `Content-Length`: more than any body has, and few enough to be read cheaply.
MAX_LENGTH_DIGITS = 19

_HEAD = re.compile(
    rb"(%b) ([!-~]++) HTTP/([0-9]\.[0-9])\r\n((?:%b:%b\r\n)*+)\r\n" % (TOKEN, TOKEN, VALUE),
)
_LINE_END = b"\r\n"
_LINE = re.compile(rb"([^:]++):([^\r]*+)\r\n")
#: A line end that is none, in a head whose own end has not come yet.
BARE_LF = re.compile(rb"(?:\A|[^\r])\n")
_DECIDING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})
_AMBIGUOUS = "Content-Length and Transfer-Encoding: one of them, once"
#: A first byte below this begins no method: TLS, most often.
_FIRST = 0x21

Headers = list[tuple[bytes, bytes]]


class BadRequest(Exception):  # noqa: N818 - it says what came
    """These bytes are no request that we serve; the message repeats nothing of them."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class RequestHead:
    """A head that means one thing only."""

    method: str
    #: The request's target as it came.
    target: bytes
    #: `1.0` or `1.1`.
    version: str
    #: In the client's own spelling, and with lower-case names; values without the blanks around them.
    raw_headers: Headers
    headers: Headers
    #: Bytes of the body that follows; 0 for none, None for chunks.
    length: int | None = 0
    #: Whether another request may follow on the connection.
    keep_alive: bool = True
    #: Whether the client waits to be told to send its body.
    expects_continue: bool = False
    #: The protocols, but for h2c, to which the client would change; and whether it could: it says so for this
    #: connection, and no body comes first.
    upgrade: bytes = b""
    may_switch: bool = False


def parse_head(data: bytes) -> RequestHead:
    """Read a head, its blank line included.

    Errors: BadRequest.
    """
    check_fields(data.count(_LINE_END) - 2)  # of the request line, and of the empty one
    match = _HEAD.fullmatch(data)
    if match is None:
        raise BadRequest(400, "this is not HTTP/1.1")
    method, target, version, lines = match.groups()
    raw = [(name, value.strip(b" \t")) for name, value in _LINE.findall(lines)]
    headers = [(name.lower(), value) for name, value in raw]
    head = RequestHead(method.decode("ascii"), target, version.decode("ascii"), raw, headers)
    said: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _DECIDING:
            said.setdefault(name, []).append(value)
    _check_host(head, said)
    _decide_framing(head, said.get(b"content-length", []), said.get(b"transfer-encoding", []))
    _check_service(head, said)
    head.keep_alive = head.version == "1.1" and not _names(b"close", said.get(b"connection"))
    head.expects_continue = head.version == "1.1" and _names(b"100-continue", said.get(b"expect"))
    return head


def check_fields(fields: int) -> None:
    """Refuse too many.

    Errors: BadRequest (431).
    """
    if fields > MAX_FIELDS:
        raise BadRequest(431, f"more than {MAX_FIELDS} header fields")


def _check_host(head: RequestHead, said: dict[bytes, list[bytes]]) -> None:
    hosts = len(said.get(b"host", ()))
    if hosts > 1 or (hosts == 0 and head.version == "1.1"):
        raise BadRequest(400, "exactly one Host header")


def _decide_framing(head: RequestHead, lengths: list[bytes], codings: list[bytes]) -> None:
    """Find where the body ends; refuse what can be read in two ways (RFC 9112, 6.3), and codings but one `chunked`."""
    if codings:
        if lengths:
            raise BadRequest(400, _AMBIGUOUS)
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadRequest(501, "of the transfer codings only chunked is served here, once")
        if head.version == "1.0":
            raise BadRequest(400, "HTTP/1.0 has no Transfer-Encoding")
        head.length = None
    elif lengths:
        if len(lengths) > 1 or b"," in lengths[0]:
            raise BadRequest(400, _AMBIGUOUS)
        if not (lengths[0].isdigit() and len(lengths[0]) <= MAX_LENGTH_DIGITS):
            raise BadRequest(400, "Content-Length: digits")
        head.length = int(lengths[0])


def _check_service(head: RequestHead, said: dict[bytes, list[bytes]]) -> None:
    """Refuse what is another protocol's, or the beginning of one."""
    if head.version not in {"1.0", "1.1"}:
        raise BadRequest(505, "HTTP/1.1 only: HTTP/2 needs TLS, which is the mesh's or the ingress' business")
    if head.method == "CONNECT":
        raise BadRequest(501, "CONNECT is not served here")
    if head.version == "1.1":  # HTTP/1.0 knows no upgrade (RFC 9110, 7.8)
        offered = [one.strip(b" \t") for value in said.get(b"upgrade", ()) for one in value.split(b",")]
        head.upgrade = b", ".join(one for one in offered if one and one.lower() != b"h2c")
        head.may_switch = head.length == 0 and _names(b"upgrade", said.get(b"connection"))


def _names(option: bytes, values: list[bytes] | None) -> bool:
    """Whether a list of options holds this one."""
    return values is not None and any(option == one.strip() for value in values for one in value.lower().split(b","))


def check_beginning(data: bytearray | bytes, seen: int) -> None:
    """Refuse the beginning of a head that can become none; its first `seen` bytes have been asked about before.

    Errors: BadRequest.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise BadRequest(431, "the request's head is too large")
    if data[0] < _FIRST or BARE_LF.search(data, max(0, seen - 1)):
        raise BadRequest(400, "this is not HTTP/1.1")
