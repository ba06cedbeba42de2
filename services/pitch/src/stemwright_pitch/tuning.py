"""By how much the music is tuned off 440 Hz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright_pitch.signals import A4, RATE, magnitudes

_SIZE, _HOP = 8192, 4096  # samples
_LOWEST, _HIGHEST = 110.0, 1760.0  # Hz
_CLEAR = 0.1  # confidence under which nothing is said


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Where its tones lie between those of a piano tuned to 440 Hz."""

    cents: float  # -50 to 50
    confidence: float  # 0 to 1

    @property
    def a4(self) -> float:
        """Hz."""
        return round(A4 * 2 ** (self.cents / 1200), 2)


def tuning(samples: NDArray[np.float32]) -> Tuning | None:
    """Of mono samples at `RATE`: the mean direction of all partials on the circle of a semitone. None if they have none."""
    total, weight = 0j, 0.0
    low, high = round(_LOWEST * _SIZE / RATE), round(_HIGHEST * _SIZE / RATE)
    for spectrum in magnitudes(samples, _SIZE, _HOP):
        level = np.log(spectrum + 1e-6)
        left, middle, right = level[:, low - 1 : high - 1], level[:, low:high], level[:, low + 1 : high + 1]
        loudest = middle.max(axis=1, keepdims=True)
        peak = (middle > left) & (middle >= right) & (middle > np.maximum(loudest - 3.5, np.log(1e-4)))
        rows, bins = np.nonzero(peak)
        bend = (left - 2 * middle + right)[rows, bins]
        exact = bins + low + 0.5 * (left - right)[rows, bins] / np.minimum(bend, -1e-6)
        semitones = 12 * np.log2(exact * RATE / _SIZE / A4)
        loud = np.exp(middle[rows, bins])
        total += complex((loud * np.exp(2j * np.pi * semitones)).sum())
        weight += float(loud.sum())
    confidence = abs(total) / weight if weight > 0 else 0.0
    if confidence < _CLEAR:
        return None
    return Tuning(cents=round(float(np.angle(total)) / (2 * np.pi) * 100, 1), confidence=round(min(1.0, confidence), 3))
