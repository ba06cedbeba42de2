"""Tags that a file gives several values, such as two artists, where FFmpeg tells the first alone: ID3v2 and MP4.

Imported by `decode_child`, which runs outside this package: so this module imports nothing of it. Of Vorbis comments
FFmpeg tells all, joined by semicolons; so are these.

Sources: ID3v2.4.0, structure (sections 3 and 4) and native frames (section 4.2: values are separated by a zero); ISO/IEC
14496-12 section 4.2 (boxes); that a box of ``ilst`` may hold several of ``data`` is Apple's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_ID3 = {b"TPE1": "artist", b"TPE2": "album_artist", b"TCOM": "composer", b"TCON": "genre"}
_MP4 = {b"\xa9ART": "artist", b"aART": "album_artist", b"\xa9wrt": "composer", b"\xa9gen": "genre"}
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_TEXT = 1024  # characters of a tag
_MOST = 256
"""Frames, or boxes side by side, that are looked at."""
_LONGEST = 1 << 16
"""Bytes of a frame of text, or of a box of values, that is looked at."""


def several_values(demuxer: str, start: int, end: int) -> dict[str, str]:
    """What standard input, from `start` to `end` (0: its own), has several values of; by FFmpeg's names.

    It is only another reading of tags that FFmpeg has read already: what is wrong with them is no error here.
    """
    if not hasattr(os, "pread"):  # Windows
        return {}
    end = end or os.fstat(0).st_size
    found = _mp4(start, end) if demuxer == "mov" else _id3(start, end)
    return {name: ";".join(values)[:_TEXT] for name, values in found if len(values) > 1}


def _id3(at: int, end: int) -> Iterator[tuple[str, list[str]]]:
    head = os.pread(0, 10, at)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (3, 4) or head[5]:  # flags: unsynchronised, extended
        return
    end = min(end, at + 10 + _synchsafe(head[6:10]))
    at += 10
    for _ in range(_MOST):
        frame = os.pread(0, 10, at)
        if at + 10 > end or len(frame) < 10 or not frame[0]:
            return
        size = _synchsafe(frame[4:8]) if head[3] == 4 else int.from_bytes(frame[4:8], "big")
        name = _ID3.get(frame[:4])
        if name and 1 < size <= _LONGEST and not frame[9] and at + 10 + size <= end:
            text = os.pread(0, size, at + 10)
            if text[0] < len(_ENCODINGS):
                values = text[1:].decode(_ENCODINGS[text[0]], "replace").split("\0")
                yield name, [value for each in values if (value := each.strip("\ufeff"))]
        at += 10 + size


def _mp4(at: int, end: int) -> Iterator[tuple[str, list[str]]]:
    lists = [(at, end)]
    for inner in (b"moov", b"udta", b"meta", b"ilst"):
        skipped = 4 if inner == b"meta" else 0  # its version and flags
        lists = [(of + skipped, to) for begin, stop in lists for kind, of, to in _boxes(begin, stop) if kind == inner]
    for kind, begin, stop in (box for here in lists for box in _boxes(*here)):
        if kind in _MP4 and stop - begin <= _LONGEST:
            values = [os.pread(0, to - of, of)[8:] for data, of, to in _boxes(begin, stop) if data == b"data"]
            yield _MP4[kind], [text for value in values if (text := value.decode("utf-8", "replace"))]


def _boxes(at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of the content of each box."""
    for _ in range(_MOST):
        head = os.pread(0, 16, at)
        if at + 8 > end or len(head) < 8:
            return
        size, begin = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), at + 16
        stop = at + size if size else end
        if not begin <= stop <= end:
            return
        yield head[4:8], begin, stop
        at = stop


def _synchsafe(number: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(number)))
