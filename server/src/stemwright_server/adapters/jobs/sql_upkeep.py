"""The half of the SQL repository that ``sweep`` uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import structlog
from sqlalchemy import Connection, delete, exists, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from stemwright_server.adapters.jobs.postgres import CLEAN_LOCK, HERE, SWEEP_LOCK
from stemwright_server.adapters.jobs.rows import row_attempt, row_service, row_track, service_row
from stemwright_server.adapters.jobs.sql_deliveries import awaits_its_body, forget_deliveries
from stemwright_server.adapters.jobs.tables import (
    attempts,
    idempotency,
    jobs,
    services,
    signatures,
    tracks,
)
from stemwright_server.adapters.jobs.upsert import upsert
from stemwright_server.domain.job import Attempt, JobState, Outcome
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import AnnouncedService
from stemwright_server.ports.jobs import Chore
from stemwright_worker.errors import InvalidRequest, Unavailable

_LOCKS = {"sweep": SWEEP_LOCK, "clean": CLEAN_LOCK}
_log = structlog.get_logger(__name__)
_CUT_OFF = 3600.0  # seconds that one looks back for uploads whose submit never came; later they go as unused ones do
_AT_ONCE = 1000  # jobs that go in one round: a statement takes no end of ids
_FINAL = tuple(state for state in JobState if state.final)
_ACTIVE = tuple(state for state in JobState if not state.final)
# Their files are nobody's. What an outcome means that a newer version wrote is not known here, so its files stay.
_FAILED = tuple(outcome for outcome in Outcome if outcome is not Outcome.COMPLETED)


class SqlUpkeep(ABC):
    """Implements ports.jobs.Upkeep, Workers and Services."""

    _postgres = False

    @contextmanager
    def alone(self, what: Chore) -> Iterator[bool]:
        if not self._postgres:
            yield True  # one process owns the file
            return
        with ExitStack() as held:
            try:  # of this alone: what goes wrong with what is done meanwhile is another matter
                db = held.enter_context(self._write())  # the lock ends with the transaction, and that with the process
                mine = bool(db.scalar(select(func.pg_try_advisory_xact_lock(_LOCKS[what], HERE))))
            except DBAPIError as error:
                raise Unavailable("The job store cannot be reached; try again.", code="database_unreachable") from error
            yield mine

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

    def _taken(self, db: Connection) -> tuple[set[str], set[str]]:
        """The tracks and the jobs whose bytes a queued or running job takes in, beside those of its one track."""
        cells = db.scalars(select(jobs.c.inputs).where(jobs.c.state.not_in(_FINAL), jobs.c.inputs.is_not(None)))
        named = [each for cell in cells for each in cell]
        return (
            {each["track_id"] for each in named if "track_id" in each},
            {each["job_id"] for each in named if "job_id" in each},
        )

    def expire_tracks(self, used_before: float, *, transient_before: float = 0.0) -> None:
        its_jobs = exists().where(jobs.c.track_id == tracks.c.id)
        active = its_jobs.where(jobs.c.state.not_in(_FINAL))
        here = tracks.c.state.in_((TrackState.READY, TrackState.REMOTE))
        # A transient one without jobs was cut off before its submit, lately: those whose jobs are dropped go with them.
        between = (tracks.c.used_at >= transient_before - _CUT_OFF) & (tracks.c.used_at < transient_before)
        cut_off = select(tracks.c.id).where(tracks.c.transient, between, here, ~its_jobs)
        unused = select(tracks.c.id).where(tracks.c.used_at < used_before, here, ~active)
        with self._write() as db:
            found = {*db.scalars(cut_off), *db.scalars(unused)}
            if found:
                self._expire(db, found)

    def _expire(self, db: Connection, track_ids: Iterable[str]) -> None:
        """Tracks that may go, unless a job that waits or runs takes them in beside its first."""
        taken, _ = self._taken(db)
        gone = {"state": TrackState.EXPIRED, "sha256": None}
        going = sorted(set(track_ids) - taken)
        for first in range(0, len(going), _AT_ONCE):
            these = tracks.c.id.in_(going[first : first + _AT_ONCE])
            active = exists().where(jobs.c.track_id == tracks.c.id, jobs.c.state.not_in(_FINAL))
            db.execute(update(tracks).where(these, ~active).values(gone))

    def tracks_to_purge(self) -> Sequence[Track]:
        has_jobs = exists().where(jobs.c.track_id == tracks.c.id)
        query = select(tracks).where(tracks.c.state == TrackState.EXPIRED, (tracks.c.key != "") | ~has_jobs)
        with self._read() as db:
            return [row_track(row) for row in db.execute(query)]

    def track_purged(self, track_id: str) -> None:
        with self._write() as db:
            db.execute(update(tracks).where(tracks.c.id == track_id).values(key=""))
            self._drop_track(db, track_id)

    def drop_jobs(self, now: float, *, finished_before: float) -> Sequence[str]:
        over = (jobs.c.expires_at <= now) | (jobs.c.expires_at.is_(None) & (jobs.c.finished_at < finished_before))
        old = (
            select(jobs.c.id, jobs.c.track_id).where(jobs.c.state.in_(_FINAL), over, ~awaits_its_body()).limit(_AT_ONCE)
        )
        with self._write() as db:
            # Chosen once: what changes from here on, a webhook's body for one, must not make it others halfway.
            rows = db.execute(old.with_for_update()).all()
            _, taken = self._taken(db)  # asked for once they are locked: nobody begins to take them in after that
            dropped = [row.id for row in rows if row.id not in taken]
            this = (attempts.c.job_id.in_(dropped), attempts.c.outcome == Outcome.COMPLETED)
            db.execute(update(attempts).where(*this).values(outcome=Outcome.EXPIRED, ended_at=now))
            db.execute(delete(jobs).where(jobs.c.id.in_(dropped)))
            its_jobs = exists().where(jobs.c.track_id == tracks.c.id)
            theirs = tracks.c.id.in_({row.track_id for row in rows if row.id not in taken})
            here = tracks.c.state.in_((TrackState.READY, TrackState.REMOTE))
            self._expire(db, db.scalars(select(tracks.c.id).where(tracks.c.transient, theirs, here, ~its_jobs)))
            forget_deliveries(db, dropped, ended_before=finished_before)
            return dropped

    def attempts_to_clean(self) -> Sequence[Attempt]:
        query = select(attempts).where(attempts.c.outcome.in_(_FAILED))
        with self._read() as db:
            return [row_attempt(row) for row in db.execute(query)]

    def attempt_cleaned(self, attempt: Attempt) -> None:
        this = (attempts.c.job_id == attempt.job_id, attempts.c.number == attempt.number)
        with self._write() as db:
            db.execute(delete(attempts).where(*this))

    def drop_keys(self, created_before: float) -> None:
        with self._write() as db:
            db.execute(delete(idempotency).where(idempotency.c.created_at < created_before))

    def see_signature(self, signature: str, *, key: str, now: float, until: float) -> bool:
        try:
            with self._write() as db:
                # A process whose clock is ahead of the sweep's must not find what is over.
                db.execute(delete(signatures).where(signatures.c.signature == signature, signatures.c.until < now))
                db.execute(insert(signatures).values(signature=signature, key=key, until=until))
            return True
        except IntegrityError:
            with self._read() as db:
                seen = db.scalar(select(signatures.c.key).where(signatures.c.signature == signature))
            return bool(key) and seen == key

    def drop_signatures(self, now: float) -> None:
        with self._write() as db:
            db.execute(delete(signatures).where(signatures.c.until < now))

    def metadata_due(self) -> Sequence[Track]:
        query = select(tracks).where(tracks.c.revision > tracks.c.written_revision)
        with self._read() as db:
            return [row_track(row) for row in db.execute(query)]

    def metadata_written(self, track: Track) -> None:
        this = (tracks.c.id == track.id, tracks.c.written_revision < track.revision)
        with self._write() as db:
            db.execute(update(tracks).where(*this).values(written_revision=track.revision))

    def describe_track(
        self, track_id: str, *, duration: float | None, sample_rate: int | None, filename: str | None = None
    ) -> None:
        learned = {"duration": duration, "sample_rate": sample_rate, "filename": filename}
        values = {name: value for name, value in learned.items() if value is not None}
        if not values:
            return
        with self._write() as db:
            db.execute(update(tracks).where(tracks.c.id == track_id).values(**values))

    # Services

    def keep_service(self, service: AnnouncedService) -> None:
        values = service_row(service)
        with self._write() as db:
            new = upsert(db, services).values(values)
            db.execute(new.on_conflict_do_update(index_elements=[services.c.name], set_=values))

    def services(self) -> Sequence[AnnouncedService]:
        with self._read() as db:
            rows = db.execute(select(services).order_by(services.c.name)).all()
        found = []
        for row in rows:
            try:
                found.append(row_service(row))
            except InvalidRequest as error:  # a newer version's; its processes go on with it
                _log.warning("service_not_read", service=row.name, error=str(error))
        return found
