"""Signals, how long a drain takes to settle, and that the process leaves neither early nor late."""

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import Self

import pytest
from tests.support.calls import HEADERS, all_whole, call, get, is_whole, question
from tests.support.gated import GatedUpstream
from tests.support.process import START_SECONDS
from tests.support.raw_client import RawClient
from tests.support.running import gated_sidecar, running, together
from tests.support.sidecar_process import SidecarProcess
from tests.support.waiting import soon

from lastcall_sidecar.process import LAST_BYTES_SECONDS

STREAMS = 10
SETTLE_SECONDS = 1
#: What a busy machine may add.
SLACK_SECONDS = 3
SETTLE = {"drain": {"settleSeconds": SETTLE_SECONDS}}
#: Makes standard input the controlling terminal, as a shell does, and becomes the program. Whoever runs the tests under
#: nohup would have it inherit that.
ON_TERMINAL = "import fcntl, os, signal, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
ON_TERMINAL += "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
ON_TERMINAL += "os.execv(sys.argv[1], sys.argv[1:])"


async def streaming(sidecar: SidecarProcess, count: int = STREAMS) -> list[asyncio.Task]:
    """So many streams, each of them begun."""
    streams = [asyncio.create_task(call(sidecar.url, f"[fake seconds=0.5 seed={n}]")) for n in range(count)]
    await asyncio.to_thread(sidecar.wait_for, streams=count)
    return streams


async def exits(sidecar: SidecarProcess) -> tuple[int, float]:
    """Exit code, and when."""
    return await asyncio.to_thread(sidecar.wait, 20), time.monotonic()


