"""YAML is read strictly, and every problem knows its line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lastcall_sidecar.settings.document import MAX_BYTES, parse

FILE = "lastcall.yaml"


def told(text: bytes) -> list[str]:
    return [str(problem) for problem in parse(text, FILE).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"", None, id="empty file"),
        pytest.param(b"# nothing\n", None, id="only a comment"),
        pytest.param(b"---\n", None, id="empty document"),
        pytest.param(b"\xef\xbb\xbfa: 1", {"a": 1}, id="byte order mark"),
        pytest.param(b"a:\n  b: [1, -2, 0x10, 0o17]\n", {"a": {"b": [1, -2, 16, 15]}}, id="integers"),
        pytest.param(b"a: 010", {"a": 10}, id="no octal by a leading zero"),
        pytest.param(b"a: 1_000", {"a": "1_000"}, id="no underscores"),
        pytest.param(b"a: 1:30", {"a": "1:30"}, id="no sexagesimal"),
        pytest.param(b"a: 1.5e3", {"a": 1500.0}, id="float"),
        pytest.param(b"a: 2026-11-22", {"a": "2026-11-22"}, id="no dates"),
        pytest.param(b"a: [yes, no, on, off]", {"a": ["yes", "no", "on", "off"]}, id="words are no booleans"),
        pytest.param(b"a: [true, False]", {"a": [True, False]}, id="booleans"),
        pytest.param(b"a: [null, ~, ]", {"a": [None, None]}, id="nothing"),
        pytest.param(b"a: ['1', \"true\"]\nb: |\n  2\n", {"a": ["1", "true"], "b": "2\n"}, id="quoted is text"),
        pytest.param(b'{"a": {"b": "c"}}', {"a": {"b": "c"}}, id="JSON"),
        pytest.param(b"=: 1", {"=": 1}, id="no default key"),
        pytest.param(b"a: " + b"9" * 5000, {"a": "9" * 5000}, id="more digits than an integer may have"),
    ],
)
def test_text_becomes_the_values_of_yamls_core(text, value):
    document = parse(text, FILE)
    assert document.problems == []
    assert document.value == value


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param(
            b"a: 1\nb:\n  c: 1\n  c: 2\n", ["b.c (line 4): given twice; the first time in line 3"], id="duplicate"
        ),
        pytest.param(
            b"a: 1\na: 2\na: 3\nb: {c: 1, c: 1}\n",
            [
                "a (line 2): given twice; the first time in line 1",
                "a (line 3): given twice; the first time in line 1",
                "b.c (line 4): given twice; the first time in line 4",
            ],
            id="every duplicate",
        ),
        pytest.param(b"a: 1\n\tb: 2\n", [f"{FILE} (line 2): a tab; YAML is indented with spaces"], id="tab"),
        pytest.param(b"a: 1\n b: 2\n", [f"{FILE} (line 2): mapping values are not allowed here"], id="indentation"),
        pytest.param(b"a: [1, 2\n", [f"{FILE} (line 2): expected ',' or ']', but got '<stream end>'"], id="unclosed"),
        pytest.param(
            b"a: 1\n---\nb: 1\n", [f"{FILE} (line 2): a second document; there must be one"], id="two documents"
        ),
        pytest.param(b"a: &x 1\nb: *x\n", [f"{FILE} (line 2): anchors and aliases are not understood"], id="alias"),
        pytest.param(b"a: &x [*x]\n", [f"{FILE} (line 1): anchors and aliases are not understood"], id="circle"),
        pytest.param(
            b"\na: !!python/object/apply:os.system [x]\n",
            ["a (line 2): the tag tag:yaml.org,2002:python/object/apply:os.system is not understood"],
            id="Python's tags",
        ),
        pytest.param(b"a: !x 1\n", ["a (line 1): the tag !x is not understood"], id="tag"),
        pytest.param(b"5: 1\n", ["the file (line 1): a key must be short text"], id="key that is a number"),
        pytest.param(b"a: {[1]: 1}\n", ["a (line 1): a key must be short text"], id="key that is a list"),
        pytest.param(b'"a\\nb": 1\n', ["the file (line 1): a key must be short text"], id="key of two lines"),
        pytest.param(b"? " + b"k" * 513 + b"\n: 1\n", ["the file (line 1): a key must be short text"], id="long key"),
        pytest.param(
            b"a: 1\nb: \xff\n", [f"{FILE} (line 2): not UTF-8 text: byte 8 cannot be decoded"], id="not UTF-8"
        ),
        pytest.param(
            "a: 1".encode("utf-16"), [f"{FILE} (line 1): not UTF-8 text: byte 0 cannot be decoded"], id="UTF-16"
        ),
        pytest.param(b"[" * 5000, [f"{FILE}: nested too deeply"], id="deep"),
        pytest.param(b"#" * (MAX_BYTES + 1), [f"{FILE}: larger than 65536 bytes"], id="large"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(text, problems):
    assert told(text) == problems


def test_a_control_character_is_told():
    assert told(b"a: \x00\n")[0].startswith(f"{FILE}: not YAML: ")


def test_lines_are_known_by_path():
    lines = parse(b"a:\n  b: 1\n  c:\n    - x\n    - y\n", FILE).lines
    assert {path: lines[path] for path in ("a", "a.b", "a.c", "a.c[1]")} == {"a": 1, "a.b": 2, "a.c": 3, "a.c[1]": 5}


@given(st.binary(max_size=200) | st.text(alphabet=" \n\t:-[]{}#&*!|>'\"%@`,?aA01.", max_size=200).map(str.encode))
@example(b"? ")
@example(b"- - ? :")
def test_no_bytes_make_it_raise(text):
    parse(text, FILE)
