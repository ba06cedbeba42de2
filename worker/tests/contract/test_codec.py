"""Tasks and reports survive the way through JSON, and nothing else gets in."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from stemwright_worker.contract.codec import (
    described,
    dump_announcement,
    dump_claim,
    dump_description,
    dump_multipart_plan,
    dump_multipart_request,
    dump_report,
    dump_task,
    load_announcement,
    load_claim,
    load_description,
    load_multipart_plan,
    load_multipart_request,
    load_report,
    load_task,
)
from stemwright_worker.contract.description import (
    FileFormat,
    InputRule,
    ModelDescription,
    ModelLimits,
    OutputRule,
    Refusal,
    ServiceDescription,
)
from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import (
    CONTRACT,
    Announcement,
    ClaimRequest,
    Completed,
    Failed,
    MultipartPlan,
    MultipartRequest,
    Progressed,
    Publishing,
    Report,
    Task,
    TaskInput,
    TaskOutput,
    UploadedFile,
)
from stemwright_worker.errors import ContractMismatch, InvalidRequest

TASK = Task(
    job_id="j",
    attempt=2,
    file_id="f",
    request_id="r",
    service="m",
    model="v",
    params={"overlap": 0.25, "stems": ["a", "b"], "nested": {"x": None}},
    inputs=(
        TaskInput(name="input", url="http://127.0.0.1/in", filename="song.wav", size=3, sha256="0" * 64),
        TaskInput(name="input-2", url="https://a/b", filename="b.wav", size=None, sha256=None, source="http"),
    ),
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
        load_claim(b'{"contract":1,"worker":"w","device":"cpu","services":[]}')


MODEL = ModelDescription(
    name="v",
    description="A model.",
    licence="MIT",
    kind="transcription",
    params={"type": "object", "properties": {"format": {"enum": ["wav"], "default": "wav"}}},
    inputs=InputRule(least=0, most=2),
    outputs=(OutputRule(name="a", filename="a.{extension}", role="text", when={"format": ("wav", 1, None)}),),
    formats={"wav": FileFormat(extension="wav", content_type="audio/wav")},
    limits=ModelLimits(max_seconds=30.0, max_bytes=1 << 40),
    default=True,
    revision="abc",
    refusal=Refusal(code="licence_not_accepted", message="No."),
    weights_bytes=5,
)
OFFERED = (ServiceDescription(name="m", version="1.0", models=(MODEL,), stages=("listening",)),)
ANNOUNCEMENT = Announcement(worker="w", services=OFFERED, described=described(OFFERED), nonce="n")
CLAIM = ClaimRequest(worker="w", device="cpu", services=("m",), described=described(OFFERED), nonce="n")
CROSSING = [
    (dump_task(TASK), load_task, TASK),
    (dump_claim(CLAIM), load_claim, CLAIM),
    (dump_announcement(ANNOUNCEMENT), load_announcement, ANNOUNCEMENT),
]


@pytest.mark.parametrize(("body", "load", "message"), CROSSING, ids=["task", "claim", "announcement"])
def test_a_field_that_only_the_other_side_knows_is_ignored(body: bytes, load: Any, message: Any) -> None:
    values = json.loads(body) | {"new_in_the_next_version": {"x": 1}}
    assert load(json.dumps(values).encode()) == message


@pytest.mark.parametrize(
    ("said", "older"),
    [(CONTRACT + 1, "here"), (CONTRACT - 1, "there"), (None, "there")],
    ids=["a newer one", "an older one", "from before there was a number"],
)
@pytest.mark.parametrize(("body", "load", "message"), CROSSING, ids=["task", "claim", "announcement"])
def test_another_contract_is_refused_whatever_else_is_said(
    body: bytes, load: Any, message: Any, said: int | None, older: str
) -> None:
    other = {} if said is None else {"contract": said}
    with pytest.raises(ContractMismatch) as caught:
        load(json.dumps({"unlike": "anything"} | other).encode())
    at_worker = load is load_task
    upgrade = "stemwright-worker" if at_worker == (older == "here") else "stemwright-server"
    assert f"upgrade {upgrade} where it runs" in str(caught.value)
    assert (caught.value.code, "\n" in str(caught.value)) == ("contract_mismatch", False)


def test_a_description_survives_the_store_and_loses_what_is_not_known() -> None:
    values = json.loads(json.dumps(dump_description(OFFERED[0])))
    values["models"][0]["outputs"][0]["new"] = True
    assert load_description(values) == OFFERED[0]


def test_equal_offers_have_equal_hashes_and_other_weights_make_another() -> None:
    other = ServiceDescription(name="n", version="1.0")
    assert described([*OFFERED, other]) == described([other, *OFFERED])
    assert described(load_announcement(dump_announcement(ANNOUNCEMENT)).services) == ANNOUNCEMENT.described
    newer = ServiceDescription(name="m", version="1.0", models=(replace(MODEL, revision="abd"),), stages=("listening",))
    assert described([newer]) != described(OFFERED)


def test_a_description_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidRequest, match="Not a description: models"):
        load_description({"name": "m", "version": "1", "models": 3})
