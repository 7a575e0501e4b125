"""The settings of the two processes: flags, each with an environment variable beside it, in one table.

Read once by the command line, which passes the environment in; everybody else gets the frozen `Settings`.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastcall_operator.errors import SettingsError
from lastcall_operator.injection import InjectionDefaults

OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
PREFIX = "LASTCALL_OPERATOR_"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "json", "text")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process was started with. Errors: SettingsError, naming the flag."""

    #: namespaces that are looked after; empty: all of them
    namespaces: tuple[str, ...] = ()
    #: where the operator itself lives, with its Secrets and its webhook's Service
    own_namespace: str = "lastcall"
    #: the prefix of the names of the chart's objects
    fullname: str = "lastcall"
    #: the image of injected sidecars whose StreamProxy names none
    sidecar_image: str = "lastcall-sidecar:latest"
    sidecar_pull_policy: str = "IfNotPresent"
    #: patterns (`*` matches anything but `/`) of the images that a StreamProxy may name; empty: any
    allowed_images: tuple[str, ...] = ()
    log_level: str = "info"
    #: auto: JSON unless standard output is a terminal
    log_format: str = "auto"
    #: spans and metrics go there by OTLP over HTTP; None: nowhere, unless the standard OTEL_* variables say so
    otlp_endpoint: str | None = None
    #: the webhook's TLS port, to which the Service's 443 leads
    webhook_port: int = 9443
    #: plain HTTP: /livez, /readyz, /metrics
    admin_port: int = 9081
    #: a folder with tls.crt and tls.key kept by cert-manager; None: the webhook makes its own certificates
    certificate_folder: str | None = None
    #: None: in a pod its service account, elsewhere the usual kubeconfig
    kubeconfig: str | None = None
    context: str | None = None
    #: the pod's own name: who reports an event
    pod_name: str = ""
    #: the kopf peering by which controllers know of each other; empty: none, there is one controller
    peering: str = ""

    def __post_init__(self) -> None:
        for row in FLAGS:
            if row.check is not None:
                value = getattr(self, row.field)
                for one in value if isinstance(value, tuple) else (value,):
                    if (problem := row.check(one)) is not None:
                        raise SettingsError(f"{row.flag} {problem}, not {one!r}")

    @property
    def injection(self) -> InjectionDefaults:
        """What the installation says of every injection."""
        return InjectionDefaults(self.sidecar_image, self.sidecar_pull_policy, self.allowed_images, self.own_namespace)

    @property
    def webhook_service(self) -> str:
        """The Service that the API server calls."""
        return f"{self.fullname}-webhook"

    @property
    def webhook_secret(self) -> str:
        """The Secret of the webhook's certificates."""
        return f"{self.fullname}-webhook-tls"

    @property
    def drain_key_secret(self) -> str:
        """The Secret of the key that signs leased drains."""
        return f"{self.fullname}-drain-key"

    @property
    def mutating_configuration(self) -> str:
        """The MutatingWebhookConfiguration of the injection."""
        return f"{self.fullname}-injection"

    @property
    def validating_configuration(self) -> str:
        """The ValidatingWebhookConfiguration of the removals."""
        return f"{self.fullname}-removals"


def _namespace(value: Any) -> str | None:
    return None if _NAME.fullmatch(str(value)) else "must be a DNS label of at most 63 characters"


def _one_of(words: tuple[str, ...]) -> Callable[[Any], str | None]:
    return lambda value: None if value in words else f"must be one of {', '.join(words)}"


def _port(value: Any) -> str | None:
    fits = isinstance(value, int) and 1 <= value <= _LAST_PORT
    return None if fits else f"must be a port from 1 to {_LAST_PORT}"


def _image(value: Any) -> str | None:
    fits = bool(value) and not any(character.isspace() for character in value)
    return None if fits else "must be the name of an image"


def _peering(value: Any) -> str | None:
    return None if value == "" or _OBJECT.fullmatch(str(value)) else "must be the name of a kopf peering"


