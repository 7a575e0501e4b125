"""Addresses of listeners, and what reaches only this machine."""

import re

import msgspec
import pytest

from lastcall_sidecar.settings import is_loopback, split_address
from lastcall_sidecar.settings.shape import build

PORT = "must be HOST:PORT with a port from 1 to 65535"


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("my-host.example:080", ("my-host.example", 80)),
    ],
)
def test_an_address_is_host_and_port(address, split):
    assert split_address(address) == split


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("8080", PORT),
        ("host", PORT),
        ("host:", PORT),
        ("host:0", PORT),
        ("host:65536", PORT),
        ("host:+80", PORT),
        ("host:٨٠", PORT),
        ("host: 80", PORT),
        (":8080", "the host must be a name or an IP address"),
        ("ho st:80", "the host must be a name or an IP address"),
        ("1.2.3.256:80", "the host must be a name or an IP address"),
        ("http://host:80", "an IPv6 address must stand in brackets, as in [::1]:8080"),
        ("::1:80", "an IPv6 address must stand in brackets, as in [::1]:8080"),
        ("[127.0.0.1]:80", "the address in brackets must be an IPv6 address"),
        ("[]:80", "the address in brackets must be an IPv6 address"),
    ],
)
def test_what_is_no_address_is_told(address, what):
    with pytest.raises(ValueError, match=re.escape(what)) as caught:
        split_address(address)
    assert str(caught.value) == what


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host, loopback):
    assert is_loopback(host) is loopback


def test_a_type_without_words_for_its_problems_is_a_mistake_of_the_schema():
    class Odd(msgspec.Struct):
        ratio: float = 1.0

    with pytest.raises(NotImplementedError, match="a type without words"):
        build(Odd, {"ratio": "x"})
