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

#: Entries of a table of models, and upstreams beside the first one: nobody has a tenth of these.
MAX_MODELS = 200
MAX_UPSTREAMS = 20
#: As in a request's body (`wire/body.py`).
MAX_MODEL_CHARS = 512
ModelName = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARS)]

URL_PATTERN = "^https?://"
#: A label of a DNS name, short enough to become part of others.
NAME_PATTERN = "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"
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


#: Loopback, and the networks of RFC 1918, 3927, 4193, 4291 and 6598, in which clusters give pods and nodes addresses.
PRIVATE_NETWORKS = (
    "127.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip


class Readiness(StrEnum):
    """Until when the pod's readiness probe succeeds in a drain that ends with the pod."""

    UNTIL_DRAINED = "UntilDrained"
    FAIL_AT_ONCE = "FailAtOnce"


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
            pattern=URL_PATTERN,
            description="The upstream's base URL, http or https, without credentials, query or fragment; a path in "
            "it goes before each request's path, and a version at its end (`/v1`, `/api/paas/v4`, `/v1beta/openai`) "
            "replaces ours: `/v1/chat/completions` is `/api/paas/v4/chat/completions` there. The default is the "
            "provider's own API; required with provider Any and in mode Ingress.",
        ),
    ] = DEFAULT_UPSTREAM_URL
    api_key_file: Annotated[
        Text | None,
        Meta(
            description="A file that holds the upstream's API key, which replaces the caller's credential. Without "
            "it the caller's own is passed on.",
        ),
    ] = None
    models: Annotated[
        dict[ModelName, ModelName],
        Meta(
            max_length=MAX_MODELS,
            description="Other names for models: the name that a client asks for, or the beginning of one and `*`, and "
            "the model that is meant. An exact name wins over a beginning, a longer beginning over a shorter one. "
            "Upstreams are chosen by the name that this gives.",
        ),
    ] = field(default_factory=dict)
    default_max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="What an Anthropic upstream is asked for when a client of the other protocol names no limit: "
            "Anthropic demands one. Long enough for an answer, too short for a runaway.",
        ),
    ] = 8192
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
    idle_reuse_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=3600,
            description="How long a connection to the upstream may have rested and still be used again; 0: never. "
            "Below the server's own limit, which is 5 s for uvicorn and vLLM: a connection that it is just closing "
            "costs a request, which may have arrived and is not sent again.",
        ),
    ] = 4
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


