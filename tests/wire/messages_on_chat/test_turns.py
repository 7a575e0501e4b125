"""Messages and their content blocks as chat messages."""

import pytest
from tests.wire.messages_on_chat.judges import assistant, text, turns, user

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat import conversation, parts
from lastcall_sidecar.wire.messages_on_chat.fields import BLOCKS
from lastcall_sidecar.wire.translation import Handling

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
PDF_PART = {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
CHAT_CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def document(source, **fields):
    return {"type": "document", "source": source, **fields}


def result(content, identity="t1", **fields):
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **fields}


def source(kind, **fields):
    return {"type": kind, **fields}


USERS = {
    "text": ([text("a")], "a"),
    "texts": ([text("a"), text("b")], "a\n\nb"),
    "text that says nothing": ([text("a"), text(" \n"), text(""), text("b")], "a\n\nb"),
    "nothing but such": ([text(" \n"), text("")], ""),
    "text with hints": ([text("a") | {"cache_control": {"type": "ephemeral"}, "citations": None}], "a"),
    "an image": ([text("a"), PNG, text(" "), text("b")], [text("a"), PNG_PART, text("b")]),
    "an image alone": ([PNG], [PNG_PART]),
    "an image by URL": (
        [{"type": "image", "source": source("url", url="https://example.com/a.png"), "cache_control": None}],
        [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
    ),
    "a PDF": ([PDF, text("b")], [PDF_PART, text("b")]),
    "a PDF with a title": (
        [PDF | {"title": "a.pdf", "context": "From a."}],
        [text("From a."), {"type": "file", "file": PDF_PART["file"] | {"filename": "a.pdf"}}],
    ),
    "a PDF without its type": ([document(source("base64", data="JVBE"), context="c")], [text("c"), PDF_PART]),
    "a text document": ([document(source("text", media_type="text/plain", data="d"))], "d"),
    "a text document with a title": ([document(source("text", data="d"), title="T", context="C")], "T\n\nC\n\nd"),
    "a document of parts": (
        [document(source("content", content=[text("d"), PNG]), title="T")],
        [text("T"), text("d"), PNG_PART],
    ),
    "a document of one text": ([document(source("content", content="d"))], "d"),
    "citations": ([document(source("text", data="d"), citations={"enabled": True})], "d"),
    "a search result": (
        [{"type": "search_result", "title": "T", "source": "https://example.com", "content": [text("a"), text("b")]}],
        "T\nhttps://example.com\n\na\n\nb",
    ),
    "a tool's name": ([{"type": "tool_reference", "tool_name": "f"}], "f"),
    "what is unknown": ([text("a"), {"type": "of_the_future", "text": 7}], "a"),
    "half a character": ([text("a\ud83d")], "a\ufffd"),
}


@pytest.mark.parametrize(("blocks", "expected"), USERS.values(), ids=USERS)
def test_what_a_user_says(blocks, expected):
    assert turns(user(*blocks)) == [{"role": "user", "content": expected}]


ASSISTANTS = {
    "text": ([text("a")], {"content": "a"}),
    "texts are one": ([text("a"), text(" b")], {"content": "a b"}),
    "nothing": ([text("")], {"content": ""}),
    "a call": ([CALL], {"content": None, "tool_calls": [CHAT_CALL]}),
    "a call with space": ([text("\n\n"), CALL], {"content": None, "tool_calls": [CHAT_CALL]}),
    "text and a call": ([text("a"), CALL], {"content": "a", "tool_calls": [CHAT_CALL]}),
    "thinking": (
        [
            {"type": "thinking", "thinking": "h", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            text("a"),
        ],
        {"content": "a"},
    ),
    "only thinking": ([{"type": "thinking", "thinking": "h", "signature": "s"}], {"content": ""}),
    "server tools": (
        [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "x"}},
            text("a"),
        ],
        {"content": "a"},
    ),
    "a summary": (
        [{"type": "compaction", "content": "s."}, {"type": "compaction", "content": None}],
        {"content": "s."},
    ),
}


