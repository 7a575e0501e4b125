"""A tool's input that was cut short becomes what the vendor's SDK makes of it, at every cut."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jiter import from_json

from lastcall_sidecar.wire.cut_json import MAX_DEPTH, completed

DOCUMENTS = {
    "an object": '{"location": "San Francisco", "unit": "c"}',
    "nested": '{"a": [1, {"b": [2, "c", []], "d": {}}, null], "e": {"f": true, "g": false}}',
    "numbers": "[0, -1, 12.50, -0.0, 1e5, 2.5E-3, 10E+2, 123456789012345678901234567890, 1e400, -0]",
    "escapes": r'{"a\"b": "c\\d\/\b\f\n\r\t", "\u00e4": "\ud83d\ude00\u20ac", "\uD83D\uDE00": "\ufffd"}',
    "UTF-8": '{"ä": "漢字 🎉", "🎉": ["é"]}',
    "white space": ' \n{ "a" :\t[ 1 , 2 ] ,\r\n "b" : { } } ',
    "what no JSON has": '{"a": NaN, "b": [Infinity, -Infinity]}',
    "one key twice": '{"a": 1, "a": "x", "a": [2]}',
    "a string alone": '"a\\nb"',
    "a number alone": "12.5",
    "a word alone": "true",
    "commas and brackets in strings": '["a,]}", {"],[": "}{"}]',
    "a missing comma": '[{"a": 1 "b": 2}, 3]',
    "mixed up brackets": '[{"a": [1, 2}, 3], 4]',
    "text behind it": '{"a": 1} and more',
    "no value": '{"a": }',
    "a bare word": '{"unit": celsius}',
    "a trailing comma": '{"a": [1,]}',
    "a bare key": "{a: 1}",
    "a key without a value": '{"a", "b"}',
    "a bad escape": r'{"a": "\x41"}',
    "half a character": r'{"a": "\ud83d", "b": 1}',
    "the other half": r'{"a": "\ude00"}',
    "two first halves": r'{"a": "\ud83d\ud83d"}',
    "a control character": '{"a": "b\nc"}',
    "bad numbers": "[01]",
    "a number without a fraction": "[1.]",
    "a number without an exponent": "[1.5e+]",
    "two fractions": "[1.5.5]",
    "a sign alone": "[-]",
    "a bad word": "[nil]",
}
EACH_MODE = pytest.mark.parametrize("keep", [False, True], ids=["dropped", "kept"])


def judged(text, *, keep):
    """What jiter makes of it, as the SDK then writes it: without NaN. None where it refuses."""
    try:
        value = from_json(text, partial_mode="trailing-strings" if keep else True)
    except ValueError:
        return None
    return (json.loads(json.dumps(value), parse_constant=lambda _: None),)


def made(text, *, keep):
    try:
        value = completed(text, keep_cut_strings=keep)
    except ValueError:
        return None
    loaded = json.loads(value)
    # What is too large for a float is one to the SDK, and becomes null.
    return (json.loads(json.dumps(loaded), parse_constant=lambda _: None),)


@EACH_MODE
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_at_every_cut_it_is_what_the_sdk_makes_of_it(document, keep):
    for end in range(len(document) + 1):
        cut = document[:end].encode()
        assert made(cut, keep=keep) == judged(cut, keep=keep), cut


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
WORDS = r"""{ } [ ] , : " "a" "a": a \ \u \u00e9 \ud83d \ude00 \n 0 12 - . 5 e E+ tru null NaN -Inf inity ä 🎉"""
PIECES = st.sampled_from([*WORDS.encode().split(), b" ", b"\n", b"\x01", b"\x7f"])


@EACH_MODE
@given(VALUES, st.data())
@settings(deadline=None, max_examples=200)
def test_any_document_at_any_cut(keep, value, data):
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    cut = text[: data.draw(st.integers(0, len(text)))].encode()
    assert made(cut, keep=keep) == judged(cut, keep=keep)


@EACH_MODE
@given(st.lists(PIECES, max_size=16).map(b"".join))
@settings(deadline=None, max_examples=400)
def test_any_pieces_of_json(keep, text):
    assert made(text, keep=keep) == judged(text, keep=keep)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":1.0,"b":[1e400,-0.0,12345678901234567890.10', b'{"a":1.0,"b":[1e400,-0.0,12345678901234567890.10]}'),
        (b'{"a" : "\\u00e4" , "b" : {"c', b'{"a":"\\u00e4","b":{}}'),
        (b'{"a":NaN', b'{"a":null}'),
    ],
    ids=["digits", "escapes", "what no JSON has"],
)
def test_what_is_whole_stays_as_it_was_written(text, expected):
    assert completed(text) == expected


def test_nesting_has_a_limit():
    assert completed(b"[" * MAX_DEPTH) == b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    with pytest.raises(ValueError, match="too deep"):
        completed(b"[" * (MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="recursion limit"):
        from_json(b"[" * (MAX_DEPTH + 2), partial_mode=True)


@pytest.mark.parametrize(
    "text",
    [
        b'["' + b"x" * 5_000_000,
        b'["' + b"\\n" * 2_000_000,
        b'{"a":' + b"1" * 5_000_000,
        b"[" + b" " * 5_000_000,
        b"[" + b'"a",' * 50_000,
        b'["' + b"\\\\" * 2_000_000 + b"\\",
    ],
    ids=["a string", "escapes", "a number", "white space", "values", "backslashes"],
)
def test_it_takes_linear_time(text):
    began = time.process_time()
    completed(text)
    assert time.process_time() - began < 3
