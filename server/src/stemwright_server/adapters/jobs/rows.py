"""Between the domain's values and rows.

A newer version may have written what is not known here, as its process and ours run side by side on one database:
columns and keys of JSON that are not known are left out, and keys that are not there have their default. A state that is
not known is read as the one nearest to it: only the newer version goes on from there, since what this one does to a row
asks for the states it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Row, Table

from stemwright_server.adapters.jobs.tables import ailing_workers, attempts, deliveries, jobs, tracks, workers
from stemwright_server.domain.delivery import Delivery, DeliveryState
from stemwright_server.domain.inputs import ArtifactInput, Input, TrackInput
from stemwright_server.domain.job import (
    Artifact,
    Attempt,
    Job,
    JobError,
    JobOptions,
    JobState,
    Outcome,
    Sharing,
    Webhook,
)
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import AnnouncedService, SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_worker.contract.codec import dump_description, load_description
from stemwright_worker.contract.service import OutputSpec, Progress

S = TypeVar("S", bound=StrEnum)


def track_row(track: Track) -> dict[str, Any]:
    """A row of ``tracks``, less ``written_revision``."""
    return asdict(track)


def row_track(row: Row[Any]) -> Track:
    """A track of a row. In a state that is not known here its bytes cannot be used here: EXPIRED."""
    values = _cells(Track, tracks, row)
    return Track(**values | {"state": _nearest(values["state"], TrackState.EXPIRED)})


def job_row(job: Job) -> dict[str, Any]:
    """A row of ``jobs``; nested values become JSON."""
    values = asdict(job)
    return values | {
        "track_id": job.track_id,
        "inputs": None if _is_track_alone(job.inputs) else values["inputs"],
        "options": _options_cell(values["options"]),
        "priority": job.options.priority,
        "dialect": job.options.dialect,
    }


def row_job(row: Row[Any]) -> Job:
    """A job of a row. In a state that is not known here it is RUNNING, and FAILED once it has ended."""
    values = _cells(Job, jobs, row)
    state = job_state(values["state"], ended=values["finished_at"] is not None)
    error = values["error"]
    if state != values["state"] and state.final and not error:
        said = f"The job ended as {values['state']!r}; a newer version of the service knows what that is."
        error = {"code": "unknown_state", "message": said}
    return Job(
        **values
        | {
            "state": state,
            "inputs": _inputs(row.track_id, values["inputs"]),
            "options": _options(values["options"], row.dialect),
            "outputs": tuple(OutputSpec(**_known(OutputSpec, spec)) for spec in values["outputs"]),
            "artifacts": tuple(Artifact(**_known(Artifact, artifact)) for artifact in values["artifacts"]),
            "progress": Progress(**{"stage": ""} | _known(Progress, values["progress"])),
            "error": JobError(**_known(JobError, error)) if error else None,
        }
    )


def job_state(state: str, *, ended: bool) -> JobState:
    """The state of that name; one that is not known here is RUNNING, and FAILED once the job has ended."""
    return _nearest(state, JobState.FAILED if ended else JobState.RUNNING)


def row_attempt(row: Row[Any]) -> Attempt:
    """An attempt of a row. Raises ValueError for an outcome that is not known here."""
    values = _cells(Attempt, attempts, row)
    return Attempt(**values | {"outcome": Outcome(values["outcome"]) if values["outcome"] else None})


def row_delivery(row: Row[Any]) -> Delivery:
    """A webhook of a row. In a state that is not known here it is PENDING, and DEAD once it has ended."""
    values = _cells(Delivery, deliveries, row)
    state = _nearest(values["state"], DeliveryState.PENDING if values["ended_at"] is None else DeliveryState.DEAD)
    body = values["body"]
    return Delivery(**values | {"state": state, "body": None if body is None else bytes(body)})


def row_worker(row: Row[Any]) -> SeenWorker:
    """A worker of a row."""
    values = _cells(SeenWorker, workers, row)
    return SeenWorker(**values | {"services": tuple(values["services"])})


def row_health(row: Row[Any]) -> WorkerHealth:
    """The health of a worker of a row."""
    values = _cells(WorkerHealth, ailing_workers, row)
    return WorkerHealth(**values | {"failed": tuple(values["failed"])})


def row_service(row: Row[Any]) -> AnnouncedService:
    """A service of a row. Raises InvalidRequest for a description that this version cannot read."""
    return AnnouncedService(
        description=load_description(row.description),
        described=row.description.get("described", ""),
        announced_at=row.announced_at,
        worker=row.worker or "",
    )


def service_row(service: AnnouncedService) -> dict[str, Any]:
    """A row of ``services``."""
    return {
        "name": service.description.name,
        "description": dump_description(service.description) | {"described": service.described},
        "announced_at": service.announced_at,
        "worker": service.worker,
    }


def _is_track_alone(inputs: tuple[Input, ...]) -> bool:
    return len(inputs) == 1 and isinstance(inputs[0], TrackInput)


def _inputs(track_id: str, cell: Sequence[Mapping[str, Any]] | None) -> tuple[Input, ...]:
    if cell is None:
        return (TrackInput(track_id=track_id),)
    found: list[Input] = []
    for each in cell:
        if "track_id" in each:
            found.append(TrackInput(track_id=each["track_id"]))
        elif "job_id" in each:
            found.append(ArtifactInput(job_id=each["job_id"], name=each["name"]))
    return tuple(found)


# The version before, which may run beside this one, reads these keys of the cell, and no others.
_PRIVATE = {"join": False, "copy": True, "never": True}  # never the answer to another submit, nor answered by one
_REUSE = {"join": False, "copy": True, "never": False}


def _options_cell(options: Mapping[str, Any]) -> dict[str, Any]:
    cell = dict(options)
    sharing = cell.pop("sharing")
    return cell | {"private": _PRIVATE[sharing], "reuse": _REUSE[sharing]}


def _options(cell: Mapping[str, Any], dialect: str) -> JobOptions:
    values = {"dialect": dialect} | _known(JobOptions, cell)
    webhook = values.get("webhook")
    sharing: Sharing = "join" if not cell.get("private") else "copy" if cell.get("reuse") else "never"
    values |= {"sharing": sharing, "webhook": Webhook(**_known(Webhook, webhook)) if webhook else None}
    return JobOptions(**values)


def _cells(kind: type[Any], table: Table, row: Row[Any]) -> dict[str, Any]:
    """What a row has of the fields of ``kind``, whatever the columns are called in the database."""
    return {field.name: row._mapping[table.c[field.name]] for field in fields(kind)}


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values of a JSON object that are fields of ``kind``."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _nearest(state: str, nearest: S) -> S:
    """The state of that name; ``nearest`` if there is none here."""
    try:
        return type(nearest)(state)
    except ValueError:
        return nearest
