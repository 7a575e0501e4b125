"""What is read of a request's body, and everything that makes it none."""

import hashlib
import json
import sys
import time
import tracemalloc
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall_sidecar.wire.body import MAX_COUNTED_COMMAS, MAX_FIELDS, MAX_MODEL_BYTES, BodyError, scan

BOM = b"\xef\xbb\xbf"
MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
WHOLE = b'{"model":"m","stream":true,' + MESSAGES + b"}"


class Said(NamedTuple):
    model: str | None
    stream: bool
    has_thinking: bool
    message_count: int | None


def said(body):
    """What the scanner reads, less where it stands: that is in `test_splice.py`."""
    found = scan(body)
    return Said(found.model, found.stream, found.has_thinking, found.message_count)


def with_field(field):
    return b"{" + MESSAGES + b"," + field + b"}"


GOOD = {
    "all of it": (WHOLE, Said("m", True, False, 1)),
    "only messages": (b"{" + MESSAGES + b"}", Said(None, False, False, 1)),
    "white space everywhere": (
        b' \t\r\n{ "stream" : true , "model":\n"m" ,"messages": [ 1 , 2 ] } \n',
        Said("m", True, False, 2),
    ),
    "an escaped key": (with_field(rb'"\u0073tream":true'), Said(None, True, False, 1)),
    "an escaped model": (with_field(rb'"model":"\u006d\n\ud83c\udf89"'), Said("m\n🎉", False, False, 1)),
    "the longest model": (
        with_field(b'"model":"' + b"m" * (MAX_MODEL_BYTES - 2) + b'"'),
        Said("m" * (MAX_MODEL_BYTES - 2), False, False, 1),
    ),
    "stream false": (with_field(b'"stream":false'), Said(None, False, False, 1)),
    "stream null": (with_field(b'"stream":null'), Said(None, False, False, 1)),
    "thinking enabled": (
        with_field(b'"thinking":{"budget_tokens":1,"type":"enabled"}'),
        Said(None, False, True, 1),
    ),
    "thinking adaptive": (with_field(b'"thinking":{"type":"adaptive"}'), Said(None, False, True, 1)),
    "thinking disabled": (with_field(b'"thinking":{"type":"disabled"}'), Said(None, False, False, 1)),
    "thinking null": (with_field(b'"thinking":null'), Said(None, False, False, 1)),
    "thinking of the future": (with_field(b'"thinking":"a lot"'), Said(None, False, True, 1)),
    "messages of any type": (b'{"messages":[1,null,[],{},"a,b",[1,2]]}', Said(None, False, False, 6)),
    "other keys twice": (with_field(b'"x":1,"x":12,"y":{"x":1},"x":1'), Said(None, False, False, 1)),
    "watched keys below the top": (
        with_field(b'"x":{"stream":1,"stream":2,"model":3,"messages":0}'),
        Said(None, False, False, 1),
    ),
    "keys that only look alike": (with_field(b'"Stream":1,"stream ":2,"":3'), Said(None, False, False, 1)),
    "UTF-8 of every width": (with_field('"x":"aä漢🎉"'.encode()), Said(None, False, False, 1)),
    "numbers of any size": (with_field(b'"x":[1e999,-0.0,' + b"1" * 5000 + b"]"), Said(None, False, False, 1)),
    "just as many fields": (
        b"{" + b'"x":0,' * (MAX_FIELDS - 1) + MESSAGES + b"}",
        Said(None, False, False, 1),
    ),
    "more messages than are counted": (
        b'{"messages":[' + b"0," * (MAX_COUNTED_COMMAS + 1) + b"0]}",
        Said(None, False, False, None),
    ),
    "as many messages as are counted": (
        b'{"messages":[' + b"0," * MAX_COUNTED_COMMAS + b"0]}",
        Said(None, False, False, MAX_COUNTED_COMMAS + 1),
    ),
}

