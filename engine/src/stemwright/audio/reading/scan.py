"""One pass over a file for what has to be known before its samples are used."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.info import AudioInfo, InputLimits, InputOptions
from stemwright.audio.reading.reader import open_audio


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """What one pass over a file found, at the rate and the channels asked for."""

    samples: int  # samples of each channel
    native_samples: int  # the same at the file's own rate
    mean: float  # of the mono mix (the mean of the channels)
    std: float  # standard deviation of the mono mix, unbiased (n - 1) as `torch.Tensor.std`; 0.0 for a single sample
    peak: float  # largest absolute value of any channel
    info: AudioInfo
    notes: tuple[str, ...] = ()  # what a user should know of how it was read


class Moments:
    """Count, mean and standard deviation of a stream, in float64, by merging blocks (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        """Merge a block ``[n]``."""
        count = values.size
        if not count:
            return
        exact = values.astype(np.float64)
        mean = float(exact.mean())
        squares = float(np.square(exact - mean).sum())
        both, delta = self.count + count, mean - self.mean
        self._squares += squares + delta * delta * self.count * count / both
        self.mean += delta * count / both
        self.count = both

    @property
    def std(self) -> float:
        """Unbiased standard deviation; 0.0 of fewer than two values."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0


def scan(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    channels: int = 2,
    limits: InputLimits | None = None,
    options: InputOptions | None = None,
) -> ScanResult:
    """Read a file once, in constant memory, and count and measure its samples.

    The whole file is decoded and checked on the way: what `scan` accepts, `open_audio` reads to the end.

    Raises:
        InputError: As `open_audio` and its reader.
    """
    moments, peak = Moments(), 0.0
    limits, options = limits or InputLimits(), options or InputOptions()
    with open_audio(path, sample_rate=sample_rate, channels=channels, limits=limits, options=options) as reader:
        for block in reader:
            moments.add(block.mean(axis=0, dtype=np.float64))
            peak = max(peak, float(np.abs(block).max()))
        return ScanResult(
            samples=moments.count,
            native_samples=reader.native_samples,
            mean=moments.mean,
            std=moments.std,
            peak=peak,
            info=reader.info,
            notes=reader.notes,
        )
