"""Ids on the wire: of a request, and of a job where a dialect's document shows a UUID with its hyphens."""

import uuid

import structlog

from stemwright_server.domain.job import Job
from stemwright_worker.errors import NotFound

REQUEST_ID = "X-Request-ID"


def request_id() -> str:
    """The id of the request being answered."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def shown_id(job: Job) -> str:
    """A job's id as it is written: a UUID with its hyphens."""
    return str(uuid.UUID(job.id))


def read_id(text: str) -> str:
    """The id of a job, given with hyphens or without.

    Raises:
        NotFound: it was never the id of a job.
    """
    try:
        return uuid.UUID(text).hex
    except ValueError as error:
        raise NotFound(f"There is no job {text!r}.", code="job_not_found") from error
