"""Tasks and reports survive the way through JSON, and nothing else gets in."""

from __future__ import annotations

import math

import pytest

from stemwright_worker.contract.codec import (
    dump_multipart_plan,
    dump_multipart_request,
    dump_report,
    dump_task,
    load_claim,
    load_multipart_plan,
    load_multipart_request,
    load_report,
    load_task,
)
from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import (
    Completed,
    Failed,
    MultipartPlan,
    MultipartRequest,
    Progressed,
    Publishing,
    Report,
    Task,
    TaskOutput,
    UploadedFile,
)
from stemwright_worker.errors import InvalidRequest

TASK = Task(
    job_id="j",
    attempt=2,
    file_id="f",
    filename="song.wav",
    request_id="r",
    service="m",
    model="v",
    params={"overlap": 0.25, "stems": ["a", "b"], "nested": {"x": None}},
    input_url="http://127.0.0.1/in",
    input_size=3,
    input_sha256="0" * 64,
    outputs=(TaskOutput(name="a", filename="a.wav", content_type="audio/wav", url="http://127.0.0.1/a"),),
    lease_seconds=60.0,
    timeout_seconds=3600.0,
    max_bytes=1 << 20,
    max_seconds=None,
)


def test_a_task_survives() -> None:
    assert load_task(dump_task(TASK)) == TASK


@pytest.mark.parametrize(
    "report",
    [
        Publishing(job_id="j", attempt=2),
        Progressed(job_id="j", attempt=1, progress=Progress(done=1, total=2, stage="s", message="é", eta_seconds=0.5)),
        Completed(
            job_id="j",
            attempt=1,
            files=(UploadedFile(name="a", size=1, sha256="0", duration=None),),
            report={"sum_db": -101.5, "stages": [1, {"a": None}]},
            duration=1.5,
            sample_rate=44100,
        ),
        Failed(job_id="j", attempt=1, code="c", message="m", retryable=True),
    ],
    ids=lambda report: report.kind,
)
def test_a_report_survives(report: Report) -> None:
    assert load_report(dump_report(report)) == report


def test_what_is_said_about_parts_survives() -> None:
    request = MultipartRequest(job_id="j", attempt=1, name="a", size=1 << 40, nonce="n")
    assert load_multipart_request(dump_multipart_request(request)) == request
    plan = MultipartPlan(upload_id="u", part_bytes=5 << 20, urls=("https://a/1", "https://a/2"))
    assert load_multipart_plan(dump_multipart_plan(plan)) == plan
    file = UploadedFile(name="a", size=1, sha256="0", upload_id="u", etags=('"1"', '"2"'))
    completed = Completed(job_id="j", attempt=1, files=(file,))
    assert load_report(dump_report(completed)) == completed


def test_infinite_decibels_become_null_which_every_reader_of_json_knows() -> None:
    report = Completed(job_id="j", attempt=1, files=(), report={"sum_db": -math.inf})
    found = load_report(dump_report(report))
    assert isinstance(found, Completed)
    assert found.report == {"sum_db": None}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"kind":"released"}', b'{"kind":"failed","job_id":1}', b"\xff", b'{"kind":"progress"}'],
)
def test_what_is_no_report_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_report(body)
    assert caught.value.code == "bad_message"
    assert "\n" not in str(caught.value)


def test_a_claim_has_a_nonce() -> None:
    with pytest.raises(InvalidRequest, match="nonce"):
        load_claim(b'{"worker":"w","device":"cpu","services":[]}')
