"""Fetching a file that a caller pointed at. Runs in the worker: no database, no credentials, nothing heavy.

    UnusableInput
    +-- SourceError             the file that a URL points at could not be had
        +-- SourceRefused       a URL that is never fetched: its scheme, its spelling, or where it leads
        +-- SourceRedirects     redirected too often, or to nowhere
        +-- SourceExpired       400, 401, 403 or 410: a signed URL whose time is over, or no right to read
        +-- SourceNotFound      404, or another answer that is no file and will be the same tomorrow
        +-- SourceTooLarge      over the cap, announced or sent
        +-- SourceUnreachable   no address, no connection, cut off, 429 or 5xx; later it may work
        +-- SourceTimeout       too slow, or silent for too long; later it may work

No message holds more of a URL than its host: paths and queries carry signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stemwright_worker.errors import UnusableInput

YOUTUBE_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")  # their subdomains count


class SourceError(UnusableInput):
    """The file that a URL points at could not be had."""

    code = "source_error"


class SourceRefused(SourceError):
    """The URL is never fetched, now or later."""

    code = "source_refused"


class SourceRedirects(SourceError):
    """Redirected too often, or to nowhere."""

    code = "source_redirects"


class SourceExpired(SourceError):
    """The source does not let us read; of a signed URL: any more."""

    code = "source_expired"


class SourceNotFound(SourceError):
    """The source has no such file."""

    code = "source_not_found"


class SourceTooLarge(SourceError):
    """The file is over the cap."""

    code = "source_too_large"


class SourceUnreachable(SourceError):
    """The source does not answer, or failed."""

    code = "source_unreachable"
    retryable = True


class SourceTimeout(SourceError):
    """The source is too slow."""

    code = "source_timeout"
    retryable = True


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """Caps of one fetch, its retries and redirects included."""

    max_bytes: int
    connect_seconds: float = 10.0
    idle_seconds: float = 30.0  # longest silence
    total_seconds: float = 900.0
    redirects: int = 3
    tries: int = 4  # of what may work later


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that was fetched whole."""

    size: int  # bytes
    sha256: str  # hex
    filename: str  # as the source names it, else the last part of the URL's path: to be shown, never used as a path
    content_type: str  # as the source says, "" if it does not: not to be believed
    title: str = ""  # what the source calls it, where that says more than a file's name


def _go_on(done: int, total: int | None) -> None:
    """The check of a fetch that nobody watches or wants to stop."""


class SourceFetcher(Protocol):
    """Fetches from URLs that are not to be trusted."""

    def check(self, url: str) -> None:
        """Raise SourceRefused for a URL that would never be fetched, as far as that shows without the network."""
        ...

    def fetch(
        self, url: str, into: Path, limits: FetchLimits, *, check: Callable[[int, int | None], None] = _go_on
    ) -> Fetched:
        """Write the file to ``into``, which appears only once it is whole; its folder exists.

        ``check(done, total)``, in bytes, the total as the source says it or None, is called for each chunk and may
        raise, which ends the fetch. Raises a SourceError, or StorageFull.
        """
        ...
