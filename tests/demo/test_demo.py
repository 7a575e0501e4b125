"""`lastcall demo`, for real: processes, sockets, streams, and the exit code."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from tests.support.fake import get_json
from tests.support.waiting import eventually

PROMISED_SECONDS = 60.0
LIMIT_SECONDS = 240.0
#: A session's leader that opens a terminal gets it as its own: from then on Ctrl-C is a signal.
TAKE_TERMINAL = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"


class Run:
    """One `lastcall demo`, its output as it comes, and the processes that it started."""

    def __init__(self, *arguments, terminal=False):
        self.began = time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="lc-")
        self._text = bytearray()
        if terminal:
            read_end, write_end = pty.openpty()
            termios.tcsetwinsize(write_end, (40, 110))
            command = [sys.executable, "-c", TAKE_TERMINAL, sys.executable]
        else:
            command = [sys.executable]
            read_end, write_end = os.pipe()
        self._read_end = read_end
        self.process = subprocess.Popen(
            [*command, "-m", "lastcall_operator", "demo", *arguments],
            stdin=write_end if terminal else subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            env={**os.environ, "TERM": "xterm-256color", "TMPDIR": self.folder.name, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        os.close(write_end)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._read_end)
        self.folder.cleanup()

    def _read(self):
        with contextlib.suppress(OSError):  # a terminal that nobody holds any more
            while chunk := os.read(self._read_end, 65536):
                self._text += chunk

    @property
    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._text.decode(errors="replace"))

    def until(self, words):
        eventually(
            lambda: words in self.text or self.process.poll() is not None,
            f"it says {words!r}",
            timeout_seconds=LIMIT_SECONDS,
        )
        assert words in self.text, self.text
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def exit_code(self):
        code = self.process.wait(LIMIT_SECONDS)
        self._reader.join()
        return code

    def left_behind(self):
        """Whatever should be gone by now: processes that are still there, and files."""
        _, alive = psutil.wait_procs(self.children, timeout=5)
        return alive + list(Path(self.folder.name).iterdir())


def numbers(subject, text):
    """The numbers of a line of the verdict, by the words that follow them."""
    (line,) = re.findall(rf"^\S* *{subject} +(.*)$", text, re.MULTILINE)
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", line)}


def test_a_rolling_restart_drops_nothing():
    quiet = os.getloadavg()[0] < (os.cpu_count() or 1)
    with Run() as run:
        assert run.exit_code() == 0, run.text
        seconds = time.monotonic() - run.began
        streams, counters = numbers("streams", run.text), numbers("counters", run.text)
        assert not run.left_behind()
    assert streams["started"] == streams["finished"] == streams["verbatim"] >= 60
    assert streams["dropped"] == 0
    assert counters == {"accepted": streams["started"], "completed": streams["started"], "dropped": 0}
    assert "the sidecars agree with their clients" in run.text
    assert "verdict: ok: 0 dropped: every stream came whole, byte for byte" in run.text
    drained = re.findall(r"drain (sidecar-\d): the (?:least busy of (\d)|last) outdated", run.text)
    assert sorted(name for name, _ in drained) == ["sidecar-1", "sidecar-2", "sidecar-3"]
    assert [left for _, left in drained] == ["3", "2", ""]
    assert [name for name, _ in drained] == re.findall(r"replace (sidecar-\d): drained", run.text), "one at a time"
    assert not quiet or seconds < PROMISED_SECONDS


def test_an_ordinary_restart_drops_streams_and_what_stays_up_serves():
    with Run("--naive", "--stay") as run:
        run.until("the fake LLM  http")
        streams = numbers("streams", run.text)
        assert streams["dropped"] > 0
        assert streams["started"] == streams["finished"] > streams["verbatim"]
        assert re.search(r"verdict: ok: An ordinary restart broke \d+ of \d+ streams\.", run.text), run.text

        (service,) = re.findall(r"ANTHROPIC_BASE_URL=(\S+)", run.text)
        body = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        answer = post(f"{service}/v1/messages", body)
        assert answer["type"] == "message"
        gauges = [get_json(url) for url in re.findall(r"http\S+/livez", run.text)]
        assert len(gauges) == 3
        assert sum(gauge["totals"]["accepted"] for gauge in gauges) > 0

        run.process.send_signal(signal.SIGINT)
        assert run.exit_code() == 0
        assert not run.left_behind()


def test_ctrl_c_in_the_terminal_ends_every_process():
    with Run("--streams", "12", terminal=True) as run:
        run.until("drain sidecar-")
        assert "● serving" in run.text
        assert "anthropic SDK, async" in run.text
        assert len(run.children) >= 4
        assert run.process.pid not in {os.getsid(child.pid) for child in run.children}, "a Ctrl-C would reach them, too"
        os.write(run._read_end, b"\x03")
        assert run.exit_code() == 130, run.text
        assert "Interrupted: every process has been ended." in run.text
        assert "Traceback" not in run.text
        assert not run.left_behind()


def test_a_sidecar_that_crashes_is_a_sentence_and_keeps_its_log():
    with Run("--streams", "6") as run:
        run.until("clients ask for streams")
        (victim,) = [child for child in run.children if any("sidecar-2-r1" in word for word in child.cmdline())]
        victim.kill()
        assert run.exit_code() == 1, run.text
        assert re.search(r"^lastcall: sidecar-2 ended with exit code -9: ", run.text, re.MULTILINE), run.text
        assert "Traceback" not in run.text
        (logs,) = re.findall(r"What the processes said is in (\S+)\.\n", run.text)
        assert Path(logs, "sidecar-2-r1", "sidecar.log").is_file()
        assert [str(left) for left in run.left_behind()] == [logs]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_while_it_starts_ends_every_process(number):
    with Run() as run:
        run.until("start a fake LLM")
        eventually(lambda: psutil.Process(run.process.pid).children(), "the first process starts")
        run.children = psutil.Process(run.process.pid).children(recursive=True)
        run.process.send_signal(number)
        assert run.exit_code() == 130, run.text
        assert "Traceback" not in run.text
        assert not run.left_behind()


def post(url, body):
    """POST JSON with `curl`'s plainness, and parse the answer."""
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"content-type": "application/json", "x-api-key": "any", "anthropic-version": "2023-06-01"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)
