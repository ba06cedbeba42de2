"""Measure folders of separated songs against their true stems."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemwright.audio import AudioReader, open_audio
from stemwright.audio.samples import Samples
from stemwright.errors import InputError
from stemwright.evaluation.folders import SongFiles, StemFiles
from stemwright.evaluation.frames import FRAME_SECONDS, StemFrames, StemScore, measure_stem, median, score

TRIM_SECONDS = 0.1
"""By how much a file may be shorter or longer than its reference: an encoder's padding. Zeros or a cut make
it even, as museval does without a limit."""

_CHANNELS = 2


@dataclass(frozen=True, kw_only=True)
class SongScore:
    """The figures of one song."""

    name: str
    seconds: float
    sample_rate: int
    stems: Mapping[str, StemScore]


@dataclass(frozen=True, kw_only=True)
class StemSummary:
    """One stem over all songs, in dB, each figure aggregated as its authors do."""

    sdr: float  # median over songs of the median over frames
    si_sdr: float  # median over songs
    usdr: float  # mean over songs
    songs: int


def evaluate_song(song: SongFiles) -> SongScore:
    """Measure one song. Two files are read at a time (more for a sum), a second of audio in memory.

    Raises:
        InputError: A file cannot be read, or differs from its reference in rate (``rate_mismatch``) or in
            length by more than `TRIM_SECONDS` (``length_mismatch``).
    """
    measured: dict[str, StemFrames] = {}
    lengths: dict[Path, tuple[int, int]] = {}
    for stem in song.stems:
        measured[stem.name], lengths[stem.references[0]] = _measure(stem)
    (first, (samples, rate)), *others = lengths.items()
    for path, (other_samples, other_rate) in others:
        if (other_samples, other_rate) != (samples, rate):
            raise InputError(
                f"{path} has {other_samples} samples at {other_rate} Hz, {first} has {samples} at {rate} Hz; "
                "the true stems of a song must be equally long",
                code="length_mismatch" if rate == other_rate else "rate_mismatch",
            )
    return SongScore(name=song.name, seconds=samples / rate, sample_rate=rate, stems=score(measured))


def summarize(songs: Sequence[SongScore]) -> dict[str, StemSummary]:
    """Stem by stem over all songs; a song in which a figure is undefined does not count for it."""
    names = list(dict.fromkeys(name for song in songs for name in song.stems))
    summary = {}
    for name in names:
        scores = [song.stems[name] for song in songs if name in song.stems]
        summary[name] = StemSummary(
            sdr=median(s.sdr for s in scores),
            si_sdr=median(s.si_sdr for s in scores),
            usdr=float(np.mean([s.usdr for s in scores])),
            songs=len(scores),
        )
    return summary


def overall(summary: Mapping[str, StemSummary]) -> StemSummary:
    """The mean over the stems of a summary: the column "All" of the published tables."""
    stems = list(summary.values())
    return StemSummary(
        sdr=_mean(s.sdr for s in stems),
        si_sdr=_mean(s.si_sdr for s in stems),
        usdr=_mean(s.usdr for s in stems),
        songs=max(s.songs for s in stems),
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.nan if any(math.isnan(v) for v in listed) else float(np.mean(listed))


def _measure(stem: StemFiles) -> tuple[StemFrames, tuple[int, int]]:
    """The frames of one stem, and the samples and rate of its reference."""
    paths = (*stem.references, stem.estimate)
    with ExitStack() as stack:
        readers = [stack.enter_context(open_audio(path, channels=_CHANNELS)) for path in paths]
        rate = readers[0].sample_rate
        for path, reader in zip(paths, readers, strict=True):
            if reader.sample_rate != rate:
                raise InputError(
                    f"{path} is at {reader.sample_rate} Hz and {paths[0]} at {rate} Hz; both must have one rate",
                    code="rate_mismatch",
                )
        frame = round(FRAME_SECONDS * rate)
        takers = [_Taker(reader) for reader in readers]
        frames = measure_stem(_pairs(takers, frame), frame)
        samples = takers[0].taken
        if samples == 0:
            raise InputError(f"{paths[0]} holds no samples", code="no_samples")
        for path, taker in zip(paths, takers, strict=True):
            length = taker.taken + taker.skip_rest()
            if abs(length - samples) > round(TRIM_SECONDS * rate):
                raise InputError(
                    f"{path} is {length / rate:.3f} s long and {paths[0]} {samples / rate:.3f} s; "
                    f"they may differ by {TRIM_SECONDS} s at most: is it the same song, whole?",
                    code="length_mismatch",
                )
    return frames, (samples, rate)


def _pairs(takers: Sequence[_Taker], frame: int) -> Iterator[tuple[Samples, Samples]]:
    """Frames of the sum of the references and of the estimate, which comes last, made even with zeros or a cut."""
    first, *rest, estimate = takers
    while (reference := first.take(frame)).shape[1]:
        size = reference.shape[1]
        for other in rest:
            reference = reference + _padded(other.take(size), size)
        yield reference, _padded(estimate.take(size), size)


def _padded(block: Samples, size: int) -> Samples:
    return np.pad(block, ((0, 0), (0, size - block.shape[1])))


class _Taker:
    """Take any number of samples at a time from a reader, whatever its blocks."""

    def __init__(self, reader: AudioReader) -> None:
        self._blocks = iter(reader)
        self._kept: Samples = np.zeros((_CHANNELS, 0), dtype=np.float32)
        self.taken = 0

    def take(self, count: int) -> Samples:
        """The next ``[channels, count]`` samples; fewer at the end, none after it."""
        parts, size = [self._kept], self._kept.shape[1]
        while size < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            size += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._kept = joined[:, count:]
        self.taken += min(size, count)
        return joined[:, :count]

    def skip_rest(self) -> int:
        """Read to the end and say how many samples that were."""
        rest: int = self._kept.shape[1] + sum(block.shape[1] for block in self._blocks)
        self._kept = self._kept[:, :0]
        return rest
