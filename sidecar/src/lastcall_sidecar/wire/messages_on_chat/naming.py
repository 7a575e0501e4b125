"""The names of functions in a chat request: those that the upstream's vendor takes."""

from typing import Any

from lastcall_sidecar.wire import tool_names
from lastcall_sidecar.wire.messages_on_chat.models import plain


def rename(chat: dict[str, Any], model: str) -> dict[str, str]:
    """Give the tools, the choice of one and earlier calls names that are taken; returns the client's, by those."""
    named = [tool["function"] for tool in chat.get("tools", ())]
    named += [call["function"] for message in chat["messages"] for call in message.get("tool_calls", ())]
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        named.append(choice["function"])
    found = tool_names.renamed((function["name"] for function in named), tool_names.of_chat(plain(model)))
    for function in named:
        function["name"] = found.get(function["name"], function["name"])
    return {made: name for name, made in found.items()}
