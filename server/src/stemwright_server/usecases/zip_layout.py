"""The layout of a zip archive of stored files, known to the byte before any of it is read.

So it has a length, answers Range, and is the same every time. As APPNOTE.TXT describes it, with ZIP64 where a size,
a place or a count needs it. Names are UTF-8; every file has the same time, so that equal files make equal archives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")

_VERSION, _VERSION64 = 20, 45  # needed to read it: 2.0, and 4.5 for ZIP64
_UTF8 = 1 << 11
_MADE_BY = 3 << 8 | _VERSION64  # Unix
_MODE = 0o100644 << 16
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00, the first there is
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "look into the ZIP64 record"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of the archive."""

    name: str
    key: str  # where its bytes are
    size: int
    crc32: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of bytes: ``data`` itself, or those of a blob from ``offset`` on."""

    size: int
    data: bytes = b""
    key: str = ""
    offset: int = 0


def layout(members: Sequence[Member]) -> list[Piece]:
    """The archive, piece after piece."""
    pieces: list[Piece] = []
    central, place = b"", 0
    for member in members:
        header = _local_header(member)
        central += _central_header(member, place)
        pieces += [Piece(size=len(header), data=header), Piece(size=member.size, key=member.key)]
        place += len(header) + member.size
    end = central + _end(len(members), len(central), place)
    return [*pieces, Piece(size=len(end), data=end)]


def cut(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """The bytes from ``start`` to before ``stop``."""
    place = 0
    for piece in pieces:
        first, last = max(start - place, 0), min(stop - place, piece.size)
        if first < last:
            data = piece.data[first:last]
            yield Piece(size=last - first, data=data, key=piece.key, offset=piece.offset + first)
        place += piece.size


def _local_header(member: Member) -> bytes:
    name, large = member.name.encode(), member.size >= _FULL32
    size = _FULL32 if large else member.size
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.size) if large else b""
    fixed = _LOCAL.pack(
        b"PK\3\4",
        _VERSION64 if large else _VERSION,
        _UTF8,
        0,  # stored
        _TIME,
        _DATE,
        member.crc32,
        size,
        size,
        len(name),
        len(extra),
    )
    return fixed + name + extra


def _central_header(member: Member, place: int) -> bytes:
    name = member.name.encode()
    values = [member.size, member.size] if member.size >= _FULL32 else []
    values += [place] if place >= _FULL32 else []
    extra = struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values) if values else b""
    size = min(member.size, _FULL32)
    fixed = _CENTRAL.pack(
        b"PK\1\2",
        _MADE_BY,
        _VERSION64 if values else _VERSION,
        _UTF8,
        0,  # stored
        _TIME,
        _DATE,
        member.crc32,
        size,
        size,
        len(name),
        len(extra),
        0,  # no comment
        0,  # on the first disk
        0,  # binary
        _MODE,
        min(place, _FULL32),
    )
    return fixed + name + extra


def _end(count: int, size: int, place: int) -> bytes:
    """The end of the central directory, which has ``count`` entries in ``size`` bytes at ``place``."""
    end = b""
    if count >= _FULL16 or size >= _FULL32 or place >= _FULL32:
        end += _END64.pack(b"PK\6\6", 44, _MADE_BY, _VERSION64, 0, 0, count, count, size, place)
        end += _LOCATOR64.pack(b"PK\6\7", 0, place + size, 1)
    entries = min(count, _FULL16)
    return end + _END.pack(b"PK\5\6", 0, 0, entries, entries, min(size, _FULL32), min(place, _FULL32), 0)
