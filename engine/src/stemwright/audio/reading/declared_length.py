"""How much audio a file says it holds, read from its own structure.

FFmpeg plays a file that is cut short without a word, and plays an AAC stream to the end of its last frame.
A stem has to be exactly as long as its mix, so what the file declares is read here: to refuse a file that
holds less, and to cut what a decoder gives beyond it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from stemwright.audio.containers import mpeg
from stemwright.audio.containers.mp4 import mp4_length
from stemwright.audio.containers.ogg import ends_inside_page, single_page_samples
from stemwright.audio.info import shown
from stemwright.audio.reading.sniff import Kind
from stemwright.errors import InputError

UNLIMITED = 1 << 62
_MP3_SLACK = 4608
"""Samples: a file of four frames more than its tag says was put together of several, and is played to its end."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file says of the length of its sound; all in samples of each channel."""

    samples: int | None = None  # how many there are; None if the file does not say
    rate: int | None = None  # the sample rate that they are counted at; None if it can be no other than the decoder's
    tolerance: int = 0  # how many fewer may come out before the file counts as truncated
    slack: int = 0  # how many more may come out and be dropped, as padding
    # Whether it is Ogg Vorbis on a single page, which the decoder has to be told (see `decode_child`)
    single_page: bool = False

    def at(self, rate: int) -> Declared:
        """The same for what really comes out of the decoder; nothing is declared if the two do not fit."""
        if self.samples is None or self.rate is None or self.rate == rate:
            return self
        if rate % self.rate:
            return Declared(single_page=self.single_page)
        times = rate // self.rate  # AAC with spectral band replication comes out at twice the rate of its core
        return replace(self, samples=self.samples * times, rate=rate, tolerance=self.tolerance * times)


def declared(file: BinaryIO, size: int, kind: Kind, name: str) -> Declared:
    """Read what the file declares.

    Raises:
        InputError: ``truncated`` if the file ends before a part that it declares, ``no_samples`` if it
            declares that it holds none.
    """
    if kind.demuxer in ("wav", "aiff"):
        _check_chunks(file, size, name)
    elif kind.demuxer == "flac":
        return _flac(file, size, kind.start, name)
    elif kind.demuxer == "mp3":
        return _mp3(file, size, kind.start, name)
    elif kind.demuxer == "mov":
        length = mp4_length(file, size, name)
        if length is not None:
            return Declared(samples=length.samples, rate=length.rate, tolerance=length.tolerance, slack=UNLIMITED)
    elif kind.demuxer == "ogg":
        return _ogg(file, size, name)
    elif kind.demuxer == "matroska":
        _check_segment(file, size, name)
    return Declared()


def truncated(name: str, detail: str) -> InputError:
    """The error for a file that ends too early."""
    return InputError(f"{shown(name)} is cut short: {detail}; get a complete copy", code="truncated")


def _chunks(file: BinaryIO, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF or FORM file: (id, offset of the data, declared size)."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        tag, length = struct.unpack(f"{order}4sI", file.read(8))
        yield tag, at + 8, length
        at += 8 + length + (length & 1)


def _check_chunks(file: BinaryIO, size: int, name: str) -> None:
    file.seek(0)
    form = file.read(12)
    order = ">" if form[:4] in (b"FORM", b"RIFX") else "<"
    whole = struct.unpack(f"{order}I", form[4:8])[0] + 8
    large = 0
    for tag, at, length in _chunks(file, size, order):
        if tag == b"ds64":
            file.seek(at + 8)
            large = int.from_bytes(file.read(8), "little")
        if tag not in (b"data", b"SSND"):
            continue
        if length == 0xFFFFFFFF and form[:4] in (b"RF64", b"BW64"):
            length = large
        if length == 0 and (whole == size or at == size):
            raise InputError(f"{shown(name)} holds no samples", code="no_samples")
        if at + length > size and not _is_unknown(length):
            raise truncated(name, f"it declares {length} bytes of audio and holds {size - at}")
        return
    raise truncated(name, "it ends before its audio begins")


def _is_unknown(length: int) -> bool:
    """Whether a size is what a program writes that cannot know it (a recording to a pipe)."""
    return length == 0 or 0x7FFFF000 <= length <= 0x80000000 or 0xFFFFF000 <= length <= 0xFFFFFFFF


def _flac(file: BinaryIO, size: int, start: int, name: str) -> Declared:
    at, samples = start + 4, 0
    last = False
    while not last:
        file.seek(at)
        header = file.read(4)
        length = int.from_bytes(header[1:4], "big")
        if len(header) < 4 or at + 4 + length > size:
            raise truncated(name, "it ends inside its header")
        if header[0] & 0x7F == 0 and length >= 18:
            info = file.read(18)
            samples = int.from_bytes(info[13:18], "big") & (1 << 36) - 1
        last = bool(header[0] & 0x80)
        at += 4 + length
    return Declared(samples=samples or None)


def _mp3(file: BinaryIO, size: int, start: int, name: str) -> Declared:
    file.seek(start)
    frame = file.read(4096)
    header = mpeg.mpeg_header(frame, 0)
    if header is None:
        return Declared()
    if start + header.size > size:
        raise truncated(name, "it ends inside its first frame")
    tag = mpeg.xing_tag(frame, header)
    if tag is None or not tag.frames:
        return Declared()
    # Some encoders count the frame of the tag itself: one frame less is no sign of a cut.
    return Declared(
        samples=tag.frames * header.samples - tag.delay - tag.padding,
        tolerance=header.samples,
        slack=_MP3_SLACK if tag.padding else 0,
    )


def _ogg(file: BinaryIO, size: int, name: str) -> Declared:
    if ends_inside_page(file, size):
        raise truncated(name, "it ends inside a page")
    samples = single_page_samples(file)
    return Declared(samples=samples, slack=UNLIMITED, single_page=samples is not None)


def _check_segment(file: BinaryIO, size: int, name: str) -> None:
    """A Matroska file is an EBML header and one Segment with a size, unknown when it was streamed."""
    at = 0
    for expected in (0x1A45DFA3, 0x18538067):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12:
            raise truncated(name, "it ends inside its header")
        if int.from_bytes(head[:4], "big") != expected:
            return
        width = 9 - head[4].bit_length()
        if width > 8:
            return
        length = int.from_bytes(head[4 : 4 + width], "big") & (1 << 7 * width) - 1
        at += 4 + width
        if length == (1 << 7 * width) - 1:
            return
        at += length
        if at > size:
            raise truncated(name, f"it declares {at} bytes and holds {size}")
