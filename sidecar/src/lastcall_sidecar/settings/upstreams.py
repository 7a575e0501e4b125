"""What the schema's types cannot say of upstreams and of the names of models.

Pure. Called by `checks.py`.
"""

from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from lastcall_sidecar.wire.model_names import fits

from .addresses import is_loopback, is_wildcard, split_address, url_fault
from .document import join
from .problems import Finding
from .schema import Mode, Provider, Settings

_STAR = "`*` may only stand at its end, for the beginning of names"
_UNPRINTABLE = "must be printable text"


def findings(settings: Settings, given: Collection[str]) -> Iterator[Finding]:
    """All that is wrong. `given` holds the paths that somebody wrote down, unlike defaults."""
    yield from _addresses(settings, given)
    yield from _table(settings)
    if not settings.upstreams:
        return
    if settings.mode is Mode.INGRESS:
        yield Finding("upstreams", "not in mode Ingress: every path is the app's", ("mode",))
    elif settings.upstream.provider is Provider.ANY:
        what = "not with upstream.provider Any: a pure relay knows no models"
        yield Finding("upstreams", what, ("upstream.provider",))
    places: dict[str, str] = {}
    for index, upstream in enumerate(settings.upstreams):
        place = f"upstreams[{index}]"
        if not upstream.name.isprintable():
            yield Finding(f"{place}.name", _UNPRINTABLE)
        if upstream.name in places:
            first = places[upstream.name]
            yield Finding(f"{place}.name", f"is already the name of {first}", (f"{first}.name",))
        places.setdefault(upstream.name, place)
        for number, pattern in enumerate(upstream.models):
            if not pattern.isprintable():
                yield Finding(f"{place}.models[{number}]", _UNPRINTABLE)
            elif "*" in pattern[:-1]:
                yield Finding(f"{place}.models[{number}]", _STAR)


def warnings(settings: Settings) -> Iterator[str]:
    """What is allowed and probably not meant."""
    taken: list[str] = []
    for index, upstream in enumerate(settings.upstreams):
        if all(fits(taken, pattern) for pattern in upstream.models):
            yield f"upstreams[{index}] ({upstream.name}) is never chosen: those before it take all its models"
        taken += upstream.models
    providers = {settings.upstream.provider, *(upstream.provider for upstream in settings.upstreams)}
    if settings.streaming.demote_non_streaming and Provider.ANTHROPIC not in providers:
        yield "streaming.demoteNonStreaming has no effect: no upstream is Anthropic"


def _addresses(settings: Settings, given: Collection[str]) -> Iterator[Finding]:
    if "upstream.url" in given:
        yield from _address(settings, "upstream", settings.upstream.url)
    elif settings.mode is Mode.INGRESS:
        yield Finding(
            "upstream.url", "required in mode Ingress: the app's own address, as http://127.0.0.1:PORT", ("mode",)
        )
    elif settings.upstream.provider is Provider.ANY:
        yield Finding("upstream.url", "required with provider Any", ("upstream.provider",))
    urls = [(index, it.url) for index, it in enumerate(settings.upstreams) if it.url is not None]
    for index, url in urls:
        yield from _address(settings, f"upstreams[{index}]", url)


def _address(settings: Settings, place: str, url: str) -> Iterator[Finding]:
    what = url_fault(url, f"{place}.apiKeyFile")
    if what is not None:
        yield Finding(f"{place}.url", what)
        return
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    for path, address in {"listen.traffic": settings.listen.traffic, "listen.admin": settings.listen.admin}.items():
        try:
            own_host, own_port = split_address(address)
        except ValueError:
            continue  # told elsewhere
        local = is_loopback(host) or is_wildcard(host)
        if port == own_port and (host == own_host or (local and (is_loopback(own_host) or is_wildcard(own_host)))):
            what = f"is our own address ({path}): requests would go round in a circle"
            yield Finding(f"{place}.url", what, (path,))


def _table(settings: Settings) -> Iterator[Finding]:
    """What is wrong with the other names of models."""
    if settings.upstream.models and settings.upstream.provider is Provider.ANY:
        what = "not with provider Any: a pure relay knows no models"
        yield Finding("upstream.models", what, ("upstream.provider",))
    for name, model in settings.upstream.models.items():
        if not name.isprintable():
            yield Finding("upstream.models", "each name must be printable text")
            continue
        place = join("upstream.models", name)
        if "*" in name[:-1]:
            yield Finding(place, "the name: " + _STAR)
        if not model.isprintable():
            yield Finding(place, _UNPRINTABLE)
        elif "*" in model:
            yield Finding(place, "must be one model's name, without `*`")
