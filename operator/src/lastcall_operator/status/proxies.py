"""A StreamProxy's conditions and counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.names import Reason
from lastcall_operator.injection.trial import Refusal

from .policies import unreachable
from .readings import Readings, askable, counted, draining, in_flight, named
from .records import IMAGE_REASONS, Pod
from .services import Bypass, sentence
from .told import Told

#: Characters of a sidecar's own error that a condition repeats.
_ERROR_CHARS = 300
#: Different errors that a sentence repeats: sidecars of one configuration mostly refuse it alike.
_ERRORS_TOLD = 3


@dataclass(frozen=True, slots=True)
class ProxyView:
    """Everything that a StreamProxy's status rests on."""

    #: the pods whose sidecar it configures
    pods: tuple[Pod, ...]
    readings: Readings
    #: of the configuration in the ConfigMap; None: there is none yet
    hash: str | None
    #: pods that it selects and that have no sidecar
    plain: tuple[str, ...] = ()
    #: why no pod of the namespace ever gets one
    uninjected: str | None = None
    #: why spec is not in force
    mistake: str | None = None
    #: an older StreamProxy that selects the same pods
    older: str | None = None
    network: str | None = None
    #: Services that lead around the sidecar
    bypassing: tuple[Bypass, ...] = ()
    #: workloads whose new pods cannot have their sidecar
    refused: tuple[Refusal, ...] = ()
    #: why no leased drain can be signed
    unsigned: str | None = None
    #: pods that wait for a volume or a Secret, and what the kubelet says of it
    unmounted: tuple[tuple[str, str], ...] = ()

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """The pods whose sidecar refuses the configuration, and its words."""
        found = [(pod.name, reading.now) for pod in self.pods if (reading := self.readings.get(pod.uid)) is not None]
        return [
            (name, gauge.config_error[:_ERROR_CHARS])
            for name, gauge in found
            if gauge is not None and gauge.config_error is not None
        ]

    @property
    def configured(self) -> list[Pod]:
        """The pods whose sidecar says that it has this configuration."""
        return [pod for pod in self.pods if self.hash is not None and self._hash(pod) == self.hash]

    def _hash(self, pod: Pod) -> str | None:
        reading = self.readings.get(pod.uid)
        return None if reading is None or reading.now is None else reading.now.config_hash


def conditions(view: ProxyView) -> list[Told]:
    """All of them, in the order in which a person asks."""
    accepted, configured = _accepted(view), _configured(view)
    return [
        accepted,
        configured,
        _ready(view, accepted, configured),
        _port_conflict(view),
        _bypassed(view),
        unreachable(view.pods, view.readings, view.network),
        _conflicted(view),
        _noted(view, "PreStopKept", Reason.PRE_STOP_KEPT, "no pod keeps a preStop of its own"),
        _key_unusable(view),
    ]


def counts(view: ProxyView) -> dict[str, Any]:
    """`pods`, `inFlight` and `configHash` of the status."""
    pods = {
        "matched": len(view.pods) + len(view.plain),
        "injected": len(view.pods),
        "ready": sum(pod.ready for pod in view.pods),
        "configured": len(view.configured),
        "draining": len(draining(view.pods, view.readings)),
    }
    found: dict[str, Any] = {"pods": pods, "inFlight": in_flight(view.pods, view.readings)}
    if view.hash is not None:
        found["configHash"] = view.hash
    return found


def settled(view: ProxyView) -> bool:
    """Whether nothing is awaited, so that it need not be looked at for a while."""
    return (
        view.mistake is None
        and not view.rejected
        and not view.refused
        and len(view.configured) == len(view.pods)
        and all(pod.ready and pod.deleted is None for pod in view.pods)
    )


def broken(pods: Sequence[Pod], unmounted: Sequence[tuple[str, str]]) -> Told | None:
    """What keeps pods from starting; None when nothing known does."""
    for pod in pods:
        for each in pod.waiting:
            image = each.reason in IMAGE_REASONS
            reason = Reason.IMAGE_PULL_FAILED if image else Reason.SECRET_NOT_FOUND
            what = "cannot get its image" if image else "cannot be created"
            return Told(
                "Ready", False, reason, f"{pod.name}: container {each.container} {what}: {_words(each.message)}"
            )
    if unmounted:
        name, message = unmounted[0]
        return Told("Ready", False, Reason.SECRET_NOT_FOUND, f"{name} cannot start: {_words(message)}")
    return next((_crash(pod) for pod in pods if pod.crashing and pod.deleted is None), None)


def _crash(pod: Pod) -> Told:
    """An app that listens on a port which it does not declare finds the sidecar there, which starts first."""
    ports = " and ".join(map(str, pod.listening)) or str(pod.port)
    message = (
        f"{pod.name}: container {named(pod.crashing)} ends again and again beside its sidecar; see its log: if its "
        f"port is taken, the sidecar has it, which listens on {ports}: declare the port in the container's ports, and "
        "the sidecar of a new pod takes another"
    )
    return Told("Ready", False, Reason.APP_CRASHES, message)


