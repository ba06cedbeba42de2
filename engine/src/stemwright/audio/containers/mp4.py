"""The lengths of the audio tracks of an MP4 or QuickTime file, to the sample.

The decoder of AAC gives whole frames of 1024 samples. How many of the first (priming) and of the last
(padding) are not music stands in the edit list and the track's duration; FFmpeg drops the priming by itself.
Apple's encoders write the same in an `iTunSMPB` tag.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from stemwright.audio.info import shown
from stemwright.errors import InputError

_LEADING_BOXES = (b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid", b"udta", b"junk", b"pict", b"prfl")
_LARGE_BOXES = (b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"uuid", b"meta", b"udta", b"mfra", b"sidx")
_MOST_EDITS = 16
_MOOV_LIMIT = 1 << 28
"""A larger index than this many bytes is not read."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """Samples of an audio track, at `rate`; up to `tolerance` of them may be a matter of rounding."""

    samples: int
    rate: int
    tolerance: int = 0


def mp4_lengths(file: BinaryIO, size: int, name: str) -> dict[int, Length]:
    """The length of each audio track that says it, by its number; none of fragments, nor of tracks of several edits.

    Raises:
        InputError: ``truncated`` if a part of the file is declared longer than the file.
    """
    moov = b""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length == 0:
            length = size - at
        if length < 8:
            break
        if at + length > size:
            if moov and kind not in _LARGE_BOXES:
                break  # a tag of another kind, or text, behind the last box
            if kind == b"mdat" and moov and len(_moov_lengths(moov)) == len(_sounds(moov)):
                break  # what is missing may be picture, or nothing: the sound that comes out is counted
            raise InputError(
                f"{shown(name)} is cut short: it declares at least {at + length} bytes and holds {size}; "
                "get a complete copy",
                code="truncated",
            )
        if kind == b"moof":
            return {}
        if kind == b"moov" and length <= _MOOV_LIMIT:
            file.seek(at + 8)
            moov = file.read(length - 8)
        at += length
    return _moov_lengths(moov)


def begins_with_box(head: bytes) -> bool:
    """Whether a file begins with a box that may come before ``ftyp`` or ``moov``."""
    at = 0
    for _ in range(4):
        length, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind in (b"ftyp", b"moov") and at:
            return True
        # The first byte of a length below 16 MB is zero: no text begins like that.
        if kind not in _LEADING_BOXES or not 8 <= length < 1 << 24:
            return False
        at += length
        if at + 8 > len(head):
            return True
    return False


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8 or at + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


def _find(data: bytes, *path: bytes) -> bytes | None:
    for kind, body in _boxes(data):
        if kind == path[0]:
            return body if len(path) == 1 else _find(body, *path[1:])
    return None


@dataclass(frozen=True, kw_only=True)
class _Timing:
    """A box with a time scale and a duration, 0 where it is unknown: mvhd or mdhd."""

    scale: int
    duration: int

    @classmethod
    def read(cls, box: bytes | None) -> _Timing | None:
        if box is None or len(box) < (32 if box[:1] == b"\1" else 20):
            return None
        at, wide = (20, 8) if box[0] == 1 else (12, 4)
        scale = int.from_bytes(box[at : at + 4], "big")
        duration = int.from_bytes(box[at + 4 : at + 4 + wide], "big")
        if duration == (1 << 8 * wide) - 1:
            duration = 0
        return cls(scale=scale, duration=duration) if scale else None


def _moov_lengths(moov: bytes) -> dict[int, Length]:
    movie = _Timing.read(_find(moov, b"mvhd"))
    tracks = _sounds(moov)
    lengths: dict[int, Length] = {}
    for trak in tracks:
        header, media = _find(trak, b"tkhd"), _Timing.read(_find(trak, b"mdia", b"mdhd"))
        if movie is None or media is None or not media.duration or header is None:
            continue
        at = 20 if header[:1] == b"\1" else 12
        length = _gapless(moov, media) if len(tracks) == 1 else None
        length = length or _edited(_find(trak, b"edts", b"elst"), media, movie)
        if length is not None and length.samples > 0:
            lengths[int.from_bytes(header[at : at + 4], "big")] = length
    return lengths


def _sounds(moov: bytes) -> list[bytes]:
    """The tracks of sound."""
    tracks = [body for kind, body in _boxes(moov) if kind == b"trak"]
    return [each for each in tracks if (_find(each, b"mdia", b"hdlr") or b"")[8:12] == b"soun"]


def _gapless(moov: bytes, media: _Timing) -> Length | None:
    """What Apple's tag says, which belongs to the file as a whole."""
    said = re.search(rb" 00000000 [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{16}) ", moov)
    return Length(samples=int(said[1], 16), rate=media.scale) if said and b"iTunSMPB" in moov else None


def _edited(edits: bytes | None, media: _Timing, movie: _Timing) -> Length | None:
    if edits is None or len(edits) < 8:
        return Length(samples=media.duration, rate=media.scale)
    entry = struct.Struct(">qqI" if edits[0] == 1 else ">IiI")
    count = int.from_bytes(edits[4:8], "big")
    if edits[0] > 1 or not count or len(edits) < 8 + count * entry.size:
        return None
    # Empty edits at the beginning say by how much the track begins later than others.
    entries = [entry.unpack_from(edits, 8 + index * entry.size)[:2] for index in range(min(count, _MOST_EDITS))]
    music = list(itertools.dropwhile(lambda each: each[1] == -1, entries))
    if count > _MOST_EDITS or len(music) != 1:
        return None
    ((length, start),) = music
    whole = media.duration - max(start, 0)
    if not length:
        return Length(samples=whole, rate=media.scale)
    # The edit is often told in coarser units (milliseconds): within one such unit the media's own end is meant.
    unit = -(-media.scale // movie.scale) if movie.scale != media.scale else 0
    edit = round(length * media.scale / movie.scale)
    if abs(whole - edit) <= unit:
        return Length(samples=whole, rate=media.scale)
    return Length(samples=min(whole, edit), rate=media.scale, tolerance=unit)
