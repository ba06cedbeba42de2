"""How much audio a file says it holds, read from its own structure.

FFmpeg plays a file that is cut short without a word, and plays an AAC stream to the end of its last frame.
A stem has to be exactly as long as its mix, so what the file declares is read here: to refuse a file that
holds less, and to cut what a decoder gives beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from stemwright.audio.containers.mp4 import Length, mp4_lengths
from stemwright.audio.containers.riff import byte_order, chunks
from stemwright.audio.info import shown
from stemwright.audio.reading.sniff import Kind
from stemwright.errors import InputError

UNLIMITED = 1 << 62
_SAMPLE_RATES = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000}
)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file says of the length of its sound; all in samples of each channel."""

    samples: int | None = None  # how many there are; None if the file does not say
    rate: int | None = None  # the sample rate that they are counted at; None if it can be no other than the decoder's
    tolerance: int = 0  # how many fewer may come out before the file counts as truncated
    slack: int = 0  # how many more may come out and be dropped, as padding
    grain: int = 0  # how many more may come out and be kept: what is declared may be rounded by as many
    tracks: Mapping[int, Length] = field(default_factory=dict)  # of an MP4 file, by their numbers

    def at(self, rate: int, track: int = 0) -> Declared:
        """The same for what really comes out of the decoder, of this track; nothing is declared if the two do not fit."""
        if (length := self.tracks.get(track)) is not None:
            said = Declared(samples=length.samples, rate=length.rate, tolerance=length.tolerance, slack=UNLIMITED)
            return said.at(rate)
        if self.samples is None or self.rate is None or self.rate == rate:
            return self
        if rate in (self.rate, 2 * self.rate):  # AAC with spectral band replication comes out at twice its core's rate
            unit = 0
        elif rate % self.rate and self.rate in _SAMPLE_RATES:
            return Declared()
        else:  # a track that counts in other units than samples (milliseconds) is rounded to one of them
            unit = -(-rate // self.rate)
        return replace(
            self,
            samples=round(self.samples * rate / self.rate),
            rate=rate,
            tolerance=max(-(-self.tolerance * rate // self.rate), unit),
            grain=unit,
        )


def declared(file: BinaryIO, size: int, kind: Kind, name: str) -> Declared:
    """Read what the file declares; of Ogg and mp3 files, `plan` does.

    Raises:
        InputError: ``truncated`` if the file ends before a part that it declares, ``no_samples`` if it
            declares that it holds none.
    """
    if kind.demuxer in ("wav", "w64", "aiff"):
        _check_chunks(file, size, name)
    elif kind.demuxer == "flac":
        return _flac(file, size, kind.start, name)
    elif kind.demuxer == "mov":
        return Declared(tracks=mp4_lengths(file, size, name))
    elif kind.demuxer == "matroska":
        _check_segment(file, size, name)
    return Declared()


def truncated(name: str, detail: str) -> InputError:
    """The error for a file that ends too early."""
    return InputError(f"{shown(name)} is cut short: {detail}; get a complete copy", code="truncated")


def _check_chunks(file: BinaryIO, size: int, name: str) -> None:
    file.seek(0)
    form = file.read(8)
    whole = int.from_bytes(form[4:], byte_order(form)) + 8
    for chunk in chunks(file, size):
        if chunk.name not in (b"data", b"SSND"):
            continue
        left = size - chunk.at
        if chunk.length == 0 and (whole == size or left == 0):
            raise InputError(f"{shown(name)} holds no samples", code="no_samples")
        # Some programs write the length of the file, or of what follows its first chunk's header, in place of the audio's.
        wrong = chunk.length in (size, size - 8)
        if chunk.length > left and not wrong and not _is_unknown(chunk.length):
            raise truncated(name, f"it declares {chunk.length} bytes of audio and holds {left}")
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
