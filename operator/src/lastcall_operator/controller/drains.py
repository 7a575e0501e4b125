"""The end of a pod, followed from its deletion to its absence: told at its beginning and its end.

The kubelet runs the drain; here it is watched, once a second, and given its trace context. A controller that starts in
the middle follows from there on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.errors import LastcallError
from lastcall_operator.status.lingering import shortened, shorter_grace, watched
from lastcall_operator.status.outcomes import Outcome, Track, ended, follow, outcome, started
from lastcall_operator.status.records import Pod
from lastcall_operator.status.told import Happened

from .cache import Cache, Object
from .gauges import Gauges, Poller, target
from .metrics import Metrics
from .traces import Traces
from .writes import Writes, about_ours, about_pod

#: Seconds between two looks at a pod that is going.
SAMPLE_SECONDS = 1.0
#: Silences after which, and each so many silences, the API server is asked whether the pod is there at all.
_DOUBT = 10
#: The lease that carries the trace context; a final drain makes it meaningless at once.
LEASE_SECONDS = 60

#: namespace, name and UID of a pod
Going = tuple[str, str, str]
#: namespace and name of a DrainPolicy
PolicyKey = tuple[str, str]

log = structlog.get_logger("lastcall.drains")


class Drains:
    """Follows pods that go. `policies_of`: the policies in force for a pod."""

    def __init__(
        self,
        cache: Callable[[], Cache],
        gauges: Gauges,
        sidecars: Poller,
        key: DrainKey | None,
        writes: Writes,
        traces: Traces,
        metrics: Metrics,
        wake: Callable[[PolicyKey], None],
    ) -> None:
        self._cache, self._gauges, self._sidecars, self._key = cache, gauges, sidecars, key
        self._writes, self._traces, self._metrics, self._wake = writes, traces, metrics, wake
        self._tracks: dict[Going, Track] = {}
        self._followers: dict[Going, tuple[PolicyKey, ...]] = {}
        self._outcomes: defaultdict[PolicyKey, list[Outcome]] = defaultdict(list)

    def followed(self, policy: PolicyKey) -> list[Track]:
        """The pods whose end is being followed for a policy."""
        return [track for going, track in self._tracks.items() if policy in self._followers[going]]

    def outcomes(self, policy: PolicyKey) -> list[Outcome]:
        """What ended since the last call."""
        return self._outcomes.pop(policy, [])

    def heard(self, pod: Pod) -> None:
        """Take note of what a pod's sidecar left behind: the pod itself is gone a moment later."""
        going = (pod.namespace, pod.name, pod.uid)
        if pod.last_word is not None and (track := self._tracks.get(going)) is not None:
            self._tracks[going] = replace(track, word=pod.last_word)

    async def step(self, going: Going) -> float | None:
        """Look at one pod; None when it is gone and all is told."""
        namespace, name, uid = going
        pod = self._cache().pod(namespace, name)
        if pod is None or pod.uid != uid:
            await self._end(going)
            return None
        if pod.deleted is None:
            return None
        policies = self._cache().policies_of(pod)
        if going not in self._tracks and not policies and not self._ours(pod):
            return None  # anybody may label a pod: only those of a policy or a StreamProxy are asked
        reading = (await self._gauges.fresh([pod], SAMPLE_SECONDS * 0.9)).get(uid)
        track = self._tracks.get(going)  # only now: it may have been heard of meanwhile
        first = track is None
        track = follow(track or Track(name, uid, pod.revision, pod.deleted), None if reading is None else reading.now)
        track = watched(track, self._writes.clock())
        self._tracks[going] = track
        self._followers[going] = tuple(_key(each) for each in policies)
        if first:
            await self._begin(pod, track, policies)
        await self._shorten(pod, track, policies)
        doubtful = reading is not None and reading.misses > 0 and reading.misses % _DOUBT == 0
        if doubtful and not await self._writes.pod_exists(namespace, name, uid):
            await self._end(going)
            return None
        return SAMPLE_SECONDS

    async def _begin(self, pod: Pod, track: Track, policies: Iterable[Object]) -> None:
        await self._tell(pod.namespace, track, policies, started(track))
        if self._key is None or track.last is None:
            return
        headers = self._traces.context(pod, self._rollout(pod))
        try:
            token = await self._key.headers(pod.uid)
            await self._sidecars.lease(target(pod), LEASE_SECONDS, "deleted", {**token, **headers})
        except LastcallError as error:  # its drain does not need us
            log.debug("context.lost", pod=pod.name, error=str(error))

    async def _shorten(self, pod: Pod, track: Track, policies: Iterable[Object]) -> None:
        """Leave an app that does not end no more than its own grace: its streams have ended."""
        grace = shorter_grace(pod, track, self._writes.clock())
        if grace is None:
            return
        try:
            deleted = await self._writes.delete_pod(pod.namespace, pod.name, pod.uid, grace_seconds=grace)
        except LastcallError as error:  # somebody's policy, say: it ends with the grace that it has
            log.debug("pod.lingers", pod=pod.name, error=str(error))
            return
        if deleted:
            log.info("pod.lingers", pod=pod.name, grace_seconds=grace)
            await self._tell(pod.namespace, track, policies, shortened(track, pod.own_grace_seconds or 0))

    async def _end(self, going: Going) -> None:
        track = self._tracks.pop(going, None)
        followers = self._followers.pop(going, ())
        if track is None:
            return
        found = outcome(track, self._writes.clock())
        for each in followers:
            self._outcomes[each].append(found)
        self._metrics.drained(found)
        self._traces.drained(found, going[0])
        cache = self._cache()
        policies = [policy for each in followers if (policy := cache.policy(*each)) is not None]
        try:
            await self._tell(going[0], track, policies, ended(found))
        finally:
            for each in followers:
                self._wake(each)

    async def _tell(self, namespace: str, track: Track, policies: Iterable[Object], happened: Happened) -> None:
        await self._writes.tell(about_pod(namespace, track.pod, track.uid), [happened])
        for policy in policies:
            await self._writes.tell(about_ours(policy, "DrainPolicy"), [happened])

    def _ours(self, pod: Pod) -> bool:
        return pod.proxy is not None and self._cache().proxy(pod.namespace, pod.proxy) is not None

    def _rollout(self, pod: Pod) -> tuple[str, str] | None:
        """The workload's UID and wanted revision, if the pod leaves because of a rollout."""
        cache = self._cache()
        for workload in reversed(list(cache.owners(pod))):
            revision = cache.revision(workload)
            if revision and revision != pod.revision and not workload.keeps(pod):
                return workload.uid, revision
        return None


def _key(policy: Object) -> PolicyKey:
    return policy["metadata"]["namespace"], policy["metadata"]["name"]