async def signalled(first: signal.Signals, second: signal.Signals) -> dict:
    """Two signals under live streams, which go on only afterwards."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        streams = await streaming(sidecar)
        sidecar.signal(first)
        before = await asyncio.to_thread(sidecar.wait_for, draining=True)
        sidecar.signal(second)
        await asyncio.sleep(1.5)  # a second signal that ended anything would have done so
        after = await asyncio.to_thread(sidecar.livez)
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        code, _ = await exits(sidecar)
        return {"before": before["drain"], "after": after["drain"], "answers": answers, "code": code}


async def sigterm_twice():
    return await signalled(signal.SIGTERM, signal.SIGTERM)


async def sigint_twice_without_a_terminal():
    return await signalled(signal.SIGINT, signal.SIGINT)


class OnTerminal(SidecarProcess):
    """A sidecar in the foreground of a terminal of its own; `keyboard` is the other end of that terminal."""

    def launch(self) -> None:
        self.keyboard, terminal = pty.openpty()
        with self.log.open("ab") as log:
            command = [sys.executable, "-c", ON_TERMINAL, *self.command]
            self.process = subprocess.Popen(command, env=self.env, stdin=terminal, stdout=log, stderr=log)
        os.close(terminal)
        fcntl.fcntl(self.keyboard, fcntl.F_SETFD, fcntl.FD_CLOEXEC)

    def press_control_c(self) -> None:
        os.write(self.keyboard, b"\x03")


async def control_c_twice_on_a_terminal():
    async with (
        GatedUpstream() as upstream,
        running(OnTerminal({"upstream": {"url": upstream.url}, **SETTLE})) as sidecar,
    ):
        streams = await streaming(sidecar, 3)
        sidecar.press_control_c()
        before = await asyncio.to_thread(sidecar.wait_for, draining=True)
        pressed = time.monotonic()
        sidecar.press_control_c()
        code, ended = await exits(sidecar)
        os.close(sidecar.keyboard)
        await asyncio.gather(*streams, return_exceptions=True)
        return {"before": before["drain"], "code": code, "seconds": ended - pressed}


class OnClosingTerminal(OnTerminal):
    """The same, and what it logs goes to that terminal, too."""

    def launch(self) -> None:
        self.keyboard, terminal = pty.openpty()
        command = [sys.executable, "-c", ON_TERMINAL, *self.command]
        self.process = subprocess.Popen(command, env=self.env, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        fcntl.fcntl(self.keyboard, fcntl.F_SETFD, fcntl.FD_CLOEXEC)

    def close_terminal(self) -> None:
        os.close(self.keyboard)


async def its_terminal_is_closed() -> dict:
    """The kernel sends SIGHUP then, and no line can be written any more."""
    async with (
        GatedUpstream() as upstream,
        running(OnClosingTerminal({"upstream": {"url": upstream.url}, **SETTLE})) as sidecar,
    ):
        streams = await streaming(sidecar, 3)
        sidecar.close_terminal()
        before = await asyncio.to_thread(sidecar.wait_for, draining=True)
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        code, _ = await exits(sidecar)
        return {"before": before["drain"], "answers": answers, "code": code}


async def hung_up_under_nohup() -> dict:
    """Whoever starts it so wants it to outlive the terminal."""
    python = ("nohup", sys.executable)
    async with (
        GatedUpstream() as upstream,
        running(SidecarProcess({"upstream": {"url": upstream.url}, **SETTLE}, python=python)) as sidecar,
    ):
        streams = await streaming(sidecar, 1)
        sidecar.signal(signal.SIGHUP)
        await asyncio.sleep(1)
        draining = (await asyncio.to_thread(sidecar.livez))["draining"]
        upstream.gate.set()
        return {"draining": draining, "answers": await asyncio.gather(*streams)}


class Unheard(SidecarProcess):
    """A sidecar whose log goes where no line can be written any more, once it serves."""

    def __init__(self, settings: dict, output: str) -> None:
        super().__init__(settings)
        self._output = output

    def launch(self) -> None:
        self._reader, log = os.pipe() if self._output == "pipe" else (-1, os.open(self._output, os.O_WRONLY))
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=errors
            )
        os.close(log)

    def start(self, timeout_seconds: float = START_SECONDS) -> Self:
        super().start(timeout_seconds)
        if self._reader >= 0:
            os.close(self._reader)
        return self


async def unheard(output: str) -> dict:
    """A lease that runs out, and then SIGTERM, under a live stream."""
    async with (
        GatedUpstream() as upstream,
        running(Unheard({"upstream": {"url": upstream.url}, **SETTLE}, output)) as sidecar,
    ):
        streams = await streaming(sidecar, 1)
        await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "1")
        await asyncio.to_thread(sidecar.wait_for, state="serving")
        sidecar.terminate()
        await asyncio.to_thread(sidecar.wait_for, draining=True)
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        code, _ = await exits(sidecar)
        return {"answers": answers, "code": code, "errors": sidecar.output()}


async def its_log_is_read_no_more():
    return await unheard("pipe")


async def its_log_is_on_a_full_disk():
    return await unheard("/dev/full")


async def settling(settle_seconds: int, *, arrives_after: float | None = None, probed: bool = False) -> dict:
    """SIGTERM to an idle sidecar; seconds until it has left, counted from the signal and from the last request."""
    async with gated_sidecar({"drain": {"settleSeconds": settle_seconds}}) as (upstream, sidecar):
        upstream.gate.set()
        assert is_whole(await call(sidecar.url))
        await asyncio.sleep(settle_seconds)  # quiet before the drain does not count
        started = time.monotonic()
        sidecar.terminate()
        leaving = asyncio.create_task(exits(sidecar))
        answer, arrived = None, started
        if arrives_after is not None:
            await asyncio.sleep(arrives_after)
            arrived = time.monotonic()
            answer = await call(sidecar.url)
        while probed and not leaving.done():
            await asyncio.gather(get(sidecar.url, "/livez"), get(sidecar.url, "/nowhere"), return_exceptions=True)
        code, ended = await leaving
        return {"code": code, "seconds": ended - started, "after_arrival": ended - arrived, "answer": answer}


async def idle():
    return await settling(SETTLE_SECONDS)


async def no_settling():
    return await settling(0)


async def a_request_in_between():
    return await settling(SETTLE_SECONDS, arrives_after=0.6)


async def probes_all_the_time():
    return await settling(SETTLE_SECONDS, probed=True)


async def idle_connections():
    """Connections without a request: kept alive, silent, and in the middle of a head."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        upstream.gate.set()
        kept, silent, midway = [await RawClient.connect(sidecar.url) for _ in range(3)]
        await call(sidecar.url, client=kept)
        await midway.send(b"POST /v1/messages HTTP/1.1\r\nhost: 127.0")
        started = time.monotonic()
        sidecar.terminate()
        code, ended = await exits(sidecar)
        for client in (kept, silent, midway):
            await client.close()
        return {"code": code, "seconds": ended - started}


