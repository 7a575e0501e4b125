"""StreamProxy: how the sidecars of some pods are made and configured.

The source of its CRD (scripts/generate_crds.py). What a sidecar reads itself has the names, bounds and defaults of
`lastcall-sidecar schema`; a test holds them equal.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, field

from .schema import MAX_SECONDS, Part, SpecError, read
from .selector import Selector

MIB = 1024 * 1024
DEFAULT_URLS = {"Anthropic": "https://api.anthropic.com", "OpenAI": "https://api.openai.com"}


class Mode(StrEnum):
    """Where the sidecar stands."""

    INGRESS = "Ingress"
    EGRESS = "Egress"
    GATEWAY = "Gateway"


class Provider(StrEnum):
    """The protocol that the upstream speaks."""

    ANTHROPIC = "Anthropic"
    OPENAI = "OpenAI"
    ANY = "Any"


class NamedProvider(StrEnum):
    """The protocols among which requests can be divided by their model."""

    ANTHROPIC = "Anthropic"
    OPENAI = "OpenAI"


class Readiness(StrEnum):
    """Until when the readiness probe succeeds in a drain that ends with the pod."""

    UNTIL_DRAINED = "UntilDrained"
    FAIL_AT_ONCE = "FailAtOnce"


class PreStopPolicy(StrEnum):
    """What becomes of an app's own preStop hook."""

    REPLACE = "Replace"
    KEEP = "Keep"


class EgressWait(StrEnum):
    """Whether an app in mode Egress waits for its own requests before its SIGTERM."""

    NONE = "None"
    UNTIL_IDLE = "UntilIdle"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


SecretName = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", description="The Secret.")
]
SecretKey = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The key within the Secret.")
]


#: As in a request's body; and entries of a table of models, and upstreams beside the first one.
MAX_MODEL_CHARS = 512
MAX_MODELS = 200
MAX_UPSTREAMS = 20
ModelName = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARS, description="A model's name.")]
ModelPattern = Annotated[
    str, Meta(min_length=1, max_length=MAX_MODEL_CHARS, description="A model's name, or the beginning of names and *.")
]
_LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_PORT = "[1-9][0-9]{0,4}"
#: Visible ASCII but for `#`, `?` and the backslash.
_URL_PATH = r"""/[!"$->@-\[\]-~]*"""
#: As far as a pattern can say it: a sidecar refuses dot segments and misspelled addresses of digits, too.
Url = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=rf"^https?://({_LABEL}([.]{_LABEL})*[.]?|\[[0-9A-Fa-f:.]+\])(:{_PORT})?({_URL_PATH})?$",
    ),
]


class ApiKeyRef(Part, frozen=True):
    """A key of a Secret that holds the upstream's API key."""

    name: SecretName
    key: SecretKey = "api-key"


class ApiKeysRef(Part, frozen=True):
    """A key of a Secret that holds the clients' API keys."""

    name: SecretName
    key: SecretKey = "api-keys"


class Upstream(Part, frozen=True):
    """Where requests go."""

    provider: Annotated[
        Provider | None,
        Meta(
            description="The upstream's protocol: Anthropic, OpenAI, or Any for a pure relay. In mode Ingress always "
            "Any, because the app's routes are its own; elsewhere Anthropic by default."
        ),
    ] = None
    url: Annotated[
        Url | None,
        Meta(
            description="The upstream's base URL, http or https, without credentials, query or fragment. The default "
            "is the provider's own API; required with provider Any; in mode Ingress it is the app's port.",
        ),
    ] = None
    api_key_secret_ref: Annotated[
        ApiKeyRef | None,
        Meta(
            description="The upstream's API key, which replaces the caller's credential. Mounted into the pod, read "
            "there, rotated live. Without it the caller's own is passed on."
        ),
    ] = None
    models: Annotated[
        dict[ModelName, ModelName],
        Meta(
            max_length=MAX_MODELS,
            description="Other names for models: the name that a client asks for, or the beginning of one and *, and "
            "the model that is meant. An exact name wins over a beginning, a longer beginning over a shorter one. "
            "Upstreams are chosen by the name that this gives.",
        ),
    ] = field(default_factory=dict)
    default_max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="What an Anthropic upstream is asked for when a client of the other protocol names no limit.",
        ),
    ] = 8192
    response_header_timeout_seconds: Annotated[
        int, Meta(ge=1, le=MAX_SECONDS, description="From the end of the upload to the head of the upstream's answer.")
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
            "Below the server's own limit, which is 5 s for uvicorn and vLLM.",
        ),
    ] = 4


