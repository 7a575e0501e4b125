"""The names of tools in a Messages request: those that the upstream's vendor takes."""

from typing import Any

import msgspec

from lastcall_sidecar.wire import tool_names
from lastcall_sidecar.wire.body import BodyError


def rename(made: dict[str, Any]) -> dict[str, str]:
    """Give the tools, the choice of one and earlier calls names that are taken; returns the client's, by those."""
    named: list[dict[str, Any]] = [*made.get("tools", ())]
    if made.get("tool_choice", {}).get("type") == "tool":
        named.append(made["tool_choice"])
    blocks = (block for message in made["messages"] for block in message["content"])
    named += [block for block in blocks if isinstance(block, dict) and block["type"] == "tool_use"]
    names = [_name(one.get("name")) for one in named]
    found = tool_names.renamed(names, tool_names.of_messages(made["model"]))
    for one, name in zip(named, names, strict=True):
        if name in found:
            one["name"] = found[name]
    return {short: name for name, short in found.items()}


def _name(name: Any) -> str:
    """A name as text: in Anthropic's own blocks, which some clients send, it is JSON still."""
    if isinstance(name, str):
        return name
    try:
        return msgspec.json.decode(name, type=str)
    except (msgspec.DecodeError, TypeError):
        raise BodyError("messages: a tool_use must have a name") from None