async def owed(sidecar: SidecarProcess, clients: AsyncExitStack) -> tuple[RawClient, bytes]:
    """A client whose request is over for us, and whose last bytes are in our buffer; and the body that it asked with.

    What the kernel takes is its own affair: answers grow until one does not fit, and the one before is it.
    """
    client = await not_reading(sidecar, clients)
    for number, events in enumerate(range(10, 60), 1):
        fresh = await not_reading(sidecar, clients)
        asked = question(f"[fake events={events} event_bytes=16000]", stream=False)
        await fresh.request("POST", "/v1/messages", HEADERS, asked)
        await asyncio.to_thread(sidecar.wait_for, totals_accepted=number)
        await asyncio.sleep(0.1)
        if (await asyncio.to_thread(sidecar.livez))["in_flight"]:
            break
        await client.close()
        client, body = fresh, asked
    await fresh.close()
    await asyncio.to_thread(sidecar.wait_for, in_flight=0)
    return client, body


async def not_reading(sidecar: SidecarProcess, clients: AsyncExitStack) -> RawClient:
    client = await RawClient.connect(sidecar.url, receive_buffer_bytes=4096, limit_bytes=4096)
    await clients.enter_async_context(client)
    client.stop_reading()
    return client


async def a_slow_reader():
    """It takes its last bytes only after SIGTERM, and past the ceiling of another configuration."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar), AsyncExitStack() as clients:
        upstream.gate.set()
        last, _ = await owed(sidecar, clients)
        idle = await asyncio.to_thread(sidecar.command_line, "drain", "--wait")
        before = await asyncio.to_thread(sidecar.livez)
        sidecar.write_config({"drain": {"ceilingSeconds": 1}})
        await soon(lambda: sidecar.livez()["config"]["hash"] != before["config"]["hash"], "the change")
        sidecar.terminate()
        await asyncio.sleep(LAST_BYTES_SECONDS + 1.5)
        running_still = sidecar.returncode is None
        last.go_on_reading()
        answer = await last.answer()
    return {"waited": running_still, "answer": answer, "drained": idle.returncode}


async def a_request_while_last_bytes_are_waited_for():
    """It comes when the listeners are closed already, over a connection that was open before."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar), AsyncExitStack() as clients:
        upstream.gate.set()
        first, body = await owed(sidecar, clients)
        second, third = await not_reading(sidecar, clients), await RawClient.connect(sidecar.url)
        await clients.enter_async_context(third)
        sidecar.terminate()
        await asyncio.to_thread(sidecar.wait_for, state="drained")
        upstream.gate.clear()
        await second.request("POST", "/v1/messages", HEADERS, body)
        await asyncio.to_thread(sidecar.wait_for, in_flight=1)
        first.go_on_reading()
        answers = [await first.answer()]
        await asyncio.sleep(0.5)  # the listeners are closed by now
        upstream.gate.set()
        await asyncio.sleep(SETTLE_SECONDS + 1.5)  # nothing is in flight, and the second one's bytes wait for it
        upstream.gate.clear()
        await third.request("POST", "/v1/messages", HEADERS, question())
        begun = await third.begin()
        second.go_on_reading()
        answers.append(await second.answer())
        await asyncio.sleep(0.5)  # a process that would leave now would have left
        upstream.gate.set()
        answers.append(await third.finish(begun))
        code, _ = await exits(sidecar)
        return {"answers": answers, "code": code}


async def a_request_while_it_leaves_without_a_signal():
    """After preStop alone it leaves a ceiling later; what comes then must not make that another one."""
    ceiling_seconds = 6
    settings = {"drain": {"settleSeconds": SETTLE_SECONDS, "ceilingSeconds": ceiling_seconds}}
    async with gated_sidecar(settings) as (upstream, sidecar), AsyncExitStack() as clients:
        upstream.gate.set()
        slow, _ = await owed(sidecar, clients)
        await asyncio.to_thread(sidecar.command_line, "drain", "--wait")
        await asyncio.sleep(
            ceiling_seconds + 0.5
        )  # it waits for the slow client's last bytes now, and for nothing else
        answers = [await call(sidecar.url)]
        slow.go_on_reading()
        answers.append(await slow.answer())
        started = time.monotonic()
        code, ended = await exits(sidecar)
        return {"answers": answers, "code": code, "seconds": ended - started}


