"""Arguments that are cut short: the SDK's own parser is the judge of what counts of them."""

import itertools
import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jiter import from_json

from lastcall_sidecar.wire.messages_on_chat.arguments import MAX_DEPTH, Arguments, ArgumentStream, whole
from lastcall_sidecar.wire.translation import TranslationError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=4)


def partial(text):
    return from_json(text.encode(), partial_mode=True)


EVERYTHING = {"a": -1.5e-7, "b": [True, False, None, [], {}], '"\\{[': 'é\\"\n\u2028😀', "c": {"d": {"e": [[1, 20]]}}}


@pytest.mark.parametrize("indent", [None, 1], ids=["compact", "pretty"])
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "plain"])
def test_what_is_complete_of_an_object_cut_anywhere_is_what_the_sdk_makes_of_it(ascii_only, indent):
    text = json.dumps(EVERYTHING, ensure_ascii=ascii_only, indent=indent)
    for end in range(1, len(text) + 1):
        assert json.loads(whole(text[:end], is_cut=True)) == partial(text[:end])


@settings(deadline=None)
@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]), st.integers(0, 1000))
def test_any_object_cut_anywhere_is_what_the_sdk_makes_of_it(value, ascii_only, indent, place):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    text = text[: 1 + place % len(text)]
    assert json.loads(whole(text, is_cut=True)) == partial(text)


@settings(deadline=None)
@given(st.text('{}[]":,\\ue1.-ntrulx ', max_size=30))
@example('{"a": [}')
def test_of_any_text_an_object_is_made(text):
    for tried in (text, '{"a":' + text):
        assert isinstance(json.loads(whole(tried, is_cut=True)), dict)


@settings(deadline=None)
@given(OBJECTS, st.lists(st.integers(0, 60), max_size=5))
def test_a_stream_of_parts_lets_through_the_object_and_nothing_else(value, cuts):
    text = " \n" + json.dumps(value) + '\n{"more": 1}'
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    arguments = ArgumentStream()
    taken = "".join(arguments.take(text[start:end]) for start, end in itertools.pairwise(places))
    assert taken == json.dumps(value)
    assert arguments.complete


@pytest.mark.parametrize(
    "parts",
    [['{"a":"\\', '\\"}'], ['{"a":"\\', "", '\\"}'], ['{"a":"\\', '"}"}'], ["{", "[", "]", "}"], ["{}"]],
    ids=["an escape in two", "with nothing between", "a quote that is escaped", "brackets", "at once"],
)
def test_the_end_of_the_object_is_seen_at_once(parts):
    arguments = ArgumentStream()
    for part in parts:
        assert not arguments.complete
        assert arguments.take(part) == part
    assert arguments.complete
    assert arguments.take("}") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "{}"),
        (" \n", "{}"),
        ("null", "{}"),
        ("7", "{}"),
        ('"{}"', "{}"),
        ('"{\\"a\\": 1.10}"', '{"a": 1.10}'),
        ('"{\\"a', "{}"),
        ("[1, 2]", "{}"),
        ("[1, 2", "{}"),
        ("{", "{}"),
        ("{}{}", "{}"),
        (' {"a": 1} ', '{"a": 1}'),
        ('{"a": 1} trailing', '{"a": 1}'),
        ('{"a": 1}}', '{"a": 1}'),
        ('{"a": 1,}', '{"a": 1}'),
        ('{"a": 01}', "{}"),
        ('{"a": NaN}', "{}"),
        ('{"a": 1, b: 2}', '{"a": 1}'),
        ('{"a": 1; "b": 2}', "{}"),
        ('{"a": [1, 2}', '{"a": [1, 2]}'),
        ('{"a": {"b": 1]', '{"a": {"b": 1}}'),
        ('{"a" 1}', "{}"),
        ("{1: 2}", "{}"),
        ('{"a": "\t"}', "{}"),
        ('{"a": "\\x"}', "{}"),
        ('{"a": "\\ud83d"', '{"a": "\\ufffd"}'),
    ],
)
def test_what_is_no_json_counts_up_to_there(text, expected):
    assert whole(text, is_cut=True).decode() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "{}"),
        ("null", "{}"),
        ("[]", "{}"),
        ('""', "{}"),
        ('{"a": 1} </tool_call>', '{"a": 1}'),
        ('{"a": 1}}', '{"a": 1}'),
        ('{"a": 1}\n{"a": 1}', '{"a": 1}'),
        ('{}{"a": 1}', '{"a": 1}'),
        ('{ }\n{}{"a": 1}', '{"a": 1}'),
        ('{"a": 1,}', '{"a": 1}'),
        ('"{\\"a\\": 1.10}"', '{"a": 1.10}'),
        (json.dumps(json.dumps(json.dumps({"a": 'é"'}))), '{"a": "\\u00e9\\""}'),
        ('{"a": "\\ud83d"}', '{"a": "\\ufffd"}'),
    ],
)
def test_of_whole_arguments_nothing_is_lost(text, expected):
    assert whole(text, is_cut=False).decode() == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"city":"Ro',
        "{",
        '{"a": 1, b: 2}',
        '{"a" 1}',
        '{"a": tru}',
        "7",
        "x",
        "[1]",
        '"{',
        '"[1]"',
        '"x"',
        '{"a": 1}{"a": 2}',
    ],
)
def test_arguments_of_which_something_would_be_lost_are_an_error(text):
    with pytest.raises(TranslationError) as raised:
        whole(text, is_cut=False)
    assert "Ro" not in str(raised.value)


@settings(deadline=None)
@given(OBJECTS, st.lists(st.integers(0, 60), max_size=5), st.booleans(), st.booleans(), st.booleans())
def test_in_a_stream_the_same_is_told_as_of_whole_arguments(value, cuts, twice, again, empty_first):
    text = json.dumps(value)
    text = json.dumps(text) if twice else text
    if not twice:
        text = ("{}" if empty_first else "") + text + (text if again else "")
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    arguments = Arguments()
    taken = "".join(arguments.take(text[start:end]) for start, end in itertools.pairwise(places))
    taken += arguments.end(is_cut=False)
    assert json.loads(taken or "{}") == json.loads(whole(text, is_cut=False)) == value


def test_what_is_too_deep_is_cut():
    found = whole('{"a":' * 5000, is_cut=True)
    assert found.count(b"{") == found.count(b"}") == MAX_DEPTH
    assert partial(found.decode())


def test_a_large_object_is_read_in_no_time():
    text = json.dumps({"a": ["x" * 50] * 20000})
    assert json.loads(whole(text[:-1], is_cut=True)) == json.loads(text)


def test_a_flood_of_empty_objects_takes_linear_time():
    began = time.process_time()
    assert whole("{}" * 300_000 + ' {"a":1}', is_cut=False) == b'{"a":1}'
    assert whole("{ }\n" * 300_000, is_cut=False) == b"{}"
    assert time.process_time() - began < 3  # copying the rest for each takes a minute
