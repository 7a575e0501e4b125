"""Changed files are noticed by content; a good change comes, a bad one is told, and nothing in between is taken.

`poll()` is called directly, as the watcher's task does: a change counts when two looks in a row find the same.
"""

import asyncio
import os
from pathlib import Path

import pytest

from lastcall_sidecar.config_watch import POLL_SECONDS, SETTLE_SECONDS, ConfigWatch
from lastcall_sidecar.settings import load

GOOD, OTHER, BAD = "limits: {maxQueued: 1}\n", "limits: {maxQueued: 2}\n", "limits: {maxQueued: x}\n"


class Watched:
    """A watcher of a file, and what it told."""

    def __init__(self, path, environ=None):
        self.told = []
        self.path = path
        environ = environ or {}
        self.watch = ConfigWatch(
            path,
            environ,
            load(path, environ),
            on_change=self._changed,
            on_error=lambda error: self.told.append(str(error)),
        )

    async def _changed(self, loaded):
        self.told.append(loaded)

    async def polls(self, count=2):
        """Look so often; what was told."""
        for _ in range(count):
            await self.watch.poll()
        told, self.told = self.told, []
        return told

    async def max_queued(self):
        (loaded,) = await self.polls()
        return loaded.settings.limits.max_queued


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lastcall.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def watched(file):
    return Watched(file)


async def test_nothing_is_told_while_nothing_changes(watched, file):
    file.touch()
    assert await watched.polls(5) == []


async def test_a_change_is_told_once(watched, file):
    file.write_text(OTHER)
    assert await watched.polls(1) == []
    assert watched.watch.settling
    assert await watched.max_queued() == 2
    assert not watched.watch.settling
    assert await watched.polls(3) == []


async def test_a_change_between_loading_and_watching_is_seen(file):
    watched = Watched(file)
    file.write_text(OTHER)
    assert await watched.max_queued() == 2


async def test_a_file_renamed_into_place_is_seen(watched, file):
    fresh = file.with_suffix(".new")
    fresh.write_text(OTHER)
    fresh.replace(file)
    assert await watched.max_queued() == 2


async def test_a_change_of_equal_length_and_time_is_seen(watched, file):
    before = file.stat()
    file.write_text(OTHER)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert await watched.max_queued() == 2


async def test_a_file_that_is_being_written_is_not_taken(watched, file):
    for half in ("", "limits: {maxQueued: 2", "limits: {maxQueued: 2}\n#", "limits: {maxQueued: 23}"):
        file.write_text(half)
        assert await watched.polls(1) == []
    file.write_text(OTHER)
    assert await watched.max_queued() == 2


async def test_a_change_taken_back_at_once_is_none(watched, file):
    file.write_text(OTHER)
    await watched.polls(1)
    file.write_text(GOOD)
    assert await watched.polls(3) == []
    assert not watched.watch.settling


async def test_a_bad_change_is_told_once_and_mends_by_a_good_one(watched, file):
    file.write_text(BAD)
    assert await watched.polls(4) == ["limits.maxQueued (line 1): must be a whole number from 0 to 1000000, not 'x'"]
    file.write_text(OTHER)
    assert await watched.max_queued() == 2


async def test_a_bad_change_taken_back_is_told_as_good_so_that_the_error_goes(watched, file):
    file.write_text(BAD)
    await watched.polls()
    file.write_text(GOOD)
    assert await watched.max_queued() == 1


async def test_a_file_that_is_gone_is_an_error_and_mends(watched, file):
    file.unlink()
    assert await watched.polls(4) == [f"{file}: cannot read {file}: No such file or directory"]
    file.mkdir()
    assert await watched.polls(4) == []  # as unreadable as before
    file.rmdir()
    file.write_text(OTHER)
    assert await watched.max_queued() == 2


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_unreadable_files_leave_no_descriptor_open(watched, file):
    file.unlink()
    file.mkdir()
    await watched.polls()
    before = open_descriptors()
    await watched.polls(20)
    assert open_descriptors() == before


async def test_a_named_pipe_in_the_files_place_does_not_block(watched, file):
    file.unlink()
    os.mkfifo(file)
    async with asyncio.timeout(5):
        assert await watched.polls() == [f"{file}: cannot read '{file}': it is not a regular file"]


