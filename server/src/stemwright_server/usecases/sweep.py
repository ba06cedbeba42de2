"""Putting right what deaths and time leave behind. Every step may be cut off anywhere and is done again next time."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from stemwright_server.domain.lifecycle import LeaseExpired
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.metadata import write_metadata
from stemwright_server.usecases.record import apply
from stemwright_worker.errors import ServiceError

_REMINDED = 500  # waiting jobs that a broker is reminded of; the rest has its turn when these are gone
_STRAGGLING = 60.0  # how long after its end an attempt is cleaned up again and again
_TRANSIENT_GRACE = 10.0  # from the end of an upload to the submit that follows in the same request
_UPLOAD_GRACE = 600.0  # an upload that began in time may end this much later
_UNHEARD = 86400.0  # a worker that has been silent for so long does not come back: ids are never used again
_ABANDONED = 86400.0  # an upload in parts that has not ended by then never will
_log = structlog.get_logger(__name__)


def sweep(deps: Deps) -> None:
    """One round: leases that ended, messages that were lost, rows whose time is over.

    Of many API processes one does it. A step that fails does not keep the others from being done.

    Raises:
        Unavailable: the job store cannot be reached.
    """
    with deps.repository.alone("sweep") as alone:
        if alone:
            _each(deps, _end_leases, _remind, _forget)


def clean(deps: Deps) -> None:
    """One round: files whose time is over, metadata. Apart from ``sweep``, which must not wait for a store of blobs.

    Raises:
        Unavailable: the job store cannot be reached.
    """
    with deps.repository.alone("clean") as alone:
        if alone:
            # Metadata last: it needs room, and the steps before make some.
            _each(deps, _clean_attempts, _clean_uploads, _write_metadata)


def _each(deps: Deps, *steps: Callable[[Deps, float], None]) -> None:
    now = deps.clock()
    for step in steps:
        name = step.__name__.strip("_")
        try:
            step(deps, now)
        except ServiceError as error:
            _log.warning("sweep_failed", step=name, code=error.code, error=str(error))
        except Exception:  # whatever it was, the other steps and the next round may succeed
            _log.exception("sweep_failed", step=name)


def _end_leases(deps: Deps, now: float) -> None:
    for job in deps.repository.running(lease_before=now):
        apply(deps, job.id, LeaseExpired())


def _remind(deps: Deps, now: float) -> None:
    deps.broker.remind(deps.repository.waiting(now, limit=_REMINDED))


def _forget(deps: Deps, now: float) -> None:
    deps.repository.drop_keys(now - deps.limits.key_retention)
    deps.repository.drop_signatures(now)
    deps.repository.drop_tickets(now)
    deps.repository.drop_workers(now - _UNHEARD)


def _write_metadata(deps: Deps, _now: float) -> None:
    for track in deps.repository.metadata_due():
        write_metadata(deps, track.id)


def _clean_attempts(deps: Deps, now: float) -> None:
    for job_id in deps.repository.drop_jobs(now, finished_before=now - deps.limits.output_retention):
        _log.info("job_removed", job_id=job_id)  # its files go below
    for attempt in deps.repository.attempts_to_clean():
        # Until its URLs are void a zombie may upload once more; most do so at once. To look in every round costs money.
        void = attempt.writable_until < now
        if void or now - (attempt.ended_at or 0.0) < _STRAGGLING:
            deps.blobs.delete_prefix(attempt.prefix)
        if void:
            deps.repository.attempt_cleaned(attempt)


def _clean_uploads(deps: Deps, now: float) -> None:
    for track in deps.repository.stale_uploads(now - _UPLOAD_GRACE):
        deps.blobs.delete(track.key)
        deps.repository.drop_track(track.id)
    deps.repository.expire_tracks(now - deps.limits.upload_retention, transient_before=now - _TRANSIENT_GRACE)
    for track in deps.repository.tracks_to_purge():
        if track.key:
            deps.blobs.delete(track.key)
            _log.info("upload_removed", file_id=track.id)
        if not deps.repository.jobs_of(track.id):
            deps.blobs.delete_prefix(f"outputs/{track.id}/")
        deps.repository.track_purged(track.id)
    deps.blobs.end_abandoned(now - _ABANDONED)