@pytest.fixture(scope="module")
def outcomes():
    return together(
        sigterm_twice,
        sigint_twice_without_a_terminal,
        control_c_twice_on_a_terminal,
        its_terminal_is_closed,
        hung_up_under_nohup,
        its_log_is_read_no_more,
        its_log_is_on_a_full_disk,
        idle,
        no_settling,
        a_request_in_between,
        probes_all_the_time,
        idle_connections,
        a_slow_reader,
        a_request_while_last_bytes_are_waited_for,
        a_request_while_it_leaves_without_a_signal,
    )


@pytest.mark.parametrize("name", ["sigterm_twice", "sigint_twice_without_a_terminal"])
def test_a_second_signal_changes_nothing(outcomes, name):
    seen = outcomes[name]
    assert all_whole(seen["answers"])
    assert seen["code"] == 0
    assert seen["before"]["reason"] == seen["after"]["reason"] == ("SIGTERM" if name == "sigterm_twice" else "SIGINT")
    assert seen["after"]["state"] == "draining"
    assert seen["after"]["deadline"] == seen["before"]["deadline"]


def test_a_second_control_c_on_a_terminal_leaves_at_once(outcomes):
    seen = outcomes["control_c_twice_on_a_terminal"]
    assert seen["before"]["state"] == "draining"
    assert seen["code"] == 130
    assert seen["seconds"] < SLACK_SECONDS


def test_a_terminal_that_is_closed_begins_a_drain_that_cuts_no_stream(outcomes):
    seen = outcomes["its_terminal_is_closed"]
    assert (seen["before"]["state"], seen["before"]["reason"]) == ("draining", "SIGHUP")
    assert all_whole(seen["answers"])
    assert seen["code"] == 0


def test_under_nohup_a_terminal_that_is_closed_is_none_of_its_business(outcomes):
    seen = outcomes["hung_up_under_nohup"]
    assert seen["draining"] is False
    assert all_whole(seen["answers"])


@pytest.mark.parametrize("name", ["its_log_is_read_no_more", "its_log_is_on_a_full_disk"])
def test_lines_that_cannot_be_written_keep_nobody_from_being_served_or_it_from_leaving(outcomes, name):
    seen = outcomes[name]
    assert all_whole(seen["answers"])
    assert seen["code"] == 0
    assert seen["errors"] == ""


def test_an_idle_sidecar_leaves_when_the_drain_has_settled(outcomes):
    seen = outcomes["idle"]
    assert seen["code"] == 0
    assert SETTLE_SECONDS <= seen["seconds"] < SETTLE_SECONDS + SLACK_SECONDS


def test_without_a_settle_time_an_idle_sidecar_leaves_at_once(outcomes):
    seen = outcomes["no_settling"]
    assert seen["code"] == 0
    assert seen["seconds"] < SLACK_SECONDS


def test_a_request_begins_the_settle_time_anew(outcomes):
    seen = outcomes["a_request_in_between"]
    assert is_whole(seen["answer"])
    assert seen["code"] == 0
    assert SETTLE_SECONDS <= seen["after_arrival"] < SETTLE_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("name", ["probes_all_the_time", "idle_connections"])
def test_what_is_no_request_does_not_hold_up_the_drain(outcomes, name):
    seen = outcomes[name]
    assert seen["code"] == 0
    assert SETTLE_SECONDS <= seen["seconds"] < SETTLE_SECONDS + SLACK_SECONDS


def test_nobody_loses_the_end_of_an_answer_to_the_exit(outcomes):
    seen = outcomes["a_slow_reader"]
    assert seen["drained"] == 0
    assert seen["waited"]
    assert is_whole(seen["answer"])


def test_nobody_loses_an_answer_to_the_exit_that_began_while_others_took_their_last_bytes(outcomes):
    seen = outcomes["a_request_while_last_bytes_are_waited_for"]
    assert all_whole(seen["answers"])
    assert seen["code"] == 0


def test_a_request_that_comes_while_it_leaves_is_served_and_holds_it_up_no_longer(outcomes):
    seen = outcomes["a_request_while_it_leaves_without_a_signal"]
    assert all_whole(seen["answers"])
    assert seen["code"] == 0
    assert seen["seconds"] < SETTLE_SECONDS + SLACK_SECONDS
