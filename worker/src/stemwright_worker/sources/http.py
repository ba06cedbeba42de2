"""Fetching over HTTP from hosts that are not to be trusted.

Every redirect is checked like a first URL.
"""

from __future__ import annotations

import errno
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urljoin

import httpcore2

from stemwright_worker.errors import StorageFull
from stemwright_worker.net.addresses import Target, check_target, parse
from stemwright_worker.net.checked import CheckedConnections, NoAddress, authority_of, url_of
from stemwright_worker.ports.sources import (
    Fetched,
    FetchLimits,
    SourceError,
    SourceExpired,
    SourceNotFound,
    SourceRedirects,
    SourceRefused,
    SourceTimeout,
    SourceTooLarge,
    SourceUnreachable,
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS: list[tuple[str | bytes, str | bytes]] = [
    ("User-Agent", "stemwright"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
]
_FIRST_WAIT = 0.5  # seconds before the second try; doubles
_MAX_NAME = 200
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}")


class HttpSources(CheckedConnections):
    """Implements ports.sources.SourceFetcher."""

    def check(self, url: str) -> None:
        """Implements ``ports.sources``: by its spelling, without asking the network."""
        check_target(parse(url), self.allowed)

    def fetch(
        self, url: str, into: Path, limits: FetchLimits, *, check: Callable[[int, int | None], None] = lambda *_: None
    ) -> Fetched:
        """Implements ``ports.sources``: by GET, each redirect checked like the first address."""
        part = into.with_name(into.name + ".part")
        deadline = time.monotonic() + limits.total_seconds
        attempt = _Attempt(limits=limits, deadline=deadline, part=part, check=check)
        tried = 0
        try:
            while True:
                tried += 1
                try:
                    fetched = self._once(url, attempt)
                    part.replace(into)
                    return fetched
                except SourceError as error:
                    wait = _FIRST_WAIT * 2 ** (tried - 1)
                    if not error.retryable or tried >= limits.tries or time.monotonic() + wait > deadline:
                        raise
                check(0, None)
                time.sleep(wait)
        finally:
            part.unlink(missing_ok=True)

    def _once(self, url: str, attempt: _Attempt) -> Fetched:
        target = parse(url)
        for _ in range(attempt.limits.redirects + 1):
            check_target(target, self.allowed)
            with self._answer(target, attempt) as response:
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                if response.status not in _REDIRECTS:
                    _check_status(response.status, target)
                    return _save(response.iter_stream(), headers, target, attempt)
                target = _next(target, headers)
        raise SourceRedirects(f"The source was redirected more than {attempt.limits.redirects} times.")

    @contextmanager
    def _answer(self, target: Target, attempt: _Attempt) -> Iterator[httpcore2.Response]:
        """The answer to one GET; whatever goes wrong on the way is said as a SourceError."""
        limits = attempt.limits
        timeouts = {"connect": limits.connect_seconds, "read": limits.idle_seconds, "write": limits.idle_seconds}
        headers = [*_HEADERS, ("Host", authority_of(target))]
        try:
            with (
                self.open(target, attempt.left) as pool,
                pool.stream("GET", url_of(target), headers=headers, extensions={"timeout": timeouts}) as response,
            ):
                yield response
        except NoAddress as error:
            raise SourceUnreachable(f"The source's host {target.host} has no address.") from error
        except httpcore2.TimeoutException as error:
            raise SourceTimeout(f"The source at {target.host} is too slow: {attempt.too_slow}.") from error
        except httpcore2.NetworkError as error:
            raise SourceUnreachable(f"The source at {target.host} cannot be reached, or hung up: {error}.") from error
        except httpcore2.ProtocolError as error:
            raise SourceUnreachable(f"The source at {target.host} broke off its answer.") from error


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    limits: FetchLimits
    deadline: float  # of the monotonic clock
    part: Path
    check: Callable[[int, int | None], None]

    def left(self) -> float:
        """Seconds to the deadline. Raises the client's own timeout once there are none."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise httpcore2.ReadTimeout("total")
        return seconds

    @property
    def too_slow(self) -> str:
        if time.monotonic() >= self.deadline:
            return f"it took more than {self.limits.total_seconds:g} s in all"
        return f"no answer within {self.limits.connect_seconds:g} s or no byte for {self.limits.idle_seconds:g} s"


def _next(target: Target, headers: dict[str, str]) -> Target:
    location = headers.get("location", "")
    if not location:
        raise SourceRedirects(f"The source at {target.host} redirects to nowhere.")
    return parse(urljoin(target.origin + target.path, location))


def _check_status(status: int, target: Target) -> None:
    said = f"The source at {target.host} answered {status}"
    if status == 200:
        return
    if status in (400, 401, 403, 410):  # some stores say 400 to a signature whose time is over
        raise SourceExpired(f"{said}: the URL has expired or does not allow reading; sign a new one.")
    if status in (408, 425, 429) or status >= 500:
        raise SourceUnreachable(f"{said}; try again later.")
    raise SourceNotFound(f"{said}: there is no file under this URL.")


def _save(chunks: Iterable[bytes], headers: dict[str, str], target: Target, attempt: _Attempt) -> Fetched:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceRefused(f"The source at {target.host} sends the file compressed; store it as it is.")
    length, limit = headers.get("content-length", "")[:20], attempt.limits.max_bytes
    total = int(length) if length.isascii() and length.isdigit() else None
    if total is not None and total > limit:
        raise SourceTooLarge(f"The source at {target.host} has {total} bytes; at most {limit} are taken.")
    digest, size = hashlib.sha256(), 0
    with _full_disk_is_said(), attempt.part.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            attempt.check(size, total)
            if size > limit:
                raise SourceTooLarge(f"The source at {target.host} sends more than the {limit} bytes taken.")
            digest.update(chunk)
            file.write(chunk)
    return Fetched(
        size=size,
        sha256=digest.hexdigest(),
        filename=_filename(headers, target),
        content_type=_content_type(headers),
    )


@contextmanager
def _full_disk_is_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("No room left on the disk for the source.") from error
        raise


def _filename(headers: dict[str, str], target: Target) -> str:
    message = Message()
    message["Content-Disposition"] = headers.get("content-disposition", "")
    name = message.get_filename() or unquote(target.path.partition("?")[0])
    name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    return "".join(character for character in name if character.isprintable())[:_MAX_NAME].strip() or "source"


def _content_type(headers: dict[str, str]) -> str:
    said = headers.get("content-type", "").partition(";")[0].strip().lower()
    return said if _MEDIA_TYPE.fullmatch(said) else ""
