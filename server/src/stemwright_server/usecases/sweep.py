"""Putting right what deaths and time leave behind. Every step may be cut off anywhere and is done again next time."""

from __future__ import annotations

from stemwright_server.domain.lifecycle import LeaseExpired
from stemwright_server.usecases.metadata import write_metadata
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.record import apply

_REMINDED = 500  # waiting jobs that a broker is reminded of; the rest has its turn when these are gone
_STRAGGLING = 60.0  # how long after its end an attempt is cleaned up again and again
_UPLOAD_GRACE = 600.0  # an upload that began in time may end this much later
_ABANDONED = 86400.0  # an upload in parts that has not ended by then never will


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
    parts.repository.drop_jobs(now, finished_before=now - parts.limits.output_retention)
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
    parts.repository.expire_tracks(now - parts.limits.upload_retention)
    for track in parts.repository.tracks_to_purge():
        if track.key:
            parts.blobs.delete(track.key)
        if not parts.repository.jobs_of(track.id):
            parts.blobs.delete_prefix(f"outputs/{track.id}/")
        parts.repository.track_purged(track.id)
    parts.blobs.end_abandoned(now - _ABANDONED)
