"""A chat's messages: turns by turns, each part a block, and nothing that the Messages API would refuse."""

import pytest
from tests.wire.chats import MODEL, USER, body, refused, translated

from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.translation import Options

PNG = "iVBORw0KGgo="
CACHE = {"cache_control": {"type": "ephemeral"}}
LONGER = {"type": "ephemeral", "ttl": "1h"}


def text(said, **more):
    return {"type": "text", "text": said, **more}


def call(identity="call_1", name="look", arguments='{"a":1}'):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(content=None, **fields):
    return {"role": "assistant", "content": content, **fields}


def tool(identity="call_1", content="seen", **fields):
    return {"role": "tool", "tool_call_id": identity, "content": content, **fields}


def system(content, **fields):
    return {"role": "system", "content": content, **fields}


def use(identity="call_1", name="look", given=None):
    return {"type": "tool_use", "id": identity, "name": name, "input": {"a": 1} if given is None else given}


def result(identity="call_1", *content):
    return {"type": "tool_result", "tool_use_id": identity, **({"content": list(content)} if content else {})}


HELLO = text("Hello")
CONVERSATIONS = {
    "one message": ([USER], [], [("user", HELLO)]),
    "system and developer, wherever they are": (
        [
            system("Be terse."),
            {"role": "developer", "content": [text("Be kind."), text(" ")]},
            USER,
            system("Be quick."),
        ],
        [text("Be terse."), text("Be kind."), text("Be quick.")],
        [("user", HELLO)],
    ),
    "an empty system": ([system(""), USER], [], [("user", HELLO)]),
    "a cached system": (
        [system("Be terse.", **CACHE), system([text("a"), text("b", **CACHE)]), USER],
        [text("Be terse.", **CACHE), text("a"), text("b", **CACHE)],
        [("user", HELLO)],
    ),
    "neighbors of one role": (
        [USER, USER, assistant("a"), assistant([text("b")]), USER],
        [],
        [("user", HELLO, HELLO), ("assistant", text("a"), text("b")), ("user", HELLO)],
    ),
    "parts with ids": ([{"role": "user", "content": [text("Hello", id=None, tool_use_id=7)]}], [], [("user", HELLO)]),
    "blank text": (
        [
            {"role": "user", "content": [text(""), HELLO, text("\n ")]},
            assistant(" "),
            {"role": "user", "content": "\t"},
        ],
        [],
        [("user", HELLO)],
    ),
    "a system between two of one role": ([USER, system("s"), USER], [text("s")], [("user", HELLO, HELLO)]),
    "a name": ([{**USER, "name": "Bob"}], [], [("user", HELLO)]),
    "a cached message": (
        [{**USER, **CACHE}, assistant("a", **CACHE), USER],
        [],
        [("user", {**HELLO, **CACHE}), ("assistant", text("a", **CACHE)), ("user", HELLO)],
    ),
    "a cached message without text": ([USER, assistant("", **CACHE)], [], [("user", HELLO)]),
    "a cached message of a cached part": (
        [{"role": "user", "content": [text("a", cache_control=LONGER)], **CACHE}],
        [],
        [("user", text("a", cache_control=LONGER))],
    ),
    "cache_control null": ([{**USER, "cache_control": None}], [], [("user", HELLO)]),
    "refusals": (
        [USER, assistant([{"type": "refusal", "refusal": "No."}]), USER, assistant(None, refusal="Never."), USER],
        [],
        [
            ("user", HELLO),
            ("assistant", text("No.")),
            ("user", HELLO),
            ("assistant", text("Never.")),
            ("user", HELLO),
        ],
    ),
    "a tool call": (
        [USER, assistant(tool_calls=[call()]), tool()],
        [],
        [("user", HELLO), ("assistant", use()), ("user", result("call_1", text("seen")))],
    ),
    "several, with text, and a user who goes on": (
        [
            USER,
            assistant("I look.", tool_calls=[call(), call("call_2")]),
            tool("call_2", "two"),
            system("s"),
            tool("call_1", [text("one"), text("")]),
            USER,
        ],
        [text("s")],
        [
            ("user", HELLO),
            ("assistant", text("I look."), use(), use("call_2")),
            ("user", result("call_2", text("two")), result("call_1", text("one")), HELLO),
        ],
    ),
    "a result without content": (
        [USER, assistant(tool_calls=[call()]), tool(content="")],
        [],
        [("user", HELLO), ("assistant", use()), ("user", result())],
    ),
    "a cached call and result": (
        [USER, assistant(tool_calls=[call()], **CACHE), tool(**CACHE)],
        [],
        [("user", HELLO), ("assistant", {**use(), **CACHE}), ("user", {**result("call_1", text("seen")), **CACHE})],
    ),
    "an image in a result": (
        [
            USER,
            assistant(tool_calls=[call()]),
            tool(content=[{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
        ],
        [],
        [
            ("user", HELLO),
            ("assistant", use()),
            ("user", result("call_1", {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})),
        ],
    ),
    "arguments that are empty": (
        [USER, assistant(tool_calls=[call(arguments=" ")]), tool()],
        [],
        [("user", HELLO), ("assistant", use(given={})), ("user", result("call_1", text("seen")))],
    ),
    "arguments that were cut short": (
        [USER, assistant(tool_calls=[call(arguments='{"a": [1.0, 2], "b": {"c": "te')]), tool()],
        [],
        [
            ("user", HELLO),
            ("assistant", use(given={"a": [1.0, 2], "b": {}})),
            ("user", result("call_1", text("seen"))),
        ],
    ),
    "an id of another vendor's": (
        [USER, assistant(tool_calls=[call("functions.look:0")]), tool("functions.look:0")],
        [],
        [("user", HELLO), ("assistant", use("functions_look_0")), ("user", result("functions_look_0", text("seen")))],
    ),
    "calls and results of Anthropic's own": (
        [
            USER,
            assistant([text("I look."), use("a"), use("b")]),
            {"role": "user", "content": [HELLO, result("a", text("1")), {**result("b", text("2")), "is_error": True}]},
        ],
        [],
        [
            ("user", HELLO),
            ("assistant", text("I look."), use("a"), use("b")),
            ("user", result("a", text("1")), {**result("b", text("2")), "is_error": True}, HELLO),
        ],
    ),
    "a call of Anthropic's own, answered by a tool": (
        [USER, assistant([use("a:1")]), tool("a:1")],
        [],
        [("user", HELLO), ("assistant", use("a_1")), ("user", result("a_1", text("seen")))],
    ),
    "an answer begun, and a blank": (
        [USER, assistant("It is \r\n")],
        [],
        [("user", HELLO), ("assistant", text("It is"))],
    ),
    "an answer begun": ([USER, assistant("It is")], [], [("user", HELLO), ("assistant", text("It is"))]),
}


@pytest.mark.parametrize(("messages", "prompt", "turns"), CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_conversation_is_translated(messages, prompt, turns):
    # A model that takes an answer begun: later ones do not.
    asked = translated(messages=messages, options=Options("claude-sonnet-4-5"))
    assert asked.get("system", []) == prompt
    assert asked["messages"] == [{"role": role, "content": blocks} for role, *blocks in turns]


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}}


def image_url(url, **more):
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}, **more}