BAD = {
    "empty": (b"", "not valid JSON"),
    "white space": (b" \n", "not valid JSON"),
    "garbage": (b"\x00\x01garbage", "not valid JSON"),
    "a list": (b"[]", "must be a JSON object"),
    "a string": (b'"messages"', "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
    "cut short": (WHOLE[:-1], "not valid JSON"),
    "two objects": (WHOLE + WHOLE, "not valid JSON"),
    "a trailing comma": (WHOLE[:-1] + b",}", "not valid JSON"),
    "a comment": (b"//\n" + WHOLE, "not valid JSON"),
    "single quotes": (WHOLE.replace(b'"', b"'"), "not valid JSON"),
    "NaN": (with_field(b'"x":NaN'), "not valid JSON"),
    "Infinity below the top": (with_field(b'"x":[-Infinity]'), "not valid JSON"),
    "a leading zero": (with_field(b'"x":01'), "not valid JSON"),
    "a control character": (with_field(b'"x":"\n"'), "not valid JSON"),
    "a bad escape": (with_field(rb'"x":"\x"'), "not valid JSON"),
    "half a surrogate pair": (with_field(rb'"x":"\ud800 and more"'), "not valid JSON"),
    "a key that is no string": (with_field(b"1:2"), "not valid JSON"),
    "a BOM": (BOM + WHOLE, "byte order mark"),
    "UTF-16": (WHOLE.decode().encode("utf-16"), "not valid UTF-8"),
    "UTF-16 without a mark": (WHOLE.decode().encode("utf-16-le"), "not valid JSON"),
    "UTF-32 without a mark": (WHOLE.decode().encode("utf-32-be"), "not valid JSON"),
    "Latin-1": (with_field('"x":"ä"'.encode("latin-1")), "not valid UTF-8 .byte 50"),
    "bad UTF-8 in a key": (with_field(b'"\xc3":1'), "not valid UTF-8"),
    "bad UTF-8 past a window": (with_field(b'"x":"' + "ä".encode() * 200_000 + b'\xed\xa0\x80"'), "byte 400050"),
    "UTF-8 cut short": (WHOLE + b"\xc3", "not valid UTF-8"),
    "stream twice": (with_field(b'"stream":true,"stream":true'), "stream: given more than once"),
    "stream twice, once escaped": (with_field(rb'"stream":true,"\u0073tream":false'), "stream: given more than once"),
    "model twice": (with_field(b'"model":"a","x":1,"model":"b"'), "model: given more than once"),
    "messages twice": (with_field(MESSAGES), "messages: given more than once"),
    "stream a string": (with_field(b'"stream":"true"'), "stream: must be"),
    "stream a number": (with_field(b'"stream":1'), "stream: must be"),
    "stream a long thing": (with_field(b'"stream":[true,true,true,true]'), "stream: must be"),
    "model a number": (with_field(b'"model":4'), "model: must be"),
    "model null": (with_field(b'"model":null'), "model: must be"),
    "model too long": (with_field(b'"model":"' + b"m" * (MAX_MODEL_BYTES - 1) + b'"'), "model: too long"),
    "no messages": (b'{"model":"m"}', "messages: required"),
    "messages null": (b'{"messages":null}', "messages: must be a list"),
    "messages an object": (b'{"messages":{}}', "messages: must be a list"),
    "messages a string": (b'{"messages":"[]"}', "messages: must be a list"),
    "no message": (b'{"messages":[]}', "messages: must not be empty"),
    "no message, but white space": (b'{"messages":[ \t\r\n]}', "messages: must not be empty"),
    "too many fields": (b"{" + b'"x":0,' * MAX_FIELDS + MESSAGES + b"}", f"more than {MAX_FIELDS} fields"),
    "nested 100,000 deep": (b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "nested deep in a list": (with_field(b'"x":' + b'[{"x":' * 50_000), "nested too deeply"),
}


@pytest.mark.parametrize(("body", "expected"), GOOD.values(), ids=GOOD.keys())
def test_the_top_level_is_read(body, expected):
    assert said(body) == expected


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_request_is_refused_with_a_reason(body, message):
    with pytest.raises(BodyError, match=message) as raised:
        scan(body)
    assert len(str(raised.value)) < 120
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("field", [b'"secret":"tru"x', b'"stream":"sk-secret"', b'"model":["secret"]'])
def test_no_text_of_a_body_is_repeated(field):
    with pytest.raises(BodyError) as raised:
        scan(with_field(field))
    assert "secret" not in str(raised.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["stream", "model", "messages", "thinking", "x", "Stream", ""]) | st.text(max_size=3)
NATURAL = {
    "stream": st.booleans(),
    "model": st.text(max_size=20),
    "messages": st.lists(VALUES, min_size=1, max_size=3),
    "thinking": st.sampled_from([None, {"type": "enabled"}, {"type": "disabled"}, {}]),
}


@st.composite
def bodies(draw):
    """The pairs of an object, and bytes that say so: white space and escapes as the generator likes them."""
    pairs = []
    if draw(st.booleans()):
        pairs.append(("messages", draw(NATURAL["messages"])))
    for key in draw(st.lists(KEYS, max_size=5)):
        natural = NATURAL.get(key) if draw(st.integers(0, 4)) else None
        pairs.append((key, draw(natural if natural is not None else VALUES)))
    space = st.sampled_from(["", " ", "\n\t\r "])
    ascii_only = draw(st.booleans())
    written = [
        draw(space)
        + _written(key, draw(st.booleans()))
        + draw(space)
        + ":"
        + json.dumps(value, ensure_ascii=ascii_only)
        for key, value in pairs
    ]
    return ("{" + (draw(space) + ",").join(written) + draw(space) + "}").encode()


def _written(key, escaped):
    return '"' + "".join(f"\\u{ord(c):04x}" for c in key) + '"' if escaped and key.isascii() else json.dumps(key)


def judged(body):
    """What the standard library makes of it; None for a body that must be refused."""
    keys = [key for key, _ in json.loads(body, object_pairs_hook=list)]
    fields = json.loads(body)
    model, stream, messages = fields.get("model", ""), fields.get("stream"), fields.get("messages")
    twice = any(keys.count(key) > 1 for key in ("model", "stream", "messages"))
    typed = isinstance(model, str) and (stream is None or isinstance(stream, bool)) and isinstance(messages, list)
    if twice or not typed or not messages:
        return None
    thinking = fields.get("thinking")
    disabled = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    return Said(fields.get("model"), bool(stream), thinking is not None and not disabled, len(messages))


@given(bodies())
@settings(deadline=None, max_examples=500)
def test_it_reads_what_json_reads(body):
    expected = judged(body)
    if expected is None:
        with pytest.raises(BodyError):
            scan(body)
    else:
        assert said(body) == expected


@given(
    st.binary()
    | st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\u0", b"stream", b"1", MESSAGES])).map(
        b"".join
    )
)
@settings(deadline=None, max_examples=300)
def test_garbage_is_a_body_error_or_a_body(body):
    try:
        scan(body)
    except BodyError:
        return
    assert isinstance(json.loads(body), dict)


def test_what_is_nested_300_deep_is_taken():
    assert sys.getrecursionlimit() >= 1000
    assert scan(with_field(b'"x":' + b"[" * 300 + b"]" * 300)).message_count == 1


def sixty_four_mib(text):
    message = b'{"role":"user","content":"' + text * 1000 + b'"}'
    count = 64 * 1024 * 1024 // len(message)
    return b'{"model":"m","messages":[' + b",".join([message] * count) + b'],"stream":true}'


@pytest.mark.parametrize("text", ["lorem ipsum dolor sit ", "lörem ipsüm ", "漢字", '\\"\\n\\\\ab'], ids=str.strip)
def test_64_mib_are_scanned_in_a_fraction_of_a_second(text):
    body = sixty_four_mib(text.encode())
    assert scan(body).stream
    # 0.15 s on an idle machine, where MD5 takes 0.1 and `json` 1.2; on a busy one, all take longer.
    allowed = max(0.3, 4 * cpu_seconds(lambda: hashlib.md5(body, usedforsecurity=False)))
    assert cpu_seconds(lambda: scan(body)) < allowed


def cpu_seconds(work):
    """The shortest of three."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


BOMBS = {
    "messages": b'{"messages":[' + b"0," * 2_000_000 + b"0]}",
    "lists": with_field(b'"x":[' + b"[]," * 1_500_000 + b"[]]"),
    "fields": b"{" + b'"x":0,' * 700_000 + MESSAGES + b"}",
    "wide text": with_field('"x":"🎉'.encode() + b"a" * 4_000_000 + b'"'),
    "an object": with_field(b'"x":{' + b'"a":0,' * 600_000 + b'"a":0}'),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_4_mb_of_trouble_take_a_fraction_of_their_memory(body):
    tracemalloc.start()
    try:
        try:
            scan(body)
        except BodyError as error:
            assert "fields" in str(error)  # noqa: PT017 - the one bomb that is refused
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000
