"""The half of the SQL repository that ``sweep`` uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, case, delete, exists, select, update

from stemwright_server.adapters.jobs.rows import row_attempt, row_track
from stemwright_server.adapters.jobs.tables import attempts, idempotency, jobs, tracks
from stemwright_server.domain.job import Attempt, JobState, Outcome
from stemwright_server.domain.track import Track, TrackState

_ACTIVE = (JobState.QUEUED, JobState.RUNNING)
_FINAL = tuple(state for state in JobState if state.final)


class SqlUpkeep(ABC):
    """Implements ports.jobs.Upkeep."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]: ...

    def _drop_track(self, db: Connection, track_id: str) -> None:
        has_jobs = exists().where(jobs.c.track_id == track_id)
        db.execute(delete(tracks).where(tracks.c.id == track_id, ~has_jobs))

    def stale_uploads(self, now: float) -> Sequence[Track]:
        query = select(tracks).where(tracks.c.state == TrackState.PENDING, tracks.c.upload_until <= now)
        with self._read() as db:
            return [row_track(row) for row in db.execute(query)]

    def expire_tracks(self, used_before: float) -> None:
        active = exists().where(jobs.c.track_id == tracks.c.id, jobs.c.state.in_(_ACTIVE))
        idle = (tracks.c.state.in_((TrackState.READY, TrackState.REMOTE)), tracks.c.used_at < used_before, ~active)
        with self._write() as db:
            db.execute(update(tracks).where(*idle).values(state=TrackState.EXPIRED, sha256=None))

    def tracks_to_purge(self) -> Sequence[Track]:
        has_jobs = exists().where(jobs.c.track_id == tracks.c.id)
        query = select(tracks).where(tracks.c.state == TrackState.EXPIRED, (tracks.c.key != "") | ~has_jobs)
        with self._read() as db:
            return [row_track(row) for row in db.execute(query)]

    def track_purged(self, track_id: str) -> None:
        with self._write() as db:
            db.execute(update(tracks).where(tracks.c.id == track_id).values(key=""))
            self._drop_track(db, track_id)

    def drop_jobs(self, now: float, *, finished_before: float) -> None:
        over = case((jobs.c.expires_at.is_(None), jobs.c.finished_at < finished_before), else_=jobs.c.expires_at <= now)
        old = (jobs.c.state.in_(_FINAL), over)
        with self._write() as db:
            theirs = attempts.c.job_id.in_(select(jobs.c.id).where(*old))
            completed = attempts.c.outcome == Outcome.COMPLETED
            db.execute(update(attempts).where(theirs, completed).values(outcome=Outcome.EXPIRED))
            db.execute(delete(jobs).where(*old))

    def attempts_to_clean(self) -> Sequence[Attempt]:
        query = select(attempts).where(attempts.c.outcome.is_not(None), attempts.c.outcome != Outcome.COMPLETED)
        with self._read() as db:
            return [row_attempt(row) for row in db.execute(query)]

    def attempt_cleaned(self, attempt: Attempt) -> None:
        this = (attempts.c.job_id == attempt.job_id, attempts.c.number == attempt.number)
        with self._write() as db:
            db.execute(delete(attempts).where(*this))

    def drop_keys(self, created_before: float) -> None:
        with self._write() as db:
            db.execute(delete(idempotency).where(idempotency.c.created_at < created_before))

    def metadata_due(self) -> Sequence[Track]:
        query = select(tracks).where(tracks.c.revision > tracks.c.written_revision)
        with self._read() as db:
            return [row_track(row) for row in db.execute(query)]

    def metadata_written(self, track: Track) -> None:
        this = (tracks.c.id == track.id, tracks.c.written_revision < track.revision)
        with self._write() as db:
            db.execute(update(tracks).where(*this).values(written_revision=track.revision))

    def describe_track(self, track_id: str, *, duration: float | None, sample_rate: int | None) -> None:
        learned = {"duration": duration, "sample_rate": sample_rate}
        values = {name: value for name, value in learned.items() if value is not None}
        if not values:
            return
        with self._write() as db:
            db.execute(update(tracks).where(tracks.c.id == track_id).values(**values))
