"""Vendors of OpenAI's API that want state of a turn with calls back: what they tell, what they refuse. Pure.

What they tell follows from the id of the turn's first call, so that it can be told whether the same came back:

    DeepSeek    `reasoning_content`, sometimes empty (https://api-docs.deepseek.com/guides/thinking_mode#tool-calls)
    Kimi        `reasoning_content`; ids as `functions.NAME:0` (continuedev/continue#11600)
    Gemini      `extra_content.google.thought_signature` on the first call, short or long; fields it does not know: 400
                (https://ai.google.dev/gemini-api/docs/thought-signatures)
    OpenRouter  `reasoning` and `reasoning_details`, signed and encrypted, which must come back unmodified
                (https://openrouter.ai/docs/use-cases/reasoning-tokens)
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.vllm_request import check_messages

VendorApi = Literal["DeepSeek", "Kimi", "Gemini", "OpenRouter"]

#: For calls that another model made (Google's word, on the page above).
_SKIP = "skip_thought_signature_validator"
_GEMINI_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})


@dataclass(frozen=True, slots=True)
class Vendor:
    """Whose model it is, and the ids that it gives to calls."""

    model: str
    id_form: str

    def call_id(self, name: str, number: int) -> str:
        """The id of a conversation's call with this number."""
        return self.id_form.format(name=name, number=number)

    def made(self, identity: str) -> bool:
        """Whether it is an id of this vendor's."""
        form = re.escape(self.id_form).replace(r"\{name\}", r"[\w-]+").replace(r"\{number\}", r"\d+")
        return re.fullmatch(form, identity) is not None


VENDORS: Mapping[VendorApi, Vendor] = {
    "DeepSeek": Vendor("deepseek-v4-pro", "call_00_{number}"),
    "Kimi": Vendor("kimi-k2.6", "functions.{name}:{number}"),
    "Gemini": Vendor("gemini-3-pro-preview", "function-call-{number}"),
    "OpenRouter": Vendor("anthropic/claude-opus-4.6", "toolu_bdrk_{number}"),
}


def of_message(api: VendorApi, identity: str) -> dict[str, Any]:
    """What a message tells whose first call has this id."""
    thought = _thought(identity)
    match api:
        case "DeepSeek":
            return {"reasoning_content": thought if _number(identity) % 3 else ""}
        case "Kimi":
            return {"reasoning_content": thought}
        case "OpenRouter":
            return {"reasoning": thought, "reasoning_details": _details(identity)}
        case _:
            return {}


def of_call(api: VendorApi, identity: str) -> dict[str, Any]:
    """What the first call of a message tells beside its function."""
    return {"extra_content": {"google": {"thought_signature": _signature(identity)}}} if api == "Gemini" else {}


def deltas(api: VendorApi, identity: str) -> Iterator[dict[str, Any]]:
    """The same message in a stream's pieces."""
    thought = _thought(identity)
    pieces = [thought[:3], thought[3:]]
    match api:
        case "OpenRouter":
            text, secret = _details(identity)
            for piece in pieces:
                told = {name: value for name, value in text.items() if name != "signature"} | {"text": piece}
                yield {"reasoning": piece, "reasoning_details": [told]}
            signed = {name: value for name, value in text.items() if name != "text"}
            yield {"reasoning": None, "reasoning_details": [signed, secret]}
        case "DeepSeek" | "Kimi":
            told = of_message(api, identity)["reasoning_content"]
            yield {"content": None, "reasoning_content": ""}
            yield from ({"content": None, "reasoning_content": piece} for piece in pieces if told)
            yield {"content": "", "reasoning_content": None}
        case _:
            return


def vendor_request(api: VendorApi, request: Mapping[str, Any]) -> None:
    """Refuse what the vendor refuses of a conversation: above all a turn with calls that brings nothing back."""
    check_messages(request)
    for index, message in enumerate(request["messages"]):
        if api == "Gemini":
            _known_only(index, message)
        calls = message.get("tool_calls") or ()
        if calls:
            _CHECKS[api](index, message, calls[0])


def _deepseek(_index: int, message: Mapping[str, Any], call: Mapping[str, Any]) -> None:
    came = message.get("reasoning_content")
    own = VENDORS["DeepSeek"].made(call["id"])
    if came is None or (own and {"reasoning_content": came} != of_message("DeepSeek", call["id"])):
        raise FakeError(400, "The `reasoning_content` in the thinking mode must be passed back to the API.")


def _kimi(index: int, message: Mapping[str, Any], call: Mapping[str, Any]) -> None:
    came = message.get("reasoning_content")
    own = VENDORS["Kimi"].made(call["id"])
    if came is None or (own and {"reasoning_content": came} != of_message("Kimi", call["id"])):
        said = "thinking is enabled but reasoning_content is missing in assistant tool call message at index"
        raise FakeError(400, f"{said} {index}")


def _gemini(index: int, _message: Mapping[str, Any], call: Mapping[str, Any]) -> None:
    came = call.get("extra_content", {}).get("google", {}).get("thought_signature")
    if came is None:
        name = call["function"]["name"]
        raise FakeError(
            400,
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            f"function call `default_api:{name}` , position {index}. Please refer to "
            "https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
        )
    if came != (_signature(call["id"]) if VENDORS["Gemini"].made(call["id"]) else _SKIP):
        raise FakeError(400, "Thought signature is not valid")


def _openrouter(index: int, message: Mapping[str, Any], call: Mapping[str, Any]) -> None:
    came = message.get("reasoning_details")
    if VENDORS["OpenRouter"].made(call["id"]) and came != _details(call["id"]):
        raise FakeError(
            400,
            f"messages.{index}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message "
            "cannot be modified. These blocks must remain as they were in the original response.",
        )


_CHECKS = {"DeepSeek": _deepseek, "Kimi": _kimi, "Gemini": _gemini, "OpenRouter": _openrouter}


def _known_only(index: int, message: Mapping[str, Any]) -> None:
    for name in message:
        if name not in _GEMINI_FIELDS:
            said = f"Invalid JSON payload received. Unknown name \"{name}\" at 'messages[{index}]': Cannot find field."
            raise FakeError(400, said)


def _details(identity: str) -> list[dict[str, Any]]:
    form = {"format": "anthropic-claude-v1"}
    text = {"type": "reasoning.text", "text": _thought(identity), "signature": _signature(identity), **form, "index": 0}
    return [text, {"type": "reasoning.encrypted", "data": _signature(f"{identity} data"), **form, "index": 1}]


def _thought(identity: str) -> str:
    return f"Für {identity}: 考える."


def _signature(identity: str) -> str:
    """Short for every other call, and longer than an id may be for those between."""
    digest = hashlib.sha512(identity.encode()).digest()
    return base64.b64encode(digest * (1 if _number(identity) % 2 else 20)).decode()


def _number(identity: str) -> int:
    found = re.search(r"\d+$", identity)
    return int(found[0]) if found else 1
