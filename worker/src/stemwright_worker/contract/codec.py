"""Tasks, claims and reports as JSON. The domain's own dataclasses are the schema; unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from stemwright_worker.contract.tasks import (
    ClaimRequest,
    Completed,
    Failed,
    Leave,
    MultipartPlan,
    MultipartRequest,
    Progressed,
    Publishing,
    Report,
    ReportAnswer,
    Task,
)
from stemwright_worker.errors import InvalidRequest

T = TypeVar("T")

_TASK = TypeAdapter(Task)
_CLAIM = TypeAdapter(ClaimRequest)
_LEAVE = TypeAdapter(Leave)
_ANSWER = TypeAdapter(ReportAnswer)
_MULTIPART_REQUEST = TypeAdapter(MultipartRequest)
_MULTIPART_PLAN = TypeAdapter(MultipartPlan)
_REPORT: TypeAdapter[Report] = TypeAdapter(
    Annotated[Progressed | Publishing | Completed | Failed, Field(discriminator="kind")]
)


def _load(adapter: TypeAdapter[T], what: str, body: bytes) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InvalidRequest(f"Not a {what}: {where}: {first['msg']}.", code="bad_message") from error


def dump_task(task: Task) -> bytes:
    """The task as JSON."""
    return _TASK.dump_json(task)


def load_task(body: bytes) -> Task:
    """The task in ``body``. Raises InvalidRequest."""
    return _load(_TASK, "task", body)


def dump_claim(claim: ClaimRequest) -> bytes:
    """The claim as JSON."""
    return _CLAIM.dump_json(claim)


def load_claim(body: bytes) -> ClaimRequest:
    """The claim in ``body``. Raises InvalidRequest."""
    return _load(_CLAIM, "claim", body)


def dump_report(report: Report) -> bytes:
    """The report as JSON."""
    return _REPORT.dump_json(report)


def load_report(body: bytes) -> Report:
    """The report in ``body``. Raises InvalidRequest."""
    return _load(_REPORT, "report", body)


def dump_leave(leave: Leave) -> bytes:
    """The leave as JSON."""
    return _LEAVE.dump_json(leave)


def load_leave(body: bytes) -> Leave:
    """The leave in ``body``. Raises InvalidRequest."""
    return _load(_LEAVE, "leave", body)


def dump_answer(answer: ReportAnswer) -> bytes:
    """The answer to a report as JSON."""
    return _ANSWER.dump_json(answer)


def load_answer(body: bytes) -> ReportAnswer:
    """The answer in ``body``. Raises InvalidRequest."""
    return _load(_ANSWER, "answer", body)


def dump_multipart_request(request: MultipartRequest) -> bytes:
    """The request as JSON."""
    return _MULTIPART_REQUEST.dump_json(request)


def load_multipart_request(body: bytes) -> MultipartRequest:
    """The request in ``body``. Raises InvalidRequest."""
    return _load(_MULTIPART_REQUEST, "request for parts", body)


def dump_multipart_plan(plan: MultipartPlan) -> bytes:
    """The plan as JSON."""
    return _MULTIPART_PLAN.dump_json(plan)


def load_multipart_plan(body: bytes) -> MultipartPlan:
    """The plan in ``body``. Raises InvalidRequest."""
    return _load(_MULTIPART_PLAN, "plan", body)