@pytest.mark.parametrize(("blocks", "expected"), ASSISTANTS.values(), ids=ASSISTANTS)
def test_what_an_assistant_said(blocks, expected):
    found = turns(user(text("q")), assistant(*blocks), user(text("r")))
    assert found[1:] == [{"role": "assistant", **expected}, {"role": "user", "content": "r"}]


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({}, "{}"),
        ({"input": None}, "{}"),
        ({"input": {}}, "{}"),
        ({"input": {"é": "\u2028"}}, '{"\\u00e9": "\\u2028"}'),
    ],
    ids=["none", "null", "empty", "text"],
)
def test_the_input_of_a_call_goes_on_as_it_is(given, arguments):
    call = {"type": "tool_use", "id": "t", "name": "f"} | given
    assert turns(assistant(call))[0]["tool_calls"][0]["function"]["arguments"] == arguments


def test_prefill_is_an_assistants_message_at_the_end():
    assert turns(user(text("q")), {"role": "assistant", "content": "{"})[1:] == [{"role": "assistant", "content": "{"}]


RESULTS = {
    "text": (result("a"), "a"),
    "texts": (result([text("a"), text("b")]), "a\n\nb"),
    "nothing": (result([]), ""),
    "null": (result(None), ""),
    "an error": (result("no such file", is_error=True), "Error: no such file"),
    "no error": (result("a", is_error=False), "a"),
    "an error without words": (result([], is_error=True), "Error: "),
    "names of tools": (result([{"type": "tool_reference", "tool_name": "f"}]), "f"),
    "what is unknown": (result([{"type": "browser_state", "tabs": []}, text("a")]), "a"),
    "a text document": (result([document(source("text", data="d"))]), "d"),
}


@pytest.mark.parametrize(("block", "expected"), RESULTS.values(), ids=RESULTS)
def test_the_result_of_a_call(block, expected):
    assert turns(assistant(CALL), user(block))[1:] == [{"role": "tool", "tool_call_id": "t1", "content": expected}]


def test_results_come_first_then_what_else_the_user_says():
    found = turns(assistant(CALL, CALL | {"id": "t2"}), user(text("a"), result("2", "t2"), text("b"), result("1")))
    assert found[1:] == [
        {"role": "tool", "tool_call_id": "t2", "content": "2"},
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "user", "content": "a\n\nb"},
    ]


def test_pictures_in_results_go_into_the_next_message_in_order():
    second = PNG | {"source": PNG["source"] | {"data": "AAAA"}}
    found = turns(assistant(CALL), user(text("a"), result([text("r"), PNG, PDF]), result([second], "t2")))
    assert found[1:] == [
        {
            "role": "tool",
            "tool_call_id": "t1",
            "content": "r\n\n[image: see the next message]\n\n[document: see the next message]",
        },
        {"role": "tool", "tool_call_id": "t2", "content": "[image: see the next message]"},
        {
            "role": "user",
            "content": [
                PNG_PART,
                PDF_PART,
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                text("a"),
            ],
        },
    ]


def test_neighbors_of_one_role_are_one_turn():
    found = turns(
        {"role": "user", "content": "a"},
        user(text("b")),
        assistant(text("c")),
        assistant(CALL),
        assistant(CALL | {"id": "t2"}),
        user(result("1")),
        user(result("2", "t2"), text("d")),
    )
    assert found == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c", "tool_calls": [CHAT_CALL, CHAT_CALL | {"id": "t2"}]},
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "tool", "tool_call_id": "t2", "content": "2"},
        {"role": "user", "content": "d"},
    ]


def test_a_message_without_content_is_none():
    assert turns(user(text("a")), assistant(), user(text("b"))) == [{"role": "user", "content": "a\n\nb"}]


BILLING = text("x-anthropic-billing-header: cc_version=2.1.37; cch=fa690;")
SYSTEMS = {
    "a text": ("s", "s"),
    "blocks": ([text("s") | {"cache_control": {"type": "ephemeral"}}, text("t")], "s\n\nt"),
    "the billing header": ([BILLING, text("s")], "s"),
}


@pytest.mark.parametrize(("system", "expected"), SYSTEMS.values(), ids=SYSTEMS)
def test_the_system_prompt_is_the_first_message(system, expected):
    found = turns(user(text("a")), system=system)
    assert found == [{"role": "system", "content": expected}, {"role": "user", "content": "a"}]


@pytest.mark.parametrize("system", ["", [], [BILLING], [text(" ")], [PNG]], ids=str)
def test_a_system_prompt_that_says_nothing_is_none(system):
    assert turns(user(text("a")), system=system) == [{"role": "user", "content": "a"}]


