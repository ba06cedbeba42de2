"""A track: an uploaded file, identified to its owner by the sha256 of its bytes; or a link to one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TrackState(StrEnum):
    """Where the bytes are."""

    PENDING = "pending"  # announced; the upload has not ended, or was refused and may be tried again
    READY = "ready"  # complete, looked at, and usable
    REMOTE = "remote"  # at a stranger's address: the worker fetches them for each attempt, nothing is kept here
    EXPIRED = "expired"  # removed after the retention time; what was made of them may still be there


@dataclass(frozen=True, kw_only=True)
class Track:
    """An uploaded file, or a link to one. Times are unix seconds."""

    id: str  # the file_id of the API
    owner: str  # subject of the caller; another caller never sees the track
    filename: str  # as the caller named it: shown, never used as a path
    key: str  # where the bytes are in the blob store; "" once they are removed
    created_at: float
    upload_until: float  # a pending track is removed after this
    request_id: str
    source: str = ""  # of a remote track: who fetches it, "http" or the name of another source
    source_url: str = ""  # of a remote track; may hold a signature: never logged whole
    state: TrackState = TrackState.PENDING
    declared_size: int | None = None  # what the caller said before the upload; checked at its end
    declared_sha256: str | None = None
    size: int | None = None  # bytes
    sha256: str | None = None  # hex; unique per owner among the tracks whose bytes are here
    media_type: str | None = None  # by content, not as declared
    duration: float | None = None  # seconds, once something decoded it
    sample_rate: int | None = None  # Hz, likewise
    transient: bool = False  # goes with the last of its jobs, not after the retention time
    used_at: float = 0.0  # last upload or submit; retention counts from here
    revision: int = 0  # grows whenever metadata.json has to be written again
