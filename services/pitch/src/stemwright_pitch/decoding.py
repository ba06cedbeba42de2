"""Audio out of a file of any usual format, in blocks, by the FFmpeg that PyAV bundles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from stemwright_pitch.errors import PitchError

# Demuxers of sound files: none of them opens a second file or an address that stands in the first.
DEMUXERS = "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,flac,flv,matroska,mov,mp3,mpegts,ogg,tta,w64,wav,wv"
BLOCK = 1 << 16  # samples
_FAULTS_IN_A_ROW = 50  # packets that cannot be decoded before the file counts as broken


@dataclass(frozen=True, kw_only=True)
class Block:
    """`BLOCK` samples, or fewer at the end, as they follow each other in the file."""

    samples: NDArray[np.float32]  # [channels, n], 1 is full scale, finite; one channel or two
    rate: int  # Hz, the same in every block of a file


def blocks(path: Path, filename: str, max_seconds: float | None) -> Iterator[Block]:
    """The first audio track of a file, at its own rate. More than two channels are mixed down to two.

    Raises:
        PitchError: it is no audio (``unreadable``), broken in the middle (``unreadable``), without a sample (``empty``) or
            longer than ``max_seconds`` (``too_long``).
    """
    try:
        with path.open("rb") as file, av.open(file, options={"format_whitelist": DEMUXERS}) as container:
            yield from _blocks(container, filename, max_seconds)
    except (av.error.FFmpegError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise PitchError(
            f"{filename} cannot be decoded: {said}; send a sound file such as wav, flac or mp3", "unreadable"
        ) from error


def _blocks(container: Any, filename: str, max_seconds: float | None) -> Iterator[Block]:
    if not container.streams.audio:
        raise PitchError(f"{filename} has no audio track: send a sound file such as wav, flac or mp3", "unreadable")
    held: list[NDArray[np.float32]] = []
    waiting = count = rate = 0
    for samples, rate in _frames(container):
        held.append(samples)
        waiting += samples.shape[1]
        count += samples.shape[1]
        if max_seconds is not None and count > max_seconds * rate:
            raise PitchError(f"{filename} is longer than the {max_seconds:.0f} s that are taken", "too_long")
        if waiting >= BLOCK:
            whole = np.concatenate(held, axis=1)
            for start in range(0, waiting - BLOCK + 1, BLOCK):
                yield Block(samples=whole[:, start : start + BLOCK], rate=rate)
            held = [whole[:, waiting - waiting % BLOCK :]]
            waiting %= BLOCK
    if waiting:
        yield Block(samples=np.concatenate(held, axis=1), rate=rate)
    if not count:
        raise PitchError(f"{filename} has no sample of sound in it", "empty")


def _frames(container: Any) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Samples ``[channels, n]`` and their rate; the first frame decides channels and rate for all."""
    resampler: AudioResampler | None = None
    faults = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            faults += 1
            if faults > _FAULTS_IN_A_ROW:
                raise
            continue
        for frame in decoded:
            faults = 0
            if resampler is None:
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                resampler = AudioResampler(format="fltp", layout=layout, rate=frame.sample_rate)
            yield from map(_plain, resampler.resample(frame))
    if resampler is not None:
        yield from map(_plain, resampler.resample(None))


def _plain(frame: Any) -> tuple[NDArray[np.float32], int]:
    """Samples that can be computed with: NaN and what is out of all measure become silence and full scale."""
    samples = np.nan_to_num(frame.to_ndarray(), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(samples, -16.0, 16.0), frame.sample_rate
