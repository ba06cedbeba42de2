"""Putting right what deaths and time leave behind. Every step may be cut off anywhere and is done again next time."""

from __future__ import annotations

import structlog

from stemwright_server.domain.lifecycle import LeaseExpired
from stemwright_server.usecases.metadata import write_metadata
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.record import apply

_REMINDED = 500  # waiting jobs that a broker is reminded of; the rest has its turn when these are gone
_STRAGGLING = 60.0  # how long after its end an attempt is cleaned up again and again
_TRANSIENT_GRACE = 10.0  # from the end of an upload to the submit that follows in the same request
_UPLOAD_GRACE = 600.0  # an upload that began in time may end this much later
_ABANDONED = 86400.0  # an upload in parts that has not ended by then never will
_log = structlog.get_logger(__name__)


def sweep(parts: Parts) -> None:
    """One round: leases, forgotten rings, files whose time is over, metadata. Of many API processes one does it."""
    with parts.repository.alone() as alone:
        if alone:
            _sweep(parts)


def _sweep(parts: Parts) -> None:
    now = parts.clock()
    for job in parts.repository.running(lease_before=now):
        apply(parts, job.id, LeaseExpired())
    parts.broker.remind(parts.repository.waiting(now, limit=_REMINDED))
    parts.repository.drop_keys(now - parts.limits.key_retention)
    parts.repository.drop_signatures(now)
    # From here on the blob store is needed; a round ends where it fails.
    _clean_attempts(parts, now)
    _clean_uploads(parts, now)
    for track in parts.repository.metadata_due():  # last: it needs room, and the steps before make some
        write_metadata(parts, track.id)


def _clean_attempts(parts: Parts, now: float) -> None:
    for job_id in parts.repository.drop_jobs(now, finished_before=now - parts.limits.output_retention):
        _log.info("job_removed", job_id=job_id)  # its files go below
    for attempt in parts.repository.attempts_to_clean():
        # Until its URLs are void a zombie may upload once more; most do so at once. To look in every round costs money.
        void = attempt.writable_until < now
        if void or now - (attempt.ended_at or 0.0) < _STRAGGLING:
            parts.blobs.delete_prefix(attempt.prefix)
        if void:
            parts.repository.attempt_cleaned(attempt)


def _clean_uploads(parts: Parts, now: float) -> None:
    for track in parts.repository.stale_uploads(now - _UPLOAD_GRACE):
        parts.blobs.delete(track.key)
        parts.repository.drop_track(track.id)
    parts.repository.expire_tracks(now - parts.limits.upload_retention, transient_before=now - _TRANSIENT_GRACE)
    for track in parts.repository.tracks_to_purge():
        if track.key:
            parts.blobs.delete(track.key)
            _log.info("upload_removed", file_id=track.id)
        if not parts.repository.jobs_of(track.id):
            parts.blobs.delete_prefix(f"outputs/{track.id}/")
        parts.repository.track_purged(track.id)
    parts.blobs.end_abandoned(now - _ABANDONED)
