"""Between the domain's values and rows."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row

from stemwright_server.adapters.jobs.tables import jobs, workers
from stemwright_server.domain.delivery import Delivery, DeliveryState
from stemwright_server.domain.job import Artifact, Attempt, Extras, Job, JobError, JobState, Outcome, Webhook
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import SeenWorker
from stemwright_worker.contract.service import OutputSpec, Progress


def track_row(track: Track) -> dict[str, Any]:
    """A row of ``tracks``, less ``written_revision``."""
    return asdict(track)


def row_track(row: Row[Any]) -> Track:
    """A track of a row."""
    values = {field.name: row._mapping[field.name] for field in fields(Track)}
    return Track(**values | {"state": TrackState(values["state"])})


def job_row(job: Job) -> dict[str, Any]:
    """A row of ``jobs``; nested values become JSON."""
    return asdict(job) | {
        "priority": job.extras.priority,
        "dialect": job.extras.dialect,
        "outputs": [asdict(spec) for spec in job.outputs],
        "artifacts": [asdict(a) for a in job.artifacts],
    }


def row_job(row: Row[Any]) -> Job:
    """A job of a row."""
    values = {field.name: row._mapping[jobs.c[field.name]] for field in fields(Job)}
    extras = dict(values["extras"])
    webhook = Webhook(**extras["webhook"]) if extras["webhook"] else None
    return Job(
        **values
        | {
            "state": JobState(values["state"]),
            "extras": Extras(**extras | {"webhook": webhook}),
            "outputs": tuple(OutputSpec(**spec) for spec in values["outputs"]),
            "artifacts": tuple(Artifact(**artifact) for artifact in values["artifacts"]),
            "progress": Progress(**values["progress"]),
            "error": JobError(**values["error"]) if values["error"] else None,
        }
    )


def row_attempt(row: Row[Any]) -> Attempt:
    """An attempt of a row."""
    values = dict(row._mapping)
    return Attempt(**values | {"outcome": Outcome(values["outcome"]) if values["outcome"] else None})


def row_delivery(row: Row[Any]) -> Delivery:
    """A webhook of a row."""
    values = dict(row._mapping)
    body = values["body"]
    kept = {"state": DeliveryState(values["state"]), "body": None if body is None else bytes(body)}
    return Delivery(**values | kept)


def row_worker(row: Row[Any]) -> SeenWorker:
    """A worker of a row."""
    values = {field.name: row._mapping[workers.c[field.name]] for field in fields(SeenWorker)}
    return SeenWorker(**values | {"services": tuple(values["services"])})
