"""How the webhook knows that the API server asks: by a path that only the API server is told.

API servers send no credential by default, so whoever reaches the port could make up a removal, and with it the marks
and leases that a real one has: a hold whose age somebody made up let the first real eviction cut its streams. The path
stands in the webhook configuration, which cluster administrators alone may read, and travels under TLS. It is made of
the drain key, which both replicas hold and nobody else may read.
"""

import asyncio
import hashlib
import hmac
import math
from typing import Any

import structlog

from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.resources import VALIDATING_WEBHOOKS
from lastcall_operator.errors import ConflictError, InvalidError, LastcallError, NotFoundError
from lastcall_operator.settings import Settings

#: The path of the chart, below which the secret one is.
REMOVALS_PATH = "/validate/removals"
#: Seconds between looks: a path that an upgrade put back is secret again within them.
ROUND_SECONDS = 30.0
#: Seconds until the next try after an error.
RETRY_SECONDS = 2.0
#: Seconds from one look to the next at least: anybody's made-up removals ask for them.
SPACING_SECONDS = 0.1
#: Seconds for which the open path may still be the API server's, once it was another one: its own watch lags behind.
LATE_SECONDS = 2.0
#: Hex digits: 160 bits.
_DIGITS = 40

log = structlog.get_logger("lastcall.secret_path")


class SecretPath:
    """Keeps the path in the webhook configuration. `in_force` while it stood there at the last look."""

    def __init__(self, api: Api, settings: Settings, key: DrainKey) -> None:
        self._api, self._name, self._key = api, settings.validating_configuration, key
        self._word: str | None = None
        self.in_force = False
        self._one_at_a_time = asyncio.Lock()
        self._began, self._pause = -math.inf, 0.0
        self._version: str | None = None
        self._open_until = -math.inf

    async def admits(self, word: str) -> bool:
        """Whether this is the path's secret part. It is looked up: the other replica may have read a new key first."""
        if not self._is(word):
            self._key.forget()
            await self._looked()
        return self._is(word)

    def _is(self, word: str) -> bool:
        return self._word is not None and hmac.compare_digest(word.encode(), self._word.encode())

    async def is_open(self) -> bool:
        """Whether the open path may be the API server's: it stands there, or did a moment ago, or nothing is known.

        An upgrade puts it back, and with it begins a rollout: what is allowed in that moment must be reserved, too.
        """
        if self.in_force:
            await self._looked()
        return not self.in_force or _now() < self._open_until

    async def keep(self) -> None:
        """Look every half minute, for ever."""
        while True:
            pause = await self._looked()
            await asyncio.sleep(pause)

    async def _looked(self) -> float:
        """Look from now on, and say after how many seconds to look again. One look serves all who wait for it."""
        asked = _now()
        async with self._one_at_a_time:
            if self._began <= asked:
                await asyncio.sleep(self._began + SPACING_SECONDS - asked)
                self._began = _now()
                self._pause = await self._tried()
            return self._pause

    async def _tried(self) -> float:
        try:
            await self.look()
        except NotFoundError:  # an installation's beginning, or an uninstall
            self.in_force = False
            return RETRY_SECONDS
        except LastcallError as error:
            # Then removals are decided as they come: a refusal whose hold nobody marks would never end.
            self.in_force = False
            log.warning("path.failed", error=str(error))
            return RETRY_SECONDS
        return ROUND_SECONDS if self.in_force else RETRY_SECONDS

    async def look(self) -> None:
        """Have the API server call the secret path.

        Errors: ApiError, KeyUnusableError.
        """
        pair = await self._key.pair()
        self._word = hmac.new(pair.private_pem.encode(), b"removals", hashlib.sha256).hexdigest()[:_DIGITS]
        path = f"{REMOVALS_PATH}/{self._word}"
        found = await self._api.get(VALIDATING_WEBHOOKS, None, self._name)
        services = [webhook["clientConfig"].get("service") for webhook in found.get("webhooks") or []]
        patch: list[dict[str, Any]] = [
            {"op": "replace", "path": f"/webhooks/{number}/clientConfig/service/path", "value": path}
            for number, service in enumerate(services)
            if service is not None and service.get("path") != path
        ]
        # Another version: the other replica may have mended it since.
        if patch or self._version not in {None, found["metadata"]["resourceVersion"]}:
            self._open_until = _now() + LATE_SECONDS
        if patch:
            version = {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]}
            try:
                found = await self._api.patch(VALIDATING_WEBHOOKS, None, self._name, [version, *patch])
            except (ConflictError, InvalidError):  # the other replica, most likely, with the same path
                return
            log.info("path.written", name=self._name)
        self._version = found["metadata"]["resourceVersion"]
        self.in_force = any(services)


def _now() -> float:
    return asyncio.get_running_loop().time()
