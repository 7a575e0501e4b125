"""Which upstream a request goes to, and in what protocol: by its route, and by the model that it asks for.

Sync: it decides, `pipeline.py` acts. Names of models are mapped first (`upstream.models`), then the first of
`upstreams` whose patterns fit takes the request; what none fits, and what asks for no model, goes to `upstream`, unless
only another vendor's upstream has such a route.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .errors import Refusal
from .settings import Provider, Secrets, Settings
from .settings.addresses import OUR_VERSION, before_version
from .wire.body import RequestBody
from .wire.model_names import fits, rename
from .wire.protocol import ErrorKind, Route
from .wire.translate import REWRITINGS, TRANSLATIONS, Rewriting
from .wire.translation import Translation

#: The vendor of a route that only one vendor has, and that is not translated.
VENDORS: Mapping[str, Provider] = {
    "batches": Provider.ANTHROPIC,
    "responses": Provider.OPENAI,
    "openai": Provider.OPENAI,
}


@dataclass(frozen=True, slots=True)
class Destination:
    """One upstream."""

    #: As configured; empty for `upstream`.
    name: str
    provider: Provider
    url: str
    #: What replaces the caller's credential.
    api_key: str | None = field(repr=False)
    #: The models that it takes, for those of `upstreams`.
    patterns: tuple[str, ...]
    #: The path that goes before each request's, what of it stands before a version at its end, and the value of `Host`.
    prefix: bytes
    root: bytes
    authority: bytes

    @property
    def protocol(self) -> str:
        """What it speaks, by the name that `wire/` has for it."""
        return self.provider.value.lower()

    def target(self, asked: bytes) -> bytes:
        """The target for a request's, byte for byte: behind the URL's path, whose version replaces ours."""
        ours = OUR_VERSION.encode("ascii")
        if (
            self.root != self.prefix
            and asked.startswith(ours)
            and asked[len(ours) : len(ours) + 1] in (b"/", b"?", b"")
        ):
            return self.prefix + asked.removeprefix(ours)
        return self.prefix + asked


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request goes, and what must happen to it on the way."""

    destination: Destination
    #: The model as the upstream knows it; None where the request names none, or is not understood.
    model: str | None = None
    #: None where client and upstream speak alike.
    translation: Translation | None = None
    #: The upstream is asked for a stream, and the client gets one answer.
    demoted: bool = False
    #: How the request is made another one: translated, or mended for a vendor whose protocol it speaks already.
    rewriting: Rewriting | None = None


def destinations(settings: Settings, secrets: Secrets) -> tuple[Destination, ...]:
    """All upstreams, in the order in which they are asked whether a model fits; the one for everything else is last."""
    main = settings.upstream
    # A URL that the configuration leaves out has been filled in by `load.py`.
    named = (
        _destination(it.name, it.provider, it.url or "", secrets.upstream_api_keys.get(it.name), it.models)
        for it in settings.upstreams
    )
    return (*named, _destination("", main.provider, main.url, secrets.upstream_api_key, ()))


def _destination(
    name: str, provider: Provider, url: str, api_key: str | None, patterns: tuple[str, ...]
) -> Destination:
    parts = urlsplit(url)
    prefix, root = parts.path.rstrip("/"), before_version(parts.path)
    return Destination(
        name,
        provider,
        url,
        api_key,
        patterns,
        prefix.encode("ascii"),
        root.encode("ascii"),
        parts.netloc.encode("ascii"),
    )


def choose(settings: Settings, every: tuple[Destination, ...], route: Route, content: RequestBody | None) -> Way:
    """The way of a request on `route` whose body says `content`, if it was read. `every` is what `destinations` gave.

    Errors: Refusal (501) where no upstream has the route, or (400) where another protocol's upstream must know a model.
    """
    if content is None:
        return Way(_by_vendor(every, VENDORS.get(route.name)))
    asked = None if content.model is None else rename(settings.upstream.models, content.model)
    destination = every[-1] if asked is None else by_model(every, asked)
    demoted = (
        settings.streaming.demote_non_streaming
        and route.generation
        and not content.stream
        and destination.provider is Provider.ANTHROPIC
    )
    pair = route.protocol.name, destination.protocol
    translation = TRANSLATIONS.get(pair)
    if translation is not None and not asked:
        # Some upstreams would answer all the same, each with a model of its choice.
        raise Refusal(400, ErrorKind.INVALID_REQUEST, "model: required")
    rewriting = REWRITINGS.get(pair) if content.may_need_mending else translation
    return Way(destination, asked, translation, demoted, rewriting)


def by_model(every: tuple[Destination, ...], model: str) -> Destination:
    """The upstream for a model whose name has been mapped."""
    return next((one for one in every[:-1] if fits(one.patterns, model)), every[-1])


def _by_vendor(every: tuple[Destination, ...], vendor: Provider | None) -> Destination:
    main = every[-1]
    if vendor is None or main.provider in {vendor, Provider.ANY}:
        return main
    found = next((one for one in every[:-1] if one.provider is vendor), None)
    if found is None:
        raise Refusal(
            501,
            ErrorKind.NOT_IMPLEMENTED,
            f"this route needs an upstream of provider {vendor.value}, and there is none",
        )
    return found
