"""`no_proxy`: whom the environment keeps from its proxy, as curl and Go read it."""

import httpx
import pytest
from tests.support.scripted_upstream import ScriptedUpstream, json_response, read_request, send, steps

from lastcall_sidecar.upstream import UpstreamRequest
from lastcall_sidecar.upstream.make import make_transport
from lastcall_sidecar.upstream.no_proxy import bypasses
from lastcall_sidecar.upstream.pool import DirectTransport

#: https://curl.se/docs/manpage.html#--noproxy, https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
CASES = {
    "nothing": ("", "a.example", 80, False),
    "all": ("*", "a.example", 80, True),
    "all among others": ("b.example, *", "a.example", 80, True),
    "a name": ("a.example", "a.example", 80, True),
    "a name in other letters": ("A.Example", "a.eXample", 80, True),
    "a name with a dot at its end": ("a.example", "a.example.", 80, True),
    "a name below": ("example", "a.example", 80, True),
    "a name that ends alike": ("xample", "a.example", 80, False),
    "another name": ("b.example", "a.example", 80, False),
    "a leading dot": (".example", "a.example", 80, True),
    "a leading dot, the name itself": (".a.example", "a.example", 80, True),
    "a star and a dot": ("*.example", "a.example", 80, True),
    "a cluster's": ("10.0.0.0/8,.svc,.cluster.local", "vllm.models.svc.cluster.local", 8000, True),
    "blanks between": ("b.example  a.example", "a.example", 80, True),
    "empty entries": (",, ,a.example,", "a.example", 80, True),
    "a dot alone": (".", "a.example", 80, False),
    "its port": ("a.example:8000", "a.example", 8000, True),
    "another port": ("a.example:8000", "a.example", 80, False),
    "an address": ("10.1.2.3", "10.1.2.3", 80, True),
    "an address that begins alike": ("10.1.2.3", "10.1.2.30", 80, False),
    "an address and its port": ("10.1.2.3:8000", "10.1.2.3", 8000, True),
    "an address and another port": ("10.1.2.3:8000", "10.1.2.3", 80, False),
    "a network": ("127.0.0.0/8", "127.0.0.1", 80, True),
    "a network with bits of a host": ("10.1.2.3/8", "10.200.0.1", 80, True),
    "another network": ("10.0.0.0/8", "11.0.0.1", 80, False),
    "a network, and a name": ("127.0.0.0/8", "localhost", 80, False),
    "no network": ("10.0.0.0/99", "10.0.0.1", 80, False),
    "the end of an address": ("0.0.1", "127.0.0.1", 80, False),
    "IPv6": ("::1", "::1", 80, True),
    "IPv6, written at length": ("0:0:0:0:0:0:0:1", "::1", 80, True),
    "IPv6 in brackets": ("[::1]", "::1", 80, True),
    "IPv6 and its port": ("[::1]:8000", "::1", 8000, True),
    "IPv6 and another port": ("[::1]:8000", "::1", 80, False),
    "a network of IPv6": ("fd00::/8", "fd12:3456::1", 80, True),
    "a network of IPv6, an address of the other kind": ("fd00::/8", "10.0.0.1", 80, False),
    "IPv6 with a zone": ("fe80::/10", "fe80::1%eth0", 80, True),
    "IPv4 within IPv6": ("10.0.0.0/8", "::ffff:10.1.2.3", 80, True),
}


@pytest.mark.parametrize(("no_proxy", "host", "port", "expected"), CASES.values(), ids=CASES)
def test_an_entry_is_for_a_host_or_it_is_not(no_proxy, host, port, expected):
    assert bypasses(no_proxy, host, port) is expected


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://a.example:8000", True),
        ("http://a.example", False),
        ("https://a.example", False),
        ("http://[fd00::1]", True),
    ],
)
async def test_a_transport_goes_as_the_environment_says(monkeypatch, url, direct):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8,fd00::/8,a.example:8000")
    transport = make_transport(
        httpx.URL(url), connect_timeout_seconds=1, stall_seconds=1, idle_seconds=1, trust_env=True
    )
    assert isinstance(transport, DirectTransport) is direct
    await transport.aclose()


async def test_a_proxy_gets_the_password_of_its_url_and_no_netrc_is_read(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine a.example login me password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with ScriptedUpstream(steps(read_request(), send(json_response(b"{}")))) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        transport = make_transport(
            httpx.URL("http://a.example"), connect_timeout_seconds=5, stall_seconds=5, idle_seconds=1, trust_env=True
        )
        request = UpstreamRequest("GET", transport.origin, [(b"Host", b"a.example")], httpx.ByteStream(b""), b"/v1/x")
        answer = await transport.handle_async_request(request)
        await answer.aclose()
        await transport.aclose()
        (asked,) = proxy.requests
    assert asked.target == "http://a.example/v1/x"
    assert asked.header("proxy-authorization") == "Basic dXNlcjpwYXNz"
    assert asked.header("authorization") is None


async def test_no_proxy_alone_means_nothing(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "")
    transport = make_transport(
        httpx.URL("http://a.example"), connect_timeout_seconds=1, stall_seconds=1, idle_seconds=1, trust_env=True
    )
    assert isinstance(transport, DirectTransport)
    await transport.aclose()
