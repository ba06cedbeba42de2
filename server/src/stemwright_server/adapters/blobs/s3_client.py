"""The client of an S3 service, and its many errors as few: nothing of boto3 is imported before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from stemwright_worker.errors import InvalidRequest, NotFound, ServiceError, Unavailable

_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_DENIED = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidToken",
        "PermanentRedirect",  # the bucket is in another region
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "Unauthorized",
    }
)


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """Where the bucket is and how to reach it."""

    bucket: str
    endpoint: str | None = None  # None: Amazon's for the region
    region: str = "us-east-1"
    access_key_id: str | None = None  # None: what boto3 finds by itself (its environment variables, an instance's role)
    secret_access_key: str | None = field(default=None, repr=False)
    connect_seconds: float = 5.0
    read_seconds: float = 30.0  # longest silence
    tries: int = 5  # of each request, with growing waits between them
    part_bytes: int = 16 << 20  # larger uploads go in parts of this size

    @property
    def place(self) -> str:
        """The bucket and where it is, for messages: no credentials, whatever the endpoint holds."""
        host = urlsplit(self.endpoint).netloc.rpartition("@")[2] if self.endpoint else f"Amazon S3 ({self.region})"
        return f"bucket {self.bucket!r} at {host}"


def make_client(options: S3Options) -> Any:
    """A client, fit for many threads; connects to nothing yet.

    Raises InvalidRequest if boto3 is missing or the options cannot be used.
    """
    try:
        from botocore.config import Config

        session = boto_session()
    except ImportError as error:
        message = "S3_BUCKET is set, but boto3 is not installed: pip install 'stemwright-server[s3]'"
        raise InvalidRequest(message, code="extra_missing") from error
    config = Config(
        signature_version="s3v4",
        # A custom endpoint is often one name without names for its buckets.
        s3={"addressing_style": "path" if options.endpoint else "virtual"},
        retries={"mode": "standard", "total_max_attempts": options.tries},
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        # What R2 and others refuse, or ignore; hashes of what matters are checked by reading it back.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return session.client(
            "s3",
            endpoint_url=options.endpoint,
            region_name=options.region,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            config=config,
        )
    except ValueError as error:
        raise InvalidRequest("S3_ENDPOINT is no URL: https://host[:port]", code="bad_endpoint") from error


@cache
def boto_session() -> Any:
    """What clients are made from; the description of S3 that it reads for the first of them takes half a second."""
    import boto3

    return boto3.session.Session()


@contextmanager
def errors_said(options: S3Options) -> Iterator[None]:
    """Turn what boto3 raises into NotFound (of an object or upload) or Unavailable with a code and what to do about it."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from s3transfer.exceptions import RetriesExceededError

    try:
        yield
    except ClientError as error:
        raise _answered(error, options) from error
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        raise _unanswered(error, options) from error


def _answered(error: Any, options: S3Options) -> ServiceError:
    said = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(said.get("Code") or status)
    if code == "NoSuchBucket":
        return Unavailable(
            f"There is no {options.place}: create it (stemwright storage check --create), or correct S3_BUCKET.",
            code="storage_no_bucket",
        )
    if code in _ABSENT:
        return NotFound("No such blob.")
    if code in _DENIED:
        return Unavailable(
            f"The service may not use {options.place} ({code}): check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION, "
            "and that they allow reading, writing, listing and deleting there.",
            code="storage_denied",
        )
    return Unavailable(f"{options.place} failed ({code}); try again later.", code="storage_failed")


def _unanswered(error: Exception, options: S3Options) -> Unavailable:
    from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return Unavailable(
            f"There are no credentials for {options.place}: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY.",
            code="storage_denied",
        )
    # The words of these errors hold URLs; of the kind there are few, and each says enough.
    return Unavailable(
        f"{options.place} does not answer ({type(error).__name__}): check S3_ENDPOINT, or try again later.",
        code="storage_unreachable",
    )
