"""What every use case works with."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from stemwright_server.domain.lifecycle import Policy
from stemwright_server.ports.blobs import BlobStore
from stemwright_server.ports.broker import Broker
from stemwright_server.ports.jobs import JobRepository
from stemwright_server.ports.notifier import Notifier
from stemwright_server.ports.planner import Planner
from stemwright_server.usecases.store_watch import StoreWatch
from stemwright_server.usecases.worker_registry import WorkerRegistry
from stemwright_worker.ports.probe import Probe
from stemwright_worker.ports.tracing import NO_TRACER, Tracer


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Caps and times, in bytes and seconds."""

    max_bytes: int  # of an uploaded file
    max_seconds: float | None  # of decoded audio
    upload_seconds: float = 3600.0  # from announcing a file to the end of its upload
    url_seconds: float = 3600.0  # how long a download URL holds
    job_seconds: float = 3600.0  # how long an attempt may take
    upload_retention: float = 7 * 86400.0  # after the last use of a file
    output_retention: float = 30 * 86400.0  # after a job ended
    max_queued: int | None = None  # jobs of one subject that wait
    urgent_subjects: Collection[str] = ()  # who may ask for more than the default priority; "*": everybody
    key_retention: float = 86400.0  # of an Idempotency-Key


@dataclass(frozen=True, kw_only=True)
class Deps:
    """The ports and rules, wired once in ``wiring``."""

    repository: JobRepository
    blobs: BlobStore
    broker: Broker
    notifier: Notifier
    workers: WorkerRegistry
    planner: Planner
    probe: Probe | None
    policy: Policy
    limits: Limits
    clock: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random  # at least 0, below 1
    store: StoreWatch | None = None  # None: nobody looks, as where the store is a folder of this process's own
    tracer: Tracer = NO_TRACER
