"""The body of the split dialect's webhook, in the documents' words and order."""

from __future__ import annotations

import json
from typing import Any

from stemwright_server.dialects.split.request import BASE_URL, VERSION_ID
from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.http.callers import absolute_to
from stemwright_server.usecases.deps import Deps


class SplitWebhook:
    """Implements ports.deliveries.WebhookBody. Where the store has addresses, the stems are published first."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def __call__(self, job: Job) -> bytes:
        """The body for an ended job, as JSON."""
        completed = job.state is JobState.COMPLETED
        began = job.started_at if job.started_at is not None else job.finished_at
        document = {
            "versionId": job.options.labels[VERSION_ID],
            "status": job.state.value,
            "processingTimeMs": round(1000 * ((job.finished_at or 0.0) - (began or 0.0))),
            "stems": [self._stem(job, artifact) for artifact in job.artifacts] if completed else [],
            "error": None if completed else _error(job),
            "jobId": job.id,
            "correlationId": job.options.correlation_id,
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    def _stem(self, job: Job, artifact: Artifact) -> dict[str, Any]:
        return {
            "type": artifact.name,
            "name": artifact.name.replace("_", " ").capitalize(),
            "url": self._url(job, artifact),
            "size": artifact.size,
            "duration": None if artifact.duration is None else round(artifact.duration, 6),
            "checksum": f"sha256:{artifact.sha256}",
        }

    def _url(self, job: Job, artifact: Artifact) -> str:
        """At the caller's own URL (less its signature), in the bucket, or behind a signed URL of ours."""
        if (given := job.options.upload_urls.get(artifact.name)) is not None:
            return given.partition("?")[0]
        filename = artifact.key.rpartition("/")[2]
        address = self._deps.blobs.publish(artifact.key, f"{job.options.labels[VERSION_ID]}/{filename}")
        if address is not None:
            return address
        ended = job.finished_at or self._deps.clock()
        removed = job.expires_at if job.expires_at is not None else ended + self._deps.limits.output_retention
        url = self._deps.blobs.get_url(
            artifact.key, expires_at=removed, content_type=artifact.content_type, filename=filename
        )
        return absolute_to(str(job.options.labels[BASE_URL]))(url)


def _error(job: Job) -> str:
    if job.state is JobState.CANCELED:
        return "The job was canceled."
    return job.error.message if job.error is not None else "The job failed."