class NamedUpstream(Part, frozen=True):
    """One more upstream, for the models that fit it; timeouts and the rest are those of `upstream`."""

    name: Annotated[
        str,
        Meta(
            max_length=40,
            pattern="^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$",
            description="Its name in logs and metrics, unique: at most 40 lower-case letters, digits and hyphens.",
        ),
    ]
    provider: Annotated[NamedProvider, Meta(description="Its protocol: Anthropic or OpenAI.")]
    models: Annotated[
        tuple[ModelPattern, ...],
        Meta(
            min_length=1,
            max_length=MAX_MODELS,
            description="The models that it takes: names, or beginnings of names with * behind them. The first "
            "upstream in the list that fits takes a request; what none fits goes to `upstream`.",
        ),
    ]
    url: Annotated[
        Url | None,
        Meta(description="Its base URL, as `upstream.url`. The default is the provider's own API."),
    ] = None
    api_key_secret_ref: Annotated[
        ApiKeyRef | None,
        Meta(
            description="Its API key, as `upstream.apiKeySecretRef`. Pods from before it was named do not have it "
            "mounted: they keep their old configuration until they are replaced."
        ),
    ] = None


class Limits(Part, frozen=True):
    """What one sidecar takes on, and how long it waits."""

    max_concurrent: Annotated[
        int, Meta(ge=0, le=100_000, description="Generations that run at a time; 0: unlimited.")
    ] = 0
    max_queued: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Generations that may wait for a slot; the next one is refused.")
    ] = 1000
    queue_timeout_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="How long a generation may wait for a slot.")
    ] = 30
    first_event_timeout_seconds: Annotated[
        int, Meta(ge=1, le=MAX_SECONDS, description="From the head of a streamed answer to its first event.")
    ] = 600
    stall_timeout_seconds: Annotated[
        int, Meta(ge=1, le=MAX_SECONDS, description="Between two reads from the upstream while it is waited for.")
    ] = 300
    write_stall_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="Without progress toward a client that does not read.")
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
            "error event. 0: off.",
        ),
    ] = 0
    max_body_bytes: Annotated[
        int, Meta(ge=1024, le=1024 * MIB, description="The largest request body on routes that are understood.")
    ] = 64 * MIB
    body_grace_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="How long a client may be waited for in all while its request's body comes, beyond what "
            "minBodyBytesPerSecond gives back.",
        ),
    ] = 60
    min_body_bytes_per_second: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="The rate at which a request's body gives the grace back; a slower one ends with a 408. 0: any "
            "byte gives it all back.",
        ),
    ] = 100
    max_buffered_bytes: Annotated[
        int, Meta(ge=1024, le=64 * 1024 * MIB, description="Request bodies in memory over all requests.")
    ] = 256 * MIB


class Streaming(Part, frozen=True):
    """Streams toward the client."""

    heartbeat_seconds: Annotated[
        int, Meta(ge=1, le=300, description="A sign of life after so long without a byte to the client.")
    ] = 15
    demote_non_streaming: Annotated[
        bool,
        Meta(
            description="Whether an Anthropic upstream is asked for a stream where the client asked for none, and the "
            "stream is put together into one answer. The client still sees no byte before the end."
        ),
    ] = False


class Drain(Part, frozen=True):
    """How a pod leaves."""

    ceiling_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_SECONDS,
            description="The longest that a leaving pod waits for what is in flight. The pod's grace period is made "
            "long enough at injection.",
        ),
    ] = 1920
    settle_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=300,
            description="Quiet time after the last request before a pod counts as drained: endpoints lag behind.",
        ),
    ] = 5
    readiness: Annotated[
        Readiness,
        Meta(
            description="What the readiness probe says while the pod is being deleted: UntilDrained (Ready until it "
            "leaves: where no other pod is Ready, Services fall back to it) or FailAtOnce (not Ready from the drain's "
            "beginning, for load balancers that follow nothing but readiness)."
        ),
    ] = Readiness.UNTIL_DRAINED
    pre_stop_policy: Annotated[
        PreStopPolicy,
        Meta(
            description="What becomes of a preStop hook of the app's own: Replace (the app waits for the drain "
            "instead; the old hook is kept in an annotation) or Keep (the app may go before its streams have ended)."
        ),
    ] = PreStopPolicy.REPLACE
    egress_wait: Annotated[
        EgressWait,
        Meta(
            description="In mode Egress: None (the app gets SIGTERM at once, the sidecar stays until the app is "
            "gone) or UntilIdle (the app waits until nothing is in flight: for apps that do not handle SIGTERM)."
        ),
    ] = EgressWait.NONE


