"""Which addresses a listener takes: of both versions of IP, as far as there are."""

import errno
import socket

import pytest

from lastcall_sidecar.server import listener
from lastcall_sidecar.server.listener import bind


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_every_address_means_both_versions(client):
    with bind("::", 0) as bound:
        bound.listen()
        bound.setblocking(True)
        with socket.create_connection((client, bound.getsockname()[1]), timeout=5):
            accepted, _ = bound.accept()
            accepted.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::1"])
def test_any_other_address_is_that_address(host):
    with bind(host, 0) as bound:
        assert bound.getsockname()[0] == host


@pytest.mark.parametrize("code", sorted(listener.NO_IPV6))
def test_without_ipv6_it_means_ipv4(monkeypatch, code):
    real = socket.socket

    def without_ipv6(family=socket.AF_INET, *rest, **more):
        if family == socket.AF_INET6:
            raise OSError(code, "no IPv6 here")
        return real(family, *rest, **more)

    monkeypatch.setattr(listener.socket, "socket", without_ipv6)
    with bind("::", 0) as bound:
        assert (bound.family, bound.getsockname()[0]) == (socket.AF_INET, "0.0.0.0")
    with pytest.raises(OSError, match="no IPv6 here"):
        bind("::1", 0)


def test_an_address_that_is_taken_is_not_taken_in_another_version():
    with bind("::", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(OSError, match="in use") as refused:
            bind("::", port)
    assert (refused.value.errno, refused.value.filename) == (errno.EADDRINUSE, f"[::]:{port}")