async def test_a_mounted_config_map_is_seen_when_its_symlink_is_swapped(tmp_path):
    def publish(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lastcall.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    publish("..2026_1", GOOD)
    (tmp_path / "lastcall.yaml").symlink_to("..data/lastcall.yaml")
    watched = Watched(tmp_path / "lastcall.yaml")
    for number, text, expected in ((2, OTHER, 2), (3, GOOD, 1)):
        publish(f"..2026_{number}", text)
        assert await watched.max_queued() == expected
    assert await watched.polls() == []


async def test_a_rotated_secret_is_seen_without_a_change_of_the_file(tmp_path, file):
    key, clients = tmp_path / "key", tmp_path / "clients"
    key.write_text("sk-1")
    clients.write_text("one\n")
    file.write_text(f"upstream: {{apiKeyFile: {key}}}\nauth: {{apiKeysFile: {clients}}}\n")
    watched = Watched(file)
    key.write_text("sk-2\n")
    (loaded,) = await watched.polls()
    assert loaded.secrets.upstream_api_key == "sk-2"
    clients.write_text("one\nbob: two\n")
    (loaded,) = await watched.polls()
    assert [it.name for it in loaded.secrets.api_keys] == ["key-1", "bob"]
    clients.write_text("")
    assert await watched.polls() == ["auth.apiKeysFile (line 2): holds no key"]


async def test_a_secret_that_comes_after_the_file_that_names_it_mends_the_error(tmp_path, watched, file):
    key = tmp_path / "key"
    file.write_text(f"upstream: {{apiKeyFile: {key}}}\n")
    assert await watched.polls() == [f"upstream.apiKeyFile (line 1): cannot read {key}: No such file or directory"]
    key.write_text("sk-1")
    (loaded,) = await watched.polls()
    assert loaded.secrets.upstream_api_key == "sk-1"


async def test_secrets_are_watched_where_no_file_is(tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-1")
    watched = Watched(None, {"LASTCALL_UPSTREAM__API_KEY_FILE": str(key)})
    key.write_text("sk-2")
    (loaded,) = await watched.polls()
    assert loaded.secrets.upstream_api_key == "sk-2"
    assert loaded.settings.listen.traffic == "127.0.0.1:8080"


FROZEN = {
    "mode: Egress\n": [("mode", "Gateway", "Egress")],
    "listen: {traffic: '0.0.0.0:1', admin: '0.0.0.0:2'}\n": [
        ("listen.traffic", "[::]:8080", "0.0.0.0:1"),
        ("listen.admin", "[::]:8081", "0.0.0.0:2"),
    ],
    "logs: {level: debug, format: text}\n": [("logs.level", "info", "debug"), ("logs.format", "auto", "text")],
    "admin: {controlSocket: /x.sock}\n": [("admin.controlSocket", "/run/lastcall/control.sock", "/x.sock")],
}


@pytest.mark.parametrize(("text", "changes"), FROZEN.items(), ids=["mode", "listen", "logs", "controlSocket"])
async def test_what_cannot_change_live_is_refused_whole_and_named(watched, file, text, changes):
    file.write_text(OTHER + text)
    sentence = "{}: cannot change from {!r} to {!r} while running: needs a restart"
    assert await watched.polls(4) == ["; ".join(sentence.format(*change) for change in changes)]
    file.write_text(OTHER)
    assert await watched.max_queued() == 2


async def test_what_a_connection_needs_may_change_live(watched, file):
    file.write_text("listen: {keepAliveSeconds: 7, corsOrigins: ['http://a']}\n")
    (loaded,) = await watched.polls()
    assert loaded.settings.listen.keep_alive_seconds == 7


async def test_a_frozen_field_is_compared_with_what_is_in_force_not_with_the_last_file(watched, file):
    file.write_text("mode: Egress\n")
    await watched.polls()
    file.write_text("mode: Egress\n# again\n")
    (error,) = await watched.polls()
    assert error.startswith("mode: cannot change")


def test_a_change_is_in_force_within_two_seconds():
    assert POLL_SECONDS + SETTLE_SECONDS < 1.5


async def test_the_task_looks_again_soon_after_a_change_and_otherwise_each_second(watched, file, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            file.write_text(OTHER)
        if len(slept) == 6:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await watched.watch.run()
    assert slept == [POLL_SECONDS, POLL_SECONDS, SETTLE_SECONDS, POLL_SECONDS, POLL_SECONDS, POLL_SECONDS]
    assert len(watched.told) == 1
