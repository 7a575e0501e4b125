"""The controller process: kopf's watches around our reconcilers, and a port for probes. One replica, nothing kept."""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import kopf
import structlog
from aiohttp import web

from lastcall_operator.cluster.api import Api, configure
from lastcall_operator.cluster.events import Events
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.releases import Precedence
from lastcall_operator.cluster.sidecars import Sidecars
from lastcall_operator.errors import LastcallError
from lastcall_operator.injection import InjectionDefaults
from lastcall_operator.settings import Settings

from . import registry
from .cache import Cache
from .drains import Drains
from .gauges import Gauges, Poller
from .leftovers import Leftovers
from .loops import Loops
from .metrics import Metrics
from .missed import QUIET_SECONDS, Missed
from .orphans import Orphans
from .peering import Peers, gated
from .policies import Policies
from .probes import Probes
from .proxies import Proxies
from .rollouts import OnDelete
from .traces import Traces, exporting
from .writes import Writes

log = structlog.get_logger("lastcall.controller")

#: A controller that does not answer: the kubelet's probes come to every address of the pod.
_EVERYWHERE = None  # of both versions of IP, as far as there are


class Controller:
    """The reconcilers, wired. `clock`: seconds since the epoch; `monotonic`: of any beginning."""

    def __init__(
        self,
        api: Api,
        sidecars: Poller,
        key: DrainKey | None,
        traces: Traces,
        defaults: InjectionDefaults,
        *,
        pod_name: str = "",
        peers: Peers | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = Cache()
        self.metrics = Metrics()
        self.writes = writes = Writes(api, Events(api, clock, instance=pod_name), clock)
        gauges = Gauges(sidecars, monotonic)
        self.drains = Drains(self.cache, gauges, sidecars, key, writes, traces, self.metrics, self._wake_policy)
        on_delete = OnDelete(gauges, sidecars, key, writes)
        policies = Policies(self.cache, gauges, writes, self.drains, on_delete, self.metrics, traces)
        self.policies: Loops[Any] = Loops("drainpolicy", gated(peers, policies.step))
        proxies = Proxies(self.cache, gauges, writes, key, defaults)
        self.proxies: Loops[Any] = Loops("streamproxy", gated(peers, proxies.step))
        self.pods: Loops[Any] = Loops("pod", gated(peers, self.drains.step))
        self.marks: Loops[Any] = Loops("marks", gated(peers, Orphans(self.cache, writes).step))
        self.leftovers: Loops[Any] = Loops("leftovers", gated(peers, Leftovers(self.cache, writes, self.wake).step))
        self._loops = {
            "Leftovers": self.leftovers,
            "DrainPolicy": self.policies,
            "StreamProxy": self.proxies,
            "Pod": self.pods,
            "Marks": self.marks,
        }

    def cache(self) -> Cache:
        """What the watches have seen."""
        return self._cache

    def begin(self, cache: Cache) -> None:
        """The indexes are there; they fill before the first event is given to a handler."""
        self._cache = cache

    def wake(self, kind: str, key: tuple[str, ...]) -> None:
        """Have an object looked at."""
        self._loops[kind].wake(key)

    def _wake_policy(self, key: tuple[str, str]) -> None:
        self.policies.wake(key)

    @property
    def loops(self) -> tuple[Loops[Any], ...]:
        """All of them."""
        return tuple(self._loops.values())

    async def close(self) -> None:
        """End the reconcilers."""
        for each in self.loops:
            await each.close()


async def main(settings: Settings, *, stop: asyncio.Event | None = None, quiet_seconds: float = QUIET_SECONDS) -> None:
    """Run until SIGTERM, until `stop` is set, or until the watches have missed something (`missed.py`).

    Errors: AnotherReleaseError; ApiUnavailableError, when there is no way to the API server at all.
    """
    login = await _login(settings)
    ended = asyncio.Event() if stop is None else stop
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            await Api.connect(kubeconfig=settings.kubeconfig, context=settings.context)
        )
        await Precedence(api, settings).require()
        sidecars = await stack.enter_async_context(Sidecars())
        key = DrainKey(api, settings.own_namespace, settings.drain_key_secret)
        try:
            await key.pair()  # now, so that a gateway's pods find it when they start
        except LastcallError as error:
            log.warning("key.missing", error=str(error), effect="tried again when the first lease needs it")
        traces = exporting(settings.otlp_endpoint)
        stack.callback(traces.close)
        identity: Any = settings.pod_name or f"lastcall-{uuid.uuid4()}"  # kopf's own kind of str has no public name
        peers = Peers(api, settings.peering, settings.namespaces, identity) if settings.peering else None
        controller = Controller(api, sidecars, key, traces, settings.injection, pod_name=settings.pod_name, peers=peers)
        probes = Probes(controller.loops, controller.metrics, asyncio.get_running_loop().time)
        runner = web.AppRunner(probes.app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, _EVERYWHERE, settings.admin_port).start()
        stack.push_async_callback(controller.close)
        missed = Missed(api, controller.cache, settings.namespaces, ended.set, quiet_seconds)
        stack.callback(asyncio.create_task(missed.keep()).cancel)
        for namespace in settings.namespaces or ("",):
            controller.wake("Leftovers", (namespace,))
        ready = asyncio.Event()
        stack.callback(asyncio.create_task(_become_ready(ready, probes)).cancel)
        log.info("controller.started", settings=repr(settings))
        await kopf.operator(
            registry=registry.registry(
                controller.wake, controller.drains.heard, controller.begin, missed.listed, login
            ),
            settings=registry.settings(settings.peering),
            identity=identity,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
            stop_flag=ended,
        )
    log.info("controller.stopped")


async def _become_ready(ready: asyncio.Event, probes: Probes) -> None:
    await ready.wait()
    probes.ready = True


async def _login(settings: Settings) -> Any:
    """How kopf gets in: as `cluster.api` does. In a pod the token is read anew each time, since it is rotated."""
    if (
        settings.kubeconfig is None
        and settings.context is None
        and kopf.login_with_service_account(settings=registry.settings())
    ):
        return kopf.login_with_service_account
    found = await configure(kubeconfig=settings.kubeconfig, context=settings.context)
    scheme, _, token = str(found.api_key.get("BearerToken", "")).rpartition(" ")
    info = kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        insecure=not found.verify_ssl,
        scheme=scheme or None,
        token=token or None,
    )
    return lambda **_: info
