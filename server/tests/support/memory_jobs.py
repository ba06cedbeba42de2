"""The job repository in a dictionary: for tests of use cases, and to show what the SQL one has to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from memory_deliveries import MemoryDeliveries

from stemwright_server.domain.counters import Labels, counters
from stemwright_server.domain.inputs import source_ids, track_ids
from stemwright_server.domain.job import Attempt, Job, JobState, Outcome
from stemwright_server.domain.lifecycle import Claimed, Policy, Transition, advance
from stemwright_server.domain.song import LatestJob, Song
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import AnnouncedService, SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_server.ports.jobs import Chore, IdempotencyKey, JobFilter, Place, Queue, Submission, Waiting
from stemwright_worker.errors import Gone, InvalidRequest, SongExists

_ACTIVE = (JobState.QUEUED, JobState.RUNNING)


def _most_urgent(job: Job) -> tuple[int, int, float, str]:
    return -job.options.priority, job.turn, job.created_at, job.id


class MemoryJobRepository(MemoryDeliveries):
    """Implements ports.jobs.JobRepository. One lock stands for the transaction."""

    def __init__(self) -> None:
        super().__init__()
        self._tracks: dict[str, Track] = {}
        self._written: dict[str, int] = {}
        self._jobs: dict[str, Job] = {}
        self._counters: dict[tuple[str, Labels], float] = {}
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._workers: dict[str, SeenWorker] = {}
        self._drained: set[str] = set()
        self._ailing: dict[str, tuple[WorkerHealth, float]] = {}  # and when it was noted
        self._paused: set[str] = set()
        self._services: dict[str, AnnouncedService] = {}
        self._signatures: dict[str, tuple[str, float]] = {}  # -> key, until
        self._tickets: dict[str, tuple[str, float]] = {}  # -> owner, until
        self._keys: dict[tuple[str, str], tuple[str, str, float]] = {}  # -> fingerprint, job id, created at

    # Tracks

    def add_track(self, track: Track) -> None:
        with self._lock:
            self._tracks[track.id] = track

    def track(self, track_id: str) -> Track | None:
        return self._tracks.get(track_id)

    def track_by_hash(self, owner: str, sha256: str) -> Track | None:
        ready = (track for track in list(self._tracks.values()) if track.state is TrackState.READY)
        return next((track for track in ready if (track.owner, track.sha256) == (owner, sha256)), None)

    def confirm_track(self, track: Track) -> bool:
        with self._lock:
            known = self._tracks.get(track.id)
            if known is None or known.state is not TrackState.PENDING:
                return False
            if (other := self.track_by_hash(track.owner, track.sha256 or "")) is not None:
                raise SongExists(other.id)
            self._tracks[track.id] = replace(track, state=TrackState.READY)
            return True

    def drop_track(self, track_id: str) -> None:
        with self._lock:
            if not self.jobs_of(track_id):
                self._tracks.pop(track_id, None)

    def songs_of(self, owner: str, *, limit: int, before: tuple[float, str] | None = None) -> Sequence[Song]:
        states = (TrackState.READY, TrackState.EXPIRED)
        with self._lock:
            mine = [track for track in self._tracks.values() if track.owner == owner and track.state in states]
            kept = [track for track in mine if not track.transient and not track.source]
            newest = sorted(kept, key=lambda track: (track.created_at, track.id), reverse=True)
            page = [track for track in newest if before is None or (track.created_at, track.id) < before]
            return [Song(track=track, latest=tuple(self.latest_of(track.id))) for track in page[:limit]]

    def latest_of(self, track_id: str) -> Sequence[LatestJob]:
        last = {(job.service, job.model): job for job in self.jobs_of(track_id)}
        return [
            LatestJob(id=job.id, service=job.service, model=job.model, state=job.state)
            for _, job in sorted(last.items(), key=lambda entry: entry[0])
        ]

    # Jobs

    def submit(self, job: Job, *, key: IdempotencyKey | None, track: Track | None = None) -> Submission:
        with self._lock:
            if key is not None and (entry := self._keys.get((key.owner, key.key))) is not None:
                return Submission(job=self._known(key, *entry[:2]), created=False)
            if track is not None:
                self._tracks[track.id] = track
            self._check_inputs(job)
            same = self.equal_work(job.work_key, job.created_at)
            answer = same or replace(job, turn=self._turn(job))
            self._jobs.setdefault(answer.id, answer)
            if key is not None:
                self._keys[key.owner, key.key] = (key.fingerprint, answer.id, job.created_at)
            for track_id in track_ids(job.inputs):
                self._tracks[track_id] = replace(self._tracks[track_id], used_at=job.created_at)
            return Submission(job=answer, created=same is None)

    def equal_work(self, work_key: str, now: float) -> Job | None:
        reusable = (*_ACTIVE, JobState.COMPLETED)
        equal = [job for job in self._jobs.values() if job.work_key == work_key and job.state in reusable]
        stay = [job for job in equal if job.expires_at is None or job.expires_at > now]
        return min(stay, key=lambda job: job.created_at, default=None)

    def _turn(self, job: Job) -> int:
        queued = [each for each in self._jobs.values() if each.state is JobState.QUEUED]
        equal = [each for each in queued if each.options.priority == job.options.priority]
        last = max((each.turn for each in equal if each.owner == job.owner), default=-1)
        return max(last, min((each.turn for each in equal), default=0) - 1) + 1

    def _check_inputs(self, job: Job) -> None:
        for track_id in track_ids(job.inputs):
            track = self._tracks.get(track_id)
            if track is None or track.state not in (TrackState.READY, TrackState.REMOTE):
                raise Gone(f"The uploaded bytes of {track_id} are not here any more; upload them again.")
        for job_id in source_ids(job.inputs):
            source = self._jobs.get(job_id)
            if source is None or source.state is not JobState.COMPLETED:
                raise Gone(f"The outputs of job {job_id} are not here any more; run it again.")

    def _taken(self) -> tuple[set[str], set[str]]:
        """The tracks and the jobs whose bytes a queued or running job takes in."""
        inputs = [each for job in self._jobs.values() if job.state in _ACTIVE for each in job.inputs]
        return set(track_ids(inputs)), set(source_ids(inputs))

    def _known(self, key: IdempotencyKey, fingerprint: str, job_id: str) -> Job:
        if fingerprint != key.fingerprint:
            raise InvalidRequest(
                f"Idempotency-Key {key.key!r} was used for another request.", code="idempotency_key_reused"
            )
        if job_id not in self._jobs:
            raise Gone(f"The job of Idempotency-Key {key.key!r} was removed after its retention time.")
        return self._jobs[job_id]

    def job(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def history(self, owner: str, dialect: str, *, limit: int, before: float | None = None) -> Sequence[Job]:
        mine = [job for job in list(self._jobs.values()) if (job.owner, job.options.dialect) == (owner, dialect)]
        found = [job for job in mine if before is None or job.created_at < before]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)[:limit]

    def search(self, wanted: JobFilter, *, limit: int, before: Place | None = None) -> Sequence[Job]:
        found = sorted(self._jobs.values(), key=lambda job: (job.created_at, job.id), reverse=True)
        return [
            job
            for job in found
            if wanted.owner in (None, job.owner)
            and wanted.service in (None, job.service)
            and wanted.dialect in (None, job.options.dialect)
            and wanted.track_id in (None, job.track_id)
            and (wanted.states is None or job.state in wanted.states)
            and (before is None or (job.created_at, job.id) < before)
        ][:limit]

    def attempts_of(self, job_id: str) -> Sequence[Attempt]:
        return [attempt for (its_job, _), attempt in sorted(self._attempts.items()) if its_job == job_id]

    def ahead(self, job: Job) -> int:
        queued = [each for each in list(self._jobs.values()) if each.state is JobState.QUEUED]
        return sum(_most_urgent(each) < _most_urgent(job) for each in queued)

    def queued_of(self, owner: str) -> int:
        return sum(job.owner == owner and job.state is JobState.QUEUED for job in list(self._jobs.values()))

    def passed_over(self, available_before: float) -> Sequence[int]:
        queued = [job for job in list(self._jobs.values()) if job.state is JobState.QUEUED]
        return sorted({job.options.priority for job in queued if job.available_at < available_before})

    def jobs_of(self, track_id: str) -> Sequence[Job]:
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.track_id == track_id]
        return sorted(jobs, key=lambda job: (job.created_at, job.id))

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
        with self._lock:
            for job in sorted(self._jobs.values(), key=_most_urgent):
                if job.service not in services or job.options.priority < least_priority or job_id not in (None, job.id):
                    continue
                if priority not in (None, job.options.priority):
                    continue
                transition = advance(
                    job, Claimed(worker=worker), now=now, policy=Policy(lease_seconds=lease_until - now)
                )
                if transition.accepted:
                    taken = self._jobs[job.id] = transition.job
                    self._attempts[taken.id, taken.attempt] = Attempt(
                        job_id=taken.id,
                        number=taken.attempt,
                        worker=worker,
                        prefix=taken.prefix(taken.attempt),
                        started_at=now,
                        writable_until=writable_until,
                    )
                    return taken
        return None

    def change(self, job_id: str, step: Callable[[Job], Transition]) -> Transition | None:
        with self._lock:
            before = self._jobs.get(job_id)
            if before is None:
                return None
            transition = step(before)
            after = self._jobs[job_id] = transition.job
            self._announce(before, transition)
            for counter in counters(before, transition):
                sum_ = (counter.name, counter.labels)
                self._counters[sum_] = self._counters.get(sum_, 0.0) + counter.amount
            if transition.outcome is not None:
                number = (job_id, before.attempt)
                ended = after.finished_at if after.state.final else after.available_at
                self._attempts[number] = replace(self._attempts[number], outcome=transition.outcome, ended_at=ended)
            if transition.outcome is Outcome.COMPLETED and (track := self._tracks.get(before.track_id)) is not None:
                self._tracks[track.id] = replace(track, revision=track.revision + 1)
            return transition

    def counters(self) -> Mapping[tuple[str, Labels], float]:
        with self._lock:
            return dict(self._counters)

    def queues(self) -> Sequence[Queue]:
        queued = [job for job in list(self._jobs.values()) if job.state is JobState.QUEUED]
        found = {}
        for service in sorted({job.service for job in queued}):
            since = [job.available_at for job in queued if job.service == service]
            found[service] = Queue(service=service, jobs=len(since), oldest_at=min(since))
        return list(found.values())

    def counts(self) -> Mapping[JobState, int]:
        states = [job.state for job in list(self._jobs.values())]
        return {state: states.count(state) for state in JobState}

    def running(self, *, worker_prefix: str = "", lease_before: float | None = None) -> Sequence[Job]:
        running = [job for job in list(self._jobs.values()) if job.state is JobState.RUNNING]
        return [
            job
            for job in running
            if (job.worker or "").startswith(worker_prefix)
            and (lease_before is None or (job.lease_until or 0.0) <= lease_before)
        ]

    def waiting(self, now: float, *, limit: int) -> Sequence[Waiting]:
        with self._lock:
            jobs = sorted(self._jobs.values(), key=_most_urgent)
        queued = [job for job in jobs if job.state is JobState.QUEUED and job.available_at <= now]
        return [Waiting.of(job) for job in queued[:limit]]

    # Workers

    def see_worker(self, worker: SeenWorker) -> None:
        with self._lock:
            self._workers[worker.worker] = worker

    def forget_workers(self, prefix: str) -> None:
        with self._lock:
            self._workers = {name: each for name, each in self._workers.items() if not name.startswith(prefix)}
            self._drained = {each for each in self._drained if not each.startswith(prefix)}
            self._ailing = {name: each for name, each in self._ailing.items() if not name.startswith(prefix)}

    def drop_workers(self, seen_before: float) -> None:
        with self._lock:
            self._workers = {name: each for name, each in self._workers.items() if each.seen_at >= seen_before}
            self._ailing = {name: each for name, each in self._ailing.items() if each[1] >= seen_before}

    def seen_workers(self) -> Sequence[SeenWorker]:
        with self._lock:
            return [worker for _, worker in sorted(self._workers.items())]

    def keep_health(self, health: WorkerHealth, now: float) -> None:
        with self._lock:
            self._ailing[health.worker] = (health, now)

    def forget_health(self, worker: str) -> None:
        with self._lock:
            self._ailing.pop(worker, None)

    def ailing_workers(self) -> Sequence[WorkerHealth]:
        with self._lock:
            return [health for _, (health, _) in sorted(self._ailing.items())]

    def drain_workers(self, prefix: str, now: float) -> None:
        with self._lock:
            self._drained.add(prefix)

    def resume_workers(self, prefix: str) -> bool:
        with self._lock:
            found = prefix in self._drained
            self._drained.discard(prefix)
            return found

    def drained_workers(self) -> Sequence[str]:
        with self._lock:
            return sorted(self._drained)

    # Services

    def keep_service(self, service: AnnouncedService) -> None:
        with self._lock:
            self._services[service.description.name] = service

    def services(self) -> Sequence[AnnouncedService]:
        with self._lock:
            return [service for _, service in sorted(self._services.items())]

    def pause_service(self, name: str, now: float) -> None:
        with self._lock:
            self._paused.add(name)

    def resume_service(self, name: str) -> bool:
        with self._lock:
            found = name in self._paused
            self._paused.discard(name)
            return found

    def paused_services(self) -> Sequence[str]:
        with self._lock:
            return sorted(self._paused)

    # Upkeep

    def alone(self, what: Chore) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def stale_uploads(self, now: float) -> Sequence[Track]:
        pending = [track for track in list(self._tracks.values()) if track.state is TrackState.PENDING]
        return [track for track in pending if track.upload_until <= now]

    def expire_tracks(self, used_before: float, *, transient_before: float = 0.0) -> None:
        with self._lock:
            taken, _ = self._taken()
            for track in list(self._tracks.values()):
                its_jobs = self.jobs_of(track.id)
                left = track.transient and track.used_at < transient_before and not its_jobs
                idle = track.state in (TrackState.READY, TrackState.REMOTE) and (left or track.used_at < used_before)
                if idle and track.id not in taken:
                    self._tracks[track.id] = replace(track, state=TrackState.EXPIRED, sha256=None)

    def tracks_to_purge(self) -> Sequence[Track]:
        expired = [track for track in list(self._tracks.values()) if track.state is TrackState.EXPIRED]
        return [track for track in expired if track.key or not self.jobs_of(track.id)]

    def track_purged(self, track_id: str) -> None:
        with self._lock:
            if track_id in self._tracks:
                self._tracks[track_id] = replace(self._tracks[track_id], key="")
                self.drop_track(track_id)

    def drop_jobs(self, now: float, *, finished_before: float) -> Sequence[str]:
        dropped = []
        with self._lock:
            _, taken = self._taken()
            for job in list(self._jobs.values()):
                ended = job.finished_at or 0.0
                over = ended < finished_before if job.expires_at is None else job.expires_at <= now
                if job.state.final and over and job.id not in taken and not self._awaits_its_body(job.id):
                    del self._jobs[job.id]
                    track = self._tracks.get(job.track_id)
                    here = track is not None and track.state in (TrackState.READY, TrackState.REMOTE)
                    if track is not None and here and track.transient and not self.jobs_of(track.id):
                        self._tracks[track.id] = replace(track, state=TrackState.EXPIRED, sha256=None)
                    dropped.append(job.id)
                    for number, attempt in self._attempts.items():
                        if attempt.job_id == job.id and attempt.outcome is Outcome.COMPLETED:
                            self._attempts[number] = replace(attempt, outcome=Outcome.EXPIRED, ended_at=now)
            self._forget_deliveries(dropped, self._jobs, ended_before=finished_before)
        return dropped

    def attempts_to_clean(self) -> Sequence[Attempt]:
        kept = (None, Outcome.COMPLETED)
        return [attempt for attempt in list(self._attempts.values()) if attempt.outcome not in kept]

    def attempt_cleaned(self, attempt: Attempt) -> None:
        self._attempts.pop((attempt.job_id, attempt.number), None)

    def drop_keys(self, created_before: float) -> None:
        with self._lock:
            self._keys = {key: entry for key, entry in self._keys.items() if entry[2] >= created_before}

    def see_signature(self, signature: str, *, key: str, now: float, until: float) -> bool:
        with self._lock:
            seen, seen_until = self._signatures.get(signature, ("", 0.0))
            if seen_until < now:
                self._signatures[signature] = (key, until)
                return True
            return bool(key) and seen == key

    def drop_signatures(self, now: float) -> None:
        with self._lock:
            self._signatures = {name: entry for name, entry in self._signatures.items() if entry[1] >= now}

    def add_ticket(self, digest: str, *, owner: str, until: float) -> None:
        with self._lock:
            self._tickets[digest] = (owner, until)

    def tickets_of(self, owner: str, now: float) -> int:
        return sum(1 for whose, until in list(self._tickets.values()) if whose == owner and until > now)

    def take_ticket(self, digest: str, now: float) -> str | None:
        with self._lock:
            owner, until = self._tickets.pop(digest, (None, now))
        return owner if until > now else None

    def drop_tickets(self, now: float) -> None:
        with self._lock:
            self._tickets = {digest: each for digest, each in self._tickets.items() if each[1] > now}

    def metadata_due(self) -> Sequence[Track]:
        tracks = list(self._tracks.values())
        return [track for track in tracks if track.revision > self._written.get(track.id, 0)]

    def metadata_written(self, track: Track) -> None:
        with self._lock:
            self._written[track.id] = max(self._written.get(track.id, 0), track.revision)

    def describe_track(
        self, track_id: str, *, duration: float | None, sample_rate: int | None, filename: str | None = None
    ) -> None:
        with self._lock:
            if (track := self._tracks.get(track_id)) is not None:
                self._tracks[track_id] = replace(
                    track,
                    duration=track.duration if duration is None else duration,
                    sample_rate=track.sample_rate if sample_rate is None else sample_rate,
                    filename=track.filename if filename is None else filename,
                )
