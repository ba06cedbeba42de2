"""Blobs as files under one folder, behind signed URLs that the API itself serves."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from urllib.parse import quote, urlencode

from stemwright_server.adapters.blobs.incoming_file import Part, full_disk_is_said, part_in, sha256_of
from stemwright_worker.contract.tasks import MultipartPlan
from stemwright_worker.errors import Conflict, Forbidden, NotFound, StorageFull, Unavailable

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_CHUNK = 1 << 18
_SIGNED = ("expires", "max", "type", "name")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a signed URL allows."""

    max_bytes: int = 0  # of a PUT
    content_type: str = ""  # of a GET
    filename: str = ""


class LocalBlobs:
    """Implements ports.blobs.BlobStore."""

    def __init__(
        self, root: Path, deps: Path, *, secret: bytes, min_free_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Blobs go to ``root``; unfinished ones to ``parts``, on the same disk and this process's alone."""
        self._root = root
        self._deps = deps
        self._secret = secret
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._tree = Lock()  # between making a folder for a blob and removing empty ones
        deps.mkdir(parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where a blob lies.

        Raises:
            NotFound: it is no key.
        """
        if _KEY.fullmatch(key) is None:
            raise NotFound("No such blob.")
        return self._root / key

    # Signed URLs

    def put_url(self, key: str, *, expires_at: float, max_bytes: int, inside: bool = False) -> str:
        return self._url("PUT", key, {"expires": str(int(expires_at)), "max": str(max_bytes)})

    def get_url(self, key: str, *, expires_at: float, content_type: str, filename: str, inside: bool = False) -> str:
        return self._url("GET", key, {"expires": str(int(expires_at)), "type": content_type, "name": filename})

    def _url(self, method: str, key: str, query: dict[str, str]) -> str:
        return f"/blobs/{quote(key)}?{urlencode(query | {'sig': self._sign(method, key, query)})}"

    def _sign(self, method: str, key: str, query: Mapping[str, str]) -> str:
        message = "\n".join([method, key, *(query.get(name, "") for name in _SIGNED)])
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()

    def verify(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """What the URL allows.

        Raises:
            Forbidden: it was not signed here, or is expired.
        """
        if not hmac.compare_digest(query.get("sig", "").encode(), self._sign(method, key, query).encode()):
            raise Forbidden("The URL's signature does not hold.", code="bad_signature")
        if int(query["expires"]) < self._clock():
            raise Forbidden("The URL has expired; ask for a new one.", code="url_expired")
        return Grant(
            max_bytes=int(query.get("max") or 0),
            content_type=query.get("type", ""),
            filename=query.get("name", ""),
        )

    # In parts: never, one PUT takes whatever the disk does

    multipart_over = None

    def begin_multipart(self, key: str, *, size: int, expires_at: float) -> MultipartPlan:
        raise Conflict("Files on a disk are uploaded in one piece.")

    def finish_multipart(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        raise NotFound("No such upload.")

    # Writing

    def receive(self, max_bytes: int) -> AbstractContextManager[Part]:
        return part_in(self._deps, max_bytes, self._keep)

    def _keep(self, part: Part, key: str, replace: bool) -> str:
        digest = part.close(durable=True)
        path = self.path(key)
        with self._tree, full_disk_is_said():
            path.parent.mkdir(parents=True, exist_ok=True)
            if replace:
                part.path.replace(path)
                return digest
            try:
                os.link(part.path, path)  # unlike a rename, it fails if the blob exists
                return digest
            except FileExistsError:
                pass
        if sha256_of(path) != digest:
            raise Conflict("This URL has taken another upload already.", code="already_uploaded")
        return digest

    def copy(self, source: str, key: str) -> None:
        link = self._deps / secrets.token_hex(16)
        path = self.path(key)
        try:
            os.link(self.path(source), link)  # blobs are never written to, so that two names may share the bytes
            with self._tree, full_disk_is_said():
                path.parent.mkdir(parents=True, exist_ok=True)
                link.replace(path)
        except FileNotFoundError as error:
            raise NotFound("No such blob.") from error
        finally:
            link.unlink(missing_ok=True)

    def write(self, key: str, data: bytes) -> None:
        with self.receive(len(data)) as part:
            part.write(data)
            part.commit(key, replace=True)

    def origin(self) -> None:
        """The API answers them."""

    # Reading

    def size(self, key: str) -> int | None:
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        path = self.path(key)
        if not path.is_file():
            raise NotFound("No such blob.")
        yield path

    def publish(self, key: str, to: str) -> None:
        """A path on this disk is no address."""

    def read(self, key: str, *, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        try:
            with self.path(key).open("rb") as file:
                file.seek(offset)
                left = count
                while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
                    left = None if left is None else left - len(chunk)
                    yield chunk
        except FileNotFoundError as error:
            raise NotFound("No such blob.") from error

    # Removing

    def delete(self, key: str) -> None:
        path = self.path(key)
        path.unlink(missing_ok=True)
        self._prune(path.parent)

    def delete_prefix(self, prefix: str) -> None:
        path = self.path(prefix.removesuffix("/"))
        shutil.rmtree(path, ignore_errors=True)
        self._prune(path.parent)

    def _prune(self, folder: Path) -> None:
        """Remove ``folder`` and those above it as far as they are empty."""
        with self._tree:
            while folder != self._root:
                try:
                    folder.rmdir()
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                        raise
                    if error.errno == errno.ENOTEMPTY:
                        return
                folder = folder.parent

    def end_abandoned(self, begun_before: float) -> None:
        """There are none: a part goes with the request that wrote it, or with its process."""

    def check(self) -> None:
        if not self._root.is_dir():
            raise Unavailable(f"The folder {self._root.name!r} of the data folder is gone.", code="storage_unreachable")

    def check_room(self) -> None:
        free = shutil.disk_usage(self._root).free
        if free < self._min_free_bytes:
            raise StorageFull(
                f"Only {free} bytes are free on the disk of the service; it keeps {self._min_free_bytes}."
            )
