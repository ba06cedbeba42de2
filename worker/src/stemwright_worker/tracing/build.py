"""Where traces go."""

from __future__ import annotations

from stemwright_worker.errors import Unavailable
from stemwright_worker.ports.tracing import NO_TRACER, Tracer


def build_tracer(endpoint: str | None, *, service: str) -> Tracer:
    """What sends traces to a collector at ``endpoint``, or nowhere.

    Raises:
        Unavailable: its libraries are missing.
    """
    if endpoint is None:
        return NO_TRACER
    try:
        from stemwright_worker.tracing.otlp import OtlpTracer
    except ImportError as error:
        raise Unavailable(
            "OBSERVABILITY_ENABLE_TRACING needs: pip install 'stemwright-server[tracing]'.", code="tracing_missing"
        ) from error
    return OtlpTracer(endpoint, service=service)
