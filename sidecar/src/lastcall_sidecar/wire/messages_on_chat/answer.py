"""A chat completion as a message."""

from typing import Any

import msgspec

from lastcall_sidecar.wire.carried import call_id, is_object
from lastcall_sidecar.wire.messages_on_chat.arguments import whole
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Completion, Ending, Ids, message
from lastcall_sidecar.wire.messages_on_chat.gathering import Gathered, block
from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.stops import Stops
from lastcall_sidecar.wire.translation import Asked, TranslationError


def translate_answer(body: bytes, asked: Asked) -> bytes:
    """Translate a whole answer: thinking, text and calls, in this order; an empty text if there is nothing.

    Where nothing was thought aloud, a block of thinking before the calls carries what the upstream wants back.

    Errors: TranslationError, also for an error that came with a good status, and for an answer broken off.
    """
    completion = answered(body, Completion)
    choice = completion.choices[0] if completion.choices else None
    said = choice.said(in_pieces=False) if choice else None
    if choice is None or said is None:
        raise TranslationError("the upstream's answer has no message in it")
    ending = Ending()
    ending.take(choice, said)
    found = message(completion, body, asked.model)
    content: list[dict[str, Any]] = []
    stops = Stops(asked.stop_sequences)
    text = stops.take(said.text) + stops.rest()
    made = said.calls
    if stops.hit is not None:
        made = []
        ending.stop(stops.hit, called=False)
    for call in made:
        call.restore(asked.tool_names)
    gathered = Gathered()
    gathered.take(said, in_pieces=False)
    ids = Ids(found["id"])
    calls = [_tool_use(call, ids.own(call.id, number), ending, gathered) for number, call in enumerate(made)]
    if said.thinking:
        content.append(block(said.thinking, gathered))
    elif calls and (gathered.has_state or gathered.field):
        calls.insert(0, block("", gathered))
    if text or not (content or calls):
        content.append({"type": "text", "text": text})
    return msgspec.json.encode(found | {"content": content + calls} | ending.stopped())


def _tool_use(call: Call, known: str, ending: Ending, gathered: Gathered) -> dict[str, Any]:
    function = call.function
    if function is None or not function.name:
        raise TranslationError("the upstream's answer has a call without a name")
    arguments = msgspec.Raw(whole(function.arguments, is_cut=ending.is_cut))
    extra = call.extra_content if is_object(call.extra_content) else None
    identity = call_id(known, extra)
    if identity is None:
        identity = call_id(known) or known
        if extra is not None:
            gathered.calls[identity] = extra
    return {"type": "tool_use", "id": identity, "name": function.name, "input": arguments}
