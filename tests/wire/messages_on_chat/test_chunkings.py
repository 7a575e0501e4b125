"""Any answer, in any chunking, is the same message as the whole of it."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.messages_on_chat.chunks import DONE, HEAD, call, delta, usage
from tests.wire.messages_on_chat.judges import ASKED, accumulated, answer, check_order, translated

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.translation import TranslationError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(-1e6, 1e6)
    | WORDS
    | st.lists(WORDS, max_size=3)
)
ARGUMENTS = st.dictionaries(WORDS, VALUES, max_size=3).map(json.dumps)
FINISHES = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "of_the_future"])


@st.composite
def pieces(draw, text):
    """A text in parts, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    places = [0, *cuts, len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


@st.composite
def answers(draw):
    """Reasoning, text, the arguments of each call, the finish reason; the end of the last call may be missing."""
    arguments = draw(st.lists(ARGUMENTS, max_size=3))
    finish = draw(FINISHES)
    if arguments and finish == "length":
        arguments[-1] = arguments[-1][: draw(st.integers(1, len(arguments[-1])))]
    return draw(WORDS), draw(WORDS), arguments, finish


def whole(reasoning, text, arguments, finish):
    calls = [{"id": f"call_{n}", "function": {"name": f"f{n}", "arguments": item}} for n, item in enumerate(arguments)]
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning, "tool_calls": calls}
    told = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    return HEAD | {"choices": [{"message": message, "finish_reason": finish}], "usage": told}


@st.composite
def streams(draw, reasoning, text, arguments, finish):
    """The same answer as chunks: each call begins with a header, then parts of the calls in any order."""
    found = [delta(role="assistant", content="")]
    found += [delta(reasoning_content=part) for part in draw(pieces(reasoning))]
    found += [delta(content=part) for part in draw(pieces(text))]
    found += [delta(tool_calls=[call(n, "", id=f"call_{n}", name=f"f{n}")]) for n in range(len(arguments))]
    waiting = {n: draw(pieces(item)) for n, item in enumerate(arguments)}
    while waiting:
        number = draw(st.sampled_from(sorted(waiting)))
        found.append(delta(tool_calls=[call(number, waiting[number].pop(0))]))
        waiting = {n: parts for n, parts in waiting.items() if parts}
    end = draw(st.sampled_from([usage() + DONE, usage()]))
    return b"".join(found) + delta(finish) + end


@settings(deadline=None)
@given(st.data(), answers())
def test_whole_and_streamed_are_the_same_message(data, given_answer):
    stream = data.draw(streams(*given_answer))
    assert accumulated(stream).model_dump() == answer(whole(*given_answer)).model_dump()


@settings(deadline=None)
@given(st.data(), answers(), st.integers(1, 40))
def test_how_the_bytes_arrive_does_not_matter(data, given_answer, size):
    stream = data.draw(streams(*given_answer))
    assert translated(stream, split=size) == translated(stream)


@st.composite
def dialects(draw, names):
    """Calls as some server might send them, in order, with what is odd about it; no two have the same arguments."""
    index = draw(st.sampled_from(["right", "zero", "none", "text"]))
    identity = draw(st.sampled_from(["own", "one", "each part's", "number", "empty", "none"]))
    is_named_again, is_whole = draw(st.booleans()), draw(st.booleans())
    # What is told again under another id, or under none, is another call.
    again = ["again"] if identity in {"own", "one", "number"} else []
    how = draw(st.sampled_from(["text", "object", "twice", "empty first", *again]))
    parts, count = [], 0
    for number, name in enumerate(names):
        text = json.dumps({"n": number, "odd": draw(VALUES)})
        spelled = {"twice": json.dumps(text), "empty first": "{}" + text, "again": text + text}.get(how, text)
        whole_part = [json.loads(text)] if how == "object" else [spelled]
        for place, piece in enumerate(whole_part if is_whole or how == "object" else draw(pieces(spelled))):
            count += 1
            told = {
                "own": f"id_{number}",
                "one": "id",
                "each part's": f"id_{count}",
                "number": number,
                "empty": "",
                "none": None,
            }
            where = {"right": number, "zero": 0, "none": None, "text": str(number)}[index]
            found = call(where, piece, name=name if is_named_again or not place else None)
            parts.append(found | ({"id": told[identity]} if told[identity] is not None else {}))
    return parts


