"""The way of a removal, on one screen: read → observe → decide → reserve → effects → answer.

Whatever goes wrong, the removal is allowed: nothing of ours may stand between Kubernetes and its pods. What passes by
itself (too little time, an API server that does not answer just now) must not cut streams, and is waited for first, for
`UNDECIDED_SECONDS`. Removals of one workload are decided one after the other; the webhook's replicas agree through the
policy's reservations.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.observe import FRESH_SECONDS, Governed, Observer, View, policy_of
from lastcall_operator.cluster.resources import DRAIN_POLICIES
from lastcall_operator.cluster.targets import Workload
from lastcall_operator.errors import ApiUnavailableError, ConflictError
from lastcall_operator.removal import reservations as reserved
from lastcall_operator.removal import review
from lastcall_operator.removal.decide import decide
from lastcall_operator.removal.model import Allow, Decision, Refuse
from lastcall_operator.telemetry import tracing
from lastcall_operator.telemetry.metrics import Metrics

from .effects import Effects

#: Seconds for an answer, effects included. The API server gives up after 3 and allows; one is left for the way.
ANSWER_SECONDS = 2.0
#: Seconds for the decision itself.
DECISION_SECONDS = 1.8
#: Seconds for which removals of a pod are refused that could not be decided in time: an eviction that was allowed in a
#: busy moment has cut streams, and every caller asks again (`kubectl drain` after 5 s). Nobody waits longer for us.
UNDECIDED_SECONDS = 30.0
#: Seconds after which the next such moment is one of its own. A controller that is refused comes again after at most
#: 1000 (client-go's longest back-off): all that time it is the same, or it would be refused for as long as it lasts.
FORGOTTEN_SECONDS = 1200.0
UNDECIDED = "it could not be decided in time"
#: Seconds for which a removal waits for others of its workload before its controller is asked to come again.
QUEUE_SECONDS = 1.0
BEING_DECIDED = "another removal of this workload is being decided"
#: Seconds that an answer waits for its effects at most: the controller asks again at once, and should see the costs. A
#: decision stands, however slow they are.
EFFECT_SECONDS = 0.5
#: How often the reservations are written before somebody else is left to decide.
TRIES = 3
#: Workloads whose locks are kept.
_WORKLOADS = 1000
#: Pods of which it is remembered since when nothing could be decided.
_REMEMBERED = 1000

log = structlog.get_logger("lastcall.removals")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision, and what its effects need to know."""

    decision: Decision
    pod: Object
    governed: Governed
    #: None: not decided by what the workload is, and without any effect
    view: View | None