def _words(message: str) -> str:
    return " ".join(message.split())[:_ERROR_CHARS] or "no reason is given"


def _accepted(view: ProxyView) -> Told:
    if view.mistake is not None:
        kept = "" if view.hash is None else "; the configuration before stays in force"
        return Told("Accepted", False, "Invalid", view.mistake + kept)
    return Told("Accepted", True, "Valid", "the configuration is written for the sidecars")


def _configured(view: ProxyView) -> Told:
    if view.mistake is not None:
        return Told("Configured", False, "NotAccepted", "the newest spec is not in force")
    if view.rejected:
        more = counted(len(view.rejected), "sidecar")
        return Told("Configured", False, Reason.CONFIG_REJECTED, f"{more} refused it, {rejections(view)}")
    live = [pod for pod in askable(view.pods) if pod.deleted is None]
    if not live:
        return Told("Configured", True, "NoPods", "no sidecar runs with it yet")
    have = {pod.uid for pod in view.configured}
    lacking = [pod.name for pod in live if pod.uid not in have]
    if lacking:
        message = f"{len(live) - len(lacking)} of {len(live)} sidecars have it; not yet: {named(lacking)}"
        return Told("Configured", False, "Waiting", message)
    return Told("Configured", True, Reason.CONFIG_APPLIED, f"all of {counted(len(live), 'sidecar')} have it")


def rejections(view: ProxyView) -> str:
    """Which sidecars refused the configuration and why: `a, b: the error`, one part for each error."""
    by_error: dict[str, list[str]] = {}
    for name, error in view.rejected:
        by_error.setdefault(error, []).append(name)
    return "; ".join(f"{named(names)}: {error}" for error, names in list(by_error.items())[:_ERRORS_TOLD])


def refused(view: ProxyView) -> Told | None:
    """Why new pods are not made; None when nothing known keeps them from it."""
    if not view.refused:
        return None
    first, more = view.refused[0], len(view.refused) - 1
    others = f"; and {counted(more, 'workload')} more" if more else ""
    return Told("Ready", False, first.reason, f"no new pod can have its sidecar: {first.message}{others}")


def _ready(view: ProxyView, accepted: Told, configured: Told) -> Told:
    for told in (accepted, refused(view), broken(view.pods, view.unmounted), configured):
        if told is not None and not told.status:
            return Told("Ready", False, told.reason, told.message)
    live = [pod for pod in view.pods if pod.deleted is None]
    waiting = [pod.name for pod in live if not pod.ready]
    if waiting:
        return Told("Ready", False, "PodsNotReady", f"not Ready: {named(waiting)}")
    if not live:
        return Told("Ready", False, "NoPods", f"no pod has a sidecar of it yet{_without(view)}")
    if (around := _bypassed(view)).status:
        return Told("Ready", False, around.reason, around.message)
    return Told("Ready", True, "Ready", f"{counted(len(live), 'pod')} behind their sidecars{_without(view)}")


def _without(view: ProxyView) -> str:
    """The pods that lack their sidecar, and why."""
    if not view.plain:
        return ""
    why = view.uninjected or "made before this StreamProxy, or while no webhook was there; restart them to inject"
    return f"; {counted(len(view.plain), 'pod')} without: {why}"


def _noted(view: ProxyView, kind: str, reason: Reason, otherwise: str) -> Told:
    for pod in view.pods:
        for note in pod.notes:
            if note.reason == reason:
                return Told(kind, True, reason, f"{pod.name}: {note.message}")
    return Told(kind, False, "None", otherwise)


def _port_conflict(view: ProxyView) -> Told:
    for each in view.refused:
        if each.reason is Reason.PORT_CONFLICT:
            return Told("PortConflict", True, each.reason, each.message)
    return Told("PortConflict", False, "None", "the ports that sidecars need are free")


def _bypassed(view: ProxyView) -> Told:
    if not view.bypassing:
        return _noted(view, "Bypassed", Reason.BYPASSED, "every Service leads through the sidecar")
    return Told("Bypassed", True, Reason.BYPASSED, sentence(view.bypassing))


def _key_unusable(view: ProxyView) -> Told:
    if view.unsigned is None:
        return Told("KeyUnusable", False, "None", "leased drains can be signed")
    message = f"{view.unsigned}; until then no drain can be leased, and sidecars are configured to refuse them"
    return Told("KeyUnusable", True, Reason.KEY_UNUSABLE, message)


def _conflicted(view: ProxyView) -> Told:
    if view.older is None:
        return Told("Conflicted", False, "Alone", "no other StreamProxy selects these pods")
    message = f"StreamProxy {view.older} is older and selects the same pods: those follow it"
    return Told("Conflicted", True, Reason.CONFLICTED, message)
