"""Secrets come from files or variables, are stripped, and stand in no message and no repr."""

import hashlib

import pytest

from lastcall_sidecar.settings import ConfigError, Secrets, load
from lastcall_sidecar.settings.keys import api_keys, one_secret


@pytest.fixture
def config(tmp_path):
    def write(**files):
        sections = {"upstream": {"apiKeyFile": files.get("upstream")}, "auth": {"apiKeysFile": files.get("clients")}}
        lines = []
        for section, keys in sections.items():
            for key, content in keys.items():
                if content is not None:
                    (tmp_path / key).write_bytes(content)
                    lines.append(f"{section}: {{{key}: {tmp_path / key}}}")
        (tmp_path / "lastcall.yaml").write_text("\n".join(lines))
        return tmp_path / "lastcall.yaml"

    return write


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def names_and_digests(secrets: Secrets):
    return [(key.name, key.digest) for key in secrets.api_keys]


def test_files_are_read_and_stripped(config):
    secrets = load(
        config(upstream=b"\xef\xbb\xbf  sk-up \r\n", clients=b"one\r\n\n# two is gone\nalice: three\n"), {}
    ).secrets
    assert secrets.upstream_api_key == "sk-up"
    assert names_and_digests(secrets) == [("key-1", digest("one")), ("alice", digest("three"))]
    assert secrets.admin_token is None


def test_variables_win_over_files_and_say_so(config):
    environ = {
        "LASTCALL_UPSTREAM__API_KEY": " sk-env ",
        "LASTCALL_AUTH__API_KEYS": "bob=four, five",
        "LASTCALL_ADMIN__TOKEN": "tok",
    }
    loaded = load(config(upstream=b"sk-file", clients=b"one"), environ)
    assert loaded.secrets.upstream_api_key == "sk-env"
    assert names_and_digests(loaded.secrets) == [("bob", digest("four")), ("key-2", digest("five"))]
    assert loaded.secrets.admin_token == "tok"
    assert loaded.warnings == (
        "upstream.apiKeyFile is not read: LASTCALL_UPSTREAM__API_KEY is set and wins",
        "auth.apiKeysFile is not read: LASTCALL_AUTH__API_KEYS is set and wins",
    )


def test_an_upstream_of_a_name_has_its_own_key(tmp_path):
    (tmp_path / "vllm").write_text(" sk-vllm\n")
    (tmp_path / "lastcall.yaml").write_text(
        "upstreams:\n"
        f"- {{name: vllm, provider: OpenAI, models: ['qwen*'], url: 'http://vllm', apiKeyFile: {tmp_path / 'vllm'}}}\n"
        "- {name: opus, provider: Anthropic, models: [claude-opus-4-8]}\n"
    )
    loaded = load(tmp_path / "lastcall.yaml", {"LASTCALL_UPSTREAM__API_KEY": "sk-first"})
    assert loaded.secrets == Secrets(upstream_api_key="sk-first", upstream_api_keys={"vllm": "sk-vllm"})
    assert loaded.files[str(tmp_path / "vllm")] == digest(" sk-vllm\n").hex()
    assert "sk-vllm" not in f"{loaded!r} {loaded.secrets!r}"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot read"),
        (b" ", "is empty"),
        (b"\xff", "is not UTF-8 text"),
        (b"a b", "must be one line of visible"),
    ],
    ids=["missing", "empty", "no text", "two words"],
)
def test_a_bad_key_of_such_an_upstream_is_told_with_its_place(tmp_path, content, what):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    (tmp_path / "lastcall.yaml").write_text(
        "upstreams:\n"
        "- {name: opus, provider: Anthropic, models: [claude-opus-4-8]}\n"
        f"- {{name: vllm, provider: OpenAI, models: ['qwen*'], apiKeyFile: {tmp_path / 'key'}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "lastcall.yaml", {})
    (problem,) = caught.value.problems
    assert str(problem).startswith("upstreams[1].apiKeyFile (line 3): ")
    assert what in str(problem)


def test_without_any_there_are_none():
    assert load(None, {}).secrets == Secrets()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"upstream": b""}, "upstream.apiKeyFile (line 1): is empty"),
        ({"upstream": b" \n"}, "upstream.apiKeyFile (line 1): is empty"),
        ({"upstream": b"a\nb"}, "upstream.apiKeyFile (line 1): must be one line of visible ASCII characters"),
        ({"upstream": b"a\0"}, "upstream.apiKeyFile (line 1): must be one line of visible ASCII characters"),
        (
            {"upstream": "schlüssel".encode()},
            "upstream.apiKeyFile (line 1): must be one line of visible ASCII characters",
        ),
        ({"clients": b""}, "auth.apiKeysFile (line 1): holds no key"),
        ({"clients": b"# none\n\n"}, "auth.apiKeysFile (line 1): holds no key"),
        (
            {"clients": b"one\ntwo words here\n"},
            "auth.apiKeysFile (line 1): entry 2 is no key: visible ASCII characters without blanks, or NAME: KEY",
        ),
        ({"clients": b"one\nbob: one\n"}, "auth.apiKeysFile (line 1): entry 2 has the same key as entry 1"),
    ],
)
def test_a_bad_file_is_a_problem(config, files, problem):
    with pytest.raises(ConfigError) as caught:
        load(config(**files), {})
    assert [str(it) for it in caught.value.problems] == [problem]


