"""Every error the service raises on purpose.

    ServiceError
    +-- InvalidRequest      what was asked makes no sense: unknown model, wrong params, another body under an old key
    +-- UnusableInput       the bytes that were uploaded cannot be used, or a link's not be had (ports/sources.py)
    +-- TooLarge            over a cap
    +-- NotFound            no such file or job, or not the caller's
    +-- Conflict            not possible in the state things are in
    |   +-- SongExists      the same bytes are here already
    |   +-- AnnounceFirst   a worker has to say what its services offer before it gets work
    |   +-- ContractMismatch  the API and a worker speak different versions of their contract
    +-- Gone                it was here; its time is over
    +-- Unauthenticated     no credentials, or none that hold
    |   +-- Unsigned        the body is not signed, or not so that it holds
    +-- Forbidden           a signature or a URL that does not hold
    +-- TooManyRequests     over a rate limit
    +-- StorageFull         no room; later there may be
    +-- Unavailable         the service is going down or cannot reach a part of itself

Each has ``code``, a stable word for programs; ``context``, values a program may need; and a one-line message that says
what was wrong, with which input, and what to do. ``retryable``: the same call may succeed later without any change.
"""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """Root of all errors of the service."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, **context: Any) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.context = context


class InvalidRequest(ServiceError):
    """What was asked makes no sense."""

    code = "invalid_request"


class UnusableInput(ServiceError):
    """The bytes that were uploaded cannot be used."""

    code = "unusable_input"


class TooLarge(ServiceError):
    """Over a cap on size or duration."""

    code = "too_large"


class NotFound(ServiceError):
    """No such file or job, or not the caller's."""

    code = "not_found"


class Conflict(ServiceError):
    """Not possible in the state things are in."""

    code = "conflict"


class SongExists(Conflict):
    """The same bytes of the same owner are here already, under ``context["file_id"]``."""

    code = "song_exists"

    def __init__(self, file_id: str) -> None:
        super().__init__("Song already exists", file_id=file_id)


class AnnounceFirst(Conflict):
    """The API does not know what the worker's services offer: it has to announce them, then to claim again."""

    code = "announce_first"


class ContractMismatch(Conflict):
    """The API and a worker speak different versions of their contract. No repeat helps, an upgrade does."""

    code = "contract_mismatch"


class Gone(ServiceError):
    """It was here; its retention time is over."""

    code = "gone"


class Unauthenticated(ServiceError):
    """No credentials, or none that hold."""

    code = "unauthenticated"


class Unsigned(Unauthenticated):
    """The body is not signed, or not so that it holds."""

    code = "bad_signature"


class Forbidden(ServiceError):
    """A signature or a signed URL that does not hold."""

    code = "forbidden"


class TooManyRequests(ServiceError):
    """Over a rate limit."""

    code = "rate_limited"
    retryable = True


class StorageFull(ServiceError):
    """No room on the disk."""

    code = "insufficient_storage"
    retryable = True


class Unavailable(ServiceError):
    """The service is going down, or cannot reach a part of itself."""

    code = "unavailable"
    retryable = True
