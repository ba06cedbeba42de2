"""What is said over Socket.IO, in the namespace ``/progress``: progress, completed, error."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from stemwright_server.dialects.webserver.intake import DIALECT, OWN_URL
from stemwright_server.dialects.webserver.wire import message, percent, status
from stemwright_server.domain.job import Job, JobState
from stemwright_server.http.callers import absolute_to
from stemwright_server.http.ids import read_id, shown_id
from stemwright_server.ports.auth import Authenticator, Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.deps import Deps
from stemwright_worker.errors import InvalidRequest, NotFound, ServiceError

Event = tuple[str, Mapping[str, Any]]


class ProgressEvents:
    """Implements http.socketio.EventSource."""

    namespace = "/progress"

    def __init__(self, deps: Deps, authenticator: Authenticator) -> None:
        self._deps = deps
        self._authenticator = authenticator

    def caller(self, authorization: str | None) -> Principal:
        """Who connects.

        Raises:
            Unauthenticated: the token is missing, expired or not ours.
            Unavailable: whether it holds cannot be known now.
        """
        if (wait := self._authenticator.preparation(authorization)) is not None:
            wait()
        return self._authenticator.authenticate(authorization)

    def job(self, caller: Principal, data: Any) -> Job:
        """The job that a client asks to follow.

        Raises:
            InvalidRequest: it does not say which.
            NotFound: there is no such job of this caller and this dialect.
        """
        shown = data.get("job_id") if isinstance(data, Mapping) else None
        if not isinstance(shown, str):
            raise InvalidRequest('Say which job: {"job_id": "..."}.')
        job = owned_job(self._deps, caller, read_id(shown))
        if not self.concerns(job):
            raise NotFound(f"There is no job {shown!r}.", code="job_not_found")
        return job

    def concerns(self, job: Job) -> bool:
        """Whether the job came by this dialect."""
        return job.options.dialect == DIALECT

    def mark(self, job: Job) -> Hashable:
        """State, percent and stage: equal for two states of a job that give the same events."""
        return job.state, percent(job), job.progress.stage

    def events(self, job: Job) -> list[Event]:
        """The state in any case; and its end, if it has ended."""
        identity = shown_id(job)
        state = {"job_id": identity, "status": status(job), "progress": percent(job), "message": message(job)}
        found: list[Event] = [("progress", state)]
        if job.state is JobState.COMPLETED:
            url = absolute_to(str(job.options.labels.get(OWN_URL, "")))(f"/api/download/{identity}")
            found.append(("completed", {"job_id": identity, "download_url": url}))
        elif job.state.final:
            found.append(("error", {"job_id": identity, "error_message": message(job)}))
        return found

    def refusal(self, data: Any, error: ServiceError) -> Event:
        """The event ``error``, for a job that cannot be followed."""
        shown = data.get("job_id") if isinstance(data, Mapping) else None
        return "error", {"job_id": shown if isinstance(shown, str) else None, "error_message": str(error)}