class NamedUpstream(Section, frozen=True):
    """One more upstream, for the models that fit it; timeouts, authorities and the rest are those of `upstream`."""

    name: Annotated[
        str,
        Meta(
            pattern=NAME_PATTERN,
            description="Its name in logs and metrics, unique: at most 40 lower-case letters, digits and hyphens.",
        ),
    ]
    provider: Annotated[
        Provider,
        Meta(
            description="Its protocol: Anthropic or OpenAI.",
            extra_json_schema={"enum": [Provider.ANTHROPIC.value, Provider.OPENAI.value]},
        ),
    ]
    models: Annotated[
        tuple[ModelName, ...],
        Meta(
            min_length=1,
            max_length=MAX_MODELS,
            description="The models that it takes: names, or beginnings of names with `*` behind them. The first "
            "upstream in the list that fits takes a request; what none fits goes to `upstream`.",
        ),
    ]
    url: Annotated[
        Annotated[str, Meta(pattern=URL_PATTERN)] | None,
        Meta(description="Its base URL, as `upstream.url`. The default is the provider's own API."),
    ] = None
    api_key_file: Annotated[
        Text | None, Meta(description="A file that holds its API key, as `upstream.apiKeyFile`.")
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
    max_output_chars: Annotated[
        int,
        Meta(
            ge=0,
            le=10**9,
            description="Characters of content that a streamed answer may have; one that goes on is ended with an "
            "error event. 0: off, because a limit in tokens is the request's own business (`max_tokens`).",
        ),
    ] = 0
    max_body_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=1024 * MIB,
            description="The largest request body on routes that we must understand (64 MiB; Anthropic takes 32 "
            "MB). Other routes stream theirs through, unlimited.",
        ),
    ] = 64 * MIB
    body_grace_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="How long a client may be waited for in all while its request's body comes, beyond what "
            "minBodyBytesPerSecond gives back; then it gets a 408. A minute outlasts a bad network. Not counted: time "
            "in which we do not read, because the upstream is slow or too much is held.",
        ),
    ] = 60
    min_body_bytes_per_second: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="The rate at which a request's body gives the grace back. Whoever keeps it may take all the "
            "time that he wants; the slowest networks have ten times this one. A byte a minute would hold a "
            "rollout for maxDurationSeconds. 0: any byte gives it all back.",
        ),
    ] = 100
    max_buffered_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=64 * 1024 * MIB,
            description="Request bodies in memory over all requests, and the work on them (256 MiB). Past it reading "
            "pauses, so that many large bodies at once do not end in an OOM kill; half of it is the most for one.",
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
    demote_non_streaming: Annotated[
        bool,
        Meta(
            description="Whether an Anthropic upstream is asked for a stream where the client asked for none, and the "
            "stream is put together into one answer: the upstream's limits on long requests are gone, and a dead "
            "upstream is noticed at once. The client still sees no byte before the end, and no heartbeat can help "
            "it. Off, because the answer is then not the upstream's bytes.",
        ),
    ] = False


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
    readiness: Annotated[
        Readiness,
        Meta(
            description="What /ready, the readiness probe, answers while the pod is being deleted: UntilDrained (200 "
            "until it leaves: where no other pod is Ready, Services fall back to it) or FailAtOnce (503 from the "
            "drain's beginning, for load balancers that follow nothing but readiness).",
        ),
    ] = Readiness.UNTIL_DRAINED
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
            description="Address and port for clients' traffic. All addresses, because the kubelet probes the "
            "pod's; `[::]` takes IPv4, too, and is `0.0.0.0` where there is no IPv6. Without any configuration file "
            "127.0.0.1:8080.",
        ),
    ] = "[::]:8080"
    admin: Annotated[
        str,
        Meta(
            min_length=1,
            description="Address and port for health, the gauge, metrics and drains; without any configuration file "
            "127.0.0.1:8081.",
        ),
    ] = "[::]:8081"
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
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            max_length=100,
            description="Names by which clients may call, as they stand in `Host` without the port: a name, "
            "`*.example.com` for all names below it, or `*` for any. Against DNS rebinding: any other name is refused. "
            "Loopback names always may; so may addresses, unless the listener is bound to loopback. Empty: on loopback "
            "no other name; elsewhere any, unless `Origin` or `Sec-Fetch-Site` tell of a browser. Clients of the app "
            "in mode Ingress are not asked; the admin listener goes by those two headers only, if not on loopback.",
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            max_length=100,
            description="Addresses and networks (10.0.0.0/8) of the proxies in front whose `X-Forwarded-*` and "
            "`Forwarded` the app in mode Ingress gets, with the proxy's own address behind theirs. From anybody else "
            "these headers are replaced, because a client can write what it likes into them. By default loopback and "
            "the private networks: from there ingress controllers call, and no client outside the cluster.",
        ),
    ] = PRIVATE_NETWORKS


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
    upstreams: Annotated[
        tuple[NamedUpstream, ...],
        Meta(
            max_length=MAX_UPSTREAMS,
            description="More upstreams, chosen by the model that a request asks for, in modes Gateway and Egress. "
            "Timeouts, authorities and the rest are those of `upstream`.",
        ),
    ] = ()
    limits: Limits = field(default_factory=Limits)
    streaming: Streaming = field(default_factory=Streaming)
    drain: DrainSettings = field(default_factory=DrainSettings)
    auth: Auth = field(default_factory=Auth)
    listen: Listen = field(default_factory=Listen)
    logs: Logs = field(default_factory=Logs)
    admin: Admin = field(default_factory=Admin)
