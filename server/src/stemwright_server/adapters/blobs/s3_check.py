"""Trying everything that is done with a bucket on the bucket itself, on objects of its own that it removes."""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from stemwright_server.adapters.blobs.s3_service import S3Service
from stemwright_server.adapters.blobs.s3_versions import WHAT_TO_DO
from stemwright_worker.errors import ServiceError, Unavailable

_TAGS = {"type": "audio", "processed": "true"}
_REACHED = 20.0  # seconds that a presigned URL gets to answer


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One operation and how it went."""

    operation: str
    error: str | None = None  # None: it works
    needed: bool = True  # False: the service does without


class _Wrong(Exception):
    """It answered, but not with what it should have."""


def check_bucket(service: S3Service, *, outside: S3Service) -> Iterator[Tried]:
    """Try every operation, in an order in which the later ones find what the earlier ones left.

    Ends early if the bucket cannot be used at all. ``outside``: the same bucket as callers reach it.
    """
    first = _try("test_connection", service.connect)
    yield first
    if first.error is not None:
        return
    prefix = f"stemwright-check-{secrets.token_hex(6)}/"
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield from _Checks(service, outside, prefix, Path(folder)).all()
    finally:
        left = [found.key for found in _listed(service, prefix)]
        if left:
            service.delete_objects(left)


def _listed(service: S3Service, prefix: str) -> list[Any]:
    try:
        return service.list_objects(prefix)
    except ServiceError:
        return []


class _Checks:
    """Each method tries one thing and raises if it does not work."""

    def __init__(self, service: S3Service, outside: S3Service, prefix: str, folder: Path) -> None:
        self._service = service
        self._outside = outside
        self._key = f"{prefix}a b.wav"
        self._other = f"{prefix}copy.wav"
        self._prefix = prefix
        self._folder = folder
        self._data = secrets.token_bytes(1000)

    def all(self) -> Iterator[Tried]:
        """In order."""
        service, key = self._service, self._key
        path = self._folder / "a.wav"
        path.write_bytes(self._data)
        yield _try("upload_file", lambda: service.upload_file(path, key))
        yield _try("file_exists", lambda: _equal(service.file_exists(key), True))
        yield _try("get_object_metadata", lambda: _equal(service.get_object_metadata(key).size, len(self._data)))
        yield _try("get_object", lambda: _equal(service.get_object(key), self._data))
        yield _try("download_file", self._download)
        yield _try("upload_fileobj", lambda: service.upload_fileobj(io.BytesIO(self._data), self._other))
        yield _try("upload in parts", self._parts)
        yield _try("copy_object", lambda: service.copy_object(key, self._other))
        yield _try("list_objects", self._list)
        yield _try("generate_presigned_put_url", self._put_url)
        yield _try("generate_presigned_get_url", self._get_url)
        yield _try("a changed URL is refused", self._changed_url)
        yield _try("set_object_tags, get_object_tags", self._tags, needed=False)
        yield _try("delete_file", self._delete)
        yield _try("delete_objects", self._delete_all)
        yield _try("what is deleted is gone for good", self._gone, needed=False)

    def _download(self) -> None:
        to = self._folder / "back"
        self._service.download_file(self._key, to)
        _equal(to.read_bytes(), self._data)

    def _parts(self) -> None:
        size = self._service.options.part_bytes + 1
        self._service.upload_fileobj(io.BytesIO(bytes(size)), self._other)
        _equal(self._service.get_object_metadata(self._other).size, size)

    def _list(self) -> None:
        _equal([found.key for found in self._service.list_objects(self._prefix)], sorted([self._key, self._other]))

    def _put_url(self) -> None:
        _ask("PUT", self._outside.generate_presigned_put_url(self._key), self._data)
        _equal(self._service.get_object(self._key), self._data)

    def _get_url(self) -> None:
        _equal(_ask("GET", self._outside.generate_presigned_get_url(self._key)), self._data)

    def _changed_url(self) -> None:
        changed = self._outside.generate_presigned_get_url(self._key).replace("a%20b.wav", "copy.wav")
        try:
            _ask("GET", changed)
        except _Wrong:
            return
        raise _Wrong("whoever has the URL of one object can read another: this store checks no signatures")

    def _tags(self) -> None:
        try:
            self._service.set_object_tags(self._key, _TAGS)
            _equal(self._service.get_object_tags(self._key), _TAGS)
        except Unavailable as error:
            raise _Wrong(f"this store has no tags ({error})") from error
        if self._service.get_object(self._key) != self._data:
            raise _Wrong("this store has no tags, and overwrites an object that is given some: never set any there")

    def _delete(self) -> None:
        self._service.delete_file(self._key)
        _equal(self._service.file_exists(self._key), False)

    def _delete_all(self) -> None:
        self._service.delete_objects([self._key, self._other])
        _equal(self._service.list_objects(self._prefix), [])

    def _gone(self) -> None:
        if self._service.keeps_versions():
            raise _Wrong(WHAT_TO_DO)


def _try(operation: str, do: Callable[[], object], *, needed: bool = True) -> Tried:
    try:
        do()
    except (ServiceError, _Wrong) as error:
        return Tried(operation=operation, error=str(error), needed=needed)
    return Tried(operation=operation, needed=needed)


def _equal(found: object, expected: object) -> None:
    if found != expected:
        raise _Wrong("it answered with something else than was stored there")


def _ask(method: str, url: str, data: bytes | None = None) -> bytes:
    """By the URL alone, as a worker or a browser does."""
    host = httpx2.URL(url).host
    try:
        answer = httpx2.request(method, url, content=data, timeout=_REACHED, trust_env=False)
    except httpx2.HTTPError as error:
        raise _Wrong(
            f"{host} does not answer ({type(error).__name__}): check S3_ENDPOINT, S3_PUBLIC_ENDPOINT"
        ) from error
    if not answer.is_success:
        raise _Wrong(f"{host} answered {answer.status_code} to a presigned URL: check the clock of this machine")
    return answer.content
