"""The metrics of one process.

Numbers are kept as numbers and observed when somebody asks: counting a request costs a dictionary access, where an
OpenTelemetry counter takes 10 µs. Only histograms are recorded as things happen.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from lastcall_sidecar.core.drain import State
from lastcall_sidecar.core.inflight import InFlight, Outcome
from lastcall_sidecar.live import Live

from . import names

#: Seconds. Streams live for minutes, drains for half an hour; the last bucket is an hour.
BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
CONTENT_TYPE = CONTENT_TYPE_LATEST

Observe = Callable[[CallbackOptions], Iterable[Observation]]


class Metrics:
    """Counts and observes. `draining` and `live` are asked at scrape time. Made inside the event loop."""

    def __init__(self, gauge: InFlight, draining: Callable[[], bool], live: Live) -> None:
        loop = asyncio.get_running_loop()
        self._registry = CollectorRegistry()
        self._provider = MeterProvider(
            # Without the scope's labels: each metric has the labels that its name is documented with, and no others.
            metric_readers=[PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)],
            resource=Resource.create({"service.name": "lastcall-sidecar"}),
            views=[View(instrument_name="*_seconds", aggregation=ExplicitBucketHistogramAggregation(BUCKETS_SECONDS))],
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),  # Prometheus' text format has no place for them
        )
        meter = self._provider.get_meter(names.SCOPE)
        #: By protocol and outcome.
        self._requests: Counter[tuple[str, ...]] = Counter()
        # A counter that has never counted is absent, and an alert on it would never be evaluated.
        self._dropped: Counter[tuple[str, ...]] = Counter({("ceiling",): 0})
        self._upstream_errors: Counter[tuple[str, ...]] = Counter()
        for name, value, description in (
            (names.IN_FLIGHT, lambda: gauge.count, "Requests in flight"),
            (names.STREAMS, lambda: gauge.streams, "Streams in flight"),
            (names.QUEUED, lambda: gauge.queued, "Requests that wait for a slot"),
            (names.DRAINING, lambda: int(draining()), "1 while no new work is wanted"),
            (names.TASKS, lambda: len(asyncio.all_tasks(loop)), "Tasks of the event loop; more and more: a leak"),
        ):
            meter.create_observable_gauge(name, [_value(value)], description=description)
        meter.create_observable_counter(
            names.CONFIG_ERRORS, [_value(lambda: live.errors_total)], description="Configurations that were not taken"
        )
        for name, counts, labels, description in (
            (names.REQUESTS, self._requests, ("protocol", "outcome"), "Requests that ended, and how"),
            (names.STREAMS_DROPPED, self._dropped, ("reason",), "Requests that we ended and the client still wanted"),
            (names.UPSTREAM_ERRORS, self._upstream_errors, ("kind",), "Failures of the upstream"),
        ):
            meter.create_observable_counter(name, [_counts(counts, labels)], description=description)
        self._first_event = meter.create_histogram(
            names.TIME_TO_FIRST_EVENT, description="From a request's head to its stream's first event"
        )
        self._drains = meter.create_histogram(names.DRAIN_DURATION, description="From a drain's start to its end")

    def ended(self, protocol: str, outcome: Outcome, *, first_event_seconds: float | None) -> None:
        """A request ended."""
        self._requests[protocol, outcome.value] += 1
        if first_event_seconds is not None:
            self._first_event.record(first_event_seconds, {"protocol": protocol})

    def dropped(self, reason: str) -> None:
        """A request was ended by us."""
        self._dropped[reason,] += 1

    def upstream_failed(self, cause: str) -> None:
        """The upstream failed in this way."""
        self._upstream_errors[cause,] += 1

    def drain_ended(self, state: State, seconds: float) -> None:
        """A drain came to its end."""
        self._drains.record(seconds, {"outcome": state.value})

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def shutdown(self) -> None:
        """Flush and stop."""
        self._provider.shutdown()


def _value(value: Callable[[], int]) -> Observe:
    return lambda _options: [Observation(value())]


def _counts(counts: Mapping[tuple[str, ...], int], labels: tuple[str, ...]) -> Observe:
    def observe(_options: CallbackOptions) -> list[Observation]:
        return [Observation(n, dict(zip(labels, key, strict=True))) for key, n in counts.items()]

    return observe
