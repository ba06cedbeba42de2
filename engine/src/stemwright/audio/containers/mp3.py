"""Files of MPEG audio frames: the tag in the first frame, and which recordings a file is put together of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from stemwright.audio.containers.mpeg import FrameHeader, mpeg_header

_TAGS_BEHIND = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
# What may be the header of a frame: version, layer, bit rate and sample rate are none that do not exist.
_HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef].", re.DOTALL)
_WINDOW = 1 << 20
_MOST_TRIES = 100_000
"""Places between frames that may look like headers and be none, before the search is given up."""
_TAG_BYTES = 200
"""More of a frame than lies before the end of its Xing tag."""


@dataclass(frozen=True, kw_only=True)
class XingTag:
    """What the tag in the first frame of an mp3 declares."""

    frames: int | None
    delay: int  # samples of encoder delay, without the decoder's 529
    padding: int


def xing_tag(frame: bytes, header: FrameHeader) -> XingTag | None:
    """Read the Xing or Info tag of the first frame, or None if it is an ordinary frame."""
    at = header.tag_offset
    if frame[at : at + 4] not in (b"Xing", b"Info") or len(frame) < at + 8:
        return None
    flags, at = frame[at + 7], at + 8
    frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else None
    at += 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    lame = frame[at : at + 24]
    if len(lame) < 24 or lame[:4] not in (b"LAME", b"Lavf", b"Lavc"):
        return XingTag(frames=frames, delay=0, padding=0)
    gapless = int.from_bytes(lame[21:24], "big")
    return XingTag(frames=frames, delay=gapless >> 12, padding=gapless & 0xFFF)


@dataclass(kw_only=True)
class Recording:
    """Frames that belong together, from one encoder; a file that was put together of several has several."""

    start: int  # first byte: of the frame of its tag, if it has one
    header: FrameHeader  # of its first frame
    tag: XingTag | None
    end: int = 0  # first byte after its last whole frame
    frames: int = 0  # whole ones, without that of the tag
    stray: int = 0  # bytes between its frames that are none


@dataclass(frozen=True, kw_only=True)
class Walk:
    """All frames of a file, counted."""

    recordings: tuple[Recording, ...]
    is_cut: bool  # whether it ends inside a frame, or with bytes that are neither a frame nor a tag


def walk(file: BinaryIO, start: int, size: int, *, most: int) -> Walk:
    """Go from frame to frame through a file of `size` bytes whose first frame lies at `start`.

    A recording begins where there is a Xing tag, and where frames are of another kind than those before. After `most`
    recordings nothing is looked at.
    """
    window = _Window(file)
    recordings: list[Recording] = []
    now: Recording | None = None
    at = behind = start
    while (found := _next(window, behind, size, now.header.signature if now else None)) is not None:
        place, header = found
        if place + header.size > size:
            break
        # Most frames have something else where the tag would begin: looked at first, because it is quick.
        marked = window.get(place + header.tag_offset, 4) in (b"Xing", b"Info")
        tag = xing_tag(window.get(place, _TAG_BYTES), header) if marked else None
        if now is None or tag is not None or header.signature != now.header.signature:
            if len(recordings) == most:
                break
            now = Recording(start=place, header=header, tag=tag)
            recordings.append(now)
        else:
            now.stray += place - behind
        at = now.end = place + header.size
        behind = at if window.get(at, 1) == b"\xff" else _after_tags(window, at, size)
        now.frames += tag is None
    rest = window.get(at, 12)
    return Walk(recordings=tuple(recordings), is_cut=bool(rest) and not rest.startswith(_TAGS_BEHIND))


def _next(window: _Window, at: int, size: int, signature: tuple[int, ...] | None) -> tuple[int, FrameHeader] | None:
    """The next frame, and where it lies: at `at`, or past stray bytes."""
    header = window.header(at)
    if header is not None and (header.signature == signature or window.is_run(at, header, size, 2)):
        return at, header
    while (place := window.find_header(at)) is not None:
        header = window.header(place)
        if header is not None and window.is_run(place, header, size, 3):
            return place, header
        at = place + 1
    return None


def _after_tags(window: _Window, at: int, size: int) -> int:
    """Where what lies at `at` goes on behind tags of files that were put together: `at` itself if there are none."""
    for _ in range(4):
        tag = window.get(at, 16)
        if tag[:3] == b"ID3" and not any(byte & 0x80 for byte in tag[6:10]):
            length = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
        elif tag[:3] == b"TAG":
            length = 128
        elif tag[:8] == b"APETAGEX":
            length = 32 + int.from_bytes(tag[12:16], "little")
        else:
            break
        if len(tag) < 16 or at + length >= size:
            break
        at += length
    return at


class _Window:
    """Bytes of a file by their offset, read in large pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at, self._bytes = 0, b""
        self._tries = _MOST_TRIES

    def get(self, at: int, count: int) -> bytes:
        """So many bytes at `at`; fewer where the file ends."""
        if not self._at <= at <= at + count <= self._at + len(self._bytes):
            self._file.seek(at)
            self._at, self._bytes = at, self._file.read(_WINDOW)
        return self._bytes[at - self._at : at - self._at + count]

    def find_header(self, at: int) -> int | None:
        """Where there is something like a header, from `at` on; None at the end, or if too much was only like one."""
        while len(self.get(at, 4)) == 4:
            found = _HEADER.search(self._bytes, at - self._at)
            if found:
                self._tries -= 1
                return self._at + found.start() if self._tries else None
            at = self._at + len(self._bytes) - 3
        return None

    def header(self, at: int) -> FrameHeader | None:
        """The header at `at`, if there is one."""
        return mpeg_header(self.get(at, 4), 0)

    def is_run(self, at: int, first: FrameHeader, size: int, frames: int) -> bool:
        """Whether so many frames of one kind follow on each other, the first at `at`, or fewer up to the end of the file."""
        header: FrameHeader | None = first
        for _ in range(frames):
            if header is None or header.signature != first.signature:
                return False
            at += header.size
            if at >= size:
                return at == size
            header = self.header(at)
        return True
