"""A chat completion as a message."""

from typing import Any

import msgspec

from lastcall_sidecar.wire.carried import call_id, is_object
from lastcall_sidecar.wire.messages_on_chat.arguments import whole
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Completion, Ending, Function, message, tool_use_id
from lastcall_sidecar.wire.messages_on_chat.gathering import Gathered, block
from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.messages_on_chat.stops import Stops
from lastcall_sidecar.wire.translation import Asked, TranslationError


def translate_answer(body: bytes, asked: Asked) -> bytes:
    """Translate a whole answer: thinking, text and calls, in this order; an empty text if there is nothing.

    Where nothing was thought aloud, a block of thinking before the calls carries what the upstream wants back.

    Errors: TranslationError, also for an error that came with a good status, and for an answer broken off.
    """
    completion = answered(body, Completion)
    choice = completion.choices[0] if completion.choices else None
    if choice is None or choice.message is None:
        raise TranslationError("the upstream's answer has no message in it")
    said = choice.message
    ending = Ending()
    ending.take(choice, said)
    found = message(completion, body, asked.model)
    content: list[dict[str, Any]] = []
    stops = Stops(asked.stop_sequences)
    text = stops.take(said.text) + stops.rest()
    made = said.tool_calls or []
    if stops.hit is not None:
        made = []
        ending.stop(stops.hit, called=False)
    for call in made:
        call.restore(asked.tool_names)
    gathered = Gathered()
    gathered.take(said, in_pieces=False)
    calls = [_tool_use(call, tool_use_id(found["id"], number), gathered) for number, call in enumerate(made)]
    if said.thinking:
        content.append(block(said.thinking, gathered))
    elif calls and (gathered.has_state or gathered.field):
        calls.insert(0, block("", gathered))
    if text or not (content or calls):
        content.append({"type": "text", "text": text})
    return msgspec.json.encode(found | {"content": content + calls} | ending.stopped())


def _tool_use(call: Call, otherwise: str, gathered: Gathered) -> dict[str, Any]:
    function = call.function or Function()
    arguments = function.arguments
    found = arguments if isinstance(arguments, dict) else msgspec.Raw(whole(arguments or ""))
    known, extra = call.id or otherwise, call.extra_content if is_object(call.extra_content) else None
    identity = call_id(known, extra)
    if identity is None:
        identity = call_id(known) or known
        if extra is not None:
            gathered.calls[identity] = extra
    return {"type": "tool_use", "id": identity, "name": function.name or "", "input": found}