def test_a_file_that_is_no_text_is_a_problem(config):
    with pytest.raises(ConfigError, match=r"upstream.apiKeyFile \(line 1\): .* is not UTF-8 text"):
        load(config(upstream=b"\xff\xfe"), {})


@pytest.mark.parametrize(
    ("entry", "name", "key"),
    [
        ("sk-one", "key-1", "sk-one"),
        ("  sk-one  # mine", "key-1", "sk-one"),
        ("sk#one", "key-1", "sk#one"),
        ("alice: sk-one", "alice", "sk-one"),
        ("alice=sk-one", "alice", "sk-one"),
        ("team-1.blue = sk-one", "team-1.blue", "sk-one"),
        ("alice:sk-one", "key-1", "alice:sk-one"),
        ("c2VjcmV0MQ==", "key-1", "c2VjcmV0MQ=="),
        ("c2VjcmV0MTI=", "key-1", "c2VjcmV0MTI="),
        ("alice: c2VjcmV0MQ==", "alice", "c2VjcmV0MQ=="),
        ("alice=c2VjcmV0MQ==", "alice", "c2VjcmV0MQ=="),
    ],
)
def test_an_entry_is_a_key_with_or_without_a_name(entry, name, key):
    keys, faults = api_keys([entry])
    assert faults == []
    assert [(it.name, it.digest) for it in keys] == [(name, digest(key))]


@pytest.mark.parametrize("entry", ["two words", "alice: ", "alice: two words", "schlüssel", "a\x7fb", "x" * 4097])
def test_an_entry_that_is_no_key_is_told_by_its_number_only(entry):
    keys, faults = api_keys([entry])
    assert keys == ()
    assert faults == ["entry 1 is no key: visible ASCII characters without blanks, or NAME: KEY"]


@pytest.mark.parametrize("text", ["", "  ", "a b", "a\tb", "a\nb", "ä"])
def test_a_bad_secret_is_not_repeated(text):
    with pytest.raises(ValueError, match=r"^(is empty|must be one line of visible ASCII characters)$"):
        one_secret(text)


def test_no_secret_stands_in_a_repr(config):
    loaded = load(
        config(upstream=b"sk-secret-1", clients=b"alice: sk-secret-2"), {"LASTCALL_ADMIN__TOKEN": "sk-secret-3"}
    )
    shown = f"{loaded!r} {loaded.secrets!r} {loaded}"
    assert "alice" in shown
    assert "sk-secret" not in shown
    assert digest("sk-secret-2").hex() not in shown
    assert repr(digest("sk-secret-2")) not in shown


def test_no_secret_stands_in_an_error():
    environ = {
        "LASTCALL_UPSTREAM__API_KEY": "sk-secret one",
        "LASTCALL_AUTH__API_KEYS": "sk-secret two,sk-secret three",
        "LASTCALL_ADMIN__TOKEN": "sk-secret\n4",
        "LASTCALL_UPSTREAM__URL": "http://me:sk-secret@up",
    }
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert len(caught.value.problems) == 5
    assert "sk-secret" not in f"{caught.value} {caught.value!r} {caught.value.problems}"
