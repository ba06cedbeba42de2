"""Between the domain's values and rows.

A newer version may have written what is not known here, as its process and ours run side by side on one database:
columns and keys of JSON that are not known are left out, and keys that are not there have their default. A state that is
not known is read as the one nearest to it: only the newer version goes on from there, since what this one does to a row
asks for the states it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Row, Table

from stemwright_server.adapters.jobs.tables import attempts, deliveries, jobs, tracks, workers
from stemwright_server.domain.delivery import Delivery, DeliveryState
from stemwright_server.domain.job import Artifact, Attempt, Extras, Job, JobError, JobState, Outcome, Webhook
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import SeenWorker
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
    return asdict(job) | {
        "priority": job.extras.priority,
        "dialect": job.extras.dialect,
        "outputs": [asdict(spec) for spec in job.outputs],
        "artifacts": [asdict(a) for a in job.artifacts],
    }


def row_job(row: Row[Any]) -> Job:
    """A job of a row. In a state that is not known here it is RUNNING, and FAILED once it has ended."""
    values = _cells(Job, jobs, row)
    extras = _known(Extras, values["extras"])
    webhook = extras.get("webhook")
    state = _nearest(values["state"], JobState.RUNNING if values["finished_at"] is None else JobState.FAILED)
    error = values["error"]
    if state != values["state"] and state.final and not error:
        said = f"The job ended as {values['state']!r}; a newer version of the service knows what that is."
        error = {"code": "unknown_state", "message": said}
    return Job(
        **values
        | {
            "state": state,
            "extras": Extras(**extras | {"webhook": Webhook(**_known(Webhook, webhook)) if webhook else None}),
            "outputs": tuple(OutputSpec(**_known(OutputSpec, spec)) for spec in values["outputs"]),
            "artifacts": tuple(Artifact(**_known(Artifact, artifact)) for artifact in values["artifacts"]),
            "progress": Progress(**_known(Progress, values["progress"])),
            "error": JobError(**_known(JobError, error)) if error else None,
        }
    )


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
