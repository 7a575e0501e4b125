"""Keeps the webhook's certificate good: in the Secret, in the TLS context, in both webhook configurations.

Runs every minute. Two replicas share the Secret: who creates or replaces it first has made the certificate of both. A
new one is loaded into the same TLS context, so that new connections get it and nothing restarts. With cert-manager the
files of a mounted folder are loaded, and nothing is patched.
"""

import asyncio
import base64
import os
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS, Resource
from lastcall_operator.errors import ConflictError, InvalidError, LastcallError, NotFoundError
from lastcall_operator.settings import Settings
from lastcall_operator.telemetry.metrics import Metrics

from .certificates import Certificates, make, service_names, usable

#: Seconds between looks: a caBundle that somebody overwrote is back within a minute.
ROUND_SECONDS = 60.0
#: Seconds until the next try after an error.
RETRY_SECONDS = 2.0
TRIES = 3

log = structlog.get_logger("lastcall.trust")


class CertificateError(LastcallError):
    """No certificate could be loaded."""


def server_context() -> ssl.SSLContext:
    """A TLS context without a certificate yet.

    HTTP/1.1 alone: one HTTP/2 connection to a dead pod would hold up all admission until it is found dead.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Trust:
    """The certificate's keeper. `ready` once one has been loaded."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        context: ssl.SSLContext,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api, self._settings, self._context = api, settings, context
        self._metrics, self._clock = metrics, clock
        self._names = service_names(settings.webhook_service, settings.own_namespace)
        self._loaded: Certificates | None = None
        self._trusted = False

    @property
    def ready(self) -> bool:
        """Whether a certificate is loaded that the API server has been told to trust."""
        return self._loaded is not None and self._trusted

    async def keep(self) -> None:
        """Look every minute, for ever."""
        while True:
            try:
                pause = ROUND_SECONDS if await self.look() else RETRY_SECONDS
            except (LastcallError, OSError, ssl.SSLError) as error:
                log.warning("certificate.failed", error=str(error))
                self._metrics.fault(type(error).__name__)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def look(self) -> bool:
        """Load what is newest, make it when there is none or it ends soon, and tell the API server.

        Whether both configurations were there to be told: in an installation they may come after us.

        Errors: ApiError, CertificateError.
        """
        folder = self._settings.certificate_folder
        if folder is not None:
            self._load(await asyncio.to_thread(_of_folder, Path(folder)))
            self._trusted = True  # cert-manager's injector tells the API server
            return True
        certificates = await self._of_secret()
        # Told before it serves: a leaf that nobody trusts yet would keep labelled pods from starting.
        complete = await self._tell(certificates.authority)
        self._load(certificates)
        self._trusted = True
        return complete

    def _load(self, certificates: Certificates) -> None:
        if certificates == self._loaded:
            return
        with tempfile.TemporaryDirectory() as folder:  # load_cert_chain reads nothing but files
            path = Path(folder) / "tls.pem"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(certificates.key + certificates.certificate)
            try:
                self._context.load_cert_chain(path)
            except ssl.SSLError as error:
                raise CertificateError(f"the certificate cannot be loaded: {error}") from error
        self._loaded = certificates
        self._metrics.certificate_expiry = certificates.expires.timestamp()
        log.info("certificate.loaded", expires=certificates.expires.isoformat())

    async def _of_secret(self) -> Certificates:
        namespace, name = self._settings.own_namespace, self._settings.webhook_secret
        for _ in range(TRIES):
            found = await self._api.find(SECRETS, namespace, name)
            held = None if found is None else _read(found)
            if held is not None and usable(held, self._names, self._clock()):
                return held
            made = make(self._names, self._clock(), previous=held)
            try:
                if found is None:
                    await self._api.create(SECRETS, namespace, _secret(name, made))
                else:
                    body = {**found, "data": {**(found.get("data") or {}), **_secret(name, made)["data"]}}
                    await self._api.replace(SECRETS, namespace, name, body)
            except ConflictError:
                continue  # the other replica was first
            log.info("certificate.made", secret=name)
            return made
        raise CertificateError(f"Secret {namespace}/{name} keeps changing")

    async def _tell(self, authority: str) -> bool:
        """Have the API server trust it; whether both configurations are there.

        Errors: CertificateError, as long as somebody else writes the configurations faster.
        """
        bundle = base64.b64encode(authority.encode()).decode()
        complete = True
        for resource, name in (
            (MUTATING_WEBHOOKS, self._settings.mutating_configuration),
            (VALIDATING_WEBHOOKS, self._settings.validating_configuration),
        ):
            for _ in range(TRIES):
                try:
                    if await self._told(resource, name, bundle):
                        break
                except NotFoundError:
                    log.warning("configuration.missing", name=name)  # an installation's beginning, or an uninstall
                    complete = False
                    break
            else:
                raise CertificateError(f"{resource.kind} {name} keeps changing: it does not trust the certificate yet")
        return complete

    async def _told(self, resource: Resource, name: str, bundle: str) -> bool:
        """Whether the configuration trusts the bundle now; False when it has changed meanwhile.

        Errors: NotFoundError, ApiError.
        """
        found = await self._api.get(resource, None, name)
        patch: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]}
        ]
        for number, webhook in enumerate(found.get("webhooks") or []):
            if webhook["clientConfig"].get("caBundle") != bundle:
                patch.append({"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle})
        if len(patch) > 1:
            try:
                await self._api.patch(resource, None, name, patch)
            except (ConflictError, InvalidError):  # the other replica, most likely, with the same bundle
                return False
            log.info("configuration.trusts", name=name)
        return True


def _of_folder(folder: Path) -> Certificates:
    try:
        certificate, key = (folder / "tls.crt").read_text(), (folder / "tls.key").read_text()
    except OSError as error:
        raise CertificateError(f"no certificate in {folder}: {error.strerror}") from error
    found = Certificates(certificate, key, "")
    try:
        _ = found.expires
    except ValueError as error:
        raise CertificateError(f"{folder}/tls.crt is no certificate") from error
    return found


def _read(secret: Object) -> Certificates | None:
    data = secret.get("data") or {}
    try:
        texts = [base64.b64decode(data[name], validate=True).decode() for name in ("tls.crt", "tls.key", "ca.crt")]
    except (KeyError, ValueError):
        return None
    return Certificates(*texts)


def _secret(name: str, made: Certificates) -> Object:
    values = {"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": made.authority}
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "lastcall"}},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
