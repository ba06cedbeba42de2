"""Which workers get no jobs for a while, because jobs fail there that others do: a circuit breaker for each worker.

    well --own fault, or LIMIT jobs in a row--> set aside --the time is over--> on trial --a job completed--> well
                                                   ^                               |
                                                   '------ a job failed, for twice as long

M. Nygard, Release It! (2nd edition), chapter 5, has the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DISK_FULL = "worker_disk_full"  # a worker's code: there is no room, or the disk is broken
UNAVAILABLE = "unavailable"  # it cannot make a folder, or has not the service that it announced
GPU_LOST = "gpu_lost"
BAD_TASK = "bad_task"  # it cannot read what this API hands out
OWN_FAULTS = frozenset({DISK_FULL, UNAVAILABLE, GPU_LOST, BAD_TASK})
"""Codes of failures that no job is to blame for."""
LIMIT = 3  # different jobs in a row that failed with what may be the worker's fault or theirs
_FIRST, _LONGEST = 30.0, 600.0  # seconds that a worker is set aside


@dataclass(frozen=True, kw_only=True)
class WorkerHealth:
    """What went wrong at a worker since it completed a job last."""

    worker: str  # its id
    failed: tuple[str, ...] = ()  # ids of the last jobs in a row that failed, each once
    times: int = 0  # that it was set aside, in a row
    aside_until: float = 0.0  # unix seconds
    code: str = ""  # of the last failure
    message: str = ""

    def is_aside(self, now: float) -> bool:
        """Whether it gets no jobs."""
        return now < self.aside_until

    @property
    def on_trial(self) -> bool:
        """Whether it was set aside and has completed nothing since: what fails there is not charged to the job."""
        return self.times > 0


def after_failure(
    health: WorkerHealth, job_id: str, *, code: str, message: str, now: float, others_are_well: bool
) -> WorkerHealth:
    """The health of a worker after a failure that the job's input is not to blame for.

    ``others_are_well``: another worker could do the job. Alone, a worker is set aside for its own faults only: a job
    that fails everywhere must not stop those behind it.
    """
    failed = tuple(dict.fromkeys((*health.failed, job_id)))[-LIMIT:]
    now_known = replace(health, failed=failed, code=code, message=message)
    if code in OWN_FAULTS or health.on_trial or (len(failed) >= LIMIT and others_are_well):
        seconds = min(_LONGEST, _FIRST * 2.0**health.times)
        return replace(now_known, times=health.times + 1, aside_until=now + seconds)
    return now_known
