"""Ogg pages: as much of them as is needed to judge a file's length, and to write the same file twice.

Page header (RFC 3533): "OggS", version, flags, granule position (8), serial number (4), sequence number (4),
checksum (4), number of segments, their lengths; all little-endian. Of Vorbis, the granule position is the
number of samples up to the end of the page.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

_CONTINUED, _FIRST, _LAST = 1, 2, 4
_HEADER = 27
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
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


def with_comments(data: bytes, comments: Iterable[tuple[str, str]]) -> bytes | None:
    """The same beginning of an Ogg Vorbis file with other comments; None if its three headers are not all in `data`.

    Whoever made the stream stays named (the vendor). Pages behind the headers, if there are, stay as they are: their
    numbers are for `set_numbers`. Source: Vorbis I specification, sections 4.2 and 5.
    """
    file = io.BytesIO(data)
    packets = [b""]
    for page in pages(file):
        if page.end > len(data):
            return None
        file.seek(page.at + 26)
        lengths = file.read(file.read(1)[0])
        for length in lengths:
            packets[-1] += file.read(length)
            if length < 255:
                packets.append(b"")
        if len(packets) == 4 and not packets[3]:
            first, vendor_end = next(pages(file)), 11 + int.from_bytes(packets[1][7:11], "little")
            listed = [f"{name}={text}".encode("utf-8", "replace") for name, text in comments]
            said = b"".join(len(each).to_bytes(4, "little") + each for each in listed)
            changed = packets[1][:vendor_end] + len(listed).to_bytes(4, "little") + said + b"\1"
            return data[: first.end] + _header_pages([changed, packets[2]], first.serial) + data[page.end :]
    return None


def _header_pages(packets: Sequence[bytes], serial: int) -> bytes:
    """Packets on pages of their own, numbered from 1, at the beginning of a stream."""
    pieces = []  # of 255 bytes and less, each with whether a packet begins with it
    for packet in packets:
        pieces += [(packet[at : at + 255], at == 0) for at in range(0, len(packet) + 1, 255)]
    made = b""
    for number, at in enumerate(range(0, len(pieces), 255), 1):
        here = pieces[at : at + 255]
        flags = 0 if here[0][1] else _CONTINUED
        # No packet ends on a page: -1 is its position, as RFC 3533 has it.
        granule = 0 if any(len(piece) < 255 for piece, _ in here) else -1
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(here))
        made += head + bytes(len(piece) for piece, _ in here) + b"".join(piece for piece, _ in here)
    return made


def set_numbers(file: WritableFile, serial: int) -> None:
    """Number the pages of a file of one stream from 0 on, and give each this serial number, in place."""
    for number, page in enumerate(list(pages(file))):
        file.seek(page.at)
        data = bytearray(file.read(page.end - page.at))
        data[14:26] = struct.pack("<III", serial, number, 0)
        data[22:26] = checksum(data).to_bytes(4, "little")
        file.seek(page.at)
        file.write(bytes(data))


def checksum(data: bytes | bytearray) -> int:
    """The checksum of a page whose own is 0 (RFC 3533, section 6).

    It is the CRC of zlib with the bits the other way round, and nothing inverted before or after.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")
