"""Whatever is asked, the upstream takes it; whatever is answered, a stream of it and the whole of it are the same."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from tests.wire.chats import ASKED, accumulated, body, plain, spoken
from tests.wire.sequences import MESSAGE_STOP, PING, anthropic_event, block_delta, block_start, block_stop

from lastcall_sidecar.testing.signing import REDACTED, sign
from lastcall_sidecar.testing.validate import load, message_request
from lastcall_sidecar.wire.body import scan
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.translation import Options

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def listed(items, max_size):
    return st.lists(items, max_size=max_size)


def values():
    """JSON text, with numbers that no float holds."""
    leaves = NUMBERS | WORDS.map(json.dumps) | st.sampled_from(["null", "true", " [ ] "])
    return st.recursive(
        leaves, lambda inner: objects(inner) | listed(inner, 3).map(lambda all_: f"[{', '.join(all_)}]"), max_leaves=5
    )


def objects(inner):
    fields = st.dictionaries(WORDS, inner, max_size=3)
    return fields.map(
        lambda given: "{" + ",".join(f"{json.dumps(name)}: {value}" for name, value in given.items()) + "}"
    )


ARGUMENTS = objects(values())


@st.composite
def pieces(draw, text):
    """The text in pieces, of which some are empty."""
    cuts = sorted(draw(listed(st.integers(0, len(text)), 4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def block(draw, index):
    """The block's JSON text in a whole message, and the events that bring it."""
    kind = draw(st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]))
    if kind == "text":
        text = draw(WORDS)
        deltas = [{"type": "text_delta", "text": piece} for piece in draw(pieces(text))]
        whole, start = {"type": kind, "text": text}, {"type": kind, "text": ""}
    elif kind == "thinking":
        thinking, signature = draw(WORDS), draw(WORDS)
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces(thinking))]
        deltas.append({"type": "signature_delta", "signature": signature})
        whole = {"type": kind, "thinking": thinking, "signature": signature}
        start = {"type": kind, "thinking": "", "signature": ""}
    elif kind == "redacted_thinking":
        deltas, whole = [], {"type": kind, "data": draw(WORDS)}
        start = whole
    else:
        arguments = draw(ARGUMENTS)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in draw(pieces(arguments))]
        start = {"type": kind, "id": f"toolu_{index}", "name": "look", "input": {}}
        deltas = deltas if arguments != "{}" else draw(st.sampled_from([[], deltas]))
        document = json.dumps(start).replace('"input": {}', f'"input": {arguments}')
        return document, events(index, start, deltas)
    return json.dumps(whole), events(index, start, deltas)


def events(index, start, deltas):
    return [block_start(index, start), *(block_delta(index, delta) for delta in deltas), block_stop(index)]


COUNTS = st.integers(0, 2**40)
STOPS = st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "of_the_future"])


@given(data=st.data(), count=st.integers(0, 5), stop=STOPS, first=COUNTS, read=st.none() | COUNTS, last=COUNTS)
@settings(deadline=None, max_examples=100)
def test_a_stream_and_the_whole_of_it_are_the_same_completion(data, count, stop, first, read, last):
    blocks = [data.draw(block(index)) for index in range(count)]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-real"}
    usage = {"input_tokens": first, "cache_read_input_tokens": read, "output_tokens": last}
    rest = json.dumps({"stop_reason": stop, "usage": usage})
    content = ",".join(document for document, _ in blocks)
    document = f'{json.dumps(head)[:-1]}, "content": [{content}], {rest[1:]}'.encode()
    stream = [
        anthropic_event(
            {"type": "message_start", "message": {**head, "content": [], "usage": {**usage, "output_tokens": 1}}}
        ),
        PING,
        *(event for _, block_events in blocks for event in block_events),
        anthropic_event({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": last}}),
        MESSAGE_STOP,
    ]
    said, over = spoken(stream)
    assert over
    whole = ChatCompletion.model_validate_json(CHAT_ON_MESSAGES.answer(document, ASKED), strict=True)
    assert accumulated(said) == plain(whole.to_dict())


@given(stream=listed(st.binary(max_size=20) | st.sampled_from(
    [
        anthropic_event({"type": "message_start", "message": {"id": "m"}}),
        block_start(0, {"type": "text", "text": ""}),
        block_start(1, {"type": "tool_use", "id": "t", "name": "f", "input": None}),
        block_delta(0, {"type": "text_delta", "text": "x"}),
        block_delta(1, {"type": "input_json_delta", "partial_json": "x"}),
        block_stop(1),
        anthropic_event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        MESSAGE_STOP,
        b"event: error\ndata: {}\n\n",
        b"event: message_delta\ndata: []\n\n",
    ]
), 12))  # fmt: skip
@settings(deadline=None)
def test_of_any_stream_at_most_one_end_is_told(stream):
    try:
        said, over = spoken(stream)
    except ValueError:  # the upstream's fault, which is told as such
        return
    assert over is (b"data: [DONE]" in said or b'data: {"error"' in said)


CALL_IDS = st.text("abc_-.:", min_size=1, max_size=5)
BLANK_OR_NOT = st.sampled_from(["", " ", "\n"]) | WORDS
TEXT_PARTS = listed(BLANK_OR_NOT.map(lambda said: {"type": "text", "text": said}), 3)
SAID = st.none() | BLANK_OR_NOT | TEXT_PARTS
IMAGES = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,iVBORw0KGgo=", "filename": "a.pdf"}},
    ]
)
#: As the upstream's own come back, or without what it would know them by.
DETAILS = st.none() | listed(
    WORDS.map(lambda said: {"type": "reasoning.text", "text": said, "signature": sign(1, said)})
    | st.just({"type": "reasoning.encrypted", "data": sign(1, REDACTED)})
    | WORDS.map(lambda said: {"type": "reasoning.text", "text": said})
    | st.just({"type": "reasoning.summary", "summary": "Hm."}),
    4,
)


