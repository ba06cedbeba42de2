"""The songs of an owner, in SQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, func, literal, select, tuple_

from stemwright_server.adapters.jobs.rows import job_state, row_track
from stemwright_server.adapters.jobs.tables import jobs, tracks
from stemwright_server.domain.song import LatestJob, Song
from stemwright_server.domain.track import TrackState
from stemwright_server.ports.jobs import Place

_NEWEST = (tracks.c.created_at.desc(), tracks.c.id.desc())
_HERE = (TrackState.READY, TrackState.EXPIRED)


class SqlSongs(ABC):
    """Implements that part of ports.jobs.JobRepository."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    def songs_of(self, owner: str, *, limit: int, before: Place | None = None) -> Sequence[Song]:
        kept = (tracks.c.transient.is_(False), tracks.c.source == "", tracks.c.state.in_(_HERE))
        page = select(tracks.c.id).where(tracks.c.owner == owner, *kept)
        if before is not None:
            page = page.where(tuple_(tracks.c.created_at, tracks.c.id) < tuple_(*map(literal, before)))
        ids = page.order_by(*_NEWEST).limit(limit).cte("page")
        last = _last(jobs.c.track_id.in_(select(ids.c.id)))
        of_job = [column.label(f"job_{column.key}") for column in last.c]
        both = tracks.outerjoin(last, (last.c.track_id == tracks.c.id) & (last.c.rank == 1))
        query = select(tracks, *of_job).select_from(both).where(tracks.c.id.in_(select(ids.c.id)))
        with self._read() as db:
            rows = db.execute(query.order_by(*_NEWEST, last.c.service, last.c.model)).all()
        return [_song(list(of_track)) for _, of_track in groupby(rows, lambda row: row._mapping[tracks.c.id])]

    def latest_of(self, track_id: str) -> Sequence[LatestJob]:
        last = _last(jobs.c.track_id == track_id)
        of_job = [column.label(f"job_{column.key}") for column in last.c]
        query = select(*of_job).where(last.c.rank == 1).order_by(last.c.service, last.c.model)
        with self._read() as db:
            return [_latest(row) for row in db.execute(query)]


def _last(of_tracks: ColumnElement[bool]) -> Subquery:
    """Jobs of these tracks; those of rank 1 are the last ones of their models."""
    by_model = (jobs.c.track_id, jobs.c.service, jobs.c.model)
    newest = (jobs.c.created_at.desc(), jobs.c.id.desc())
    rank = func.row_number().over(partition_by=by_model, order_by=newest).label("rank")
    return select(jobs.c.id, *by_model, jobs.c.state, jobs.c.finished_at, rank).where(of_tracks).subquery("last")


def _latest(row: Row[Any]) -> LatestJob:
    state = job_state(row.job_state, ended=row.job_finished_at is not None)
    return LatestJob(id=row.job_id, service=row.job_service, model=row.job_model, state=state)


def _song(rows: Sequence[Row[Any]]) -> Song:
    return Song(track=row_track(rows[0]), latest=tuple(_latest(row) for row in rows if row.job_id is not None))
