"""What a model's name tells of what its API takes. Names that are not OpenAI's own are taken for a local server's.

https://platform.openai.com/docs/guides/reasoning: its reasoning models take `max_completion_tokens` and
`reasoning_effort`, and no sampling parameters; its other models take no `reasoning_effort`.
"""

import re

#: What may stand before the name: of a fine-tuned model, or of a router that serves several vendors'.
_PREFIX = re.compile(r"ft:|.*/")
_OWN = re.compile(r"gpt-\d|chatgpt|o\d(?:-|$)")
#: Azure writes `gpt-35-turbo`.
_NEWER = re.compile(r"o\d(?:-|$)|gpt-(?:[5-9]|[12]\d)(?!\d)")
_CHAT_ONLY = re.compile(r"gpt-.*-chat")
_NO_EFFORT = re.compile(r"gpt-[34]|chatgpt|o1-(?:mini|preview)|gpt-.*-chat")


def plain(model: str) -> str:
    """Return the name without what a router, or a fine-tuning, has put before it."""
    return _PREFIX.sub("", model, count=1)


def is_openais(model: str) -> bool:
    """Whether it is one of OpenAI's own, whose API refuses what it does not know."""
    return _OWN.match(plain(model)) is not None


def limits_completion(model: str) -> bool:
    """Whether its limit is called `max_completion_tokens`."""
    return _NEWER.match(plain(model)) is not None


def takes_sampling(model: str) -> bool:
    """Whether it takes `temperature` and `top_p`."""
    return not limits_completion(model) or _CHAT_ONLY.match(plain(model)) is not None


def takes_effort(model: str) -> bool:
    """Whether it may take `reasoning_effort`. Local servers leave it to the chat template, which may ignore it."""
    return _NO_EFFORT.match(plain(model)) is None
