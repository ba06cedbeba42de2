"""Traces: what was done for a request, by which process, and how long it took.

A trace crosses processes as a W3C ``traceparent``: it is kept with the job, goes to the worker in its task, and out in the
webhook. Nothing here may raise or wait: a trace is never worth a job.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal, Protocol

Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attribute = str | int | float | bool

current_traceparent: ContextVar[str | None] = ContextVar("current_traceparent", default=None)
"""Of the request that is being answered; None: nobody traces."""


class Span(Protocol):
    """A piece of work that goes on."""

    @property
    def traceparent(self) -> str | None:
        """What makes others its children; None: nobody traces."""
        ...

    def part(self, name: str, *, began: float, ended: float) -> None:
        """A piece of this one that is over; unix seconds."""
        ...

    def end(self, *, name: str | None = None, error: str | None = None, **attributes: Attribute | None) -> None:
        """It is done. ``error``: why it failed; a name or attributes that were not known at its begin."""
        ...


class Tracer(Protocol):
    """Begins spans, and sends them somewhere once they ended."""

    def begin(
        self,
        name: str,
        *,
        parent: str | None,
        kind: Kind = "internal",
        began: float | None = None,
        **attributes: Attribute | None,
    ) -> Span:
        """``parent``: a traceparent; None, or one that is none, begins a trace.

        ``began``: unix seconds, if not now. Attributes of None are left out; ``__`` in a name stands for a dot.
        """
        ...

    def close(self) -> None:
        """Send what is left, if that goes fast."""
        ...


class NoSpan:
    """Implements Span by nothing."""

    traceparent = None

    def part(self, name: str, *, began: float, ended: float) -> None:
        """Do nothing."""
        return

    def end(self, *, name: str | None = None, error: str | None = None, **attributes: Attribute | None) -> None:
        """Do nothing."""
        return


class NoTracer:
    """Implements Tracer by nothing: tracing is off."""

    def begin(
        self,
        name: str,
        *,
        parent: str | None,
        kind: Kind = "internal",
        began: float | None = None,
        **attributes: Attribute | None,
    ) -> Span:
        """A span that does nothing."""
        return NoSpan()

    def close(self) -> None:
        """Do nothing."""
        return


NO_TRACER = NoTracer()


def trace_id(traceparent: str | None) -> str | None:
    """The id that all spans of a trace share, for logs."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None
