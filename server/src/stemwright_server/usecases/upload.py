"""Taking a file in: announced first, uploaded to a signed URL, then looked at."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from stemwright_server.domain.errors import Conflict, NotFound, SongExists, TooLarge, Unavailable, UnusableInput
from stemwright_server.domain.sniff import HEAD_BYTES, sniff
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.blobs import Part
from stemwright_server.ports.probe import ProbeResult
from stemwright_server.usecases.parts import Parts


@dataclass(frozen=True, kw_only=True)
class Announced:
    """A file that may now be uploaded."""

    track: Track
    upload_url: str


def announce(
    parts: Parts,
    caller: Principal,
    *,
    filename: str,
    size: int | None,
    sha256: str | None,
    request_id: str,
    transient: bool = False,
) -> Announced:
    """Make room for a file; a ``transient`` one goes with the last of its jobs.

    Raises TooLarge, StorageFull, or SongExists if the declared hash is here already.
    """
    if size is not None and size > parts.limits.max_bytes:
        raise TooLarge(f"{filename!r} has {size} bytes; at most {parts.limits.max_bytes} are taken.")
    if sha256 is not None and (known := parts.repository.track_by_hash(caller.subject, sha256)) is not None:
        raise SongExists(known.id)
    parts.blobs.check_room()
    now = parts.clock()
    track_id = uuid.uuid4().hex
    track = Track(
        id=track_id,
        owner=caller.subject,
        filename=filename,
        key=_key(track_id),
        created_at=now,
        upload_until=now + parts.limits.upload_seconds,
        request_id=request_id,
        declared_size=size,
        declared_sha256=sha256,
        transient=transient,
        used_at=now,
    )
    parts.repository.add_track(track)
    max_bytes = parts.limits.max_bytes if size is None else size
    url = parts.blobs.put_url(track.key, expires_at=track.upload_until, max_bytes=max_bytes)
    return Announced(track=track, upload_url=url)


def take(
    parts: Parts,
    caller: Principal,
    part: Part,
    *,
    filename: str,
    request_id: str,
    max_seconds: float | None = None,
    transient: bool = False,
) -> Track:
    """Keep a file that came whole with a request. If the caller has the same bytes here already, that track answers.

    ``max_seconds``: cap on its audio, beside the service's own. Raises UnusableInput, TooLarge or StorageFull, and
    leaves nothing.
    """
    announced = announce(
        parts,
        caller,
        filename=filename,
        size=part.size or None,
        sha256=None,
        request_id=request_id,
        transient=transient,
    )
    track = announced.track
    try:
        digest = part.commit(track.key, replace=False)
        return receive(parts, track.id, sha256=digest, max_seconds=max_seconds)
    except SongExists as error:
        known = parts.repository.track(error.context["file_id"])
        if known is None:
            raise Unavailable("The same song was just removed; upload it again.") from error
        return _not_longer(known, max_seconds)
    finally:
        if (left := parts.repository.track(track.id)) is not None and left.state is TrackState.PENDING:
            parts.blobs.delete(track.key)
            parts.repository.drop_track(track.id)


def receive(parts: Parts, track_id: str, *, sha256: str | None = None, max_seconds: float | None = None) -> Track:
    """Look at the uploaded bytes and make the track ready; again for a ready one it changes nothing.

    ``sha256``: of the bytes, where the store computed it while they came in. Raises UnusableInput, TooLarge or
    SongExists, the bytes removed and the announcement still open; Conflict (not_uploaded); NotFound.
    """
    track = parts.repository.track(track_id)
    if track is None or track.state is TrackState.EXPIRED:
        parts.blobs.delete(_key(track_id))  # they came too late
        raise NotFound(f"There is no file {track_id!r} any more; announce it again.", code="file_not_found")
    if track.state is TrackState.READY:
        return track
    try:
        ready = _not_longer(_look(parts, track, sha256), max_seconds)
        if parts.repository.confirm_track(ready):
            return ready
    except (UnusableInput, TooLarge, SongExists):
        parts.blobs.delete(track.key)
        raise
    return receive(parts, track_id, max_seconds=max_seconds)  # another request was faster: answer as it did


def _not_longer(track: Track, max_seconds: float | None) -> Track:
    if max_seconds is not None and track.duration is not None and track.duration > max_seconds:
        raise TooLarge(
            f"{track.filename!r} is {track.duration:.0f} s long; at most {max_seconds:.0f} s are taken.",
            code="too_long",
        )
    return track


def _key(track_id: str) -> str:
    return f"uploads/{track_id}"


def _look(parts: Parts, track: Track, sha256: str | None) -> Track:
    size = parts.blobs.size(track.key)
    if size is None:
        message = f"{track.filename!r} is not uploaded yet: PUT its bytes to the upload_url first."
        raise Conflict(message, code="not_uploaded")
    if size == 0:
        raise UnusableInput(f"{track.filename!r} is empty.", code="empty")
    if size > parts.limits.max_bytes:
        raise TooLarge(f"{track.filename!r} has {size} bytes; at most {parts.limits.max_bytes} are taken.")
    if track.declared_size not in (None, size):
        said = f"{track.declared_size} bytes were announced, {size} came"
        raise UnusableInput(f"{track.filename!r} is not whole: {said}. Upload it again.", code="size_mismatch")
    with parts.blobs.local(track.key) as path:
        if path.stat().st_size != size:
            raise Conflict(f"{track.filename!r} is being uploaded; try again when that has ended.", code="not_uploaded")
        return _read(parts, track, path, sha256)


def _read(parts: Parts, track: Track, path: Path, sha256: str | None) -> Track:
    with path.open("rb") as file:
        media_type = sniff(file.read(HEAD_BYTES))
        if media_type is None:
            raise UnusableInput(f"{track.filename!r} is not audio, judging by its content.", code="not_audio")
        file.seek(0)
        digest = sha256 or hashlib.file_digest(file, "sha256").hexdigest()
    if track.declared_sha256 not in (None, digest):
        raise UnusableInput(
            f"{track.filename!r} does not have the announced sha256. Upload it again.", code="checksum_mismatch"
        )
    if (known := parts.repository.track_by_hash(track.owner, digest)) is not None:
        raise SongExists(known.id)
    found = parts.probe.probe(path, filename=track.filename) if parts.probe is not None else ProbeResult()
    return replace(
        track,
        state=TrackState.READY,
        size=path.stat().st_size,
        sha256=digest,
        media_type=media_type,
        duration=found.duration,
        sample_rate=found.sample_rate,
        used_at=parts.clock(),
    )
