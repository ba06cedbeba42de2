"""All stems of a job as one zip."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.zip_layout import Member, Piece, cut, layout
from stemwright_worker.errors import Conflict, InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A zip that is not made before it is read."""

    pieces: Sequence[Piece]
    size: int  # bytes
    tag: str  # equal for equal bytes
    whole: bool  # whether no stem was left out


def archive(deps: Deps, job: Job, stems: Collection[str] = ()) -> Archive:
    """The zip of these stems, or of all.

    Raises:
        Conflict: the job is not completed.
        InvalidRequest: there is no such stem.
    """
    if job.state is not JobState.COMPLETED:
        raise Conflict(f"The job is {job.state}: there is nothing to download.", code="not_completed")
    if unknown := set(stems) - {each.name for each in job.stems}:
        known = ", ".join(each.name for each in job.stems)
        raise InvalidRequest(f"The job has no stem {min(unknown)!r}; it has: {known}.", code="unknown_stem")
    chosen = [each for each in job.stems if each.key and (not stems or each.name in stems)]
    pieces = layout([_member(deps, each) for each in chosen])
    named = [(each.key.rpartition("/")[2], each.sha256) for each in chosen]
    return Archive(
        pieces=pieces,
        size=sum(piece.size for piece in pieces),
        tag=hashlib.sha256(repr(named).encode()).hexdigest()[:32],
        whole=len(chosen) == len(job.stems),
    )


def read(deps: Deps, found: Archive, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from ``start`` to before ``stop``.

    Raises:
        NotFound: a stem was removed meanwhile.
    """
    for piece in cut(found.pieces, start, stop):
        if piece.key:
            yield from deps.blobs.read(piece.key, offset=piece.offset, count=piece.size)
        else:
            yield piece.data


def _member(deps: Deps, stem: Artifact) -> Member:
    found = stem.crc32
    if found is None:  # of a worker that does not say it
        found = 0
        for chunk in deps.blobs.read(stem.key):
            found = crc32(chunk, found)
    return Member(name=stem.key.rpartition("/")[2], key=stem.key, size=stem.size, crc32=found)
