"""What the decoder has to be told of a file: the parts that it is put together of, and what its samples are.

FFmpeg opens a file once, with one set of headers. Ogg streams one behind the other, or mp3 files, each have their own, and
their own padding: they are decoded as what they are, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from stemwright.audio.containers import ogg
from stemwright.audio.containers.caf import caf_codec
from stemwright.audio.containers.mp3 import Recording, Walk, walk
from stemwright.audio.containers.mpeg import mpeg_header
from stemwright.audio.containers.riff import pcm_codec
from stemwright.audio.info import shown
from stemwright.audio.reading.declared_length import Declared, declared, truncated
from stemwright.audio.reading.sniff import Kind
from stemwright.errors import InputError

_DECODER_DELAY = 529
"""Samples that every decoder of MPEG layer III lags behind, by the convention of the tag that tells the encoder's."""
_MORE_FRAMES = 4
"""A file of more frames than this beyond its tag's was put together of several: where the padding lies is not known."""
_MOST_PARTS = 1000
"""A file of more parts is not decoded: they are told to the decoder on its command line."""
_FEW, _FEW_PART = 8, 20
"""This many frames, and one in so many, may be lost before a file is given up: FFmpeg's packets are counted alike."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of the file that is decoded by itself. What of its samples is padding is cut by us if anything is said."""

    start: int = 0  # first byte
    end: int = 0  # first byte behind it; 0: the file's end
    sound_end: int = 0  # first byte behind its sound, where tags follow that look like sound; 0: it is not known
    own_padding: bool = False  # whether FFmpeg is to cut nothing, because it would cut wrong
    skip_frames: int = 0  # decoded frames at the beginning that only prepare the next
    skip: int = 0  # samples at the beginning that are padding
    drop: int = 0  # samples at the end that are padding
    samples: int | None = None  # how many there are after `skip`; None: all


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a file is decoded."""

    parts: tuple[Part, ...] = (Part(),)
    codec: str | None = None  # FFmpeg's name of the codec, where its own reading of the header is wrong
    declared: Declared = field(default_factory=Declared)
    notes: tuple[str, ...] = ()  # what a user should know of it


def plan(file: BinaryIO, size: int, kind: Kind, name: str) -> Plan:
    """Say how a file is to be decoded.

    Raises:
        InputError: ``truncated`` if the file ends before a part that it declares, ``no_samples`` if it declares that it
            holds none, ``decode_failed`` if it is damaged, or contradicts itself.
    """
    found = _plan(file, size, kind, name)
    if len(found.parts) > _MOST_PARTS:
        raise InputError(
            f"{shown(name)} cannot be decoded: it is put together of more than {_MOST_PARTS} parts; split it or export it "
            "anew",
            code="decode_failed",
        )
    return found


def _plan(file: BinaryIO, size: int, kind: Kind, name: str) -> Plan:
    if kind.demuxer == "mp3":
        return _mp3(file, size, kind, name)
    if kind.demuxer == "ogg":
        return _ogg(file, size, name)
    codec = None
    if kind.demuxer in ("wav", "w64"):
        codec = pcm_codec(file, size, name)
    elif kind.demuxer == "caf":
        codec = caf_codec(file)
    return Plan(
        parts=(Part(start=_start(kind)),),
        codec=codec,
        declared=declared(file, size, kind, name),
    )


def _start(kind: Kind) -> int:
    return kind.start if kind.garbage else 0


def _ogg(file: BinaryIO, size: int, name: str) -> Plan:
    if ogg.ends_inside_page(file, size):
        raise truncated(name, "it ends inside a page")
    starts = ogg.links(file, size, most=_MOST_PARTS + 1)
    ends = [*starts[1:], 0]
    lengths = [ogg.single_page_samples(file, start, end or size) for start, end in zip(starts, ends, strict=True)]
    return Plan(
        parts=tuple(
            # Of Vorbis on a single page FFmpeg cannot tell the beginning from the end, and would cut the wrong one.
            Part(
                start=start,
                end=end,
                own_padding=samples is not None,
                skip_frames=int(samples is not None),
                samples=samples,
            )
            for start, end, samples in zip(starts, ends, lengths, strict=True)
        ),
        declared=Declared(samples=lengths[0]) if len(starts) == 1 else Declared(),
    )


def _mp3(file: BinaryIO, size: int, kind: Kind, name: str) -> Plan:
    file.seek(kind.start)
    first = mpeg_header(file.read(4), 0)
    if first is not None and kind.start + first.size > size:
        raise truncated(name, "it ends inside its first frame")
    found = walk(file, kind.start, size, most=_MOST_PARTS + 1)
    recordings = [each for each in found.recordings if each.frames]
    if not recordings:
        return Plan(parts=(Part(start=_start(kind)),))
    _check_frames(found, recordings, name)
    # The first begins with the tags before it, and the last ends with those behind it.
    starts = [_start(kind), *(each.start for each in recordings[1:])]
    ends = [*(each.end for each in recordings[:-1]), 0]
    parts = tuple(map(_mp3_part, recordings, starts, ends))
    stray = sum(each.stray for each in recordings)
    return Plan(
        parts=parts,
        declared=_mp3_length(recordings, parts),
        notes=(f"{stray} bytes between its frames were passed over: what follows them comes earlier",) if stray else (),
    )


def _check_frames(found: Walk, recordings: Sequence[Recording], name: str) -> None:
    last = recordings[-1]
    if last.tag is not None and last.tag.frames is not None:
        # Some encoders count the frame of the tag itself, and editors cut whole frames off and leave the tag as it was.
        spare = 1 if found.is_cut else _few(last.tag.frames)
        if last.frames < last.tag.frames - spare:
            raise truncated(name, f"its header promises {last.tag.frames} frames, and {last.frames} are whole")
    stray, held = sum(each.stray for each in recordings), sum(each.frames for each in recordings)
    if stray > _few(held) * (last.end - recordings[0].start) / held:
        raise InputError(
            f"{shown(name)} cannot be decoded: it is damaged, {stray} bytes of it are no MPEG frames; get another copy",
            code="decode_failed",
        )


def _few(frames: int) -> int:
    return _FEW + frames // _FEW_PART


def _mp3_part(recording: Recording, start: int, end: int) -> Part:
    tag = recording.tag
    if tag is None or recording.header.signature[1] != 3:
        return Part(start=start, end=end, sound_end=recording.end)
    known = tag.delay or tag.padding
    whole = tag.frames is None or recording.frames <= tag.frames + _MORE_FRAMES
    return Part(
        start=start,
        end=end,
        sound_end=recording.end,
        # FFmpeg cuts where the padding would lie if the tag were right about the number of frames.
        own_padding=True,
        skip=tag.delay + _DECODER_DELAY if known else 0,
        drop=max(0, tag.padding - _DECODER_DELAY) if known and whole else 0,
    )


def _mp3_length(recordings: Sequence[Recording], parts: Sequence[Part]) -> Declared:
    rates = {each.header.rate for each in recordings}
    if len(rates) > 1:
        return Declared()
    counts = [
        max(0, each.frames * each.header.samples - part.skip - part.drop)
        for each, part in zip(recordings, parts, strict=True)
    ]
    frames, longest = sum(each.frames for each in recordings), recordings[0].header.samples
    # Frames that the decoder cannot use are left out; it gives up by itself when they are too many.
    return Declared(samples=sum(counts) or None, rate=rates.pop(), tolerance=_few(frames) * longest)
