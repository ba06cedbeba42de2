"""The job repository in SQL: SQLite or PostgreSQL. What either has for itself is in ``sqlite`` and ``postgres``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, extract, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from stemwright_server.adapters.jobs.postgres import HERE
from stemwright_server.adapters.jobs.retrying import retrying
from stemwright_server.adapters.jobs.rows import job_row, row_job, row_track, track_row
from stemwright_server.adapters.jobs.schema import bring_forward
from stemwright_server.adapters.jobs.sql_administration import SqlAdministration
from stemwright_server.adapters.jobs.sql_counters import SqlCounters
from stemwright_server.adapters.jobs.sql_deliveries import SqlDeliveries
from stemwright_server.adapters.jobs.sql_songs import SqlSongs
from stemwright_server.adapters.jobs.sql_tickets import SqlTickets
from stemwright_server.adapters.jobs.sql_upkeep import SqlUpkeep
from stemwright_server.adapters.jobs.sql_workers import SqlWorkers
from stemwright_server.adapters.jobs.sqlite import READ_ONLY
from stemwright_server.adapters.jobs.tables import attempts, idempotency, installation, jobs, tracks
from stemwright_server.adapters.jobs.upsert import upsert
from stemwright_server.domain.inputs import source_ids, track_ids
from stemwright_server.domain.job import Job, JobState, Outcome
from stemwright_server.domain.lifecycle import Transition
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.ports.jobs import IdempotencyKey, Queue, Submission, Waiting
from stemwright_worker.errors import Gone, InvalidRequest, SongExists, Unavailable

_NEWEST = (jobs.c.created_at.desc(), jobs.c.id.desc())
_TURNS = (jobs.c.priority.desc(), jobs.c.turn, jobs.c.created_at, jobs.c.id)
_REUSABLE = (JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED)


@retrying
class SqlJobRepository(SqlUpkeep, SqlWorkers, SqlCounters, SqlDeliveries, SqlAdministration, SqlSongs, SqlTickets):
    """Implements ports.jobs.JobRepository."""

    def __init__(self, engine: Engine) -> None:
        """Makes the tables, or brings them forward. Raises Unavailable for a store of a newer version."""
        self._engine = engine
        self._postgres = engine.dialect.name == "postgresql"
        bring_forward(engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**{READ_ONLY: True}) as db:
            yield db

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.begin() as db:
            yield db

    def time(self) -> float:
        """The database's own time, unix seconds. PostgreSQL only."""
        with self._read() as db:
            return float(db.scalar(select(extract("epoch", func.clock_timestamp()))) or 0.0)

    def installation(self) -> str:
        """What tells this store from that of another installation; made once, at random."""
        with self._write() as db:
            new = upsert(db, installation).values(only=1, id=uuid.uuid4().hex)
            db.execute(new.on_conflict_do_nothing(index_elements=[installation.c.only]))
            return str(db.scalar(select(installation.c.id)))

    # Tracks

    def add_track(self, track: Track) -> None:
        with self._write() as db:
            db.execute(insert(tracks).values(track_row(track)))

    def track(self, track_id: str) -> Track | None:
        with self._read() as db:
            row = db.execute(select(tracks).where(tracks.c.id == track_id)).one_or_none()
        return row_track(row) if row else None

    def track_by_hash(self, owner: str, sha256: str) -> Track | None:
        with self._read() as db:
            query = select(tracks).where(tracks.c.owner == owner, tracks.c.sha256 == sha256)
            row = db.execute(query).one_or_none()
        return row_track(row) if row else None

    def confirm_track(self, track: Track) -> bool:
        values = track_row(replace(track, state=TrackState.READY))
        pending = (tracks.c.id == track.id, tracks.c.state == TrackState.PENDING)
        try:
            with self._write() as db:
                return db.execute(update(tracks).where(*pending).values(values)).rowcount == 1
        except IntegrityError as error:
            other = self.track_by_hash(track.owner, track.sha256 or "")
            if other is None:  # removed between the two statements
                raise Unavailable("The same song was just removed; upload it again.") from error
            raise SongExists(other.id) from error

    def drop_track(self, track_id: str) -> None:
        with self._write() as db:
            self._drop_track(db, track_id)

    # Jobs

    def submit(self, job: Job, *, key: IdempotencyKey | None, track: Track | None = None) -> Submission:
        try:
            return self._submit(job, key, track)
        except IntegrityError:  # at this very moment another process stored the same key: its job is there now
            return self._submit(job, key, track)

    def _submit(self, job: Job, key: IdempotencyKey | None, track: Track | None) -> Submission:
        with self._write() as db:
            if track is None:
                self._lock_inputs(db, job)
            if (known := self._known(db, key)) is not None:
                return Submission(job=known, created=False)
            if track is not None:
                db.execute(insert(tracks).values(track_row(track)))
                self._lock_inputs(db, job)
            self._check_inputs(db, job)
            row = self._equal(db, job.work_key, job.created_at)
            answer = row_job(row) if row else job
            if row is None:
                answer = replace(job, turn=self._turn(db, job))
                db.execute(insert(jobs).values(job_row(answer)))
            if key is not None:
                entry = {"owner": key.owner, "key": key.key, "fingerprint": key.fingerprint}
                db.execute(insert(idempotency).values(entry | {"job_id": answer.id, "created_at": job.created_at}))
            db.execute(update(tracks).where(tracks.c.id.in_(track_ids(job.inputs))).values(used_at=job.created_at))
        return Submission(job=answer, created=row is None)

    def _equal(self, db: Connection, work_key: str, now: float) -> Row[Any] | None:
        stays = or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > now)
        same = select(jobs).where(jobs.c.work_key == work_key, jobs.c.state.in_(_REUSABLE), stays)
        return db.execute(same.order_by(jobs.c.created_at).limit(1)).one_or_none()

    def equal_work(self, work_key: str, now: float) -> Job | None:
        with self._read() as db:
            row = self._equal(db, work_key, now)
        return row_job(row) if row else None

    def _turn(self, db: Connection, job: Job) -> int:
        """After the owner's last waiting job of this priority, and never before those whose turn it is now.

        Start-time fair queueing (Goyal, Vin, Cheng 1996), with one job for a packet.
        """
        queued = (jobs.c.state == JobState.QUEUED, jobs.c.priority == job.options.priority)
        last = db.scalar(select(func.max(jobs.c.turn)).where(jobs.c.owner == job.owner, *queued))
        now = db.scalar(select(jobs.c.turn).where(*queued).order_by(jobs.c.turn).limit(1))
        return max(-1 if last is None else last, -1 if now is None else now - 1) + 1

    def _lock_inputs(self, db: Connection, job: Job) -> None:
        """Let no two submits for the same inputs pass each other, and nobody remove one meanwhile.

        A job that brings its track has nothing to lock before: if two come with the same key at once, the key itself
        stops the second, and undoes it whole.
        """
        db.execute(
            select(tracks.c.id).where(tracks.c.id.in_(track_ids(job.inputs))).order_by(tracks.c.id).with_for_update()
        )
        db.execute(select(jobs.c.id).where(jobs.c.id.in_(source_ids(job.inputs))).order_by(jobs.c.id).with_for_update())
        if not job.inputs and self._postgres:
            db.execute(select(func.pg_advisory_xact_lock(func.hashtext(job.work_key), HERE)))

    def _check_inputs(self, db: Connection, job: Job) -> None:
        """Raises Gone if one is not here any more."""
        usable = tracks.c.state.in_((TrackState.READY, TrackState.REMOTE))
        here = set(db.scalars(select(tracks.c.id).where(tracks.c.id.in_(track_ids(job.inputs)), usable)))
        if missing := [track_id for track_id in track_ids(job.inputs) if track_id not in here]:
            raise Gone(f"The uploaded bytes of {missing[0]} are not here any more; upload them again.")
        completed = jobs.c.state == JobState.COMPLETED
        here = set(db.scalars(select(jobs.c.id).where(jobs.c.id.in_(source_ids(job.inputs)), completed)))
        if missing := [job_id for job_id in source_ids(job.inputs) if job_id not in here]:
            raise Gone(f"The outputs of job {missing[0]} are not here any more; run it again.")

    def _known(self, db: Connection, key: IdempotencyKey | None) -> Job | None:
        if key is None:
            return None
        query = select(idempotency).where(idempotency.c.owner == key.owner, idempotency.c.key == key.key)
        entry = db.execute(query).one_or_none()
        if entry is None:
            return None
        if entry.fingerprint != key.fingerprint:
            raise InvalidRequest(
                f"Idempotency-Key {key.key!r} was used for another request.", code="idempotency_key_reused"
            )
        row = db.execute(select(jobs).where(jobs.c.id == entry.job_id)).one_or_none()
        if row is None:
            raise Gone(f"The job of Idempotency-Key {key.key!r} was removed after its retention time.")
        return row_job(row)

    def job(self, job_id: str) -> Job | None:
        with self._read() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        return row_job(row) if row else None

    def history(self, owner: str, dialect: str, *, limit: int, before: float | None = None) -> Sequence[Job]:
        query = select(jobs).where(jobs.c.owner == owner, jobs.c.dialect == dialect)
        if before is not None:
            query = query.where(jobs.c.created_at < before)
        with self._read() as db:
            return [row_job(row) for row in db.execute(query.order_by(*_NEWEST).limit(limit))]

    def ahead(self, job: Job) -> int:
        order = tuple_(-jobs.c.priority, jobs.c.turn, jobs.c.created_at, jobs.c.id)
        mine = (-job.options.priority, job.turn, job.created_at, job.id)
        before = order < tuple_(*map(literal, mine))
        query = select(func.count()).select_from(jobs).where(jobs.c.state == JobState.QUEUED, before)
        with self._read() as db:
            return db.scalar(query) or 0

    def queued_of(self, owner: str) -> int:
        query = select(func.count()).select_from(jobs).where(jobs.c.owner == owner, jobs.c.state == JobState.QUEUED)
        with self._read() as db:
            return db.scalar(query) or 0

    def passed_over(self, available_before: float) -> Sequence[int]:
        query = select(jobs.c.priority).where(jobs.c.state == JobState.QUEUED, jobs.c.available_at < available_before)
        with self._read() as db:
            return sorted(db.scalars(query.distinct()))

    def jobs_of(self, track_id: str) -> Sequence[Job]:
        query = select(jobs).where(jobs.c.track_id == track_id).order_by(jobs.c.created_at, jobs.c.id)
        with self._read() as db:
            return [row_job(row) for row in db.execute(query)]

    def claim(
        self,
        *,
        worker: str,
        services: Sequence[str],
        now: float,
        lease_until: float,
        writable_until: float,
        least_priority: int = 0,
        priority: int | None = None,
        job_id: str | None = None,
    ) -> Job | None:
        named = () if job_id is None else (jobs.c.id == job_id,)
        if priority is not None:
            named = (*named, jobs.c.priority == priority)
        known = (jobs.c.service.in_(services), jobs.c.priority >= least_priority, *named)
        queued = (jobs.c.state == JobState.QUEUED, jobs.c.available_at <= now, *known)
        # In two steps, each of which an index answers: sorting all that waits takes too long where much does.
        most = select(jobs.c.priority).where(*queued).order_by(jobs.c.priority.desc()).limit(1).scalar_subquery()
        turns = (jobs.c.turn, jobs.c.created_at, jobs.c.id)
        first = select(jobs.c.id).where(*queued, jobs.c.priority == most).order_by(*turns).limit(1)
        # lifecycle.Claimed, written as one statement so that no two workers can get the same job. The contract
        # suite checks that it does what ``advance`` does.
        take = (
            update(jobs)
            .where(jobs.c.id == first.with_for_update(skip_locked=True).scalar_subquery(), *queued)
            .values(
                state=JobState.RUNNING,
                attempt=jobs.c.attempt + 1,
                worker=worker,
                lease_until=lease_until,
                started_at=func.coalesce(jobs.c.started_at, literal(now)),
                revision=jobs.c.revision + 1,
            )
            .returning(jobs)
        )
        with self._write() as db:
            row = db.execute(take).one_or_none()
            if row is None:
                return None
            job = row_job(row)
            attempt = {"job_id": job.id, "number": job.attempt, "worker": worker, "prefix": job.prefix(job.attempt)}
            db.execute(insert(attempts).values(attempt | {"started_at": now, "writable_until": writable_until}))
        return job

    def change(self, job_id: str, step: Callable[[Job], Transition]) -> Transition | None:
        with self._write() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one_or_none()
            if row is None:
                return None
            before = row_job(row)
            if row.state != before.state:  # a newer version's: only that knows what may follow on it
                return Transition(job=before, accepted=False)
            transition = step(before)
            if transition.job is before:
                return transition
            # What did not change is not written: a newer version may have put more there than was read.
            was, now = job_row(before), job_row(transition.job)
            changed = {name: value for name, value in now.items() if value != was[name]}
            db.execute(update(jobs).where(jobs.c.id == job_id).values(changed))
            self._count(db, before, transition)
            self._announce(db, before, transition)
            if transition.outcome is not None:
                self._end_attempt(db, before, transition)
        return transition

    def _end_attempt(self, db: Connection, before: Job, transition: Transition) -> None:
        after = transition.job
        ended = after.finished_at if after.state.final else after.available_at
        this = (attempts.c.job_id == before.id, attempts.c.number == before.attempt)
        db.execute(update(attempts).where(*this).values(outcome=transition.outcome, ended_at=ended))
        if transition.outcome is Outcome.COMPLETED:
            due = update(tracks).where(tracks.c.id == before.track_id).values(revision=tracks.c.revision + 1)
            db.execute(due)

    def queues(self) -> Sequence[Queue]:
        columns = (
            jobs.c.service.label("service"),
            func.count().label("jobs"),
            func.min(jobs.c.available_at).label("oldest_at"),
        )
        query = (
            select(*columns).where(jobs.c.state == JobState.QUEUED).group_by(jobs.c.service).order_by(jobs.c.service)
        )
        with self._read() as db:
            return [Queue(service=row.service, jobs=row.jobs, oldest_at=row.oldest_at) for row in db.execute(query)]

    def counts(self) -> Mapping[JobState, int]:
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self._read() as db:
            found = {row[0]: row[1] for row in db.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def running(self, *, worker_prefix: str = "", lease_before: float | None = None) -> Sequence[Job]:
        query = select(jobs).where(jobs.c.state == JobState.RUNNING)
        query = query.where(jobs.c.worker.startswith(worker_prefix, autoescape=True))
        if lease_before is not None:
            query = query.where(jobs.c.lease_until <= lease_before)
        with self._read() as db:
            return [row_job(row) for row in db.execute(query)]

    def waiting(self, now: float, *, limit: int) -> Sequence[Waiting]:
        columns = (jobs.c.id, jobs.c.service.label("service"), jobs.c.priority)
        queued = select(*columns).where(jobs.c.state == JobState.QUEUED, jobs.c.available_at <= now)
        query = queued.order_by(*_TURNS).limit(limit)
        with self._read() as db:
            return [Waiting(job_id=row.id, service=row.service, priority=row.priority) for row in db.execute(query)]
