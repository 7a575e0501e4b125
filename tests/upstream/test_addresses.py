"""The addresses of a name: asked for once for a while, and anew where none of them would do."""

import asyncio
import socket

import httpx
import pytest
from tests.support.process import free_port
from tests.support.scripted_upstream import ScriptedUpstream, hang

from lastcall_sidecar.upstream.connection import Connection
from lastcall_sidecar.upstream.dial import Dialer


class Names:
    """What a name's addresses are, from one question to the next; the last answer stays."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host, port):
        self.asked += 1
        await asyncio.sleep(0)
        ports = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]


def dialer(names):
    return Dialer("up.example", 80, None, connect_timeout_seconds=5, stall_seconds=5, resolve=names)


async def connected(dialing):
    made = await dialing.connect(lambda sock: Connection(sock, release=lambda _: None, lost=lambda _: None))
    made.abort()


async def test_a_name_that_has_moved_is_found_at_the_second_try():
    async with ScriptedUpstream(hang()) as upstream:
        names = Names([free_port()], [upstream.port])
        dialing = dialer(names)
        with pytest.raises(httpx.ConnectError, match="ECONNREFUSED"):
            await connected(dialing)
        await connected(dialing)
        assert names.asked == 2


async def test_a_name_of_which_all_addresses_have_moved_is_found_at_the_second_try():
    async with ScriptedUpstream(hang()) as upstream:
        names = Names([free_port(), free_port()], [upstream.port])
        dialing = dialer(names)
        with pytest.raises(httpx.ConnectError, match="ECONNREFUSED"):
            await connected(dialing)
        await connected(dialing)


async def test_a_name_that_has_moved_while_it_was_good_is_found_at_the_second_try():
    async with ScriptedUpstream(hang()) as upstream, ScriptedUpstream(hang()) as other:
        names = Names([upstream.port], [other.port])
        dialing = dialer(names)
        await connected(dialing)
        await upstream.__aexit__(None, None, None)
        with pytest.raises(httpx.ConnectError):
            await connected(dialing)
        await connected(dialing)
        assert names.asked == 2


async def test_addresses_that_do_are_asked_for_once():
    async with ScriptedUpstream(hang()) as upstream:
        names = Names([free_port(), upstream.port])
        dialing = dialer(names)
        for _ in range(3):
            await connected(dialing)
        assert names.asked == 1


async def test_a_crowd_that_fails_asks_once_more_together():
    names = Names([free_port()])
    dialing = dialer(names)
    for _ in range(2):
        failed = await asyncio.gather(*(connected(dialing) for _ in range(20)), return_exceptions=True)
        assert {type(error) for error in failed} == {httpx.ConnectError}
    assert names.asked == 2


async def test_who_does_not_wait_for_his_connection_changes_nothing():
    async with ScriptedUpstream(hang()) as upstream:
        names = Names([upstream.port])
        dialing = dialer(names)
        await connected(dialing)
        waiting = asyncio.create_task(connected(dialing))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await connected(dialing)
        assert names.asked == 1