@st.composite
def exchange(draw):
    """Messages that may follow any others: somebody says something, or the assistant calls and the tools answer."""
    kind = draw(st.sampled_from(["system", "developer", "user", "assistant", "calls"]))
    if kind == "user":
        return [{"role": kind, "content": draw(BLANK_OR_NOT | listed(IMAGES, 2) | TEXT_PARTS)}]
    if kind != "calls":
        more = {"reasoning_details": draw(DETAILS)} if kind == "assistant" else {}
        return [{"role": kind, "content": draw(SAID), **more}]
    ids = draw(
        st.lists(
            CALL_IDS, min_size=1, max_size=3, unique_by=lambda identity: identity.replace(".", "_").replace(":", "_")
        )
    )
    calls = [
        {"id": identity, "type": "function", "function": {"name": "look", "arguments": draw(ARGUMENTS | st.just(""))}}
        for identity in ids
    ]
    message = {"role": "assistant", "content": draw(SAID), "tool_calls": calls, "reasoning_details": draw(DETAILS)}
    answers = [
        {"role": "tool", "tool_call_id": identity, "content": draw(BLANK_OR_NOT | TEXT_PARTS)} for identity in ids
    ]
    return [message, *draw(st.permutations(answers))]


MODELS = st.sampled_from(
    ["claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-5", "claude-opus-5-5", "fake-llm-1"]
)
TOOLS = [{"type": "function", "function": {"name": "look"}}]
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 100_000),
        "temperature": st.floats(0, 2) | st.integers(0, 2),
        "top_p": st.floats(0, 1),
        "stop": st.none() | st.sampled_from(["END", ["a", "b"], []]),
        "reasoning_effort": st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        "tool_choice": st.sampled_from([None, "none", "auto"]),
        "parallel_tool_calls": st.booleans(),
        "tools": st.sampled_from([None, [], TOOLS]),
        "user": WORDS,
        "stream": st.none() | st.booleans(),
    },
)


@given(
    before=listed(st.sampled_from([[{"role": "system", "content": "Be terse."}]]), 1),
    exchanges=listed(exchange(), 8),
    fields=FIELDS,
    model=MODELS,
)
@settings(deadline=None, max_examples=150)
def test_every_good_request_is_taken_by_the_strict_upstream(before, exchanges, fields, model):
    spoken_first = [{"role": "user", "content": "Hello"}]
    messages = [message for part in [*before, spoken_first, *exchanges] for message in part]
    if model not in {"claude-sonnet-4-5", "fake-llm-1"}:
        messages.append({"role": "user", "content": "Go on."})  # the others take no answer begun
    sent = body(messages=messages, **fields)
    scan(sent)
    asked = load(CHAT_ON_MESSAGES.request(sent, Options(model)).body)
    message_request(asked)
    roles = [message["role"] for message in asked["messages"]]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]
    for message in asked["messages"]:
        kinds = [part["type"] for part in message["content"]]
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
    assert asked["max_tokens"] == fields.get("max_tokens", 8192)


@given(arguments=ARGUMENTS)
@settings(deadline=None, max_examples=50)
def test_arguments_go_up_as_they_were_written(arguments):
    calls = [{"id": "a", "type": "function", "function": {"name": "look", "arguments": arguments}}]
    answer = {"role": "tool", "tool_call_id": "a", "content": "x"}
    sent = body(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}, answer])
    assert f'"input":{arguments}}}'.encode() in CHAT_ON_MESSAGES.request(sent, Options("claude-sonnet-4-6")).body
