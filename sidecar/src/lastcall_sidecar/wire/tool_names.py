"""Names of tools that the upstream's vendor refuses: another one goes up, and the client's own comes back.

Called by both translations. The other name is made of the client's alone, so that it is the same in every turn of a
conversation, whichever replica serves it; which is which travels with the request, in `Asked`. Plugins make names of
70 characters and more (`mcp__plugin_…`).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Hexadecimal digits of the name's SHA-256 at the end of what it is cut to.
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class NameRule:
    """What a vendor takes as the name of a tool."""

    max_chars: int
    #: Characters that it may have, as within brackets of a pattern.
    chars: str = r"a-zA-Z0-9_\-"
    #: Characters that it may begin with.
    first: str = r"a-zA-Z0-9_\-"

    def takes(self, name: str) -> bool:
        """Whether the vendor takes this one."""
        return re.fullmatch(rf"[{self.first}][{self.chars}]{{0,{self.max_chars - 1}}}", name) is not None

    def mended(self, name: str, attempt: int = 0) -> str:
        """Return one that it takes: what can stay of this one, and a hash of it."""
        digest = hashlib.sha256(f"{name}{attempt or ''}".encode("utf-8", "replace")).hexdigest()[:_DIGITS]
        kept = re.sub(rf"[^{self.chars}]", "_", name)
        if not re.match(rf"[{self.first}]", kept):
            kept = "_" + kept
        return f"{kept[: self.max_chars - _DIGITS - 1]}_{digest}"


#: OpenAI's (https://platform.openai.com/docs/api-reference/chat/create#chat_create-tools), which most others repeat.
OPENAI = NameRule(64)
#: "Must start with a letter or an underscore" (kaitranntt/ccs#25, google-gemini/gemini-cli#7869).
GEMINI = NameRule(64, chars=r"a-zA-Z0-9_.:\-", first="a-zA-Z_")
#: `^[a-zA-Z_][a-zA-Z0-9-_]{2,63}$` (https://platform.moonshot.ai/docs/api/tool-use)
KIMI = NameRule(64, first="a-zA-Z_")
#: `^[a-zA-Z0-9_-]{1,128}$` (https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use)
ANTHROPIC = NameRule(128)

#: By the beginning of a model's name, for chat upstreams; `OPENAI` for all others.
_CHAT: tuple[tuple[str, NameRule], ...] = (("gemini-", GEMINI), ("kimi-", KIMI))


def of_chat(model: str) -> NameRule:
    """The rule for a model of an upstream that speaks Chat Completions; `model` without a router's prefix."""
    return next((rule for begin, rule in _CHAT if model.lower().startswith(begin)), OPENAI)


def of_messages(model: str) -> NameRule:
    """The rule for a model of an upstream that speaks Messages: Anthropic's for its own, the least of all for others.

    In Bedrock (`anthropic.claude-…`) 64 is the most
    (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html).
    """
    return ANTHROPIC if model.startswith("claude-") else OPENAI


def renamed(names: Iterable[str], rule: NameRule) -> Mapping[str, str]:
    """By the client's name, the upstream's, for those that differ. No two are the same, whatever the client's are."""
    wanted = frozenset(names)
    bad = [name for name in sorted(wanted) if not rule.takes(name)]
    taken = set(wanted.difference(bad))
    found: dict[str, str] = {}
    for name in bad:
        attempt = 0
        while (made := rule.mended(name, attempt)) in taken:
            attempt += 1
        taken.add(made)
        found[name] = made
    return found
