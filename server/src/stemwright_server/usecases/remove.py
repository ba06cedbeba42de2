"""Removing a job and what it made, because its caller wants that."""

from __future__ import annotations

from stemwright_server.domain.lifecycle import CancelAsked, Expire
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply


def remove(deps: Deps, caller: Principal, job_id: str) -> None:
    """Cancel the job if it has not ended, and let ``sweep`` remove it and its outputs with the next round.

    From now on nobody finds it: see ``owned_job``.

    Raises:
        NotFound: there is no such job, or it is another's.
    """
    job = owned_job(deps, caller, job_id)
    apply(deps, job.id, CancelAsked())  # not accepted by one that has ended, which is as well
    apply(deps, job.id, Expire(at=deps.clock()))
