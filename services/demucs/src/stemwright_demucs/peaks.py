"""Waveforms to be drawn: the lowest and highest value of each run of samples, counted while the stems stream by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_RUN = 256  # samples
_MOST = 4096  # runs: more than a screen has columns


class PeakCounter:
    """Counts without knowing how long the song is: when there are too many runs, two become one."""

    def __init__(self) -> None:
        self.samples_per_peak = _FIRST_RUN
        self._length = 0
        self._low: NDArray[np.float32] | None = None  # [stems, _MOST], as far as they are used
        self._high: NDArray[np.float32] | None = None

    def add(self, block: NDArray[np.float32]) -> None:
        """The next samples of all stems, ``[stems, channels, n]``, 1 is full scale."""
        if self._low is None or self._high is None:
            self._low = np.full((block.shape[0], _MOST), np.inf, dtype=np.float32)
            self._high = -self._low
        low, high = block.min(axis=1), block.max(axis=1)
        while low.shape[-1]:
            room = _MOST * self.samples_per_peak - self._length
            if room == 0:
                self._halve()
                continue
            self._take(low[:, :room], high[:, :room])
            low, high = low[:, room:], high[:, room:]

    def _take(self, low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
        assert self._low is not None
        assert self._high is not None
        count, size = low.shape[-1], self.samples_per_peak
        first = self._length // size
        begins = np.r_[0, np.arange(size - self._length % size, count, size)]
        here = slice(first, first + len(begins))
        np.minimum(self._low[:, here], np.minimum.reduceat(low, begins, axis=-1), out=self._low[:, here])
        np.maximum(self._high[:, here], np.maximum.reduceat(high, begins, axis=-1), out=self._high[:, here])
        self._length += count

    def _halve(self) -> None:
        assert self._low is not None
        assert self._high is not None
        half = _MOST // 2
        self._low[:, :half], self._low[:, half:] = self._low.reshape(-1, half, 2).min(axis=-1), np.inf
        self._high[:, :half], self._high[:, half:] = self._high.reshape(-1, half, 2).max(axis=-1), -np.inf
        self.samples_per_peak *= 2

    def result(self, gain: float) -> NDArray[np.int8]:
        """``[stems, runs, 2]``, lowest and highest, 127 is full scale; ``gain`` is what the stems got at the end."""
        if self._low is None or self._high is None:
            return np.zeros((0, 0, 2), dtype=np.int8)
        used = -(-self._length // self.samples_per_peak)
        pairs = np.stack([self._low[:, :used], self._high[:, :used]], axis=-1)
        scaled: NDArray[np.float32] = np.clip(np.nan_to_num(pairs * gain), -1.0, 1.0) * 127
        return np.rint(scaled).astype(np.int8)

    def write(self, path: Path, stems: Sequence[str], *, sample_rate: int, gain: float) -> None:
        """All of it as JSON, by stem."""
        found: dict[str, Any] = {}
        for stem, pairs in zip(stems, self.result(gain), strict=True):
            found[stem] = {
                "sample_rate": sample_rate,
                "samples_per_peak": self.samples_per_peak,
                "length": self._length,
                "data": pairs.ravel().tolist(),
            }
        path.write_text(json.dumps(found, separators=(",", ":")))