class Removals:
    """Answers AdmissionReviews of removals. `clock`: seconds since the epoch."""

    def __init__(
        self, api: Api, observer: Observer, effects: Effects, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._api, self._observer, self._effects = api, observer, effects
        self._metrics, self._clock = metrics, clock
        self._locks: OrderedDict[Workload, asyncio.Lock] = OrderedDict()
        self._written_last: dict[Workload, tuple[Governed, float]] = {}
        #: By the pod's UID, when its removal could not be decided for the first time in a row, and for the last.
        self._undecided: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._under_way: set[asyncio.Task[None]] = set()

    async def answer(self, body: Any) -> dict[str, Any]:
        """The AdmissionReview to send back.

        Errors: ReviewError, when there is not even a UID to answer to.
        """
        return await self._answer(body)

    async def without_effects(self, body: Any) -> dict[str, Any]:
        """The same to somebody who may have made the removal up: as to a dry run, nothing comes of it.

        Errors: as `answer`.
        """
        return await self._answer(body, dry_run=True)

    async def allowed(self, body: Any) -> dict[str, Any]:
        """What a release says that is not the first here.

        Errors: as `answer`.
        """
        return review.answer(review.uid_of(body), Allow("another release decides", reserve=False))

    async def _answer(self, body: Any, *, dry_run: bool = False) -> dict[str, Any]:
        uid = review.uid_of(body)
        started = asyncio.get_running_loop().time()
        asked: review.Asked | None = None
        decision: Decision
        try:
            asked = review.asked(body)
            if asked is not None and dry_run:
                asked = replace(asked, dry_run=True)
            decision = await self._decided(asked, started)
        except Exception as error:  # every fault allows: it is logged whole, counted, and ends here
            log.exception("removal.fault", review=uid, pod=None if asked is None else asked.name)
            self._metrics.fault(type(error).__name__)
            decision = Allow("lastcall could not decide in time, or at all", reserve=False)
        kind = None if asked is None else asked.kind
        self._metrics.removal("none" if kind is None else kind.value, decision, _since(started))
        return review.answer(uid, decision, kind)

    async def finish(self) -> None:
        """Wait for effects that are under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=2 * EFFECT_SECONDS)

    async def _decided(self, asked: review.Asked | None, started: float) -> Decision:
        if asked is None:
            return Allow("none of ours", reserve=False)
        with tracing.span(f"evict {asked.name}", {"lastcall.removal.kind": asked.kind.value}):
            deadline = started + DECISION_SECONDS
            async with asyncio.timeout_at(deadline):
                found = await self._found(asked)
            if isinstance(found, Allow):
                return found
            pod, governed = found
            try:
                async with asyncio.timeout_at(deadline):
                    outcome = await self._outcome(asked, pod, governed)
            except (TimeoutError, ApiUnavailableError) as error:
                if not self._waits(pod["metadata"]["uid"], dry_run=asked.dry_run):
                    raise
                log.exception("removal.undecided", pod=f"{asked.namespace}/{asked.name}")
                self._metrics.fault(type(error).__name__)
                return Refuse(UNDECIDED)
            self._undecided.pop(pod["metadata"]["uid"], None)
            log.info(
                "removal.decided",
                pod=f"{asked.namespace}/{asked.name}",
                kind=asked.kind.value,
                allowed=isinstance(outcome.decision, Allow),
                why=outcome.decision.why,
                dry_run=asked.dry_run,
            )
            if not asked.dry_run and outcome.view is not None:
                left = ANSWER_SECONDS - _since(started)
                await self._carry_out(outcome, outcome.view, min(EFFECT_SECONDS, left))
            return outcome.decision

    def _waits(self, uid: str, *, dry_run: bool) -> bool:
        """Whether a pod stays although nothing could be decided: not for longer than `UNDECIDED_SECONDS`."""
        now = asyncio.get_running_loop().time()
        since, last = self._undecided.get(uid, (now, now))
        if now - last > FORGOTTEN_SECONDS:
            since = now
        if not dry_run:
            self._undecided[uid] = (since, now)
            self._undecided.move_to_end(uid)
            if len(self._undecided) > _REMEMBERED:
                self._undecided.popitem(last=False)
        return now - since < UNDECIDED_SECONDS

    async def _found(self, asked: review.Asked) -> tuple[Object, Governed] | Allow:
        """The pod, and the policy that it is under; without either it may go."""
        pod = asked.pod or await self._observer.pod(asked.namespace, asked.name)
        if pod is None or (asked.uid is not None and pod["metadata"]["uid"] != asked.uid):
            return Allow("there is no such pod", reserve=False)
        governed = await self._observer.governed(asked.namespace, pod)
        if governed is None:
            return Allow("no DrainPolicy targets its workload", reserve=False)
        return pod, governed

    async def _outcome(self, asked: review.Asked, pod: Object, governed: Governed) -> Outcome:
        lock = self._lock(governed.workload)
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await lock.acquire()
        except TimeoutError:
            # No fault: others of this workload are decided as fast as can be. Allowing it would let a scale-down of
            # hundreds past maxDraining; its controller asks again.
            return Outcome(Refuse(BEING_DECIDED), pod, governed, None)
        try:
            return await self._agreed(asked, pod, governed)
        finally:
            lock.release()

    async def _agreed(self, asked: review.Asked, pod: Object, governed: Governed) -> Outcome:
        """Decide, and write down what the decision reserves; whoever was faster is taken into account."""
        removal = asked.removal(pod["metadata"]["uid"])
        governed = self._newest(governed.workload) or await self._observer.policy_again(governed)
        outcome = Outcome(Refuse(BEING_DECIDED), pod, governed, None)
        for _ in range(TRIES):
            view = await self._observer.view(governed.workload)
            now = self._clock()
            held = reserved.parse((governed.raw["metadata"].get("annotations") or {}).get(names.RESERVATIONS), now)
            policy = policy_of(governed.policy, view.replicas)
            decision = decide(removal, self._observer.snapshot(view, held), policy, now)
            wanted = reserved.after(held, removal, decision, now)
            outcome = Outcome(decision, pod, governed, view)
            if wanted == held or await self._written(governed, wanted):
                return outcome
            governed = await self._observer.policy_again(governed)
        return _unreserved(outcome)

    async def _written(self, governed: Governed, wanted: reserved.Reservations) -> bool:
        """Whether nobody else has written since the policy was read."""
        metadata = governed.raw["metadata"]
        self._written_last.pop(governed.workload, None)
        try:
            raw = await self._api.annotate(
                DRAIN_POLICIES,
                governed.workload.namespace,
                governed.policy.name,
                {names.RESERVATIONS: reserved.render(wanted)},
                resource_version=metadata["resourceVersion"],
            )
        except ConflictError:
            return False
        self._written_last[governed.workload] = replace(governed, raw=raw), asyncio.get_running_loop().time()
        return True

    def _newest(self, workload: Workload) -> Governed | None:
        """The policy as our own last write left it, if that was a moment ago.

        Whoever has written since makes our next write fail, and then it is read again.
        """
        governed, at = self._written_last.get(workload, (None, 0.0))
        return governed if asyncio.get_running_loop().time() - at <= FRESH_SECONDS else None

    async def _carry_out(self, outcome: Outcome, view: View, patience_seconds: float) -> None:
        task = asyncio.create_task(self._effects.of(outcome.decision, outcome.pod, outcome.governed, view))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait({task}, timeout=max(0.0, patience_seconds))

    def _lock(self, workload: Workload) -> asyncio.Lock:
        lock = self._locks.setdefault(workload, asyncio.Lock())
        self._locks.move_to_end(workload)
        for old in [each for each, kept in self._locks.items() if not kept.locked()][: len(self._locks) - _WORKLOADS]:
            del self._locks[old]
            self._written_last.pop(old, None)
        return lock


def _unreserved(outcome: Outcome) -> Outcome:
    """What is left of a decision when others were faster each time: nothing that needs a reservation.

    A refusal stands and marks the pod, so that it ends; so does what is owed to the pod, whatever the others do.
    """
    match outcome.decision:
        case Refuse() as refused:
            return replace(outcome, decision=replace(refused, lease=None))
        case Allow(owed=True):
            return outcome
    return replace(outcome, decision=Refuse(BEING_DECIDED), view=None)


def _since(started: float) -> float:
    return asyncio.get_running_loop().time() - started
