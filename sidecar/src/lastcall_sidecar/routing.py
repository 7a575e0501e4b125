"""Which route a request takes: the table of `wire/routes.py`, seen by the mode and provider in force."""

from collections.abc import Mapping
from dataclasses import replace

from .errors import Refusal
from .settings import Mode, Provider, Settings
from .wire.anthropic import ANTHROPIC, UNKNOWN
from .wire.openai import CHAT
from .wire.protocol import ErrorKind, Protocol, Route
from .wire.routes import meant, passthrough, route


def protocol_of(method: str, path: str, header: Mapping[bytes, bytes]) -> Protocol:
    """What the caller of a path expects an error to look like."""
    known = route(method, meant(method, path) or path)
    return ANTHROPIC if known is None else _spoken(known, header)


def resolve(settings: Settings, method: str, path: str, header: Mapping[bytes, bytes]) -> Route | None:
    """The route of a request; None for what is ours to answer.

    Errors: Refusal (404) for another spelling of a known route.
    """
    other = meant(method, path)
    known = route(method, other or path)
    if settings.mode is Mode.INGRESS:
        # Every path is the app's; that a known one generates, however it is spelled, still matters to the slots.
        return replace(passthrough(path), generation=known is not None and known.generation)
    if other is not None:
        raise Refusal(404, ErrorKind.NOT_FOUND, f"there is no such route here; did you mean {other}?")
    if known is None:
        return None
    if settings.upstream.provider is Provider.ANY:
        return replace(known, protocol=UNKNOWN, understood=False)
    protocol = _spoken(known, header)
    return known if protocol is known.protocol else replace(known, protocol=protocol)


def _spoken(known: Route, header: Mapping[bytes, bytes]) -> Protocol:
    """Both vendors have `/v1/models`; only Anthropic's clients name a version, or a key in a header of their own."""
    if known.name == "models" and b"anthropic-version" not in header and b"x-api-key" not in header:
        return CHAT
    return known.protocol
