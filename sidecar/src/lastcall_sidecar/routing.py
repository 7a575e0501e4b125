"""Which route a request takes: the table of `wire/routes.py`, seen by the mode and provider in force."""

from dataclasses import replace

from .errors import Refusal
from .settings import Mode, Provider, Settings
from .wire.anthropic import ANTHROPIC, UNKNOWN
from .wire.protocol import ErrorKind, Protocol, Route
from .wire.routes import passthrough, route

#: Routes that only a translation could serve on the other vendor's upstream.
_NEEDS: dict[str, Provider] = {
    "messages": Provider.ANTHROPIC,
    "count_tokens": Provider.ANTHROPIC,
    "batches": Provider.ANTHROPIC,
    "chat_completions": Provider.OPENAI,
    "chat_models": Provider.OPENAI,
}


def protocol_of(method: str, path: str) -> Protocol:
    """What the caller of a path expects an error to look like."""
    known = route(method, path)
    return ANTHROPIC if known is None else known.protocol


def resolve(settings: Settings, method: str, path: str) -> Route | None:
    """The route of a request; None for what is ours to answer.

    Errors: Refusal (501) where the upstream speaks another protocol.
    """
    known = route(method, path)
    if settings.mode is Mode.INGRESS:
        # Every path is the app's; that a known one generates still matters to the slots.
        return replace(passthrough(path), generation=known is not None and known.generation)
    if known is None:
        return None
    provider = settings.upstream.provider
    if provider is Provider.ANY:
        return replace(known, protocol=UNKNOWN, understood=False)
    needed = _NEEDS.get(known.name)
    if needed is not None and needed is not provider:
        raise Refusal(
            501,
            ErrorKind.NOT_IMPLEMENTED,
            f"this route needs an upstream of provider {needed.value}; this one is {provider.value}, and this version "
            "does not translate between them",
        )
    return known