def test_system_messages_at_the_front_belong_to_the_system_prompt():
    front = [{"role": "system", "content": "t"}, {"role": "system", "content": [text("u")]}]
    found = turns(*front, user(text("a")), system="s")
    assert found == [{"role": "system", "content": "s\n\nt\n\nu"}, {"role": "user", "content": "a"}]


CONVERSATION = [
    user(text("q")),
    assistant(CALL),
    user(result("1")),
    {"role": "system", "content": [text("note"), text("well")]},
    assistant(text("a")),
]


def test_later_ones_are_reminders_in_the_users_turn_where_templates_refuse_them():
    assert turns(*CONVERSATION)[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "user", "content": "<system-reminder>\nnote\n\nwell\n</system-reminder>"},
        {"role": "assistant", "content": "a"},
    ]


def test_later_ones_stay_what_they_are_with_openais_models():
    assert turns(*CONVERSATION, model="gpt-4o")[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "system", "content": "note\n\nwell"},
        {"role": "assistant", "content": "a"},
    ]


BAD = {
    "an image of the vendor's files": (
        [text("a"), {"type": "image", "source": source("file", file_id="file_1")}],
        "messages.0.content.1.source.type: the upstream takes base64, url only",
    ),
    "a document by URL": (
        [document(source("url", url="https://example.com/a.pdf"))],
        "messages.0.content.0.source.type: the upstream takes base64, text, content only",
    ),
    "a document of the vendor's files": ([document(source("file", file_id="f"))], "messages.0.content.0.source.type: "),
    "a file in a container": ([{"type": "container_upload", "file_id": "f"}], "messages.0.content.0.type: "),
    "an image without data": (
        [{"type": "image", "source": source("base64", media_type="image/png")}],
        "messages.0.content.0.source: incomplete",
    ),
    "an image without its type": (
        [{"type": "image", "source": source("base64", data="x")}],
        "messages.0.content.0.source: ",
    ),
    "an image without URL": ([{"type": "image", "source": source("url")}], "messages.0.content.0.source: incomplete"),
    "a document without data": ([document(source("base64"))], "messages.0.content.0.source: incomplete"),
    "a text without data": ([document(source("text"))], "messages.0.content.0.source: incomplete"),
    "a document without content": ([document(source("content"))], "messages.0.content.0.source: incomplete"),
    "within a document": (
        [document(source("content", content=[{"type": "image", "source": source("file")}]))],
        "messages.0.content.0.source.content.0.source.type: ",
    ),
    "within a result": (
        [result([text("a"), {"type": "image", "source": source("file")}])],
        "messages.0.content.0.content.1.source.type: ",
    ),
    "an odd text": ([{"type": "text", "text": 7}], "messages.0.content.0.text: expected `str`, got `int`"),
    "no type": ([{}], "messages.0.content.0: object missing required field `type`"),
    "no block": (["a"], "messages.0.content.0: expected `object`, got `str`"),
    "a result of nothing": (
        [{"type": "tool_result"}],
        "messages.0.content.0: object missing required field `tool_use_id`",
    ),
}


@pytest.mark.parametrize(("blocks", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_served_is_told_with_its_place(blocks, message):
    with pytest.raises(BodyError) as raised:
        turns(user(*blocks))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "tool", "content": "a"}, "messages.0.role: must be one of user, assistant, system"),
        ({"content": "a"}, "messages.0: object missing required field `role`"),
        ({"role": "user"}, "messages.0: object missing required field `content`"),
        ({"role": "user", "content": None}, "messages.0.content: expected"),
        (assistant(CALL | {"input": []}), "messages.0.content.0.input: must be an object"),
    ],
    ids=["an unknown role", "no role", "no content", "null", "an odd input"],
)
def test_a_message_that_is_none_is_refused(message, expected):
    with pytest.raises(BodyError) as raised:
        turns(message)
    assert str(raised.value).startswith(expected)


def test_a_conversation_of_nobody_is_refused():
    with pytest.raises(BodyError, match="messages: nobody says anything"):
        turns({"role": "system", "content": []})


def test_the_table_of_blocks_tells_what_the_code_does():
    served = {name for name, rule in BLOCKS.items() if rule.handling is not Handling.DROP}
    assert served == {*parts._MAKERS, "tool_use", "tool_result", "thinking", "compaction"}
    assert set(conversation._MAKERS) == {"user", "assistant", "system"}
