"""Where the values of a body stand, and that an edit changes them and no other byte."""

import json
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lastcall_sidecar.wire.body import MAX_FIELDS, scan
from lastcall_sidecar.wire.splice import Edit, first_field, spans, splice

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


def at(body, span):
    return body[slice(*span)]


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model":"m","stream":true,' + MESSAGES + b"}", b'"m"', b"true"),
        (b'{"stream":false,' + MESSAGES + b',"model":"a\\"b\\\\"}', b'"a\\"b\\\\"', b"false"),
        (b' \t\r\n{ "stream" :\n null\t,' + MESSAGES + b' , "model":\r"m" } ', b'"m"', b"null"),
        (rb'{"\u006dodel":"x","s\u0074ream":true,' + MESSAGES + b"}", b'"x"', b"true"),
        (b'{"a\\"model":"no","x":{"model":"no","stream":1},"model":"m",' + MESSAGES + b"}", b'"m"', None),
        (b'{"x":"\\\\","model":"m","\\\\":"model",' + MESSAGES + b"}", b'"m"', None),
        ('{"ä漢🎉":"🎉","model":"漢",'.encode() + MESSAGES + b"}", "漢".join('""').encode(), None),
        (b"{" + MESSAGES + b"}", None, None),
        (b"{" + b'"x":0,' * (MAX_FIELDS - 2) + MESSAGES + b',"model":"last"}', b'"last"', None),
    ],
    ids=[
        "plain",
        "escapes in the value",
        "white space everywhere",
        "escaped keys",
        "what only looks like it",
        "backslashes",
        "UTF-8",
        "neither",
        "many fields",
    ],
)
def test_a_scan_tells_where_the_values_stand(body, model, stream):
    found = scan(body)
    assert (at(body, found.model_span) if found.model_span else None) == model
    assert (at(body, found.stream_span) if found.stream_span else None) == stream
    assert body[: found.insert_at].strip() == b"{"


@pytest.mark.parametrize(
    ("body", "wanted", "expected"),
    [
        (b'{"model" : "m" , "stream":false,', {"model": "n", "stream": True}, b'{"model" : "n" , "stream":true,'),
        (b'{"stream":null,', {"stream": True}, b'{"stream":true,'),
        (b"{ ", {"model": "n", "stream": True}, b'{"model":"n","stream":true, '),
        (b'{"stream": true,', {"stream": True}, b'{"stream": true,'),
        (b'{"stream": null,', {"stream": False}, b'{"stream": null,'),
        (b"{", {"stream": False}, b"{"),
        (b'{"model":"\\u006d",', {"model": "m"}, b'{"model":"\\u006d",'),
        (b'{"model":"m",', {"model": 'ä"'}, b'{"model":"\\u00e4\\"",'),
        (b'{"model":"m",', {}, b'{"model":"m",'),
    ],
    ids=[
        "both",
        "null",
        "inserted",
        "true already",
        "null is no stream",
        "nothing is no stream",
        "the same, escaped",
        "a name that needs escapes",
        "nothing asked",
    ],
)
def test_edits_make_a_body_say_what_is_wanted(body, wanted, expected):
    body += MESSAGES + b"}"
    edited = b"".join(splice([body], scan(body).edits(**wanted)))
    assert edited == expected + MESSAGES + b"}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SPACE = st.sampled_from(["", " ", "\n\t\r "])


def written(draw, value):
    """A value in JSON, in one of the ways in which it may be written."""
    match value:
        case str() if draw(st.booleans()):
            units = value.encode("utf-16-be")
            return '"' + "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2)) + '"'
        case dict() if draw(st.booleans()):
            return json.dumps(value, indent=1)
        case _:
            return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def objects(draw):
    """An object as keys with their values, and as pieces of JSON: each value is a piece of its own."""
    pairs = [(key, draw(VALUES)) for key in draw(st.lists(st.text(max_size=4), max_size=5))]
    pieces = [draw(SPACE) + "{"]
    for number, (key, value) in enumerate(pairs):
        pieces[-1] += ("," if number else "") + draw(SPACE) + written(draw, key) + draw(SPACE) + ":" + draw(SPACE)
        pieces += [written(draw, value), draw(SPACE)]
    pieces[-1] += draw(SPACE) + "}" + draw(SPACE)
    return pairs, [piece.encode() for piece in pieces]


