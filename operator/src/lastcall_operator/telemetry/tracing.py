"""Spans by OTLP when an endpoint is configured, and nothing at all otherwise."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span

from . import names


def set_up(endpoint: str | None, service: str) -> None:
    """Send spans to a collector (None: nowhere). Once per process; they are flushed at its end."""
    if endpoint is None:
        return
    # Imported here: the exporter brings requests and protobuf, 20 MB that a process without a collector does not need.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


@contextmanager
def span(name: str, attributes: Mapping[str, str | int | float | bool] | None = None) -> Iterator[Span]:
    """A span around what is done within; the current one there."""
    with trace.get_tracer(names.SCOPE).start_as_current_span(name, attributes=dict(attributes or {})) as current:
        yield current


def headers() -> dict[str, str]:
    """The current span as W3C headers; empty without one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier
