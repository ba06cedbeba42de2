"""Ogg pages: as much of them as is needed to judge a file's length, and to write the same file twice.

Page header (RFC 3533): "OggS", version, flags, granule position (8), serial number (4), sequence number (4),
checksum (4), number of segments, their lengths; all little-endian. Of Vorbis, the granule position is the
number of samples up to the end of the page.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

_FIRST, _LAST = 2, 4
_HEADER = 27
_POLYNOMIAL = 0x04C11DB7
_BEGINNING = re.compile(rb"OggS\0[\2\6]")
_PIECE = 1 << 20
_TAIL = 1 << 17
"""More than the largest page takes."""


class File(Protocol):
    """What is needed of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to `offset`."""


class WritableFile(File, Protocol):
    """What is needed of a file to change it."""

    def write(self, data: bytes, /) -> int:
        """Write at the position."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: where it begins, where it ends, and what its header says."""

    at: int
    end: int
    flags: int
    granule: int
    serial: int
    checksum: int

    @property
    def is_first(self) -> bool:
        """Whether a stream begins with it."""
        return bool(self.flags & _FIRST)

    @property
    def is_last(self) -> bool:
        """Whether its stream ends with it."""
        return bool(self.flags & _LAST)


def page_at(file: File, at: int) -> Page | None:
    """The page whose header lies at `at`, or None; its body may lie beyond the end of the file."""
    file.seek(at)
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"OggS":
        return None
    lengths = file.read(header[26])
    if len(lengths) < header[26]:
        return None
    return Page(
        at=at,
        end=at + _HEADER + len(lengths) + sum(lengths),
        flags=header[5],
        granule=int.from_bytes(header[6:14], "little", signed=True),
        serial=int.from_bytes(header[14:18], "little"),
        checksum=int.from_bytes(header[22:26], "little"),
    )


def pages(file: File, at: int = 0) -> Iterator[Page]:
    """The pages from `at` on, up to the first that is none."""
    while (page := page_at(file, at)) is not None:
        yield page
        at = page.end


def ends_inside_page(file: File, size: int) -> bool:
    """Whether the last page of the file is cut off."""
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read(_TAIL)
    at = tail.rfind(b"OggS")
    if at < 0:
        return False
    page = page_at(file, start + at)
    return page is None or page.end > size


def links(file: BinaryIO, size: int, *, most: int) -> list[int]:
    """Where each link of a chained file begins: streams that follow on each other, the first at 0; `most` and no more.

    Pages that begin streams stand together, at the beginning of their link (RFC 3533, section 4).
    """
    found = [0]
    before = -1  # where the last page ended that begins a stream
    for at in _beginnings(file):
        page = page_at(file, at)
        if page is None or page.end > size:
            continue
        if at not in (0, before):
            found.append(at)
        if len(found) >= most:
            break
        before = page.end
    return found


def _beginnings(file: BinaryIO) -> Iterator[int]:
    """Where there is what looks like the header of a page that begins a stream."""
    base, tail = 0, b""
    file.seek(0)
    while piece := file.read(_PIECE):
        data = tail + piece
        yield from (base + found.start() for found in _BEGINNING.finditer(data))
        tail = data[-5:]
        base += len(data) - len(tail)
        file.seek(base + len(tail))


def single_page_samples(file: File, start: int = 0, end: int | None = None) -> int | None:
    """Samples of the Ogg Vorbis stream from `start` to `end` if its audio is all on one page; None for any other."""
    for number, page in enumerate(pages(file, start)):
        if end is not None and page.end > end:
            return None
        if number == 0:
            file.seek(max(0, page.end - 30))
            if file.read(7) != b"\x01vorbis":
                return None
        elif page.is_first:
            return None  # several streams
        if page.granule > 0:
            return page.granule if page.is_last else None
    return None


def set_serial(file: WritableFile, serial: int) -> None:
    """Give every page of a file of one stream this serial number, in place.

    libsndfile takes the number from the clock, so that no two files are equal. The checksum is linear in the
    bits of the page: what a change of the number does to it depends on the page's length alone.
    """
    for page in list(pages(file)):
        change = _checksum_change((page.serial ^ serial).to_bytes(4, "little"), page.end - page.at - 18)
        file.seek(page.at + 14)
        file.write(serial.to_bytes(4, "little"))
        file.seek(page.at + 22)
        file.write((page.checksum ^ change).to_bytes(4, "little"))


@functools.lru_cache(maxsize=1024)
def _checksum_change(changed: bytes, zeros: int) -> int:
    """The checksum of some bytes followed by so many zeros."""
    value = 0
    for byte in changed:
        value = _after_zero_byte(value ^ byte << 24)
    for bit, columns in enumerate(_powers()):
        if zeros >> bit & 1:
            value = _times(columns, value)
    return value


def _after_zero_byte(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ (_POLYNOMIAL if value >> 31 else 0)) & 0xFFFFFFFF
    return value


@functools.cache
def _powers() -> list[list[int]]:
    """What 1, 2, 4, ... 2**16 zero bytes do to a checksum, as matrices over bits (32 columns each)."""
    powers = [[_after_zero_byte(1 << bit) for bit in range(32)]]
    for _ in range(16):
        powers.append([_times(powers[-1], column) for column in powers[-1]])
    return powers


def _times(columns: list[int], value: int) -> int:
    result = 0
    while value:
        low = value & -value
        result ^= columns[low.bit_length() - 1]
        value ^= low
    return result
