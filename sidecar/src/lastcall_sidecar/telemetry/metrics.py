"""The metrics of one process. What is a state is observed when somebody asks; what happens is counted as it does."""

from collections.abc import Callable, Iterable

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from lastcall_sidecar.core.drain import State
from lastcall_sidecar.core.inflight import InFlight, Outcome
from lastcall_sidecar.live import Live

from . import names

#: Seconds. Streams live for minutes, drains for half an hour; the last bucket is an hour.
BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counts and observes. `draining` and `live` are asked at scrape time."""

    def __init__(self, gauge: InFlight, draining: Callable[[], bool], live: Live) -> None:
        # The exporter registers itself globally; there it would meet the one of another instance.
        before = set(REGISTRY._collector_to_names)  # noqa: SLF001
        reader = PrometheusMetricReader()
        collectors = set(REGISTRY._collector_to_names) - before  # noqa: SLF001
        self._registry = CollectorRegistry()
        for collector in collectors:
            REGISTRY.unregister(collector)
            self._registry.register(collector)
        self._provider = MeterProvider(
            metric_readers=[reader],
            resource=Resource.create({"service.name": "lastcall-sidecar"}),
            views=[View(instrument_name="*_seconds", aggregation=ExplicitBucketHistogramAggregation(BUCKETS_SECONDS))],
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter(names.SCOPE)

        def observe(value: Callable[[], float]) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
            return [lambda _options: [Observation(value())]]

        meter.create_observable_gauge(names.IN_FLIGHT, observe(lambda: gauge.count), description="Requests in flight")
        meter.create_observable_gauge(names.STREAMS, observe(lambda: gauge.streams), description="Streams in flight")
        meter.create_observable_gauge(names.QUEUED, observe(lambda: gauge.queued), description="Requests that wait")
        meter.create_observable_gauge(
            names.DRAINING, observe(lambda: int(draining())), description="1 while no new work is wanted"
        )
        meter.create_observable_counter(
            names.CONFIG_ERRORS, observe(lambda: live.errors_total), description="Configurations that were not taken"
        )
        self._requests = meter.create_counter(names.REQUESTS, description="Requests that ended, by protocol and how")
        self._dropped = meter.create_counter(
            names.STREAMS_DROPPED, description="Streams that we ended while the client still wanted them"
        )
        self._upstream_errors = meter.create_counter(names.UPSTREAM_ERRORS, description="Failures of the upstream")
        self._first_event = meter.create_histogram(
            names.TIME_TO_FIRST_EVENT, description="From a request's head to its stream's first event"
        )
        self._drains = meter.create_histogram(names.DRAIN_DURATION, description="From a drain's start to its end")
        # A counter that has never counted is absent, and an alert on it would never be evaluated.
        self._dropped.add(0, {"reason": "ceiling"})

    def ended(self, protocol: str, outcome: Outcome, *, first_event_seconds: float | None) -> None:
        """A request ended."""
        self._requests.add(1, {"protocol": protocol, "outcome": outcome.value})
        if first_event_seconds is not None:
            self._first_event.record(first_event_seconds, {"protocol": protocol})

    def dropped(self, reason: str) -> None:
        """A stream was ended by us."""
        self._dropped.add(1, {"reason": reason})

    def upstream_failed(self, cause: str) -> None:
        """The upstream failed in this way."""
        self._upstream_errors.add(1, {"kind": cause})

    def drain_ended(self, state: State, seconds: float) -> None:
        """A drain came to its end."""
        self._drains.record(seconds, {"outcome": state.value})

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def shutdown(self) -> None:
        """Flush and stop."""
        self._provider.shutdown()