class Auth(Part, frozen=True):
    """Who may call."""

    api_keys_secret_ref: Annotated[
        ApiKeysRef | None,
        Meta(
            description="The API keys that clients must present: one a line, optionally `name: key`. Rotated live. "
            "Without it everybody may call."
        ),
    ] = None


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#: As far as a pattern can say it; `_check_listen` knows bits behind the mask, and misspelled addresses of IPv6.
Network = Annotated[
    str,
    Meta(
        pattern=rf"^({_OCTET}([.]{_OCTET}){{3}}(/(3[0-2]|[12]?[0-9]))?"
        r"|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,38}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$",
    ),
]


class Listen(Part, frozen=True):
    """Whom a sidecar believes."""

    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            max_length=100,
            description="In mode Ingress: addresses and networks (10.0.0.0/8) of the proxies in front whose "
            "X-Forwarded-* and Forwarded the app gets, with the proxy's own address behind theirs. From anybody else "
            "these headers are replaced. By default loopback and the private networks; name those of a load balancer "
            "with public addresses, or less where clients in the cluster are not to be believed.",
        ),
    ] = (
        "127.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )  # fmt: skip


#: As Kubernetes writes amounts, and never less than nothing: `100m`, `1.5Gi`, `1e3`, 2.
Quantity = (
    Annotated[int, Meta(ge=0)]
    | Annotated[
        str,
        Meta(
            max_length=64,
            pattern=r"^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$",
        ),
    ]
)
Quantities = dict[Annotated[str, Meta(max_length=317)], Quantity]


class Resources(Part, frozen=True):
    """The container's share, as in a pod."""

    requests: Annotated[Quantities, Meta(max_length=16, description="What it is sure to get: cpu, memory.")] = field(
        default_factory=dict
    )
    limits: Annotated[Quantities, Meta(max_length=16, description="What it gets at most: cpu, memory.")] = field(
        default_factory=dict
    )


class Sidecar(Part, frozen=True):
    """The container."""

    image: Annotated[
        str, Meta(max_length=512, description="Its image; empty: the operator's default. May be restricted by it.")
    ] = ""
    resources: Annotated[
        Resources,
        Meta(
            description="Its requests and limits, as in a pod; empty: 100m and 128Mi requested, 512Mi limit. A pod "
            "whose own containers are Guaranteed stays so."
        ),
    ] = field(default_factory=Resources)
    log_level: Annotated[LogLevel, Meta(description="The least important lines that it logs.")] = LogLevel.INFO


class StreamProxySpec(Part, frozen=True):
    """What a StreamProxy asks for."""

    selector: Annotated[
        Selector,
        Meta(description='Which pods, among those of its namespace that are labelled lastcall.dev/inject: "true".'),
    ]
    mode: Annotated[
        Mode,
        Meta(
            description="Ingress: clients → sidecar → app in the pod. Egress: app → sidecar → remote upstream. "
            "Gateway: the pod's only container runs the sidecar's image."
        ),
    ] = Mode.GATEWAY
    app_port: Annotated[
        int | str | None,
        Meta(description="In mode Ingress: name or number of the app's port, whose name the sidecar takes over."),
    ] = None
    upstream: Annotated[Upstream, Meta(description="Where requests go.")] = field(default_factory=Upstream)
    upstreams: Annotated[
        tuple[NamedUpstream, ...],
        Meta(
            max_length=MAX_UPSTREAMS,
            description="More upstreams, chosen by the model that a request asks for, in modes Gateway and Egress.",
        ),
    ] = ()
    limits: Annotated[Limits, Meta(description="What one sidecar takes on, and how long it waits.")] = field(
        default_factory=Limits
    )
    streaming: Annotated[Streaming, Meta(description="Streams toward the client.")] = field(default_factory=Streaming)
    drain: Annotated[Drain, Meta(description="How a pod leaves.")] = field(default_factory=Drain)
    auth: Annotated[Auth, Meta(description="Who may call.")] = field(default_factory=Auth)
    listen: Annotated[Listen, Meta(description="Whom a sidecar believes.")] = field(default_factory=Listen)
    sidecar: Annotated[Sidecar, Meta(description="The container.")] = field(default_factory=Sidecar)

    @property
    def provider(self) -> Provider:
        """The upstream's protocol, with its default filled in."""
        if self.mode is Mode.INGRESS:
            return Provider.ANY
        return self.upstream.provider or Provider.ANTHROPIC

    @property
    def upstream_url(self) -> str | None:
        """The upstream's URL with its default filled in; None in mode Ingress, where it is each pod's own."""
        if self.mode is Mode.INGRESS:
            return None
        return self.upstream.url or DEFAULT_URLS.get(self.provider.value)

    @property
    def drain_seconds(self) -> int:
        """What a leaving pod may need: ceiling, settle time, and 30 s for everything around them."""
        return self.drain.ceiling_seconds + self.drain.settle_seconds + EXIT_MARGIN_SECONDS


#: What a pod's end needs beside ceiling and settle time: probes, hooks, the exit itself.
EXIT_MARGIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class StreamProxy:
    """A StreamProxy of the cluster. `created` is its creationTimestamp (RFC 3339)."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: str
    spec: StreamProxySpec

    @property
    def age(self) -> tuple[str, str]:
        """What orders StreamProxies of one pod: the oldest wins, and of two as old the first by name."""
        return self.created, self.name


def parse_stream_proxy(item: dict[str, Any]) -> StreamProxy:
    """Read a StreamProxy.

    Errors: SpecError.
    """
    metadata = item.get("metadata") or {}
    spec = read(item.get("spec") or {}, StreamProxySpec)
    _check(spec)
    return StreamProxy(
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        created=str(metadata.get("creationTimestamp", "")),
        spec=spec,
    )


def _check(spec: StreamProxySpec) -> None:
    """What a field alone cannot say. The CRD says the same to the API server."""
    spec.selector.check("spec.selector")
    if spec.mode is Mode.INGRESS:
        if spec.app_port in {None, ""}:
            raise SpecError("spec.appPort is required in mode Ingress: the port that is taken over")
        if spec.upstream.url is not None:
            raise SpecError("spec.upstream.url must not be set in mode Ingress: it is the app's port")
        if spec.upstream.provider not in {None, Provider.ANY}:
            raise SpecError("spec.upstream.provider must be Any in mode Ingress: the app's routes are its own")
    elif spec.app_port is not None:
        raise SpecError(f"spec.appPort must not be set in mode {spec.mode}: only Ingress takes a port over")
    if spec.upstream.provider is Provider.ANY and spec.upstream.url is None and spec.mode is not Mode.INGRESS:
        raise SpecError("spec.upstream.url is required with provider Any")
    if isinstance(spec.app_port, int) and not 1 <= spec.app_port <= 65535:
        raise SpecError(f"spec.appPort must be a port from 1 to 65535 or a port's name, not {spec.app_port}")
    if spec.drain.egress_wait is EgressWait.UNTIL_IDLE and spec.mode is not Mode.EGRESS:
        raise SpecError("spec.drain.egressWait is for mode Egress")
    if spec.limits.max_body_bytes > spec.limits.max_buffered_bytes:
        most = spec.limits.max_buffered_bytes
        what = f"must not be above spec.limits.maxBufferedBytes ({most}): one body must fit"
        raise SpecError(f"spec.limits.maxBodyBytes {what}")
    _check_models(spec)
    _check_upstreams(spec)
    _check_listen(spec.listen)


def _check_models(spec: StreamProxySpec) -> None:
    models = spec.upstream.models
    if models and spec.provider is Provider.ANY:
        raise SpecError("spec.upstream.models must not be set with provider Any: a pure relay knows no models")
    for name, model in models.items():
        if not (name + model).isprintable():
            raise SpecError("spec.upstream.models must be printable text")
        if "*" in name[:-1]:
            raise SpecError(f"spec.upstream.models: {name}: * may only stand at the end, for the beginning of names")
        if "*" in model:
            raise SpecError(f"spec.upstream.models: {name}: what is meant must be one model's name, without *")


def _check_upstreams(spec: StreamProxySpec) -> None:
    if spec.upstreams and spec.mode is Mode.INGRESS:
        raise SpecError("spec.upstreams must not be set in mode Ingress: every path is the app's")
    if spec.upstreams and spec.provider is Provider.ANY:
        raise SpecError("spec.upstreams must not be set with spec.upstream.provider Any: a pure relay knows no models")
    names: set[str] = set()
    for index, upstream in enumerate(spec.upstreams):
        place = f"spec.upstreams[{index}]"
        if upstream.name in names:
            raise SpecError(f"{place}.name: {upstream.name} is the name of another one already")
        names.add(upstream.name)
        if not "".join((upstream.name, *upstream.models)).isprintable():
            raise SpecError(f"{place}.name and models must be printable text")
        if any("*" in pattern[:-1] for pattern in upstream.models):
            raise SpecError(f"{place}.models: * may only stand at the end, for the beginning of names")


def _check_listen(listen: Listen) -> None:
    """A sidecar does not start with a network that is none."""
    for index, network in enumerate(listen.trusted_proxies):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise SpecError(
                f"spec.listen.trustedProxies[{index}] must be an IP address or a network without bits behind its mask, "
                f"as 10.0.0.0/8 or fd00::/8, not {network}"
            ) from None
