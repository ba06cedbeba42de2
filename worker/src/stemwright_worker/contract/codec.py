"""Tasks, claims and reports as JSON. The contract's own dataclasses are the schema.

Within one number of the contract an unknown field is ignored, both ways, so that either side may be upgraded first.
Another number is refused before anything else is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.tasks import (
    CONTRACT,
    Announcement,
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
from stemwright_worker.errors import ContractMismatch, InvalidRequest

T = TypeVar("T")
_PACKAGES = {"API": "stemwright-server", "worker": "stemwright-worker"}

_TASK = TypeAdapter(Task)
_ANNOUNCEMENT = TypeAdapter(Announcement)
_DESCRIPTION = TypeAdapter(ServiceDescription)
_CLAIM = TypeAdapter(ClaimRequest)
_LEAVE = TypeAdapter(Leave)
_ANSWER = TypeAdapter(ReportAnswer)
_MULTIPART_REQUEST = TypeAdapter(MultipartRequest)
_MULTIPART_PLAN = TypeAdapter(MultipartPlan)
_REPORT: TypeAdapter[Report] = TypeAdapter(
    Annotated[Progressed | Publishing | Completed | Failed, Field(discriminator="kind")]
)


def _check_contract(body: bytes, *, here: str, there: str) -> None:
    try:
        values = from_json(body)
    except ValueError:
        return  # it is no message at all, which is said next
    said = values.get("contract", 0) if isinstance(values, dict) else CONTRACT  # before there was a number: 0
    if said == CONTRACT:
        return
    older = there if not isinstance(said, int) or said < CONTRACT else here
    raise ContractMismatch(
        f"The {here} speaks contract {CONTRACT}, the {there} {said!r}: the {older} is older; upgrade "
        f"{_PACKAGES[older]} where it runs."
    )


def _load(adapter: TypeAdapter[T], what: str, body: bytes) -> T:
    return _valid(what, lambda: adapter.validate_json(body))


def _valid(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        article = "an" if what[0] in "aeiou" else "a"
        raise InvalidRequest(f"Not {article} {what}: {where}: {first['msg']}.", code="bad_message") from error


def dump_task(task: Task) -> bytes:
    """The task as JSON."""
    return _TASK.dump_json(task)


def load_task(body: bytes) -> Task:
    """The task in ``body``.

    Raises:
        ContractMismatch: it is worded by another version of the contract.
        InvalidRequest: it is no task.
    """
    _check_contract(body, here="worker", there="API")
    return _load(_TASK, "task", body)


def dump_description(description: ServiceDescription) -> dict[str, Any]:
    """What a service offers, as JSON values."""
    values: dict[str, Any] = _DESCRIPTION.dump_python(description, mode="json")
    return values


def load_description(values: Mapping[str, Any]) -> ServiceDescription:
    """What a service offers, out of JSON values; unknown ones are ignored. Raises InvalidRequest."""
    return _valid("description", lambda: _DESCRIPTION.validate_python(values))


def described(services: Sequence[ServiceDescription]) -> str:
    """Hash of what services offer: equal for equal descriptions, in any order."""
    values = [dump_description(each) for each in sorted(services, key=lambda each: each.name)]
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def dump_announcement(announcement: Announcement) -> bytes:
    """The announcement as JSON."""
    return _ANNOUNCEMENT.dump_json(announcement)


def load_announcement(body: bytes) -> Announcement:
    """The announcement in ``body``. Raises ContractMismatch, InvalidRequest."""
    _check_contract(body, here="API", there="worker")
    return _load(_ANNOUNCEMENT, "announcement", body)


def dump_claim(claim: ClaimRequest) -> bytes:
    """The claim as JSON."""
    return _CLAIM.dump_json(claim)


def load_claim(body: bytes) -> ClaimRequest:
    """The claim in ``body``. Raises ContractMismatch, InvalidRequest."""
    _check_contract(body, here="API", there="worker")
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
