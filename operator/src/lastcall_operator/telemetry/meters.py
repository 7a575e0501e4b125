"""What the metrics of either process stand on: OpenTelemetry, read by Prometheus at /metrics."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from . import names

#: Seconds: decisions and polls take milliseconds, and nothing here may take more than 10 s.
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
CONTENT_TYPE = CONTENT_TYPE_LATEST

Observe = Callable[[CallbackOptions], Iterable[Observation]]


class Meters:
    """A registry of one process's metrics. `service` is its name in OpenTelemetry."""

    def __init__(self, service: str) -> None:
        self._registry = CollectorRegistry()
        self._provider = MeterProvider(
            metric_readers=[PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)],
            resource=Resource.create({"service.name": service}),
            views=[View(instrument_type=Histogram, aggregation=ExplicitBucketHistogramAggregation(BUCKETS_SECONDS))],
            shutdown_on_exit=False,
        )

    @property
    def meter(self) -> Meter:
        """Makes instruments."""
        return self._provider.get_meter(names.SCOPE)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def shutdown(self) -> None:
        """Flush and stop."""
        self._provider.shutdown()


def counted(counts: Mapping[tuple[str, ...], int], labels: tuple[str, ...]) -> Observe:
    """Observe counts that are kept in a mapping by their labels' values."""

    def observe(_options: CallbackOptions) -> list[Observation]:
        return [Observation(n, dict(zip(labels, key, strict=True))) for key, n in counts.items()]

    return observe