@settings(deadline=None, max_examples=300)
@given(st.data(), st.lists(st.sampled_from(["get", "put"]), min_size=1, max_size=4))
def test_however_calls_are_sent_none_is_lost_and_ends_well(data, names):
    parts = data.draw(dialects(names))
    ends = [delta("tool_calls") + DONE, delta("stop"), DONE, usage() + delta("tool_calls") + usage()]
    stream = b"".join(delta(tool_calls=[part]) for part in parts) + data.draw(st.sampled_from(ends))
    try:
        message = accumulated(stream)
    except TranslationError:
        return
    assert [(block.name, block.input["n"]) for block in message.content] == [(n, i) for i, n in enumerate(names)]
    assert len({block.id for block in message.content}) == len(names)
    assert message.stop_reason == "tool_use"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["get", "put"]), min_size=1, max_size=3), st.integers(0, 12))
def test_calls_of_which_a_part_is_missing_do_not_end_well(names, missing):
    """Each in its own place, whole but for one part, which a finish reason that is no cut makes a failure."""
    texts = [json.dumps({"n": number, "odd": "x" * 20}) for number in range(len(names))]
    parts = [
        call(number, piece, **({"id": f"id_{number}", "name": name} if not place else {}))
        for number, (name, text) in enumerate(zip(names, texts, strict=True))
        for place, piece in enumerate([text[:7], text[7:15], text[15:]])
    ]
    del parts[missing % len(parts)]
    stream = b"".join(delta(tool_calls=[part]) for part in parts) + delta("tool_calls") + DONE
    with pytest.raises((TranslationError, ValueError)):
        accumulated(stream)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "{", "a", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "index", "message"]), inner),
    max_leaves=5,
)
NAMES = ["id", "object", "model", "usage", "error"]
SAID = ["content", "refusal", "reasoning", "tool_calls", "function_call", "role"]
CALLS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "index": st.none() | st.integers(-1, 2) | st.sampled_from(["0", "x", 0.0, 1.5, True, []]),
            "id": st.sampled_from([None, "", "a", "b", 7, True, {}]),
            "name": st.sampled_from([None, "f", 7]),
            "arguments": st.sampled_from([None, "{}", {"a": 1}]),
            "function": st.none()
            | st.fixed_dictionaries(
                {},
                optional={
                    "name": st.sampled_from([None, "", "f", "g", 7]),
                    "arguments": st.none() | st.text('{}[]":,\\a1', max_size=6) | st.sampled_from([{"a": 1}, [], 7]),
                },
            ),
        },
    ),
    max_size=3,
)
ANY_SAID = st.dictionaries(st.sampled_from(SAID), JSON, max_size=4) | st.fixed_dictionaries({"tool_calls": CALLS})
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "message": ANY_SAID,
        "delta": ANY_SAID,
        "finish_reason": st.sampled_from([None, "", "stop", "length", "x", 7]),
    },
)
ANYTHING = JSON | st.dictionaries(st.sampled_from([*NAMES, "choices"]), JSON, max_size=4)
ANYTHING |= st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2)}, optional={"usage": JSON})


@settings(deadline=None)
@given(ANYTHING)
def test_any_answer_is_translated_or_told_apart(told):
    body = json.dumps(told).encode()
    try:
        MESSAGES_ON_CHAT.answer(body, ASKED)
    except TranslationError:
        return
    answer(body)


@settings(deadline=None)
@given(st.lists(ANYTHING, max_size=6), st.booleans())
def test_any_stream_is_translated_in_order_or_told_apart(told, done):
    stream = b"".join(f"data: {json.dumps(item)}\n\n".encode() for item in told) + (DONE if done else b"")
    try:
        found, over = translated(stream)
    except TranslationError:
        return
    if over and b"event: error" not in found:
        check_order(found)
