"""The body of the studio dialect's callback: the job's end in the words of the document's example (chapter 26)."""

from __future__ import annotations

from pydantic import BaseModel, Field

from stemwright_server.dialects.studio.wire import ErrorView
from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.http.callers import absolute_to
from stemwright_server.usecases.deps import Deps

BASE_URL = "base_url"  # label: the service's own address
_LONGEST = 7 * 86400.0  # seconds that a link in a callback holds, however long the outputs stay


class CallbackOutput(BaseModel):
    """A finished file."""

    path: str
    url: str = Field(description="GET, for a week at most, and no longer than the output stays.")
    type: str = Field(description="What it is, for example vocals.")


class Callback(BaseModel):
    """What a `callback_url` is told."""

    job_id: str
    file_id: str | None
    model: str
    variation: str
    status: JobState
    outputs: list[CallbackOutput]
    error: ErrorView | None
    request_id: str
    duration_seconds: float | None = Field(description="From the first attempt to the end; null if there was none.")


class StudioWebhook:
    """Implements ports.deliveries.WebhookBody."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def __call__(self, job: Job) -> bytes:
        """The body for an ended job, as JSON."""
        ended, completed = job.finished_at or self._deps.clock(), job.state is JobState.COMPLETED
        said = Callback(
            job_id=job.id,
            file_id=job.track_id or None,
            model=job.service,
            variation=job.model,
            status=job.state,
            outputs=[self._output(job, each) for each in job.artifacts] if completed else [],
            error=None if job.error is None or completed else ErrorView.of(job.error),
            request_id=job.request_id,
            duration_seconds=None if job.started_at is None else round(ended - job.started_at, 3),
        )
        return said.model_dump_json().encode()

    def _output(self, job: Job, artifact: Artifact) -> CallbackOutput:
        now, limits = self._deps.clock(), self._deps.limits
        removed = job.expires_at if job.expires_at is not None else (job.finished_at or now) + limits.output_retention
        url = self._deps.blobs.get_url(
            artifact.key,
            expires_at=min(removed, now + _LONGEST),
            content_type=artifact.content_type,
            filename=artifact.filename,
        )

        absolute = absolute_to(str(job.options.labels.get(BASE_URL, "")))
        return CallbackOutput(path=artifact.key, url=absolute(url), type=artifact.name)
