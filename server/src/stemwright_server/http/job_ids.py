"""A job's id on the wire of the dialects whose documents show a UUID with its hyphens."""

import uuid

from stemwright_server.domain.job import Job
from stemwright_worker.errors import NotFound


def shown_id(job: Job) -> str:
    """A job's id as it is written: a UUID with its hyphens."""
    return str(uuid.UUID(job.id))


def read_id(text: str) -> str:
    """The id of a job, given with hyphens or without. Raises NotFound for what was never one."""
    try:
        return uuid.UUID(text).hex
    except ValueError as error:
        raise NotFound(f"There is no job {text!r}.", code="job_not_found") from error
