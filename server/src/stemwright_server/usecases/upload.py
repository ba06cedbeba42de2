"""Taking a file in: announced first, uploaded to a signed URL, then looked at."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from stemwright_server.domain.track import Track, TrackState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.blobs import Part
from stemwright_server.usecases.deps import Deps
from stemwright_worker.errors import Conflict, NotFound, SongExists, TooLarge, Unavailable, UnusableInput
from stemwright_worker.ports.probe import HEAD_BYTES, ProbeResult


@dataclass(frozen=True, kw_only=True)
class Announced:
    """A file that may now be uploaded."""

    track: Track
    upload_url: str


def announce(
    deps: Deps, caller: Principal, *, filename: str, size: int | None, sha256: str | None, request_id: str
) -> Announced:
    """Make room for a file that its caller will send to a URL.

    Raises TooLarge, StorageFull, or SongExists if the declared hash is here already.
    """
    if sha256 is not None and (known := deps.repository.track_by_hash(caller.subject, sha256)) is not None:
        raise SongExists(known.id)
    deps.blobs.check_room()
    track = _pending(deps, caller, filename=filename, size=size, sha256=sha256, request_id=request_id)
    max_bytes = deps.limits.max_bytes if size is None else size
    url = deps.blobs.put_url(track.key, expires_at=track.upload_until, max_bytes=max_bytes)
    return Announced(track=track, upload_url=url)


def _pending(
    deps: Deps,
    caller: Principal,
    *,
    filename: str,
    size: int | None,
    request_id: str,
    sha256: str | None = None,
    transient: bool = False,
) -> Track:
    """A track whose bytes have yet to come. Raises TooLarge."""
    if size is not None and size > deps.limits.max_bytes:
        raise TooLarge(f"{filename!r} has {size} bytes; at most {deps.limits.max_bytes} are taken.")
    now = deps.clock()
    track_id = uuid.uuid4().hex
    track = Track(
        id=track_id,
        owner=caller.subject,
        filename=filename,
        key=_key(track_id),
        created_at=now,
        upload_until=now + deps.limits.upload_seconds,
        request_id=request_id,
        declared_size=size,
        declared_sha256=sha256,
        transient=transient,
        used_at=now,
    )
    deps.repository.add_track(track)
    return track


def take(
    deps: Deps,
    caller: Principal,
    part: Part,
    *,
    filename: str,
    request_id: str,
    media_type: str | None = None,
    max_seconds: float | None = None,
    transient: bool = False,
) -> Track:
    """Keep a file that came whole with a request. If the caller has the same bytes here already, that track answers.

    ``media_type``: by its content, if somebody looked already; ``max_seconds``: cap on its audio, beside the service's
    own; a ``transient`` file goes with the last of its jobs. Raises UnusableInput, TooLarge or StorageFull, and leaves
    nothing.
    """
    size = part.size or None
    track = _pending(deps, caller, filename=filename, size=size, request_id=request_id, transient=transient)
    try:
        digest = part.commit(track.key, replace=False)
        return receive(deps, track.id, sha256=digest, media_type=media_type, max_seconds=max_seconds)
    except SongExists as error:
        known = deps.repository.track(error.context["file_id"])
        if known is None:
            raise Unavailable("The same song was just removed; upload it again.") from error
        return _not_longer(known, max_seconds)
    finally:
        if (left := deps.repository.track(track.id)) is not None and left.state is TrackState.PENDING:
            deps.blobs.delete(track.key)
            deps.repository.drop_track(track.id)


def receive(
    deps: Deps,
    track_id: str,
    *,
    sha256: str | None = None,
    media_type: str | None = None,
    max_seconds: float | None = None,
) -> Track:
    """Look at the uploaded bytes and make the track ready; again for a ready one it changes nothing.

    ``sha256`` and ``media_type``: of the bytes, where they were found while they came in. Raises UnusableInput, TooLarge or
    SongExists, the bytes removed and the announcement still open; Conflict (not_uploaded); NotFound.
    """
    track = deps.repository.track(track_id)
    if track is None or track.state is TrackState.EXPIRED:
        deps.blobs.delete(_key(track_id))  # they came too late
        raise NotFound(f"There is no file {track_id!r} any more; announce it again.", code="file_not_found")
    if track.state is TrackState.READY:
        return track
    try:
        ready = _not_longer(_look(deps, track, sha256, media_type), max_seconds)
        if deps.repository.confirm_track(ready):
            return ready
    except (UnusableInput, TooLarge, SongExists):
        deps.blobs.delete(track.key)
        raise
    return receive(deps, track_id, max_seconds=max_seconds)  # another request was faster: answer as it did


def _not_longer(track: Track, max_seconds: float | None) -> Track:
    if max_seconds is not None and track.duration is not None and track.duration > max_seconds:
        raise TooLarge(
            f"{track.filename!r} is {track.duration:.0f} s long; at most {max_seconds:.0f} s are taken.",
            code="too_long",
        )
    return track


def _key(track_id: str) -> str:
    return f"uploads/{track_id}"


def _look(deps: Deps, track: Track, sha256: str | None, media_type: str | None) -> Track:
    size = deps.blobs.size(track.key)
    if size is None:
        message = f"{track.filename!r} is not uploaded yet: PUT its bytes to the upload_url first."
        raise Conflict(message, code="not_uploaded")
    if size == 0:
        raise UnusableInput(f"{track.filename!r} is empty.", code="empty")
    if size > deps.limits.max_bytes:
        raise TooLarge(f"{track.filename!r} has {size} bytes; at most {deps.limits.max_bytes} are taken.")
    if track.declared_size not in (None, size):
        said = f"{track.declared_size} bytes were announced, {size} came"
        raise UnusableInput(f"{track.filename!r} is not whole: {said}. Upload it again.", code="size_mismatch")
    with deps.blobs.local(track.key) as path:
        if path.stat().st_size != size:
            raise Conflict(f"{track.filename!r} is being uploaded; try again when that has ended.", code="not_uploaded")
        return _read(deps, track, path, sha256, media_type)


def _read(deps: Deps, track: Track, path: Path, sha256: str | None, media_type: str | None) -> Track:
    with path.open("rb") as file:
        if media_type is None and deps.probe is not None:
            media_type = deps.probe.sniff(file.read(HEAD_BYTES))
            if media_type is None:
                raise UnusableInput(f"{track.filename!r} is not audio, judging by its content.", code="not_audio")
        file.seek(0)
        digest = sha256 or hashlib.file_digest(file, "sha256").hexdigest()
    if track.declared_sha256 not in (None, digest):
        raise UnusableInput(
            f"{track.filename!r} does not have the announced sha256. Upload it again.", code="checksum_mismatch"
        )
    if (known := deps.repository.track_by_hash(track.owner, digest)) is not None:
        raise SongExists(known.id)
    found = deps.probe.probe(path, filename=track.filename) if deps.probe is not None else ProbeResult()
    return replace(
        track,
        state=TrackState.READY,
        size=path.stat().st_size,
        sha256=digest,
        media_type=media_type,
        duration=found.duration,
        sample_rate=found.sample_rate,
        used_at=deps.clock(),
    )
