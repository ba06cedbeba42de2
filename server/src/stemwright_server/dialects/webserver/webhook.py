"""The body of the webserver dialect's webhook: the job as ``GET /api/status/{job_id}`` shows it at its end."""

from __future__ import annotations

from stemwright_server.dialects.webserver.intake import BASE_URL
from stemwright_server.dialects.webserver.wire import Links, status_response
from stemwright_server.domain.job import Artifact, Job
from stemwright_server.http.callers import absolute_to
from stemwright_server.usecases.deps import Deps

_LONGEST = 7 * 86400.0  # seconds that a link in a webhook holds, however long the song stays


class WebserverWebhook:
    """Implements ports.deliveries.WebhookBody. Its URLs hold until the job is removed."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def __call__(self, job: Job) -> bytes:
        """The body for an ended job, as JSON."""
        absolute = absolute_to(str(job.options.labels[BASE_URL]))

        now = self._deps.clock()

        def url(artifact: Artifact, song: str) -> str:
            return absolute(
                self._deps.blobs.get_url(
                    artifact.key,
                    expires_at=min(job.expires_at or now + self._deps.limits.url_seconds, now + _LONGEST),
                    content_type=artifact.content_type,
                    filename=f"{song} {artifact.key.rpartition('/')[2]}",
                )
            )

        view = status_response(job, Links(blob=url, page=absolute), heard_at=None, queue_position=None)
        return view.model_dump_json().encode()
