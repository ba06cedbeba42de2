"""``outputs/{file_id}/metadata.json``: what a file is and what was made of it, beside what was made."""

from __future__ import annotations

import json
from typing import Any

from stemwright_server.domain.job import Job, JobState
from stemwright_server.usecases.deps import Deps
from stemwright_worker.timestamp import timestamp


def write_metadata(deps: Deps, track_id: str) -> None:
    """Write it as things are now. ``sweep`` does so again if this is cut off."""
    track = deps.repository.track(track_id)
    if track is None:
        return
    jobs = deps.repository.jobs_of(track_id)
    document = {
        "file_id": track.id,
        "original_filename": track.filename,
        "uploaded_by": track.owner,
        "created_at": timestamp(track.created_at),
        "mime_type": track.media_type,
        "duration": track.duration,
        "sample_rate": track.sample_rate,
        "sha256": track.sha256,
        "request_ids": list(dict.fromkeys([track.request_id, *(job.request_id for job in jobs)])),
        "processing_steps": [_step(job) for job in jobs if job.state is JobState.COMPLETED],
    }
    data = json.dumps(document, indent=2, ensure_ascii=False).encode()
    deps.blobs.write(f"outputs/{track.id}/metadata.json", data)
    deps.repository.metadata_written(track)


def _step(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "model": job.service,
        "variation": job.model,
        "params": job.params,
        "finished_at": timestamp(job.finished_at or 0.0),
        "outputs": [
            {"path": each.key, "type": each.name, "size": each.size, "duration": each.duration, "sha256": each.sha256}
            for each in job.artifacts
        ],
    }
