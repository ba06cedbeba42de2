"""What is counted for ever: sums that outlive the jobs they are about, for metrics and for estimates.

Jobs are removed after their retention time, and a count that shrinks is no count. So each change of a job adds to
these sums in the transaction that makes it: no restart and no second API process makes them lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stemwright_server.domain.job import Job, Outcome
from stemwright_server.domain.lifecycle import Transition

JOBS = "jobs"  # ended jobs, by dialect, service, model and status
ERRORS = "errors"  # failed attempts, by code
PROCESSING = "processing_seconds"  # completed attempts: how many took up to so long, by service, model and le
PROCESSING_SUM = "processing_seconds_sum"  # what they took, by service, model and device
LOADING_SUM = "loading_seconds_sum"  # the part of it that loading weights took
AUDIO_SUM = "audio_seconds_sum"  # seconds of audio in them
STAGE_SUM = "stage_seconds_sum"  # seconds in each stage, by stage
STAGE_COUNT = "stage_seconds_count"

BUCKETS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)  # seconds
_PLAIN = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ENDS = (Outcome.FAILED, Outcome.LOST)

Labels = tuple[tuple[str, str], ...]  # sorted by name


@dataclass(frozen=True, kw_only=True, order=True)
class Counter:
    """An amount to add to one sum."""

    name: str
    labels: Labels
    amount: float


def labels(**named: str) -> Labels:
    """Sorted, so that equal ones are equal."""
    return tuple(sorted(named.items()))


def counters(before: Job, transition: Transition) -> list[Counter]:
    """What a transition adds, in an order that no two transactions take the other way round."""
    return sorted(_counters(before, transition))


def _counters(before: Job, transition: Transition) -> Iterator[Counter]:
    job = transition.job
    if job.state.final and not before.state.final:
        kind = {"dialect": job.options.dialect, "service": job.service, "model": job.model}
        yield Counter(name=JOBS, labels=labels(**kind, status=job.state.value), amount=1.0)
    if transition.outcome in _ENDS and job.error is not None:
        yield Counter(name=ERRORS, labels=labels(code=plain(job.error.code)), amount=1.0)
    if transition.outcome is Outcome.COMPLETED:
        yield from _completed(job)


def _completed(job: Job) -> Iterator[Counter]:
    stages = stage_seconds(job)
    seconds = processing_seconds(job)
    kind = {"service": job.service, "model": job.model}
    within = next((f"{bound:g}" for bound in BUCKETS if seconds <= bound), "+Inf")
    yield Counter(name=PROCESSING, labels=labels(**kind, le=within), amount=1.0)
    where = labels(**kind, device=device(job))
    yield Counter(name=PROCESSING_SUM, labels=where, amount=seconds)
    yield Counter(name=LOADING_SUM, labels=where, amount=stages.get("loading", 0.0))
    audio = max((each.duration or 0.0 for each in job.artifacts), default=0.0)  # a stem is as long as its mix
    yield Counter(name=AUDIO_SUM, labels=where, amount=audio)
    for stage, spent in stages.items():
        yield Counter(name=STAGE_SUM, labels=labels(stage=stage), amount=spent)
        yield Counter(name=STAGE_COUNT, labels=labels(stage=stage), amount=1.0)


def stage_seconds(job: Job) -> Mapping[str, float]:
    """Seconds in each stage of a completed job, as its worker measured them; stages under odd names are one."""
    found: dict[str, float] = {}
    said = job.report.get("stage_seconds")
    for stage, seconds in (said if isinstance(said, Mapping) else {}).items():
        name = plain(str(stage))
        found[name] = found.get(name, 0.0) + max(0.0, float(seconds))
    return found


def processing_seconds(job: Job) -> float:
    """What the worker spent on a completed job."""
    stages = stage_seconds(job)
    if stages:
        return sum(stages.values())
    return max(0.0, (job.finished_at or 0.0) - (job.started_at or 0.0))


def device(job: Job) -> str:
    """The kind of device a completed job ran on: cpu, cuda ..."""
    return plain(str(job.report.get("device", "unknown")).partition(":")[0])


def plain(word: str) -> str:
    """``word`` if it can be a label's value: a bounded set, whatever a model says."""
    return word if _PLAIN.fullmatch(word) else "other"
