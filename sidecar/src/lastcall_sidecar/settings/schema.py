"""The configuration: every knob with its unit, default, reason and bounds.

The one source of `lastcall-sidecar schema`, of docs/configuration.md and of the names of environment
variables. Built by `load.py` only, which checks it; everything else reads. Only what this version does is here.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

#: A day: longer than anything that we wait for.
MAX_SECONDS = 86400
MIB = 1024 * 1024

#: Text that says something.
Text = Annotated[str, Meta(min_length=1)]

DEFAULT_UPSTREAM_URL = "https://api.anthropic.com"


class Mode(StrEnum):
    """Where the sidecar stands."""

    GATEWAY = "Gateway"
    EGRESS = "Egress"
    INGRESS = "Ingress"


class Provider(StrEnum):
    """The protocol that the upstream speaks."""

    ANTHROPIC = "Anthropic"
    OPENAI = "OpenAI"
    ANY = "Any"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class Section(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The manner of all sections: immutable, camelCase in files, snake_case in Python, nothing unknown."""


class Upstream(Section, frozen=True):
    """Where requests go."""

    provider: Annotated[
        Provider,
        Meta(
            description="The upstream's protocol: Anthropic, OpenAI, or Any for a pure relay that only knows SSE. "
            "In mode Ingress the default is Any, because the app's routes are its own."
        ),
    ] = Provider.ANTHROPIC
    url: Annotated[
        str,
        Meta(
            pattern="^https?://",
            description="The upstream's base URL, http or https, without credentials, query or fragment; a path in "
            "it goes before each request's path. The default is the provider's own API; required with "
            "provider Any and in mode Ingress.",
        ),
    ] = DEFAULT_UPSTREAM_URL
    api_key_file: Annotated[
        Text | None,
        Meta(
            description="A file that holds the upstream's API key, which replaces the caller's credential. Without "
            "it the caller's own is passed on.",
        ),
    ] = None
    response_header_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="From the end of the upload to the head of the upstream's answer. A long prompt with "
            "thinking and no streaming is answered after minutes: 300 s was seen to be too short.",
        ),
    ] = 600
    connect_timeout_seconds: Annotated[
        int,
        Meta(ge=1, le=120, description="Until a connection to the upstream stands, name resolution and TLS included."),
    ] = 10
    trust_env: Annotated[
        bool,
        Meta(
            description="Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY are followed. Off, because a forgotten "
            "variable must not send prompts elsewhere."
        ),
    ] = False
    ca_file: Annotated[
        Text | None,
        Meta(
            description="A PEM file of the authorities that may have signed the upstream's certificate, instead of "
            "the system's.",
        ),
    ] = None


class Limits(Section, frozen=True):
    """What one sidecar takes on, and how long it waits."""

    max_concurrent: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Generations that run at a time; 0: unlimited, because an HTTP upstream has limits of its own.",
        ),
    ] = 0
    max_queued: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="Generations that may wait for a slot; the next one is refused at once."),
    ] = 1000
    queue_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="How long a generation may wait for a slot before it is told that the server is busy. "
            "Clients try again by themselves; half a minute is what they bear.",
        ),
    ] = 30
    first_event_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="From the head of a streamed answer to its first event. As long as for the head: some "
            "upstreams answer the head first and think afterwards.",
        ),
    ] = 600
    stall_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="Between two reads from the upstream while we wait for it. Its pings count, our own "
            "heartbeats do not.",
        ),
    ] = 300
    write_stall_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="Without progress toward a client that does not read. It holds memory and a slot; a minute "
            "outlasts a bad network.",
        ),
    ] = 60
    max_duration_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="The longest life of a request. Keep it below drain.ceilingSeconds, so that no drain has to "
            "cut one.",
        ),
    ] = 1800
    max_body_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=1024 * MIB,
            description="The largest request body on routes that we must understand (64 MiB; Anthropic takes 32 "
            "MB). Other routes stream theirs through, unlimited.",
        ),
    ] = 64 * MIB
    max_buffered_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=64 * 1024 * MIB,
            description="Request bodies in memory over all requests (256 MiB). Past it reading pauses, so that many "
            "large bodies at once do not end in an OOM kill.",
        ),
    ] = 256 * MIB


