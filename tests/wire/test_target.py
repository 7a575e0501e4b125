"""Request targets: what is passed byte for byte, and what could be read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.wire.target import Target, TargetError, mask_query, parse

GOOD = {
    "a path": (b"/v1/messages", Target("/v1/messages", None)),
    "a query": (b"/v1/messages?beta=true", Target("/v1/messages", b"beta=true")),
    "an empty query": (b"/v1/messages?", Target("/v1/messages", b"")),
    "a question mark in the query": (b"/a?b?c", Target("/a", b"b?c")),
    "the root": (b"/", Target("/", None)),
    "two slashes": (b"//a//b/", Target("//a//b/", None)),
    "escapes stay": (b"/a%2Fb%2f%20%zz%", Target("/a%2Fb%2f%20%zz%", None)),
    "dots within a segment": (
        b"/v1/models/claude-3.5..x/.well-known",
        Target("/v1/models/claude-3.5..x/.well-known", None),
    ),
    "three dots": (b"/.../x", Target("/.../x", None)),
    "escaped twice": (b"/%252e%252e/x", Target("/%252e%252e/x", None)),
    "dots in the query": (b"/a?../..%2f..", Target("/a", b"../..%2f..")),
    "a URL": (b"http://host/a?b", Target("/a", b"b", b"http://host")),
    "a URL with a port": (b"HTTPS://Host:8080/a/b", Target("/a/b", None, b"HTTPS://Host:8080")),
    "a URL without a path": (b"http://host", Target("/", None, b"http://host")),
    "a URL with only a query": (b"http://host?a=b", Target("/", b"a=b", b"http://host")),
    "a URL of an IPv6 host": (b"http://[::1]:80/", Target("/", None, b"http://[::1]:80")),
    "a URL within the path": (b"/http://host/a", Target("/http://host/a", None)),
}

BAD = {
    "empty": b"",
    "an asterisk": b"*",
    "an authority": b"host:443",
    "a relative path": b"v1/messages",
    "another scheme": b"ftp://host/",
    "no host": b"http:///a",
    "a user": b"http://user:pass@host/",
    "a scheme alone": b"http:",
    "a fragment": b"/a#b",
    "a space": b"/a b",
    "a tab": b"/a\tb",
    "a line end": b"/a\r\nHost: b",
    "NUL": b"/a\0",
    "DEL": b"/a\x7f",
    "not ASCII": "/ä".encode(),
    "not ASCII in the query": "/a?ä".encode(),
    "not ASCII in the host": "http://ä/".encode(),
    "a control in the host": b"http://a\0/",
    ".": b"/./a",
    "..": b"/a/../b",
    ".. at the end": b"/a/..",
    ". at the end": b"/a/.",
    "only ..": b"/..",
    ".. before a query": b"/a/..?b",
    "%2e": b"/a/%2e/b",
    "%2E%2e": b"/a/%2E%2e/b",
    ".%2e": b"/a/.%2e/b",
    "%2e.": b"/a/%2e./b",
    "an escaped slash before": b"/a%2f../b",
    "an escaped slash behind": b"/a/..%2Fb",
    "all escaped": b"/a%2f%2e%2e%2fb",
    "an escaped backslash": b"/a/..%5cb",
    "escaped backslashes": b"/a%5C..%5c",
    "a backslash": b"/a\\..\\b",
    "parameters of a segment": b"/a/..;x=1/b",
    "parameters at the end": b"/a/.;",
    "in a URL": b"http://host/a/../b",
    "alone in a URL": b"http://host/..",
}


@pytest.mark.parametrize(("target", "expected"), GOOD.values(), ids=GOOD.keys())
def test_what_means_one_thing_passes(target, expected):
    assert parse(target) == expected


@pytest.mark.parametrize(("target", "expected"), GOOD.values(), ids=GOOD.keys())
def test_it_goes_upstream_byte_for_byte(target, expected):
    parsed = parse(target)
    assert parsed.raw == (target if target.startswith(b"/") else _without_origin(target, expected.origin))


def _without_origin(target, origin):
    rest = target.removeprefix(origin)
    return rest if rest.startswith(b"/") else b"/" + rest


@pytest.mark.parametrize("target", BAD.values(), ids=BAD.keys())
def test_what_could_be_read_in_two_ways_is_refused(target):
    with pytest.raises(TargetError):
        parse(target)


def test_a_refusal_repeats_nothing_of_the_target():
    with pytest.raises(TargetError) as raised:
        parse(b"/secret/..")
    assert "secret" not in str(raised.value)


def resolved(path):
    """What a careless upstream makes of a path: unescaped once, backslashes taken for slashes, parameters dropped."""
    for escape, char in [("%2e", "."), ("%2f", "/"), ("%5c", "/")]:
        path = path.replace(escape, char).replace(escape.upper(), char)
    return [segment.partition(";")[0] for segment in path.replace("\\", "/").split("/")]


PIECES = st.lists(st.sampled_from(["/", ".", "%2e", "%2E", "%2f", "%5C", "\\", ";", "a", "%", "?", "#", " "]))


@given(PIECES.map(lambda pieces: "/" + "".join(pieces)))
def test_no_path_that_passes_has_a_dot_segment_for_anybody(text):
    visible = "#" not in text and " " not in text
    hidden = {".", ".."} & set(resolved(text.partition("?")[0]))
    if visible and not hidden:
        assert parse(text.encode()).raw == text.encode()
    else:
        with pytest.raises(TargetError):
            parse(text.encode())


@given(st.binary())
def test_any_bytes_are_a_target_or_a_target_error(target):
    try:
        parsed = parse(target)
    except TargetError:
        return
    assert target.endswith(parsed.raw.removeprefix(b"/"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"", ""),
        (b"beta=true", "beta=***"),
        (b"beta=true&key=sk-1&after_id=x%20y", "beta=***&key=***&after_id=***"),
        (b"a[0].b=1", "a[0].b=***"),
        (b"sk-secret", "***"),
        (b"a=&b&&c=d=e", "a=***&***&&c=***"),
        (b'x"\nforged: 1=2', "***"),
        (b"n" * 65 + b"=1", "***"),
        ("ä=1".encode(), "***"),
        (b"&".join([b"a=b"] * 16), "&".join(["a=***"] * 16)),
        (b"&".join([b"a=b"] * 17), "&".join(["a=***"] * 16) + "&…"),
    ],
    ids=[
        "none",
        "one",
        "several",
        "brackets",
        "no name",
        "empty ones",
        "odd characters",
        "a long name",
        "not ASCII",
        "many",
        "too many",
    ],
)
def test_of_a_query_only_names_are_shown(query, shown):
    assert mask_query(query) == shown


@given(st.binary(max_size=3000))
def test_a_masked_query_is_short_and_plain(query):
    shown = mask_query(query)
    assert len(shown) <= 16 * 69 + 2
    assert shown.replace("…", "").isascii()
    assert shown.isprintable()
