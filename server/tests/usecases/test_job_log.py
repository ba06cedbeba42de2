"""What the log says of a job while it runs."""

from __future__ import annotations

from dataclasses import replace

from jobs import job
from structlog.testing import capture_logs

from stemwright_server.domain.job import JobOptions, JobState
from stemwright_server.domain.lifecycle import Transition
from stemwright_server.usecases import job_log as job_log
from stemwright_worker.contract.service import Progress

JOB = job(state=JobState.RUNNING, attempt=2, options=JobOptions(dialect="studio", correlation_id="c"))


def said(*progress: Progress) -> list[dict[str, object]]:
    """The lines about a job that goes on so."""
    before = JOB
    with capture_logs() as lines:
        for each in progress:
            after = replace(before, progress=each, revision=before.revision + 1)
            job_log.changed(before, Transition(job=after, accepted=True))
            before = after
    return [dict(line) for line in lines]


def test_each_tenth_of_the_segments_is_a_line_with_the_callers_ids() -> None:
    lines = said(
        *(Progress(done=done, total=1000, stage="separating", eta_seconds=1000.0 - done) for done in range(1001))
    )
    assert [line["segments_done"] for line in lines] == list(range(0, 1001, 100))
    assert lines[5] == {
        "event": "job_progress",
        "log_level": "info",
        "job_id": "j",
        "file_id": "t",
        "user_id": "o",
        "attempt": 2,
        "request_id": "r",
        "correlation_id": "c",
        "model": "v",
        "service": "m",
        "dialect": "studio",
        "stage": "separating",
        "segments_done": 500,
        "segments_total": 1000,
        "eta_seconds": 500.0,
    }


def test_each_stage_is_a_line_and_a_renewed_lease_is_none() -> None:
    stages = ("fetching", "fetching", "loading", "separating", "separating", "uploading")
    lines = said(*(Progress(done=0, total=0, stage=stage) for stage in stages))
    assert [line["stage"] for line in lines] == ["fetching", "loading", "separating", "uploading"]
    assert not any("segments_done" in line for line in lines)  # how many there are is not known
