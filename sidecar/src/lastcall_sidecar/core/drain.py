"""The lifecycle of a sidecar: when it drains, when it is drained, when it may leave.

Everything that affects the lifecycle must live here: the tables `TRANSITIONS` and `ONLY_FINAL` are the whole truth, and
a pair that is not in them raises `IllegalTransition` and changes nothing. The drain loop, the control socket, the drain
routes and the pipeline call it; each of them holds on to the `Drain` that came back. Nothing in here waits, logs or
reads a clock: `now` is monotonic seconds.

A drain is a lease (it ends by itself unless renewed; an operator's way of asking) or final (SIGTERM, SIGINT, preStop).
A final drain never becomes a lease again, and a lease never expires a stream.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from lastcall_sidecar.errors import LastcallError

#: The longest that a lease may last without being renewed: an operator that died must not leave a pod out of service
#: for longer than a human takes to notice.
LEASE_MAX_SECONDS: Final = 600.0


class State(StrEnum):
    """Where a sidecar is in its life; the values are those of `/livez`."""

    #: Ready: new work is wanted.
    SERVING = "serving"
    #: Not ready: no new work is wanted, but what comes is served, and what is under way finishes.
    DRAINING = "draining"
    #: Nothing is in flight, and nothing has come for the settle time. What comes all the same is served.
    DRAINED = "drained"
    #: The ceiling came first: what was still streaming is told so. What comes all the same is served.
    EXPIRED = "expired"


class Event(StrEnum):
    """What can happen to a sidecar, as far as its lifecycle is concerned."""

    #: Somebody asks for a drain: the first time, again, as a lease or finally.
    DRAIN_REQUESTED = "drain requested"
    #: A lease was cancelled, or ran out.
    LEASE_ENDED = "lease ended"
    #: A request's head has been read. It is served in every state.
    REQUEST_ARRIVED = "request arrived"
    #: Nothing is in flight, nothing has come for the settle time, and the drain itself is as old as that.
    SETTLED = "settled"
    #: The ceiling has passed since the drain became final.
    CEILING_REACHED = "ceiling reached"


#: The lifecycle. A pair that is missing here is illegal.
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.SERVING, Event.DRAIN_REQUESTED): State.DRAINING,
        (State.SERVING, Event.REQUEST_ARRIVED): State.SERVING,
        (State.DRAINING, Event.DRAIN_REQUESTED): State.DRAINING,
        (State.DRAINING, Event.LEASE_ENDED): State.SERVING,
        (State.DRAINING, Event.REQUEST_ARRIVED): State.DRAINING,
        (State.DRAINING, Event.SETTLED): State.DRAINED,
        (State.DRAINING, Event.CEILING_REACHED): State.EXPIRED,
        (State.DRAINED, Event.DRAIN_REQUESTED): State.DRAINED,
        (State.DRAINED, Event.LEASE_ENDED): State.SERVING,
        (State.DRAINED, Event.REQUEST_ARRIVED): State.DRAINING,
        (State.EXPIRED, Event.DRAIN_REQUESTED): State.EXPIRED,
        (State.EXPIRED, Event.REQUEST_ARRIVED): State.EXPIRED,
    }
)

#: Events that only one kind of drain knows: True, a final one; False, a lease. The others happen to both.
ONLY_FINAL: Final[Mapping[Event, bool]] = MappingProxyType({Event.LEASE_ENDED: False, Event.CEILING_REACHED: True})


class IllegalTransition(LastcallError, ValueError):  # noqa: N818 - it says what was tried
    """The event cannot happen in that state, or not to that kind of drain; nothing has changed."""

    def __init__(self, drain: "Drain", event: Event) -> None:
        super().__init__(f"{event.value!r} cannot happen to {drain!r}")
        self.drain = drain
        self.event = event


class InvalidLease(LastcallError, ValueError):  # noqa: N818 - it says what was asked for
    """The length of a lease is not above 0 and at most `LEASE_MAX_SECONDS`; nothing has changed."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """What bounds a drain."""

    #: How long nothing may have come before DRAINED. Endpoints and keep-alive connections lag by seconds.
    settle_seconds: float
    #: How long a final drain lasts at most.
    ceiling_seconds: float


@dataclass(frozen=True, slots=True, repr=False)
class Drain:
    """The lifecycle at one moment, a value: `Drain()` is a sidecar that serves. All times are monotonic seconds.

    While serving all times are None. Otherwise `since` is set, and exactly one of `final_since` and `lease_expires`.
    """

    state: State = State.SERVING
    #: Why, in the words of who asked last before it became final.
    reason: str | None = None
    #: When the drain began. A request that interrupts DRAINED does not move it.
    since: float | None = None
    #: When it became final: the ceiling counts from here.
    final_since: float | None = None
    #: When a lease ends unless it is renewed.
    lease_expires: float | None = None
    #: When it last became DRAINED or EXPIRED; None in the other states.
    ended_since: float | None = None

    @property
    def final(self) -> bool:
        """Whether the drain can only end with the process."""
        return self.final_since is not None

    def __repr__(self) -> str:
        """State, kind and the times that are set, as in `<Drain draining, lease until 60.0, since 0.0, 'rollout'>`."""
        if self.since is None:
            return f"<Drain {self.state.value}>"
        kind = f"lease until {self.lease_expires}" if self.final_since is None else f"final since {self.final_since}"
        return f"<Drain {self.state.value}, {kind}, since {self.since}, {self.reason!r}>"


def request(drain: Drain, now: float, *, reason: str, lease_seconds: float | None) -> Drain:
    """Begin a drain, renew its lease, or make it final (`lease_seconds` None).

    A final drain stays as it is whatever is asked of it: a lease never shortens it, and its ceiling is not moved.
    Raises `InvalidLease`.
    """
    if lease_seconds is not None and not 0 < lease_seconds <= LEASE_MAX_SECONDS:
        raise InvalidLease(f"a lease lasts more than 0 and at most {LEASE_MAX_SECONDS:g} seconds, not {lease_seconds}")
    state = _target(drain, Event.DRAIN_REQUESTED)
    if drain.final:
        return drain
    return replace(
        drain,
        state=state,
        reason=reason,
        since=now if drain.since is None else drain.since,
        final_since=now if lease_seconds is None else None,
        lease_expires=None if lease_seconds is None else now + lease_seconds,
    )


def cancel(drain: Drain, now: float) -> Drain:
    """End a lease before its time. Raises `IllegalTransition` on a final drain, and when there is none."""
    return _apply(drain, Event.LEASE_ENDED, now)


def arrive(drain: Drain, now: float) -> Drain:
    """Take note of a request whose head has been read: a drain that had settled has to settle anew."""
    return _apply(drain, Event.REQUEST_ARRIVED, now)


def advance(drain: Drain, now: float, *, in_flight: int, last_request: float | None, limits: DrainLimits) -> Drain:
    """Do what is due: end a lease, settle, or expire. Level-based: call it at any time, as often as you like.

    `last_request` is when a request last arrived. Where several things are due, the end of a lease comes first (a
    drain that is over cannot settle), and settling comes before the ceiling (nothing would be cut by it).
    """
    for due_at, event in _pending(drain, in_flight=in_flight, last_request=last_request, limits=limits):
        if due_at <= now:
            return _apply(drain, event, now)
    return drain


def next_change(
    drain: Drain, now: float, *, in_flight: int, last_request: float | None, limits: DrainLimits
) -> float | None:
    """When `advance` will next change something if nothing but time goes by: `now` at the earliest, None for never."""
    pending = _pending(drain, in_flight=in_flight, last_request=last_request, limits=limits)
    return max(now, min(due_at for due_at, _ in pending)) if pending else None


def deadline(drain: Drain, limits: DrainLimits) -> float | None:
    """When a final drain reaches its ceiling; None while there is no final drain."""
    return None if drain.final_since is None else drain.final_since + limits.ceiling_seconds


def exit_due(drain: Drain, now: float, *, terminating: bool, in_flight: int, limits: DrainLimits) -> bool:
    """Whether the process should leave now; `terminating` says that a SIGTERM or SIGINT was received.

    Never before the drain has ended and nothing is in flight. Without a signal (after preStop alone) it stays up and
    serves, since the app container may still call through it (linkerd/linkerd2#10379); if no signal comes within the
    ceiling, counted from when the drain was both final and over, it leaves so that the container restarts
    (knative/serving#13229).
    """
    if drain.ended_since is None or in_flight > 0:
        return False
    if terminating:
        return True
    if drain.final_since is None:
        return False
    return now >= max(drain.ended_since, drain.final_since) + limits.ceiling_seconds


def ready(drain: Drain, *, terminating: bool, until_drained: bool) -> bool:
    """Whether the pod's readiness probe should succeed.

    A pod that is being deleted is out of load balancing wherever another is Ready; where none is, kube-proxy falls back
    to those that end and still serve (KEP-1669), which it knows by this probe. So in a final drain it succeeds
    (`until_drained`) until the process is about to leave, or its streams were cut. A pod in a leased drain is not being
    deleted: its probe alone takes it out.
    """
    if drain.state is State.SERVING:
        return True
    leaves = drain.state is State.EXPIRED or (drain.state is State.DRAINED and terminating)
    return until_drained and drain.final and not leaves


def _pending(
    drain: Drain, *, in_flight: int, last_request: float | None, limits: DrainLimits
) -> list[tuple[float, Event]]:
    """What time alone will bring to this drain, and when, the most important first."""
    pending: list[tuple[float, Event]] = []
    if drain.lease_expires is not None:
        pending.append((drain.lease_expires, Event.LEASE_ENDED))
    if drain.state is State.DRAINING:
        if in_flight == 0:
            quiet_since = max(at for at in (drain.since, last_request) if at is not None)
            pending.append((quiet_since + limits.settle_seconds, Event.SETTLED))
        if drain.final_since is not None:
            pending.append((drain.final_since + limits.ceiling_seconds, Event.CEILING_REACHED))
    return pending


def _target(drain: Drain, event: Event) -> State:
    """The state that the tables lead to, or `IllegalTransition`."""
    target = TRANSITIONS.get((drain.state, event))
    if target is None or ONLY_FINAL.get(event, drain.final) is not drain.final:
        raise IllegalTransition(drain, event)
    return target


def _apply(drain: Drain, event: Event, now: float) -> Drain:
    """Move to the state that the tables lead to, and keep the times true to it."""
    target = _target(drain, event)
    if target is drain.state:
        return drain
    if target is State.SERVING:
        return Drain()
    return replace(drain, state=target, ended_since=None if target is State.DRAINING else now)
