"""One bucket of an S3 service: everything that can be done with it, each failure said in one line.

Requests that fail in passing (5xx, throttling, broken connections) are tried again, as often as the options say.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import structlog

from stemwright_server.adapters.blobs.s3_client import S3Options, errors_said, make_client
from stemwright_server.adapters.blobs.s3_versions import Versions
from stemwright_worker.errors import NotFound, ServiceError, Unavailable

MAX_URL_SECONDS = 7 * 86400  # S3's own limit
MOST_PARTS = 10_000  # likewise, of one upload
DELETED_AT_ONCE = 1000  # likewise, by one request
_COPIED_AT_ONCE = 5 << 30  # likewise; more is copied in parts
_PIECE = 1 << 18  # bytes read at once
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ListedObject:
    """An object as a listing shows it."""

    key: str
    size: int  # bytes
    modified: datetime


@dataclass(frozen=True, kw_only=True)
class ObjectMetadata:
    """What is known of an object without reading it. Not to be believed about its content."""

    size: int  # bytes
    content_type: str
    modified: datetime
    etag: str  # of a multipart upload, no hash of the content
    metadata: Mapping[str, str] = field(default_factory=dict)


class S3Service:
    """A bucket. All methods may be used by many threads; each raises Unavailable if the bucket cannot be used."""

    def __init__(self, options: S3Options, *, client: Any = None, deleted_at_once: int = DELETED_AT_ONCE) -> None:
        """Connects to nothing. ``client``: of boto3; None: one is made.

        Raises:
            InvalidRequest: boto3 is missing, or the options cannot be used.
        """
        self._options = options
        self._client = make_client(options) if client is None else client
        self._deleted_at_once = deleted_at_once
        self._versions = Versions(self._client, options, at_once=deleted_at_once)

    @property
    def options(self) -> S3Options:
        """What it was made with."""
        return self._options

    # Connection

    def connect(self) -> None:
        """Raise Unavailable, saying why, unless the bucket is there and may be used."""
        with errors_said(self._options):  # unlike a HEAD, a listing comes with words for what is wrong
            self._client.list_objects_v2(Bucket=self._options.bucket, MaxKeys=1)

    def test_connection(self) -> bool:
        """Whether the bucket is there and may be used; if not, the log says why."""
        try:
            self.connect()
        except ServiceError as error:
            _log.error("storage_not_usable", code=error.code, error=str(error))
            return False
        return True

    def create_bucket(self) -> None:
        """Create the bucket; nothing happens if it is ours already."""
        region = self._options.region
        # Amazon's first region is the one that must not be named; others have regions of their own words.
        where = {} if self._options.endpoint or region == "us-east-1" else {"LocationConstraint": region}
        try:
            with errors_said(self._options):
                self._client.create_bucket(
                    Bucket=self._options.bucket, **({"CreateBucketConfiguration": where} if where else {})
                )
        except Unavailable:
            self.connect()

    # Writing

    def upload_file(self, file_path: str | Path, s3_key: str) -> str:
        """Upload a file, a large one in parts. The ``s3://`` URL of the object."""
        with Path(file_path).open("rb") as file:
            return self.upload_fileobj(file, s3_key)

    def upload_fileobj(self, file_obj: IO[bytes], s3_key: str) -> str:
        """Upload what a binary file holds from where it stands, in parts if that is much. The ``s3://`` URL.

        The object appears whole or not at all; the parts of an upload that failed are removed.
        """
        content_type = mimetypes.guess_type(s3_key)[0] or "application/octet-stream"
        with errors_said(self._options):
            self._client.upload_fileobj(
                file_obj,
                self._options.bucket,
                s3_key,
                ExtraArgs={"ContentType": content_type},
                Config=self._transfer(),
            )
        return self.url(s3_key)

    def put_object(self, s3_key: str, data: bytes) -> str:
        """Upload a few bytes. The ``s3://`` URL."""
        content_type = mimetypes.guess_type(s3_key)[0] or "application/octet-stream"
        with errors_said(self._options):
            self._client.put_object(Bucket=self._options.bucket, Key=s3_key, Body=data, ContentType=content_type)
        return self.url(s3_key)

    def copy_object(self, source_key: str, dest_key: str) -> str:
        """Copy inside the bucket, without the bytes passing through here. The ``s3://`` URL. Raises NotFound."""
        from boto3.s3.transfer import TransferConfig

        source = {"Bucket": self._options.bucket, "Key": source_key}
        config = TransferConfig(multipart_threshold=_COPIED_AT_ONCE, multipart_chunksize=1 << 30)
        with errors_said(self._options):
            self._client.copy(source, self._options.bucket, dest_key, Config=config)
        return self.url(dest_key)

    def _transfer(self) -> Any:
        from boto3.s3.transfer import TransferConfig

        part = self._options.part_bytes
        return TransferConfig(multipart_threshold=part + 1, multipart_chunksize=part, max_concurrency=4)

    # In parts, by somebody who has only URLs

    def begin_multipart(self, s3_key: str) -> str:
        """Begin an upload in parts; its id. ``end_uploads`` removes it, if ``finish_multipart`` never comes."""
        content_type = mimetypes.guess_type(s3_key)[0] or "application/octet-stream"
        with errors_said(self._options):
            begun = self._client.create_multipart_upload(
                Bucket=self._options.bucket, Key=s3_key, ContentType=content_type
            )
        return str(begun["UploadId"])

    def generate_presigned_part_url(self, s3_key: str, upload_id: str, number: int, expires_in: float = 3600.0) -> str:
        """A URL that takes the PUT of one part (the first is 1); the answer's ETag is needed at the end."""
        return self._presign("upload_part", expires_in, Key=s3_key, UploadId=upload_id, PartNumber=number)

    def finish_multipart(self, s3_key: str, upload_id: str, etags: Sequence[str]) -> str:
        """Make the object of its parts, in order. The ``s3://`` URL. Raises NotFound if there is no such upload."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        with errors_said(self._options):
            self._client.complete_multipart_upload(
                Bucket=self._options.bucket, Key=s3_key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        return self.url(s3_key)

    # Reading

    def download_file(self, s3_key: str, local_path: str | Path) -> str:
        """Download to a file, which appears only once it is whole. Its path. Raises NotFound."""
        with errors_said(self._options):
            self._client.download_file(self._options.bucket, s3_key, str(local_path), Config=self._transfer())
        return str(local_path)

    def get_object(self, s3_key: str) -> bytes:
        """The content, in memory: for small objects. Raises NotFound."""
        with errors_said(self._options):
            return bytes(self._client.get_object(Bucket=self._options.bucket, Key=s3_key)["Body"].read())

    def read_object(self, s3_key: str, *, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        """The content from ``offset`` on, at most ``count`` bytes, in pieces. Raises NotFound with the first piece."""
        if count == 0:
            return
        last = "" if count is None else offset + count - 1
        with errors_said(self._options):
            found = self._client.get_object(
                Bucket=self._options.bucket,
                Key=s3_key,
                **({"Range": f"bytes={offset}-{last}"} if offset or last else {}),
            )
            yield from found["Body"].iter_chunks(_PIECE)

    def get_object_metadata(self, s3_key: str) -> ObjectMetadata:
        """Size, type and the like. Raises NotFound."""
        with errors_said(self._options):
            found = self._client.head_object(Bucket=self._options.bucket, Key=s3_key)
        return ObjectMetadata(
            size=found["ContentLength"],
            content_type=found.get("ContentType", ""),
            modified=found["LastModified"],
            etag=found.get("ETag", ""),
            metadata=found.get("Metadata", {}),
        )

    def file_exists(self, s3_key: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get_object_metadata(s3_key)
        except NotFound:
            return False
        return True

    def list_objects(self, prefix: str = "") -> list[ListedObject]:
        """All objects whose keys begin with ``prefix``, by key."""
        return list(self.iterate_objects(prefix))

    def iterate_objects(self, prefix: str = "") -> Iterator[ListedObject]:
        """The same, page by page."""
        with errors_said(self._options):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._options.bucket, Prefix=prefix)
            for page in pages:
                for each in page.get("Contents", ()):
                    yield ListedObject(key=each["Key"], size=each["Size"], modified=each["LastModified"])

    # Removing

    def delete_file(self, s3_key: str) -> None:
        """Delete an object, in a bucket that keeps versions all of them; nothing happens if there is none."""
        with suppress(NotFound), errors_said(self._options):
            answer = self._client.delete_object(Bucket=self._options.bucket, Key=s3_key)
            if answer.get("DeleteMarker"):  # nothing was deleted: it is hidden from now on
                self._versions.remove(s3_key, {s3_key})

    def delete_objects(self, s3_keys: Iterable[str]) -> None:
        """Delete many, in a bucket that keeps versions all of them; those that are not there do not matter."""
        keys, hidden = list(s3_keys), set[str]()
        for start in range(0, len(keys), self._deleted_at_once):
            objects = [{"Key": key} for key in keys[start : start + self._deleted_at_once]]
            with errors_said(self._options):
                answer = self._client.delete_objects(
                    Bucket=self._options.bucket, Delete={"Objects": objects, "Quiet": False}
                )
            hidden.update(each["Key"] for each in answer.get("Deleted", ()) if each.get("DeleteMarker"))
            if failed := [each for each in answer.get("Errors", ()) if each.get("Code") != "NoSuchKey"]:
                raise Unavailable(
                    f"{len(failed)} objects could not be deleted from {self._options.place} ({failed[0].get('Code')}).",
                    code="storage_failed",
                )
        for key in hidden:
            self._versions.remove(key, {key})

    def delete_prefix(self, prefix: str) -> None:
        """Delete every object whose key begins with ``prefix``, in a bucket that keeps versions all of them."""
        self.delete_objects(found.key for found in self.iterate_objects(prefix))
        if self._versions.were_seen:  # some may be hidden already, as by an older version of ours
            self._versions.remove(prefix)

    def keeps_versions(self) -> bool:
        """Whether something that was deleted here could only be hidden: the bucket keeps versions that we may not remove."""
        return self._versions.are_kept

    def end_uploads(self, prefix: str, begun_before: datetime) -> int:
        """Remove the parts of multipart uploads under ``prefix`` that were begun before and never ended; how many."""
        ended = 0
        for key, upload_id in self._uploads(prefix, begun_before):
            with suppress(NotFound), errors_said(self._options):  # it may have just ended by itself
                self._client.abort_multipart_upload(Bucket=self._options.bucket, Key=key, UploadId=upload_id)
                ended += 1
        return ended

    def _uploads(self, prefix: str, begun_before: datetime) -> list[tuple[str, str]]:
        try:
            with errors_said(self._options):
                pages = self._client.get_paginator("list_multipart_uploads").paginate(
                    Bucket=self._options.bucket, Prefix=prefix
                )
                uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        except NotFound:  # how some servers say that there is none
            return []
        return [(each["Key"], each["UploadId"]) for each in uploads if each["Initiated"] < begun_before]

    # Tags

    def get_object_tags(self, s3_key: str) -> dict[str, str]:
        """The tags of an object. Raises NotFound."""
        with errors_said(self._options):
            found = self._client.get_object_tagging(Bucket=self._options.bucket, Key=s3_key)
        return {tag["Key"]: tag["Value"] for tag in found["TagSet"]}

    def set_object_tags(self, s3_key: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of an object. Raises NotFound.

        R2 has no tags and says so. rclone's server has none either, but takes the request for an upload and overwrites
        the object: ``stemwright storage check`` finds out on an object of its own.
        """
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        with errors_said(self._options):
            self._client.put_object_tagging(Bucket=self._options.bucket, Key=s3_key, Tagging={"TagSet": tag_set})

    # URLs

    def url(self, s3_key: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self._options.bucket}/{s3_key}"

    def generate_presigned_put_url(self, s3_key: str, expires_in: float = 3600.0) -> str:
        """A URL that takes PUTs of this object for so many seconds (a week at most). It cannot cap their size."""
        return self._presign("put_object", expires_in, Key=s3_key)

    def generate_presigned_get_url(
        self, s3_key: str, expires_in: float = 3600.0, *, content_type: str = "", disposition: str = ""
    ) -> str:
        """A URL that answers GET for so many seconds (a week at most), with these headers if they are said."""
        headers = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
        return self._presign(
            "get_object", expires_in, Key=s3_key, **{name: said for name, said in headers.items() if said}
        )

    def _presign(self, operation: str, expires_in: float, **params: str | int) -> str:
        seconds = max(1, min(round(expires_in), MAX_URL_SECONDS))
        with errors_said(self._options):
            url = self._client.generate_presigned_url(
                operation, Params={"Bucket": self._options.bucket, **params}, ExpiresIn=seconds
            )
        return str(url)
