"""Two releases in one cluster: the older one looks after a namespace, and the other keeps its hands off.

Both would write the same ConfigMaps in turn, with different keys, and sign leases that sidecars refuse. A release is
known by its webhook configuration for injection; the chart names in it the namespaces that the release looks after.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from lastcall_operator.errors import ForbiddenError, LastcallError
from lastcall_operator.settings import Settings

from .api import Api, Object
from .resources import MUTATING_WEBHOOKS

#: Seconds between looks: a release whose predecessor is uninstalled takes over within a minute.
ROUND_SECONDS = 60.0
_SUFFIX = "-injection"
_NAMESPACE = "kubernetes.io/metadata.name"
_YOUNGEST = "9999"

log = structlog.get_logger("lastcall.releases")


class AnotherReleaseError(LastcallError):
    """An older release looks after the same namespaces; the message names it."""


class Precedence:
    """Which release comes first. `first` is the older one's name; None: it is this one, as far as was seen."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api, self._settings = api, settings
        self.first: str | None = None

    async def look(self) -> None:
        """Look once.

        Errors: ApiError.
        """
        try:
            listed = await self._api.list(MUTATING_WEBHOOKS, labels="app.kubernetes.io/part-of=lastcall")
        except ForbiddenError:  # the rights of an older chart
            return
        before = self.first
        self.first = older_release(listed, self._settings.mutating_configuration, self._settings.namespaces)
        if self.first is not None and self.first != before:
            log.error("release.second", first=self.first, effect="this one answers, and changes nothing")

    async def require(self) -> None:
        """Look once, and refuse to be the second.

        Errors: AnotherReleaseError, ApiError.
        """
        await self.look()
        if self.first is not None:
            raise AnotherReleaseError(
                f"another release of Lastcall, {self.first}, looks after the same namespaces: uninstall one of the "
                "two, or give each its own by operator.namespaces"
            )

    async def keep(self) -> None:
        """Look every minute, for ever."""
        while True:
            try:
                await self.look()
            except LastcallError as error:
                log.warning("release.unknown", error=str(error))
            await asyncio.sleep(ROUND_SECONDS)


def older_release(configurations: Iterable[Object], own: str, namespaces: Sequence[str]) -> str | None:
    """The oldest other release that looks after a namespace of ours; None where there is none. Pure."""
    found = {item["metadata"]["name"]: item for item in configurations if item["metadata"]["name"].endswith(_SUFFIX)}
    # Ours may not be there yet: Helm makes it after the processes.
    mine = _age(found[own]) if own in found else (_YOUNGEST, own)
    older = [
        item
        for name, item in found.items()
        if name != own and _age(item) < mine and _overlap(_namespaces(item), frozenset(namespaces))
    ]
    return None if not older else _name(min(older, key=_age))


def _age(item: Object) -> tuple[str, str]:
    return str(item["metadata"].get("creationTimestamp") or _YOUNGEST), item["metadata"]["name"]


def _name(item: Object) -> str:
    labels = item["metadata"].get("labels") or {}
    name = item["metadata"]["name"]
    return f"{labels.get('app.kubernetes.io/instance', name.removesuffix(_SUFFIX))} ({MUTATING_WEBHOOKS.plural}/{name})"


def _namespaces(item: Object) -> frozenset[str]:
    """The namespaces that a release looks after; empty: all."""
    for hook in item.get("webhooks") or ():
        for each in (hook.get("namespaceSelector") or {}).get("matchExpressions") or ():
            if each.get("key") == _NAMESPACE and each.get("operator") == "In":
                return frozenset(each.get("values") or ())
    return frozenset()


def _overlap(one: frozenset[str], other: frozenset[str]) -> bool:
    return not one or not other or bool(one & other)
