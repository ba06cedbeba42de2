"""What a service is to the worker: the protocol that it implements.

A service distribution names one object in the entry point group ``stemwright.services``::

    [project.entry-points."stemwright.services"]
    demucs = "stemwright_demucs:service"

What it offers is data (``describe``): the worker announces it, and the API needs none of the service's code. The module
must be light all the same: no torch at import, nor in ``describe``, which is asked for before the first task. ``prepare``,
``load`` and ``run`` are called in the worker process only, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.service import Progress

__all__ = [
    "LoadedModel",
    "ProducedFile",
    "Progress",
    "RunInput",
    "RunRequest",
    "RunResult",
    "Service",
    "Stopped",
]


class Stopped(Exception):
    """Raised out of ``on_progress`` when the run has to end now: canceled, timed out, or the worker goes.

    A model lets it pass, after closing what it opened. It is not an error and not to be wrapped in one.
    """


@dataclass(frozen=True, kw_only=True)
class RunInput:
    """One file that a run takes in, whole and checked."""

    name: str  # unique within a run
    path: Path  # the file as it came, without an extension: look at its content
    filename: str  # as the caller named it: for messages, never a path


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One run: what to read, where to write, what was asked."""

    inputs: tuple[RunInput, ...]  # none, one or several, in the order that was asked
    workdir: Path  # empty, on a disk with room, removed by the worker after the run whatever happens
    model: str
    params: Mapping[str, Any]  # complete, as the description's schema has them
    max_seconds: float | None = None  # cap on decoded audio; over it, raise an error with code "too_long"


@dataclass(frozen=True, kw_only=True)
class ProducedFile:
    """One finished file in the workdir."""

    name: str  # the OutputRule it answers
    path: Path
    duration: float | None = None  # seconds, where it has one
    sha256: str | None = None  # hex, if it was computed while writing; the worker computes it otherwise


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run made: exactly the files that its description's rules name."""

    files: tuple[ProducedFile, ...]
    report: Mapping[str, Any] = field(default_factory=dict)  # the fidelity report, JSON values
    duration: float | None = None  # of the input, seconds
    sample_rate: int | None = None  # of the input, Hz


class LoadedModel(Protocol):
    """Weights in memory, ready to run any number of times."""

    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        """Run, calling ``on_progress`` at least once for each segment; it raises Stopped when asked to stop.

        Raises an exception with ``code`` (a stable word), ``retryable`` (may the same task succeed later?) and a
        one-line message. One without them counts as a crash: it is tried again, up to the allowed attempts.
        """
        ...


class Service(Protocol):
    """A service as its distribution ships it."""

    @property
    def name(self) -> str:
        """In URLs and storage keys: letters, digits, ``_``, ``-`` and ``.``."""
        ...

    def describe(self) -> ServiceDescription:
        """What can be asked for. Cheap: it may look at the disk, never at the network, and imports nothing slow."""
        ...

    def prepare(self, device: str) -> None:
        """Called once in a new worker, before its first task: import what is slow. Loads and fetches no weights."""
        ...

    def load(self, model: str, device: str) -> LoadedModel:
        """Load a model. The worker keeps the last one; ``device`` is "auto", "cpu", "cuda", "cuda:1" ..."""
        ...
