"""Which headers go on, and what of a client's text may be repeated."""

import pytest

from lastcall_sidecar.wire.headers import echoable, joined, options, request_headers, response_headers

KEPT = [
    (b"Host", b"api"),
    (b"x-api-key", b"sk-1"),
    (b"Accept", b"a"),
    (b"ACCEPT", b"b"),
    (b"traceparent", b"00-1"),
    (b"anthropic-beta", b""),
    (b"content-length", b"7"),
]

HOP_BY_HOP = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authentication-Info",
    b"Proxy-Authorization",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
    b"HTTP2-Settings",
]

BOTH = pytest.mark.parametrize("which", [request_headers, response_headers], ids=["request", "response"])


@BOTH
def test_the_rest_keeps_order_case_and_duplicates(which):
    assert which(KEPT, keep_cookies=False) == KEPT
    assert which([], keep_cookies=False) == []


@BOTH
@pytest.mark.parametrize("name", [*HOP_BY_HOP, b"cOnNeCtIoN"], ids=bytes.decode)
def test_hop_by_hop_headers_stay_behind(which, name):
    assert which([*KEPT[:2], (name, b"x"), *KEPT[2:]], keep_cookies=True) == KEPT


@BOTH
@pytest.mark.parametrize(
    "connections",
    [[b"close, X-One , x-two"], [b"x-one", b"X-TWO"], [b"x-two\t,,x-one,"]],
    ids=["one header", "two headers", "odd lists"],
)
def test_what_connection_names_stays_behind(which, connections):
    raw = [(b"x-one", b"1"), *KEPT, (b"X-Two", b"2"), *[(b"Connection", value) for value in connections]]
    assert which(raw, keep_cookies=True) == KEPT


@BOTH
@pytest.mark.parametrize(
    "name", [b"x-lastcall-request-id", b"X-Lastcall-Token-Count", b"x-LASTCALL-"], ids=bytes.decode
)
def test_nobody_speaks_in_our_name(which, name):
    assert which([*KEPT[:2], (name, b"x"), *KEPT[2:]], keep_cookies=True) == KEPT


def test_lines_of_one_name_are_one_list():
    lines = [(b"A", b"1"), (b"b", b""), (b"a", b"2, 3"), (b"B", b"x")]
    assert joined(lines) == {b"a": b"1, 2, 3", b"b": b", x"}
    assert joined([]) == {}


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"gzip", [b"gzip"]),
        (b" Gzip ,\tidentity", [b"gzip", b"identity"]),
        (b"", []),
        (b" , ,a", [b"a"]),
    ],
)
def test_a_list_is_its_members(value, members):
    assert options(value) == members


@BOTH
def test_dropped_are_those_asked_for(which):
    raw = [(b"X-API-Key", b"ours"), (b"authorization", b"theirs")]
    assert which(raw, keep_cookies=True, drop=frozenset({b"x-api-key"})) == [(b"authorization", b"theirs")]


@pytest.mark.parametrize("name", [b"Expect", b"baggage"], ids=bytes.decode)
def test_a_request_leaves_more_behind_than_a_response(name):
    raw = [(name, b"x")]
    assert request_headers(raw, keep_cookies=True) == []
    assert response_headers(raw, keep_cookies=True) == raw


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "dropped"])
def test_cookies_go_on_only_where_they_belong_to_the_app(keep):
    cookie, set_cookie = (b"Cookie", b"a=b"), (b"Set-Cookie", b"a=b")
    kept = [cookie, set_cookie]
    assert request_headers(kept, keep_cookies=keep) == (kept if keep else [set_cookie])
    assert response_headers(kept, keep_cookies=keep) == (kept if keep else [cookie])


@pytest.mark.parametrize(
    "value",
    [b"a", b"req_011CSHoEeqs5C35K2UUqR7Fy", b"5f3c-4.1:x/y+z=@~", b"a" * 128],
    ids=["short", "an id", "all signs", "long"],
)
def test_a_sane_id_is_echoed(value):
    assert echoable(value) == value.decode()


@pytest.mark.parametrize(
    "value",
    [b"", b"a" * 129, b"a b", b'a"', b"a\n", b"a\r\nx: y", b"\xc3\xa4", b"a\0", b"<script>", b"a;b", b"a,b"],
    ids=["empty", "too long", "space", "quote", "LF", "CRLF", "not ASCII", "NUL", "markup", "semicolon", "comma"],
)
def test_anything_else_is_not(value):
    assert echoable(value) is None
