"""Removing for good in a bucket that keeps versions, where a delete only hides.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import structlog

from stemwright_server.adapters.blobs.s3_client import S3Options, errors_said
from stemwright_worker.errors import Unavailable

_TRY_AGAIN = 3600.0  # seconds after the store has refused it
_log = structlog.get_logger(__name__)


class Versions:
    """The hidden versions of a bucket. That there are any is learned from the answer to a delete: it needs no right more."""

    def __init__(self, client: Any, options: S3Options, *, at_once: int) -> None:
        """``at_once``: how many are listed, and deleted, by one request."""
        self._at_once = at_once
        self._client = client
        self._options = options
        self._not_before = float("-inf")  # by the monotonic clock
        self.were_seen = False  # by this process
        self.are_kept = False  # the store has refused to remove them

    def remove(self, prefix: str, keys: Collection[str] | None = None) -> None:
        """Remove all versions, and what hides them, of the keys that begin with ``prefix``; of these ``keys`` only.

        Where the key of the service may not, that is said in the log, once an hour at most.

        Raises:
            Unavailable: the store does not answer, or fails.
        """
        self.were_seen = True
        if time.monotonic() < self._not_before:
            return
        try:
            with errors_said(self._options):
                # All are listed first: where a page begins is said by a version that would be gone by then.
                found = [each for each in self._listed(prefix) if keys is None or each["Key"] in keys]
                for start in range(0, len(found), self._at_once):
                    self._remove(found[start : start + self._at_once])
            self.are_kept = False
        except Unavailable as error:
            if error.code != "storage_denied":
                raise
            self.are_kept = True
            self._not_before = time.monotonic() + _TRY_AGAIN
            _log.warning("versions_kept", place=self._options.place, error=WHAT_TO_DO)

    def _listed(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._options.bucket, Prefix=prefix, PaginationConfig={"PageSize": self._at_once}
        )
        for page in pages:
            yield from page.get("Versions", ())
            yield from page.get("DeleteMarkers", ())

    def _remove(self, found: Sequence[Mapping[str, Any]]) -> None:
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        answer = self._client.delete_objects(Bucket=self._options.bucket, Delete={"Objects": objects, "Quiet": True})
        if failed := [
            each for each in answer.get("Errors", ()) if each.get("Code") not in ("NoSuchKey", "NoSuchVersion")
        ]:
            denied = failed[0].get("Code") == "AccessDenied"
            raise Unavailable(
                f"{len(failed)} versions could not be removed from {self._options.place} ({failed[0].get('Code')}).",
                code="storage_denied" if denied else "storage_failed",
            )


WHAT_TO_DO = (
    "the bucket keeps versions, and what is deleted stays in it, hidden: allow s3:ListBucketVersions and "
    "s3:DeleteObjectVersion to the key of the service, or give the bucket a lifecycle rule that expires noncurrent versions"
)