def file(**fields):
    return {"type": "file", "file": fields}


PARTS = {
    "an image": (image_url(f"data:image/png;base64,{PNG}"), IMAGE),
    "an image in capitals": (image_url(f"DATA:Image/PNG;BASE64,{PNG}"), IMAGE),
    "an image with a parameter": (image_url(f"data:image/png;charset=utf-8;base64,{PNG}"), IMAGE),
    "an image to be cached": (image_url(f"data:image/png;base64,{PNG}", **CACHE), {**IMAGE, **CACHE}),
    "an image whose URL stands alone": ({"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}, IMAGE),
    "a jpg": (
        image_url(f"data:image/jpg;base64,{PNG}"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
    ),
    "an image elsewhere": (
        image_url("https://x/y.png", **CACHE),
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, **CACHE},
    ),
    "a PDF": (file(file_data=f"data:application/pdf;base64,{PNG}"), PDF),
    "a PDF with a name": (
        file(file_data=f"data:application/pdf;base64,{PNG}", filename="a.pdf"),
        {**PDF, "title": "a.pdf"},
    ),
    "a bare PDF": (file(file_data=PNG), PDF),
    "a PDF to be cached": ({**file(file_data=PNG), **CACHE}, {**PDF, **CACHE}),
    "an image as a file": (file(file_data=f"data:image/png;base64,{PNG}", filename="a.png"), IMAGE),
    "Anthropic's image": ({**IMAGE, **CACHE}, {**IMAGE, **CACHE}),
    "Anthropic's document": ({**PDF, "context": "c"}, {**PDF, "context": "c"}),
}


@pytest.mark.parametrize(("part", "block"), PARTS.values(), ids=PARTS.keys())
def test_a_part_becomes_a_block(part, block):
    asked = translated(messages=[{"role": "user", "content": [HELLO, part]}])
    assert asked["messages"] == [{"role": "user", "content": [HELLO, block]}]


def test_a_block_of_anthropics_keeps_its_own_mark():
    asked = translated(messages=[{"role": "user", "content": [IMAGE], **CACHE}])
    assert asked["messages"][0]["content"] == [IMAGE]


MEDIA = "must be one of image/jpeg, image/png, image/gif, image/webp, application/pdf"
NEEDS_URL = "must be an http(s) URL or data:<media type>;base64,…"
BAD_PARTS = {
    "audio": ({"type": "input_audio", "input_audio": {}}, "type: the Messages API knows no audio"),
    "a type that does not exist": ({"type": "secret"}, "type: not known, or not in a message of this role"),
    "a refusal by the user": (
        {"type": "refusal", "refusal": "No."},
        "type: not known, or not in a message of this role",
    ),
    "no type": ({"text": "x"}, ""),
    "a string": ("secret", ""),
    "text that is none": ({"type": "text", "text": 7}, "text: expected `str`, got `int`"),
    "an image without its URL": ({"type": "image_url"}, "image_url: required"),
    "an image whose URL is empty": (image_url(""), f"image_url.url: {NEEDS_URL}"),
    "an image by FTP": (image_url("ftp://x/y"), f"image_url.url: {NEEDS_URL}"),
    "data that is not base64, as it says": (image_url("data:image/png,abc"), f"image_url.url: {NEEDS_URL}"),
    "data without a type": (image_url(f"data:;base64,{PNG}"), f"image_url.url: {NEEDS_URL}"),
    "data of another type": (image_url(f"data:image/tiff;base64,{PNG}"), f"image_url.url: the media type {MEDIA}"),
    "data that is not base64": (image_url("data:image/png;base64,a-b_"), "image_url.url: the data is not base64"),
    "data that is cut": (image_url("data:image/png;base64,abc"), "image_url.url: the data is not base64"),
    "no data": (image_url("data:image/png;base64,"), "image_url.url: the data is not base64"),
    "a file without its data": (
        file(file_id="file-1"),
        "file.file_data: required: a PDF in base64 (there are no stored files here)",
    ),
    "a file without a file": (
        {"type": "file"},
        "file.file_data: required: a PDF in base64 (there are no stored files here)",
    ),
    "a file of another type": (
        file(file_data=f"data:text/plain;base64,{PNG}"),
        f"file.file_data: the media type {MEDIA}",
    ),
}


@pytest.mark.parametrize(("part", "message"), BAD_PARTS.values(), ids=BAD_PARTS.keys())
def test_a_bad_part_is_refused_with_its_place(part, message):
    told = refused(messages=[system("s"), {"role": "user", "content": [HELLO, part]}])
    assert told.startswith(f"messages.1.content.1.{message}" if message else "messages.1.content.1: ")
    assert "secret" not in told


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_only_a_user_or_a_tool_shows_images(role):
    told = refused(messages=[USER, {"role": role, "content": [image_url("https://x/y.png")]}])
    assert told == "messages.1.content.0.type: not known, or not in a message of this role"


CALLED = [USER, assistant(tool_calls=[call()])]
BAD_CONVERSATIONS = {
    "only a system": ([system("s")], "messages: nobody says anything but the system"),
    "only blanks": ([{"role": "user", "content": " "}], "messages: nobody says anything but the system"),
    "no content": ([{"role": "user"}], "messages: nobody says anything but the system"),
    "an assistant who begins": (
        [system("s"), assistant("Hi!"), USER],
        "messages.1.role: the first turn must be the user's",
    ),
    "a role that does not exist": (
        [{"role": "secret", "content": "x"}],
        "messages.0.role: must be one of system, developer, user, assistant, tool",
    ),
    "a role that is no string": ([{"role": 7}], "messages.0.role: expected `str`, got `int`"),
    "no role": ([{"content": "x"}], "messages.0: object missing required field `role`"),
    "a message that is no object": (["secret"], "messages.0: expected `object`, got `str`"),
    "content that is none": (
        [{"role": "user", "content": 7}],
        "messages.0.content: expected `str | array | null`, got `int`",
    ),
    "the role function": (
        [USER, {"role": "function", "name": "f", "content": "x"}],
        "messages.1.role: superseded: use `tools`, and a message of role `tool`",
    ),
    "a function call": (
        [USER, assistant(function_call={"name": "f", "arguments": "{}"})],
        "messages.1.function_call: superseded: use `tool_calls`",
    ),
    "audio of an answer": ([USER, assistant(audio={"id": "a"})], "messages.1.audio: the Messages API knows no audio"),
    "a result of no call": ([USER, tool()], "messages.1.tool_call_id: must be of a call right before, answered once"),
    "a result without an id": (
        [*CALLED, {"role": "tool", "content": "x"}],
        "messages.2.tool_call_id: must be of a call right before, answered once",
    ),
    "a result given twice": (
        [*CALLED, tool(), tool()],
        "messages.3.tool_call_id: must be of a call right before, answered once",
    ),
    "calls that the user passes over": (
        [*CALLED, USER],
        "messages.1.tool_calls: each must be answered by a message of role `tool`",
    ),
    "calls that the assistant passes over": (
        [USER, assistant(tool_calls=[call(), call("call_2")]), tool(), assistant("x")],
        "messages.1.tool_calls: each must be answered by a message of role `tool`",
    ),
    "calls at the end": (CALLED, "messages.1.tool_calls: each must be answered by a message of role `tool`"),
    "a custom call": (
        [USER, assistant(tool_calls=[{"id": "a", "type": "custom", "custom": {}}])],
        "messages.1.tool_calls.0.type: must be a function's",
    ),
    "a call without its function": (
        [USER, assistant(tool_calls=[{"id": "a", "type": "function"}])],
        "messages.1.tool_calls.0.type: must be a function's",
    ),
    "a call with an empty id": (
        [USER, assistant(tool_calls=[call("")])],
        "messages.1.tool_calls.0.id: must not be empty",
    ),
    "a call of Anthropic's own that is not answered": (
        [USER, assistant([use()]), USER],
        "messages.1.tool_calls: each must be answered by a message of role `tool`",
    ),
    "a result of Anthropic's own of no call": (
        [{"role": "user", "content": [HELLO, result()]}],
        "messages.0.content.tool_use_id: must be of a call right before, answered once",
    ),
    "a result of Anthropic's own without its call": (
        [{"role": "user", "content": [{"type": "tool_result"}]}],
        "messages.0.content.0.tool_use_id: expected `str`, got `null`",
    ),
    "a call of Anthropic's own by the user": (
        [{"role": "user", "content": [use()]}],
        "messages.0.content.0.type: not known, or not in a message of this role",
    ),
    "a result within a tool's": (
        [USER, assistant(tool_calls=[call()]), tool(content=[result()])],
        "messages.2.content.0.type: not known, or not in a message of this role",
    ),
    "arguments that are no JSON": (
        [USER, assistant(tool_calls=[call(), call("b", arguments="{secret")])],
        "messages.1.tool_calls.1.function.arguments: must be a JSON object",
    ),
    "arguments that are no object": (
        [USER, assistant(tool_calls=[call(arguments="[1]")])],
        "messages.1.tool_calls.0.function.arguments: must be a JSON object",
    ),
    "arguments with half a surrogate pair": (
        [USER, assistant(tool_calls=[call(arguments='{"a":"\\ud83d"}')])],
        "messages.1.tool_calls.0.function.arguments: must be a JSON object",
    ),
    "bottomless arguments": (
        [USER, assistant(tool_calls=[call(arguments='{"a":' + "[" * 100_000 + "]" * 100_000 + "}")])],
        "messages.1.tool_calls.0.function.arguments: must be a JSON object",
    ),
}


@pytest.mark.parametrize(("messages", "message"), BAD_CONVERSATIONS.values(), ids=BAD_CONVERSATIONS.keys())
def test_a_bad_conversation_is_refused_with_its_place(messages, message):
    assert refused(messages=messages) == message


def test_what_is_passed_on_as_it_is_keeps_its_bytes():
    part = b'{ "type": "image", "source": {"type": "url", "url": "https://x/y.png", "size": 1.0} }'
    sent = b'{"messages":[{"role":"user","content":[' + part + b"]}]}"
    assert part in CHAT_ON_MESSAGES.request(sent, Options(MODEL)).body


def test_arguments_may_be_written_over_several_lines():
    sent = body(messages=[USER, assistant(tool_calls=[call(arguments='{\n "a": 1.0\n}')]), tool()])
    assert b'"input":{\n "a": 1.0\n}' in CHAT_ON_MESSAGES.request(sent, Options(MODEL)).body
