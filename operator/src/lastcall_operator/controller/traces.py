"""Spans of rollouts and drains.

Their ids follow from what they are about, not from chance: a controller that starts in the middle, and a sidecar that
was told the context, mean the same spans.
"""

import contextvars
import hashlib
import secrets
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from lastcall_operator.status.outcomes import Outcome
from lastcall_operator.status.records import Pod

#: What a rollout is known by: the workload's UID and the revision wanted.
Rollout = tuple[str, str]
_NANOSECONDS = 1_000_000_000


class _Ids(IdGenerator):
    """Gives the next span the ids that were laid out for it."""

    def __init__(self) -> None:
        self.next: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar("next", default=None)

    def generate_span_id(self) -> int:
        """A span's id."""
        found = self.next.get()
        return secrets.randbits(64) or 1 if found is None else found[1]

    def generate_trace_id(self) -> int:
        """A trace's id."""
        found = self.next.get()
        return secrets.randbits(128) or 1 if found is None else found[0]


class Traces:
    """Without a processor it only makes contexts: the sidecars' spans belong together all the same."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        self._ids = _Ids()
        self._provider: TracerProvider | None = None
        if processor is not None:
            resource = Resource.create({"service.name": "lastcall-operator"})
            self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
            self._provider.add_span_processor(processor)
        #: of pods on their way out, by UID
        self._rollouts: dict[str, Rollout | None] = {}

    def context(self, pod: Pod, rollout: Rollout | None) -> dict[str, str]:
        """The header that gives a sidecar its place in the trace."""
        self._rollouts[pod.uid] = rollout
        return {"traceparent": f"00-{_trace_id(pod.uid, rollout):032x}-{_id(pod.uid):016x}-01"}

    def drained(self, found: Outcome, namespace: str) -> None:
        """Export the span of a pod's end."""
        rollout = self._rollouts.pop(found.uid, None)
        attributes: dict[str, str | int] = {
            "k8s.namespace.name": namespace,
            "k8s.pod.name": found.pod,
            "k8s.pod.uid": found.uid,
            "lastcall.drain.outcome": "expired" if found.expired else "finished",
            "lastcall.drain.finished": found.finished,
            "lastcall.drain.dropped": found.dropped,
        }
        parent = None if rollout is None else _id(*rollout)
        self._export(
            f"drain {found.pod}", _trace_id(found.uid, rollout), _id(found.uid), parent, found.seconds, attributes
        )

    def rolled(self, workload: str, rollout: Rollout, seconds: float, streams_finished: int, dropped: int) -> None:
        """Export the span of a rollout that has come to its end."""
        attributes: dict[str, str | int] = {
            "lastcall.rollout.revision": rollout[1],
            "lastcall.rollout.streams_finished": streams_finished,
            "lastcall.rollout.dropped": dropped,
        }
        self._export(f"rollout {workload}", _trace_id("", rollout), _id(*rollout), None, seconds, attributes)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()

    def _export(
        self,
        name: str,
        trace: int,
        span: int,
        parent: int | None,
        seconds: float,
        attributes: dict[str, str | int],
    ) -> None:
        if self._provider is None:
            return

        end = time.time_ns()
        above = None
        if parent is not None:
            flags = TraceFlags(TraceFlags.SAMPLED)
            above = set_span_in_context(NonRecordingSpan(SpanContext(trace, parent, is_remote=True, trace_flags=flags)))
        token = self._ids.next.set((trace, span))
        try:
            tracer = self._provider.get_tracer("lastcall.operator")
            started = tracer.start_span(
                name, context=above, start_time=end - int(seconds * _NANOSECONDS), attributes=attributes
            )
            started.end(end)
        finally:
            self._ids.next.reset(token)


def exporting(endpoint: str | None) -> Traces:
    """Traces that go to a collector; None: nowhere."""
    if endpoint is None:
        return Traces()
    return Traces(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))


def _trace_id(pod: str, rollout: Rollout | None) -> int:
    text = "\0".join(rollout) if rollout is not None else pod
    return int.from_bytes(hashlib.sha256(b"trace\0" + text.encode()).digest()[:16], "big") or 1


def _id(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big") or 1