def chunked(draw, body):
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@given(objects(), st.data())
@settings(deadline=None, max_examples=200)
def test_spans_are_those_of_the_values_and_only_they_change(made, data):
    pairs, pieces = made
    body = b"".join(pieces)
    values = pieces[1::2]
    found = list(spans(body, map(len, values)))
    assert [at(body, span) for span in found] == values
    changed = data.draw(st.lists(st.integers(0, len(pairs) - 1), unique=True)) if pairs else []
    edited = b"".join(splice(chunked(data.draw, body), [Edit(found[i], b'"new"') for i in changed]))
    assert json.loads(edited, object_pairs_hook=list) == [
        (key, "new" if number in changed else json.loads(values[number], object_pairs_hook=list))
        for number, (key, _) in enumerate(pairs)
    ]
    for i in changed:
        pieces[2 * i + 1] = b'"new"'
    assert edited == b"".join(pieces)


@given(objects(), st.none() | st.text(max_size=9), st.none() | st.booleans(), st.data())
@settings(deadline=None, max_examples=200)
def test_what_a_body_says_after_an_edit_is_what_was_wanted_and_all_else_stays(made, model, stream, data):
    pairs, pieces = made
    names = {key for key, _ in pairs}
    own = {"model": '"m"', "stream": "true", "messages": "[1]"}
    front = [f'"{key}" : {own[key]},' for key in data.draw(st.lists(st.sampled_from(["model", "stream"]), unique=True))]
    ours = ("".join(front) + '"messages":[1]' + ("," if pairs else "")).encode()
    assume(not names & own.keys())
    body = b"".join(pieces).replace(b"{", b"{" + ours, 1)
    edited = b"".join(splice(chunked(data.draw, body), scan(body).edits(model=model, stream=stream)))
    wanted = json.loads(body)
    if model is not None:
        wanted["model"] = model
    if stream is not None and stream != wanted.get("stream", False):
        wanted["stream"] = stream
    assert json.loads(edited) == wanted
    assert edited.endswith(b"".join(pieces).partition(b"{")[2])
    assert scan(edited).model == wanted.get("model")
    assert scan(edited).stream == wanted.get("stream", False)


@given(st.binary(max_size=40), st.data())
@settings(deadline=None, max_examples=200)
def test_any_edits_of_any_chunks_are_those_of_the_whole(body, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    cuts = cuts[: len(cuts) // 2 * 2]
    edits = [Edit(span, data.draw(st.binary(max_size=3))) for span in zip(cuts[::2], cuts[1::2], strict=True)]
    expected = body
    for edit in reversed(edits):
        expected = expected[: edit.span[0]] + edit.new + expected[edit.span[1] :]
    chunks = splice(
        chunked(data.draw, body), data.draw(st.permutations(edits)) if len(set(cuts)) == len(cuts) else edits
    )
    assert b"".join(chunks) == expected
    assert all(chunks)


def test_insertions_at_one_place_stay_in_their_order_before_what_is_replaced_there():
    assert splice([b"abc"], [Edit((1, 2), b"B"), Edit((1, 1), b"1"), Edit((1, 1), b"2"), Edit((2, 2), b"3")]) == [
        *(b"a", b"1", b"2", b"B", b"3", b"c")
    ]


@pytest.mark.parametrize(
    "edits",
    [
        [Edit((1, 3), b"x"), Edit((2, 4), b"y")],
        [Edit((1, 3), b"x"), Edit((1, 3), b"y")],
        [Edit((3, 7), b"x")],
        [Edit((7, 7), b"x")],
        [Edit((3, 1), b"x")],
        [Edit((-1, 1), b"x")],
    ],
    ids=["overlapping", "the same twice", "past the end", "behind the end", "backwards", "before the begin"],
)
def test_edits_that_cannot_be_are_refused(edits):
    with pytest.raises(ValueError, match="edit"):
        splice([b"abc", b"def"], edits)


def test_chunks_without_an_edit_are_the_same_objects():
    chunks = [bytes([65 + i]) * 1000 for i in range(5)]
    spliced = splice(chunks, [Edit((2500, 2600), b"new")])
    assert [spliced[0], spliced[1], *spliced[-2:]] == [chunks[0], chunks[1], *chunks[3:]]
    assert spliced[0] is chunks[0]
    assert spliced[-1] is chunks[-1]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"a":1}'], ids=["nothing", "a list", "no field", "one field"])
def test_what_has_no_such_fields_is_refused(body):
    with pytest.raises(ValueError, match="no JSON object, or of fewer fields"):
        list(spans(body, [1, 1]))


def test_the_first_field_of_no_object_is_refused():
    with pytest.raises(ValueError, match="no JSON object"):
        first_field(b"[{}]")


def test_a_value_of_64_mib_costs_the_spans_nothing():
    body = b'{"messages":["' + b"lorem ipsum " * (64 * 1024 * 1024 // 12) + b'"],"stream":true}'
    began = time.process_time()
    assert at(body, list(spans(body, [len(body) - len(b'{"messages":,"stream":true}'), 4]))[-1]) == b"true"
    assert time.process_time() - began < 0.05  # reading it takes half a second, in Python many
