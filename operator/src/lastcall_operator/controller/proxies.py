"""One StreamProxy, looked at anew: its ConfigMap, whether its sidecars have it, and what keeps its pods from starting.

A bad change never reaches a sidecar: what does not parse or render leaves the ConfigMap as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from lastcall_operator.api.names import Reason
from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.streamproxy import Mode, StreamProxy, parse_stream_proxy
from lastcall_operator.cluster.events import About
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.resources import STREAM_PROXIES
from lastcall_operator.configuration.render import render
from lastcall_operator.errors import ApiUnavailableError, ForbiddenError, InvalidError, LastcallError, NotOursError
from lastcall_operator.injection import InjectionDefaults, Refusal, choose_proxy, never_injected, refusals
from lastcall_operator.status.networks import likely
from lastcall_operator.status.policies import unreachable
from lastcall_operator.status.proxies import ProxyView, broken, conditions, counts, rejections, settled
from lastcall_operator.status.readings import Readings
from lastcall_operator.status.records import Pod
from lastcall_operator.status.services import Bypass, bypassing, sentence
from lastcall_operator.status.told import Happened, Told, risen

from .cache import Cache, Object
from .gauges import Gauges
from .writes import Writes, about_ours, about_pod, about_workload

log = structlog.get_logger("lastcall.proxies")

#: While something is awaited, and otherwise.
UNSETTLED_SECONDS = 5.0
SETTLED_SECONDS = 20.0
#: Pods without sidecar are looked for this often: none of them is watched.
_PLAIN_SECONDS = 60.0
#: A pod whose containers have not been created for this long may lack a volume.
_CREATING_SECONDS = 15.0
#: A configuration whose StreamProxy is gone is not removed before: the webhook may just have let a pod through.
GONE_SECONDS = 30.0
#: While pods live that have one, it is looked at this often: their events come sooner.
_LEFT_SECONDS = 60.0
_WARNINGS = frozenset({"PortConflict", "Bypassed", "Unreachable", "Conflicted", "KeyUnusable"})
_CALM = frozenset({Reason.PRE_STOP_REPLACED, Reason.PRE_STOP_KEPT})

ProxyKey = tuple[str, str]


@dataclass(slots=True)
class _Memory:
    """What may be forgotten at any time."""

    hash: str | None = None
    plain: tuple[str, ...] = ()
    plain_at: float | None = None
    #: when it was first missed
    gone_at: float | None = None
    #: what has been told of workloads: UID, reason and message
    told: set[tuple[str, str, str]] = field(default_factory=set)


class Proxies:
    """The reconciler of StreamProxies."""

    def __init__(
        self,
        cache: Callable[[], Cache],
        gauges: Gauges,
        writes: Writes,
        key: DrainKey | None,
        defaults: InjectionDefaults,
    ) -> None:
        self._cache, self._gauges, self._writes, self._key = cache, gauges, writes, key
        self._defaults = defaults
        self._memories: dict[ProxyKey, _Memory] = {}

    async def step(self, key: ProxyKey) -> float | None:
        """Look at one StreamProxy; seconds until the next look, None when it is gone."""
        obj = self._cache().proxy(*key)
        memory = self._memories.setdefault(key, _Memory())
        if obj is None:
            self._writes.forget(STREAM_PROXIES, *key)
            delay = await self._gone(key, memory)
            if delay is None:
                del self._memories[key]
            return delay
        memory.gone_at = None
        public_key, unsigned = await self._public_key()
        proxy, mistake = await self._configure(obj, memory, public_key)
        readable = self._readable(key[0])
        pods = self._cache().pods_of_proxy(*key)
        # Whoever paces by these pods asks faster; this must not be what makes it slow.
        readings = await self._gauges.fresh(pods, UNSETTLED_SECONDS * 0.9)
        view = ProxyView(
            pods=tuple(pods),
            readings=readings,
            hash=memory.hash,
            plain=await self._plain(proxy, memory),
            uninjected=never_injected(key[0], self._defaults),
            mistake=mistake,
            unsigned=unsigned,
            older=None if proxy is None else self._older(proxy, readable),
            network=await self._network(key[0], pods, readings),
            bypassing=() if proxy is None else self._bypassing(proxy, pods),
            refused=() if proxy is None else self._refused(proxy, readable),
            unmounted=await self._unmounted(proxy, pods),
        )
        await self._tell(obj, view, memory)
        return SETTLED_SECONDS if settled(view) else UNSETTLED_SECONDS

    async def _gone(self, key: ProxyKey, memory: _Memory) -> float | None:
        """Remove the configuration that a StreamProxy has left when no pod needs it: a sidecar may start again."""
        found = await self._writes.left_behind(*key)
        if found is None:
            return None
        now = self._writes.clock()
        memory.gone_at = now if memory.gone_at is None else memory.gone_at
        if now - memory.gone_at < GONE_SECONDS:
            return memory.gone_at + GONE_SECONDS - now
        if await self._writes.proxy_exists(*key):
            return UNSETTLED_SECONDS
        users = await self._writes.mounting(key[0], found["metadata"]["name"])
        if users:
            log.info("configuration.kept", namespace=key[0], proxy=key[1], pods=users[:10], count=len(users))
            return _LEFT_SECONDS
        await self._writes.delete_config_map(found)
        log.info("configuration.removed", namespace=key[0], proxy=key[1])
        return None

    async def _public_key(self) -> tuple[str | None, str | None]:
        """With what sidecars check leased drains; or why there is nothing. They serve, and end, without it as well."""
        if self._key is None:
            return None, None
        try:
            return (await self._key.pair()).public_pem, None
        except ApiUnavailableError:
            raise  # nothing can be written now, either
        except LastcallError as error:
            return None, str(error)

    async def _configure(
        self, obj: Object, memory: _Memory, public_key: str | None
    ) -> tuple[StreamProxy | None, str | None]:
        """Bring the ConfigMap up to date; why it cannot be, if so."""
        try:
            proxy = parse_stream_proxy(dict(obj))
            rendered = render(proxy, public_key)
        except SpecError as error:
            return None, str(error)
        try:
            await self._writes.config_map(obj, rendered.text)
        except (NotOursError, ForbiddenError, InvalidError) as error:  # a quota, or somebody else's webhook
            return proxy, str(error)
        memory.hash = rendered.hash
        return proxy, None

    def _readable(self, namespace: str) -> list[StreamProxy]:
        """The StreamProxies of a namespace among which the webhook chooses."""
        found = []
        for raw in self._cache().proxies_in(namespace):
            try:
                found.append(parse_stream_proxy(dict(raw)))
            except SpecError:
                continue
        return found

    def _older(self, proxy: StreamProxy, among: Sequence[StreamProxy]) -> str | None:
        """The StreamProxy that has those pods which this one would have as well."""
        for pod in self._cache().pods_in(proxy.namespace):
            chosen, losers = choose_proxy(dict(pod.labels), among)
            if chosen is not None and any(each.name == proxy.name for each in losers):
                return str(chosen.name)
        return None

    def _bypassing(self, proxy: StreamProxy, pods: Sequence[Pod]) -> tuple[Bypass, ...]:
        if proxy.spec.mode is not Mode.INGRESS:
            return ()
        return bypassing(self._cache().services_in(proxy.namespace), pods)

    def _refused(self, proxy: StreamProxy, among: Sequence[StreamProxy]) -> tuple[Refusal, ...]:
        return refusals(self._cache().templates_in(proxy.namespace), proxy, among, self._defaults)

    async def _plain(self, proxy: StreamProxy | None, memory: _Memory) -> tuple[str, ...]:
        now = self._writes.clock()
        if proxy is None or (memory.plain_at is not None and now - memory.plain_at < _PLAIN_SECONDS):
            return memory.plain
        found = []
        for pod in await self._writes.plain_pods(proxy.namespace):
            chosen, _ = choose_proxy(dict(pod["metadata"].get("labels") or {}), [proxy])
            if chosen is not None and not pod["metadata"].get("deletionTimestamp"):
                found.append(pod["metadata"]["name"])
        memory.plain, memory.plain_at = tuple(found), now
        return memory.plain

    async def _network(self, namespace: str, pods: Sequence[Pod], readings: Readings) -> str | None:
        if not unreachable(pods, readings, None).status:
            return None
        found = await self._writes.network_policies(namespace)
        return likely(found, pods[0].labels, {pod.port for pod in pods})

    async def _unmounted(self, proxy: StreamProxy | None, pods: Sequence[Pod]) -> tuple[tuple[str, str], ...]:
        """The oldest pod that has waited for its volumes for too long, and the kubelet's words."""
        now = self._writes.clock()
        late = [pod for pod in pods if pod.creating and pod.deleted is None and now - pod.created >= _CREATING_SECONDS]
        if not late:
            return ()
        pod = min(late, key=lambda each: (each.created, each.name))
        words = await self._writes.unmounted(pod.namespace, pod.uid)
        secrets = [] if proxy is None else _secrets(proxy)
        if words is None and secrets:
            listed = " and ".join(secrets)
            words = f"it has waited {now - pod.created:.0f} s for its volumes: is there a Secret {listed}?"
        return () if words is None else ((pod.name, words),)

    async def _tell(self, obj: Object, view: ProxyView, memory: _Memory) -> None:
        told, before = conditions(view), self._writes.status_of(obj)
        rises = risen(told, before.get("conditions") or [])
        happened = [Happened(each.reason, each.message, warning=True) for each in rises if each.type in _WARNINGS]
        happened += self._configured(view, rises)
        if (bad := broken(view.pods, view.unmounted)) is not None:
            happened.append(Happened(bad.reason, bad.message, warning=True))
        await self._writes.status(STREAM_PROXIES, obj, told, counts(view), UNSETTLED_SECONDS)
        await self._writes.tell(about_ours(obj, "StreamProxy"), happened)
        await self._tell_workloads(view, memory)

    @staticmethod
    def _configured(view: ProxyView, rises: Sequence[Told]) -> list[Happened]:
        if view.mistake is not None:
            return [Happened(Reason.CONFIG_REJECTED, view.mistake, warning=True)]
        if view.rejected:
            return [Happened(Reason.CONFIG_REJECTED, rejections(view), warning=True)]
        return [
            Happened(Reason.CONFIG_APPLIED, f"{each.message} ({view.hash})", once=True, identity=view.hash)
            for each in rises
            if each.type == "Configured" and each.reason == Reason.CONFIG_APPLIED
        ]

    async def _tell_workloads(self, view: ProxyView, memory: _Memory) -> None:
        """What concerns a workload, as events on it: once for as long as it is so."""
        found = {(about.uid, each.reason, each.message): (about, each) for about, each in self._of_workloads(view)}
        for key, (about, happened) in found.items():
            if key not in memory.told:
                await self._writes.tell(about, [happened])
        memory.told = set(found)

    def _of_workloads(self, view: ProxyView) -> Iterator[tuple[About, Happened]]:
        for pod in view.pods:
            for note in pod.notes:
                calm = note.reason in _CALM
                yield self._workload(pod), Happened(note.reason, note.message, warning=not calm, once=True)
        for refusal in view.refused:
            yield about_workload(refusal.template), Happened(refusal.reason, refusal.message, warning=True)
        past: dict[About, list[Bypass]] = {}
        for bypass in view.bypassing:
            for about in dict.fromkeys(self._workload(pod) for pod in bypass.pods):
                past.setdefault(about, []).append(bypass)
        for about, bypasses in past.items():
            yield about, Happened(Reason.BYPASSED, sentence(bypasses), warning=True)

    def _workload(self, pod: Pod) -> About:
        """What a pod belongs to: the topmost owner; the pod itself without one."""
        owners = list(self._cache().owners(pod))
        return about_workload(owners[-1]) if owners else about_pod(pod.namespace, pod.name, pod.uid)


def _secrets(proxy: StreamProxy) -> list[str]:
    spec = proxy.spec
    named = [upstream.api_key_secret_ref for upstream in spec.upstreams]
    found = [spec.upstream.api_key_secret_ref, *named, spec.auth.api_keys_secret_ref]
    return list(dict.fromkeys(str(each.name) for each in found if each is not None))
