"""`GET /v1/models`: one list of what all upstreams have, in a shape that both vendors' SDKs read.

Called by `pipeline.py`. Upstreams are asked one after the other, in their order; each tells of the models that would go
to it. An upstream that has no such list is no fault: then the names of the configuration are what is known.
"""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote

from .auth import Caller
from .calling import Answer, ask
from .core.timers import Clock
from .destinations import Destination, by_model
from .errors import Refusal, UpstreamFailure
from .exchange import Exchange
from .intake import own_request
from .live import Transports
from .settings import Provider
from .translating import pass_error, understood
from .wire import models
from .wire.body import BodyError
from .wire.model_names import rename
from .wire.protocol import ErrorKind, to_json

_PATH = "/v1/models"
#: How an API says that it has no such route.
_NO_LIST = frozenset({404, 405, 501})
#: Pages of one upstream's list that are asked for.
MAX_PAGES = 20
#: Seconds that one of several upstreams may take for its list: one that is away must not hold up the others' models.
LIST_SECONDS = 5.0


async def list_models(
    exchange: Exchange, every: tuple[Destination, ...], transports: Transports, caller: Caller
) -> None:
    """Answer with the list, or with one of its models.

    Errors: Refusal, UpstreamFailure.
    """
    # What stands behind the second part, however the first two are spelled.
    rest = "".join(exchange.route.upstream_path.split("/", 3)[3:]).strip("/")
    if rest:
        await _one(exchange, every, transports, caller, rest)
    else:
        await _list(exchange, every, transports, caller)


async def _list(exchange: Exchange, every: tuple[Destination, ...], transports: Transports, caller: Caller) -> None:
    lists: list[list[models.Entry]] = []
    failures: list[Answer | UpstreamFailure] = []
    # Below the clocks that would end all of the request.
    seconds = min(LIST_SECONDS, *(exchange.timers.limit(clock) * 0.9 for clock in (Clock.RESPONSE_HEADER, Clock.STALL)))
    for destination in every:
        try:
            async with asyncio.timeout(seconds if len(every) > 1 else None):
                found = await _of(exchange, destination, transports, caller)
        except UpstreamFailure as failure:
            failures.append(failure)
            continue
        except TimeoutError:
            late = f"the upstream {destination.name} sent no list of its models within {seconds:.1f} s"
            failures.append(UpstreamFailure("list_timeout", 504, ErrorKind.TIMEOUT, late))
            continue
        if isinstance(found, list):
            lists.append([one for one in found if by_model(every, one["id"]) is destination])
        else:
            failures.append(found)
    if failures and not lists:
        if isinstance(failures[0], UpstreamFailure):
            raise failures[0]
        await pass_error(exchange, failures[0])
        return
    lists.append(models.configured(_names(exchange, every)))
    query = dict(parse_qsl(exchange.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    try:
        told = models.page(models.merged(lists), query)
    except BodyError as error:
        raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error
    await exchange.send_json(200, to_json(told))


async def _of(
    exchange: Exchange, destination: Destination, transports: Transports, caller: Caller
) -> list[models.Entry] | Answer:
    """One upstream's models, or the answer in their place."""
    owner = destination.protocol
    found: list[models.Entry] = []
    page, after = _PATH, f"{_PATH}?after="
    if destination.provider is Provider.ANTHROPIC:
        page = f"{_PATH}?limit={models.MAX_PAGE}"
        after = f"{page}&after_id="
    for _ in range(MAX_PAGES):
        head = own_request(exchange, page.encode("ascii"), caller, destination, method="GET")
        answer = await ask(exchange, transports.to(destination), destination, head)
        if answer.status in _NO_LIST:
            return found
        if answer.status != 200:
            return answer
        some, more = understood(models.entries, answer.body, owner)
        found += some
        if more is None:
            break
        page = after + quote(more, safe="", errors="replace")
    return found


async def _one(
    exchange: Exchange, every: tuple[Destination, ...], transports: Transports, caller: Caller, rest: str
) -> None:
    name = unquote(rest)
    asked = rename(exchange.settings.upstream.models, name)
    destination = by_model(every, asked)
    target = f"{_PATH}/{rest if asked == name else quote(asked, safe='')}"
    head = own_request(exchange, target.encode("ascii"), caller, destination, method="GET")
    answer = await ask(exchange, transports.to(destination), destination, head)
    if answer.status == 200:
        owner = destination.protocol
        told = understood(models.entry, answer.body, owner)
        await exchange.send_json(200, to_json({**told, "id": name}))
    elif answer.status in _NO_LIST and name in _names(exchange, every):
        await exchange.send_json(200, to_json(models.configured([name])[0]))
    else:
        await pass_error(exchange, answer)


def _names(exchange: Exchange, every: tuple[Destination, ...]) -> Iterator[str]:
    """The names that the configuration has, as far as they are whole."""
    yield from (name for name in exchange.settings.upstream.models if not name.endswith("*"))
    yield from (name for one in every for name in one.patterns if not name.endswith("*"))
