"""Traces sent by OpenTelemetry's SDK to a collector, as OTLP over HTTP, from a thread of their own.

Whatever the collector does, nobody waits for it: spans that it does not take in time are dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from threading import Thread

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stemwright_worker.ports.tracing import Attribute, Kind

_EXPORT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_EVERY = 500  # ms between two exports
_QUEUED = 4096  # spans; more are dropped
_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}


class OtlpTracer:
    """Implements ports.tracing.Tracer."""

    def __init__(self, endpoint: str, *, service: str) -> None:
        """``endpoint``: the collector's base URL. ``service``: what this process is called in traces."""
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        session = requests.Session()
        session.trust_env = False  # no proxy, no netrc
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS, session=session
        )
        resource = {"service.name": service, "service.version": version("stemwright-server")}
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        processor = BatchSpanProcessor(exporter, max_queue_size=_QUEUED, schedule_delay_millis=_EVERY)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("stemwright")

    def begin(
        self,
        name: str,
        *,
        parent: str | None,
        kind: Kind = "internal",
        began: float | None = None,
        **attributes: Attribute | None,
    ) -> OtlpSpan:
        """Implements ``ports.tracing.Tracer``."""
        context = _PROPAGATOR.extract({"traceparent": parent} if parent else {})
        start = None if began is None else round(began * 1e9)
        span = self._tracer.start_span(
            name, context=context, kind=_KINDS[kind], attributes=_named(attributes), start_time=start
        )
        return OtlpSpan(span, self._tracer)

    def close(self) -> None:
        """Send what waits, for ``_CLOSE_SECONDS`` at most."""
        closing = Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class OtlpSpan:
    """Implements ports.tracing.Span."""

    def __init__(self, span: trace.Span, tracer: trace.Tracer) -> None:
        self._span = span
        self._tracer = tracer
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(span))
        self._traceparent = carrier.get("traceparent")

    @property
    def traceparent(self) -> str | None:
        """By W3C trace context. None if the span is not recorded."""
        return self._traceparent

    def part(self, name: str, *, began: float, ended: float) -> None:
        """A span within this one, that is over."""
        context = trace.set_span_in_context(self._span)
        part = self._tracer.start_span(name, context=context, start_time=round(began * 1e9))
        part.end(end_time=round(max(began, ended) * 1e9))

    def end(self, *, name: str | None = None, error: str | None = None, **attributes: Attribute | None) -> None:
        """End the span and have it sent."""
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes(_named(attributes))
        if error is not None:
            self._span.set_status(StatusCode.ERROR, error)
        self._span.end()


def _named(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """OpenTelemetry's names have dots, Python's cannot."""
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}
