"""The blob store: bytes under keys, reached by signed URLs. Keys are slash-separated plain names, made by us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from stemwright_worker.contract.tasks import MultipartPlan


class Part(Protocol):
    """A file on its way in through this process; it becomes a blob by ``commit``, or leaves nothing."""

    @property
    def size(self) -> int:
        """Bytes so far."""
        ...

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            TooLarge: it would be more than the cap.
            StorageFull: there is no room.
        """
        ...

    def commit(self, key: str, *, replace: bool) -> str:
        """Make it the blob of ``key``; return its hex sha256.

        Raises:
            StorageFull: there is no room.
            Conflict: there is one with other bytes already and ``replace`` is false.
        """
        ...


class BlobStore(Protocol):
    """Bytes under keys. A key is either absent or complete: no reader ever sees half a blob.

    Every method raises Unavailable if the store cannot be reached or refuses us.
    """

    def put_url(self, key: str, *, expires_at: float, max_bytes: int, inside: bool = False) -> str:
        """A URL that takes a PUT until ``expires_at`` (unix seconds). It may be relative to the API's own address.

        ``max_bytes`` is kept to where the store can; so whoever believes what came looks at its size first.
        ``inside``: for a worker, which may reach the store at another address than callers do.
        """
        ...

    def get_url(self, key: str, *, expires_at: float, content_type: str, filename: str, inside: bool = False) -> str:
        """A URL that answers GET until ``expires_at``, as an attachment of that name and type; maybe relative."""
        ...

    def origin(self) -> str | None:
        """Scheme, host and port of the URLs that callers get; None: they are the API's own."""
        ...

    @property
    def multipart_over(self) -> int | None:
        """Bytes over which a blob has to be uploaded in parts; None: any size goes in one PUT."""
        ...

    def begin_multipart(self, key: str, *, size: int, expires_at: float) -> MultipartPlan:
        """URLs for a worker to upload ``size`` bytes in parts, until ``expires_at``.

        Nothing is seen of them under the key before ``finish_multipart``; ``delete_prefix`` removes them.

        Raises:
            TooLarge: the store takes no blob of that size.
        """
        ...

    def finish_multipart(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make one blob of the parts.

        Raises:
            NotFound: there is no such upload, or no more.
        """
        ...

    def size(self, key: str) -> int | None:
        """Bytes, or None if there is no such blob."""
        ...

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A blob as a file to read, as long as the context lasts; not to be changed.

        Raises:
            NotFound: there is no such blob.
            StorageFull: there is no room.
        """
        ...

    def write(self, key: str, data: bytes) -> None:
        """Store a small blob, replacing one that is there.

        Raises:
            StorageFull: there is no room.
        """
        ...

    def receive(self, max_bytes: int) -> AbstractContextManager[Part]:
        """A part to write to, for callers who send a file with their request; gone at the end unless committed."""
        ...

    def publish(self, key: str, to: str) -> str | None:
        """Copy a finished blob to a key of the caller's choice, outside of ours; its address there (``s3://...``).

        Replaces what is there; again, it changes nothing. None: the keys of this store mean nothing to anybody else,
        and nothing was copied.

        Raises:
            NotFound: there is no such blob.
            Unavailable: the store does not answer.
        """
        ...

    def copy(self, source: str, key: str) -> None:
        """Make a blob of the same bytes, replacing one that is there.

        Raises:
            NotFound: there is no such blob.
            StorageFull: there is no room.
        """
        ...

    def read(self, key: str, *, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        """The bytes of a blob from ``offset`` on, at most ``count``, in pieces.

        Raises:
            NotFound: there is no such blob; with the first piece.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a blob; nothing happens if it is absent."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix``, which ends with a slash, and parts of what was to be one."""
        ...

    def end_abandoned(self, begun_before: float) -> None:
        """Remove what is left of uploads that were begun before and never ended. May be called at any time."""
        ...

    def check(self) -> None:
        """See that it can be used now.

        Raises:
            Unavailable: it cannot be reached, or lets us in no more.
        """
        ...

    def check_room(self) -> None:
        """Raise StorageFull if too little room is left to take anything in."""
        ...


def attachment(filename: str) -> str:
    """A Content-Disposition for a file to be saved under that name (RFC 6266)."""
    if not filename:
        return ""
    if filename.isascii() and filename.isprintable() and '"' not in filename and "\\" not in filename:
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
