"""What an app is told of its client, by whom, and what nobody else may make it believe."""

import pytest

from lastcall_sidecar.wire.forwarded import told

HOST = {b"host": b"app.example:80"}
PROXY = "10.1.2.3"
TRUSTED = ("10.0.0.0/8", "fd00::/8")
CLAIMS = {
    b"x-forwarded-for": b"203.0.113.9",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"public.example",
    b"x-forwarded-port": b"443",
    b"x-real-ip": b"203.0.113.9",
}


@pytest.mark.parametrize(
    ("peer", "address", "node"),
    [
        ("192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
        ("::ffff:192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
        ("2001:db8::1", b"2001:db8::1", b'"[2001:db8::1]"'),
        ("fe80::1%eth0", b"fe80::1", b'"[fe80::1]"'),
        ("", b"unknown", b"unknown"),
    ],
)
def test_without_a_proxy_the_peer_is_the_client(peer, address, node):
    assert told(HOST, peer, ()) == [
        (b"x-forwarded-for", address),
        (b"x-forwarded-host", b"app.example:80"),
        (b"x-forwarded-proto", b"http"),
        (b"forwarded", b"for=" + node + b';host="app.example:80";proto=http'),
    ]


@pytest.mark.parametrize("trusted", [(), ("10.1.2.4",), ("192.0.2.0/24", "fd00::/8")])
def test_what_a_stranger_claims_is_thrown_away(trusted):
    claims = {**HOST, **CLAIMS, b"forwarded": b"for=203.0.113.9;proto=https"}
    assert told(claims, PROXY, trusted) == told(HOST, PROXY, trusted)


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", "fd00::1"])
def test_a_trusted_proxy_is_continued_in_its_own_language(peer):
    address = b"fd00::1" if peer == "fd00::1" else b"10.1.2.3"
    assert told({**HOST, **CLAIMS}, peer, TRUSTED) == [
        (b"x-forwarded-for", b"203.0.113.9, " + address),
        (b"x-forwarded-host", b"public.example"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-port", b"443"),
        (b"x-real-ip", b"203.0.113.9"),
    ]
    node = b'"[fd00::1]"' if peer == "fd00::1" else b"10.1.2.3"
    theirs = b"for=203.0.113.9;proto=https;host=public.example"
    assert told({**HOST, b"forwarded": theirs}, peer, TRUSTED) == [(b"forwarded", theirs + b", for=" + node)]


def test_a_trusted_proxy_that_speaks_both_is_continued_in_both():
    made = dict(told({**HOST, **CLAIMS, b"forwarded": b"for=203.0.113.9"}, PROXY, TRUSTED))
    assert made[b"x-forwarded-for"] == b"203.0.113.9, 10.1.2.3"
    assert made[b"forwarded"] == b"for=203.0.113.9, for=10.1.2.3"


def test_a_trusted_proxy_that_says_nothing_is_the_client():
    assert told(HOST, PROXY, TRUSTED) == told(HOST, PROXY, ())


def test_a_host_is_quoted_and_one_that_is_missing_is_not_made_up():
    assert dict(told({b"host": b'a"b\\c'}, PROXY, ()))[b"forwarded"] == b'for=10.1.2.3;host="a\\"b\\\\c";proto=http'
    assert dict(told({}, PROXY, ()))[b"forwarded"] == b"for=10.1.2.3;proto=http"
