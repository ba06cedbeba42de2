"""Calling a job off."""

from __future__ import annotations

from stemwright_server.domain.job import Job
from stemwright_server.domain.lifecycle import CancelAsked
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply
from stemwright_worker.errors import Conflict


def cancel(deps: Deps, caller: Principal, job_id: str) -> Job:
    """Cancel a queued or running job at once; its worker hears of it with its next report.

    Again for a canceled one it changes nothing.

    Raises:
        NotFound: there is no such job, or it is another's.
        Conflict: it is completed or failed.
    """
    return call_off(deps, owned_job(deps, caller, job_id))


def call_off(deps: Deps, job: Job) -> Job:
    """The same, whoever owns the job. Raises Conflict."""
    transition = apply(deps, job.id, CancelAsked())
    if transition is None or not transition.accepted:
        state = job.state if transition is None else transition.job.state
        raise Conflict(f"Job {job.id} is {state} and cannot be canceled.", code="already_final")
    return transition.job
