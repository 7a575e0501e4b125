"""How the webhook knows that the API server asks: by a path that only the API server is told.

API servers send no credential by default, so whoever reaches the port could make up a removal, and with it the marks
and leases that a real one has: a hold whose age somebody made up let the first real eviction cut its streams. The path
stands in the webhook configuration, which cluster administrators alone may read, and travels under TLS. It is made of
the drain key, which both replicas hold and nobody else may read.
"""

import asyncio
import hashlib
import hmac
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
#: Hex digits: 160 bits.
_DIGITS = 40

log = structlog.get_logger("lastcall.secret_path")


class SecretPath:
    """Keeps the path in the webhook configuration. `in_force` while it stood there at the last look."""

    def __init__(self, api: Api, settings: Settings, key: DrainKey) -> None:
        self._api, self._name, self._key = api, settings.validating_configuration, key
        self._word: str | None = None
        self.in_force = False

    def admits(self, word: str) -> bool:
        """Whether this is the path's secret part."""
        return self._word is not None and hmac.compare_digest(word.encode(), self._word.encode())

    async def keep(self) -> None:
        """Look every half minute, for ever."""
        while True:
            pause = ROUND_SECONDS
            try:
                await self.look()
            except NotFoundError:  # an installation's beginning, or an uninstall
                self.in_force, pause = False, RETRY_SECONDS
            except LastcallError as error:
                # Then removals are decided as they come: a refusal whose hold nobody marks would never end.
                self.in_force, pause = False, RETRY_SECONDS
                log.warning("path.failed", error=str(error))
            await asyncio.sleep(pause)

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
        if patch:
            version = {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]}
            try:
                await self._api.patch(VALIDATING_WEBHOOKS, None, self._name, [version, *patch])
            except (ConflictError, InvalidError):  # the other replica, most likely, with the same path
                return
            log.info("path.written", name=self._name)
        self.in_force = any(services)