class Streaming(Section, frozen=True):
    """Streams toward the client."""

    heartbeat_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description="A sign of life after so long without a byte to the client: below the 20 s of Claude Code's "
            "watchdog and the 60 s of load balancers.",
        ),
    ] = 15


class DrainSettings(Section, frozen=True):
    """How a sidecar leaves."""

    ceiling_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="The longest that a final drain waits for what is in flight (32 minutes: two more than the "
            "longest request). The pod's terminationGracePeriodSeconds must exceed it by settleSeconds "
            "+ 30.",
        ),
    ] = 1920
    settle_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=300,
            description="Quiet time after the last request, and since the drain began, before a sidecar counts as "
            "drained: endpoints lag behind by seconds.",
        ),
    ] = 5
    public_key: Annotated[
        Text | None,
        Meta(
            description="The operator's Ed25519 public key (PEM, SubjectPublicKeyInfo). With it the admin listener "
            "takes leased drains signed by the operator; without it those routes answer 404.",
        ),
    ] = None


class Auth(Section, frozen=True):
    """Who may call."""

    api_keys_file: Annotated[
        Text | None,
        Meta(
            description="A file of the API keys that clients must present (x-api-key, or Authorization: Bearer): "
            "one a line, optionally `name: key` or `name=key`; `#` begins a comment. Without it "
            "everybody may call.",
        ),
    ] = None


class Listen(Section, frozen=True):
    """The two listeners."""

    traffic: Annotated[
        str,
        Meta(
            min_length=1,
            description="Address and port for clients' traffic. All interfaces, because the kubelet probes the "
            "pod's address; without any configuration file 127.0.0.1:8080.",
        ),
    ] = "0.0.0.0:8080"
    admin: Annotated[
        str,
        Meta(
            min_length=1,
            description="Address and port for health, the gauge, metrics and drains; without any configuration file "
            "127.0.0.1:8081.",
        ),
    ] = "0.0.0.0:8081"
    keep_alive_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="How long an idle client connection stays open: longer than the idle limit of the load "
            "balancer in front (60 s for most), or requests race its end.",
        ),
    ] = 75
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            max_length=100,
            description="Browser origins that may call, as `https://host[:port]`. Empty: CORS is off and requests "
            "from other sites are refused.",
        ),
    ] = ()


class Logs(Section, frozen=True):
    """The log on standard output."""

    level: Annotated[LogLevel, Meta(description="The least important lines that are logged.")] = LogLevel.INFO
    format: Annotated[
        LogFormat, Meta(description="json for collectors, text for people; auto: text on a terminal, else json.")
    ] = LogFormat.AUTO


class Admin(Section, frozen=True):
    """The way in for whoever runs the sidecar."""

    control_socket: Annotated[
        str,
        Meta(
            min_length=1,
            description="The unix socket of `lastcall-sidecar drain`, `undrain` and `status` (mode 0600), an "
            "absolute path. Without any configuration file: lastcall/control.sock in $XDG_RUNTIME_DIR, "
            "else /tmp/lastcall-<uid>/control.sock.",
        ),
    ] = "/run/lastcall/control.sock"


class Settings(Section, frozen=True):
    """The whole configuration, of the same shape as a StreamProxy's spec."""

    mode: Annotated[
        Mode,
        Meta(
            description="Gateway: a proxy of its own. Egress: from the app beside it to a remote upstream. Ingress: "
            "from clients to the app beside it; every path is the app's."
        ),
    ] = Mode.GATEWAY
    generation: Annotated[
        int,
        Meta(
            ge=0,
            le=2**53,
            description="The version of this configuration, as its writer counts; shown in /livez. 0: not counted.",
        ),
    ] = 0
    upstream: Upstream = field(default_factory=Upstream)
    limits: Limits = field(default_factory=Limits)
    streaming: Streaming = field(default_factory=Streaming)
    drain: DrainSettings = field(default_factory=DrainSettings)
    auth: Auth = field(default_factory=Auth)
    listen: Listen = field(default_factory=Listen)
    logs: Logs = field(default_factory=Logs)
    admin: Admin = field(default_factory=Admin)
