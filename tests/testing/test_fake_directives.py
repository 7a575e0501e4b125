"""Directives: what they ask for, and that nonsense in them is told."""

import pytest

from lastcall_sidecar.testing.directives import Directive, DirectiveError, Kind, LineEnding, Misbehavior, find, parse
from lastcall_sidecar.testing.planning import last_user_text, plan


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("Hello", Directive(), id="none"),
        pytest.param("[fake]", Directive(), id="empty"),
        pytest.param("[fakery seconds=3]", Directive(), id="another word"),
        pytest.param("Tell [fake seconds=1.5 events=7] me", Directive(seconds=1.5, events=7), id="amid text"),
        pytest.param("[fake\n seconds=2\n seed=9]", Directive(seconds=2, seed=9), id="over lines"),
        pytest.param("[fake seed=1] [fake seed=2]", Directive(seed=1), id="the first of two"),
        pytest.param(
            "[fake kind=mixed misbehave=reset after=3 hold=2]",
            Directive(kind=Kind.MIXED, misbehave=Misbehavior.RESET, after=3, hold_seconds=2),
            id="misbehavior",
        ),
        pytest.param(
            "[fake calls=3 cache_read=5 cache_write=6 kind=everything]",
            Directive(calls=3, cache_read_tokens=5, cache_write_tokens=6, kind=Kind.EVERYTHING),
            id="blocks and usage",
        ),
        pytest.param("[fake error=429 retry_after=7]", Directive(error=429, retry_after_seconds=7), id="error"),
        pytest.param(
            "[fake chunk=7 eol=crlf noise=1 event_bytes=5000000]",
            Directive(chunk_bytes=7, eol=LineEnding.CRLF, noise=True, event_bytes=5_000_000),
            id="shape",
        ),
        pytest.param(
            "[fake discard=1 stream=1 stop=refusal]", Directive(discard=True, stream=True, stop="refusal"), id="rest"
        ),
    ],
)
def test_a_directive_is_read_out_of_the_text(text, wanted):
    assert find(text) == wanted


@pytest.mark.parametrize(
    "words",
    [
        "second=1",
        "seconds",
        "seconds=",
        "seconds=soon",
        "seconds=-1",
        "seconds=nan",
        "events=0",
        "events=1.5",
        "kind=poem",
        "calls=0",
        "cache_read=-1",
        "misbehave=yes",
        "error=200",
        "noise=2",
        "eol=lfcr",
    ],
)
def test_a_mistake_in_a_directive_is_told(words):
    with pytest.raises(DirectiveError, match=words.split("=", maxsplit=1)[0]):
        parse(words)


CONVERSATION = {"model": "fake-a", "max_tokens": 2048, "messages": [{"role": "user", "content": "Hi"}]}
TOOLS = {"tools": [{"name": "a", "input_schema": {}}, {"name": "b", "input_schema": {}}]}


@pytest.mark.parametrize(
    ("fields", "directive", "thinking", "tool"),
    [
        pytest.param({}, "", False, None, id="plain"),
        pytest.param({"thinking": {"type": "adaptive"}}, "", True, None, id="thinking"),
        pytest.param({"thinking": {"type": "disabled"}}, "", False, None, id="thinking disabled"),
        pytest.param(TOOLS, "", False, None, id="tools, free to choose"),
        pytest.param(TOOLS | {"tool_choice": {"type": "any"}}, "", False, "a", id="tools, any"),
        pytest.param(TOOLS | {"tool_choice": {"type": "tool", "name": "b"}}, "", False, "b", id="tools, named"),
        pytest.param(TOOLS | {"tool_choice": {"type": "any"}}, "kind=text", False, None, id="the directive wins"),
        pytest.param({}, "kind=mixed", True, "lookup", id="mixed with no tools"),
        pytest.param(TOOLS, "kind=tools", False, "a", id="tools by directive"),
        pytest.param(TOOLS, "kind=calls", False, "a", id="only calls by directive"),
        pytest.param({"thinking": {"type": "adaptive"}}, "kind=none", False, None, id="nothing by directive"),
    ],
)
def test_the_kind_of_answer_follows_from_request_and_directive(fields, directive, thinking, tool):
    made = plan(CONVERSATION | fields, parse(directive))
    assert made.thinking is thinking
    assert [call.name for call in made.tools] == ([tool] if tool else [])
    assert made.stop_reason == ("tool_use" if tool else "end_turn")


def test_calls_take_the_tools_in_turn_and_one_at_a_time_where_that_is_wished():
    made = plan(CONVERSATION | TOOLS, parse("kind=calls calls=3"))
    assert [call.name for call in made.tools] == ["a", "b", "a"]
    assert len({call.input_json for call in made.tools}) == 3
    named = TOOLS | {"tool_choice": {"type": "tool", "name": "b"}}
    assert [call.name for call in plan(CONVERSATION | named, parse("calls=2")).tools] == ["b", "b"]
    alone = TOOLS | {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert [call.name for call in plan(CONVERSATION | alone, parse("calls=2")).tools] == ["a"]


def test_the_seed_is_the_users_or_the_last_messages():
    one = plan(CONVERSATION, Directive()).seed
    assert plan(CONVERSATION | {"stream": True}, Directive()).seed == one
    assert plan(CONVERSATION | {"metadata": {"user_id": "u"}}, Directive()).seed != one
    assert plan(CONVERSATION | {"messages": [{"role": "user", "content": "Ho"}]}, Directive()).seed != one
    assert plan(CONVERSATION, Directive(seed=5)).seed == 5


def test_the_last_user_message_is_read_in_both_of_its_forms():
    history = [{"role": "user", "content": "[fake seed=1]"}, {"role": "assistant", "content": "[fake seed=2]"}]
    blocks = [{"type": "text", "text": "[fake"}, {"type": "image", "source": {}}, {"type": "text", "text": "seed=3]"}]
    assert find(last_user_text({"messages": history})).seed == 1
    assert find(last_user_text({"messages": [*history, {"role": "user", "content": blocks}]})).seed == 3
