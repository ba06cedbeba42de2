"""Blobs in a bucket: S3, R2, or what speaks like them. Workers and browsers use presigned URLs; nothing passes the API.

A presigned PUT can be used more than once and caps no size. What that costs is paid elsewhere: an upload is looked at
whole before it is used, workers check the hash of what they get, and each attempt writes under a prefix of its own.
S3's own cap on it is 5 GiB; so workers upload large outputs in parts, each on a URL of its own.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import structlog

from stemwright_server.adapters.blobs.incoming_file import Part, full_disk_is_said, part_in, sha256_of
from stemwright_server.adapters.blobs.s3_client import S3Options
from stemwright_server.adapters.blobs.s3_service import MOST_PARTS, S3Service
from stemwright_server.ports.blobs import attachment
from stemwright_worker.contract.tasks import MultipartPlan
from stemwright_worker.errors import Conflict, NotFound, Unavailable

_OURS = ("uploads/", "outputs/")  # a bucket may hold other things
_ROUND = 3600.0  # seconds between two looks for abandoned uploads
_log = structlog.get_logger(__name__)


class S3Blobs:
    """Implements ports.blobs.BlobStore. Many processes may share the bucket."""

    def __init__(
        self,
        service: S3Service,
        work_dir: Path,
        *,
        outside: S3Service | None = None,
        part_bytes: int = 64 << 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``work_dir``: for copies to look at; this process's alone.

        ``part_bytes``: workers upload more than this in parts of this size.
        ``outside``: the bucket as callers reach it, if that is not how the service and its workers do.
        """
        self._service = service
        self._outside = outside or service
        self._work_dir = work_dir
        self._part_bytes = part_bytes
        self._clock = clock
        self._next_round = 0.0
        self._rounds = Lock()
        work_dir.mkdir(parents=True, exist_ok=True)

    def put_url(self, key: str, *, expires_at: float, max_bytes: int, inside: bool = False) -> str:
        return self._for(inside).generate_presigned_put_url(key, expires_at - self._clock())

    def get_url(self, key: str, *, expires_at: float, content_type: str, filename: str, inside: bool = False) -> str:
        return self._for(inside).generate_presigned_get_url(
            key, expires_at - self._clock(), content_type=content_type, disposition=attachment(filename)
        )

    def origin(self) -> str:
        url = urlsplit(self._outside.generate_presigned_get_url("outputs/any", 1.0))
        return f"{url.scheme}://{url.netloc}"

    def _for(self, inside: bool) -> S3Service:
        return self._service if inside else self._outside

    @property
    def multipart_over(self) -> int:
        return self._part_bytes

    def begin_multipart(self, key: str, *, size: int, expires_at: float) -> MultipartPlan:
        part_bytes = max(self._part_bytes, math.ceil(size / MOST_PARTS))
        count = max(1, math.ceil(size / part_bytes))
        upload_id = self._service.begin_multipart(key)
        seconds = expires_at - self._clock()
        urls = (self._service.generate_presigned_part_url(key, upload_id, n + 1, seconds) for n in range(count))
        return MultipartPlan(upload_id=upload_id, part_bytes=part_bytes, urls=tuple(urls))

    def finish_multipart(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        self._service.finish_multipart(key, upload_id, etags)

    def size(self, key: str) -> int | None:
        try:
            return self._service.get_object_metadata(key).size
        except NotFound:
            return None

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._work_dir) as folder:
            path = Path(folder, "blob")
            with full_disk_is_said():
                self._service.download_file(key, path)
            yield path

    def receive(self, max_bytes: int) -> AbstractContextManager[Part]:
        return part_in(self._work_dir, max_bytes, self._keep)

    def _keep(self, part: Part, key: str, replace: bool) -> str:
        digest = part.close(durable=False)
        with suppress(NotFound):
            if not replace:
                with self.local(key) as there:
                    if sha256_of(there) != digest:
                        raise Conflict("There is another file already.", code="already_uploaded")
                return digest
        self._service.upload_file(part.path, key)
        return digest

    def write(self, key: str, data: bytes) -> None:
        self._service.put_object(key, data)

    def publish(self, key: str, to: str) -> str:
        return self._service.copy_object(key, to)

    def copy(self, source: str, key: str) -> None:
        self._service.copy_object(source, key)

    def read(self, key: str, *, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        return self._service.read_object(key, offset=offset, count=count)

    def delete(self, key: str) -> None:
        self._service.delete_file(key)

    def delete_prefix(self, prefix: str) -> None:
        self._service.end_uploads(prefix, datetime.now(UTC))
        self._service.delete_prefix(prefix)

    def end_abandoned(self, begun_before: float) -> None:
        """Once an hour, and in the first round of a process."""
        with self._rounds:
            if self._clock() < self._next_round:
                return
            for prefix in _OURS:
                self._service.end_uploads(prefix, datetime.fromtimestamp(begun_before, UTC))
            self._next_round = self._clock() + _ROUND

    def check(self) -> None:
        self._once.connect()

    @cached_property
    def _once(self) -> S3Service:
        """The bucket, asked once: who asks again and again need not be patient."""
        return S3Service(replace(self._service.options, tries=1))

    def check_room(self) -> None:
        """A bucket is never full."""


def open_bucket(options: S3Options, work_dir: Path, *, public_endpoint: str | None, part_bytes: int) -> S3Blobs:
    """The blobs of a bucket that was looked at.

    A store that does not answer now may do so later: that is only logged.

    Raises:
        Unavailable: it is not there, or refuses us.
    """
    try:
        S3Service(replace(options, tries=1)).connect()
    except Unavailable as error:
        if error.code in ("storage_denied", "storage_no_bucket"):
            raise
        _log.warning("storage_not_ready", code=error.code, error=str(error))
    outside = S3Service(replace(options, endpoint=public_endpoint)) if public_endpoint else None
    return S3Blobs(S3Service(options), work_dir, outside=outside, part_bytes=part_bytes)