def _url(value: Any) -> str | None:
    return None if value is None or re.match(r"https?://[^/\s]+", value) else "must be an http or https URL"


def _folder(value: Any) -> str | None:
    return None if value is None or Path(value).is_absolute() else "must be an absolute path"


@dataclass(frozen=True, slots=True)
class Flag:
    """A row of the table: a flag, its variable, what it sets, and what is checked."""

    flag: str
    field: str
    help: str
    check: Callable[[Any], str | None] | None = None
    repeatable: bool = False
    number: bool = False
    #: a variable of somebody else's convention that is read as well
    also: str = ""

    @property
    def variable(self) -> str:
        """The environment variable: several values are separated by commas."""
        return PREFIX + self.flag.removeprefix("--").replace("-", "_").upper()

    @property
    def default(self) -> Any:
        """The value without flag and variable."""
        return Settings.__dataclass_fields__[self.field].default


FLAGS = (
    Flag("--namespace", "namespaces", "a namespace to look after; repeatable; none: all", _namespace, repeatable=True),
    Flag("--own-namespace", "own_namespace", "the operator's own namespace", _namespace),
    Flag("--fullname", "fullname", "prefix of the names of the chart's objects", _namespace),
    Flag("--sidecar-image", "sidecar_image", "image of sidecars whose StreamProxy names none", _image),
    Flag("--sidecar-pull-policy", "sidecar_pull_policy", "its imagePullPolicy", _one_of(PULL_POLICIES)),
    Flag(
        "--allowed-images",
        "allowed_images",
        "pattern of images that a StreamProxy may name; repeatable; none: any",
        _image,
        repeatable=True,
    ),
    Flag("--log-level", "log_level", " | ".join(LOG_LEVELS), _one_of(LOG_LEVELS)),
    Flag("--log-format", "log_format", " | ".join(LOG_FORMATS), _one_of(LOG_FORMATS)),
    Flag("--otlp-endpoint", "otlp_endpoint", "OTLP collector, e.g. http://otel-collector:4318", _url, also=OTLP),
    Flag("--peering", "peering", "name of a kopf peering; while another controller signs it, this one rests", _peering),
    Flag("--webhook-port", "webhook_port", "TLS port of the webhook", _port, number=True),
    Flag("--admin-port", "admin_port", "plain port of /livez, /readyz and /metrics", _port, number=True),
    Flag("--certificate-folder", "certificate_folder", "tls.crt and tls.key of cert-manager; none: made here", _folder),
    Flag("--kubeconfig", "kubeconfig", "outside a pod: the kubeconfig's path"),
    Flag("--context", "context", "outside a pod: the kubeconfig's context"),
    Flag("--pod-name", "pod_name", "the pod's own name, for events"),
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser every flag of the table. What is not given stays None, so that the environment can say it."""
    for row in FLAGS:
        parser.add_argument(
            row.flag,
            dest=f"setting_{row.field}",
            action="append" if row.repeatable else "store",
            metavar=row.flag.rsplit("-", maxsplit=1)[-1].upper(),
            help=f"{row.help} ({row.variable}{_told(row.default)})",
        )


def from_arguments(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Settings of parsed flags; a flag wins over its variable, an empty variable counts as none.

    Errors: SettingsError.
    """
    values: dict[str, Any] = {}
    for row in FLAGS:
        given = getattr(arguments, f"setting_{row.field}", None)
        if given is None:
            text = environment.get(row.variable) or environment.get(row.also, "")
            given = [part.strip() for part in text.split(",") if part.strip()] if row.repeatable else text.strip()
        if given:
            values[row.field] = _value(row, given)
    return Settings(**values)


def _value(row: Flag, given: Any) -> Any:
    if row.repeatable:
        return tuple(given)
    if row.number:
        try:
            return int(given)
        except ValueError as error:
            raise SettingsError(f"{row.flag} must be a number, not {given!r}") from error
    return given


def _told(default: Any) -> str:
    return "" if default in {None, "", ()} else f"; default {str(default).replace('%', '%%')}"
