"""Loudness after EBU R128: ITU-R BS.1770-5 (K-weighting, gates, true peak) and EBU Tech 3342 (range)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import lfilter

_STEP = 0.1  # seconds: blocks of 400 ms overlap by three quarters
_MOMENTARY, _SHORT_TERM = 4, 30  # steps
_ABSOLUTE = -70.0  # LUFS
_OFFSET = -0.691  # dB: a sine of 997 Hz at full scale in one channel reads -3.01 LUFS
_OVERSAMPLED = 4


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """LUFS, LU and dBTP; None where there is nothing loud enough to be measured."""

    integrated: float | None  # LUFS, of the whole programme
    range: float | None  # LU; None under 3 s
    momentary_max: float | None  # LUFS, 400 ms
    short_term_max: float | None  # LUFS, 3 s; None under 3 s
    true_peak: float | None  # dB of full scale, between the samples too


class LoudnessMeter:
    """Measures blocks of one recording as they come."""

    def __init__(self, rate: int, channels: int) -> None:
        self._filters = [_shelf(rate), _highpass(rate)]
        self._states = [np.zeros((channels, 2)) for _ in self._filters]
        self._oversampler = soxr.ResampleStream(rate, _OVERSAMPLED * rate, channels, dtype="float32", quality="MQ")
        self._step = round(_STEP * rate)
        self._rest = np.zeros(0)
        self._powers: list[NDArray[np.float64]] = []  # of each step, all channels together
        self._peak = 0.0

    def add(self, samples: NDArray[np.float32]) -> None:
        """The next samples, ``[channels, n]``, 1 is full scale."""
        self._look_for_peaks(self._oversampler.resample_chunk(np.ascontiguousarray(samples.T)))
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0)))
        weighted: NDArray[np.float64] = samples.astype(np.float64)
        for number, (b, a) in enumerate(self._filters):
            weighted, self._states[number] = lfilter(b, a, weighted, axis=-1, zi=self._states[number])
        power = np.concatenate([self._rest, np.square(weighted).sum(axis=0)])
        whole = len(power) // self._step * self._step
        self._powers.append(power[:whole].reshape(-1, self._step).mean(axis=1))
        self._rest = power[whole:]

    def result(self) -> Loudness:
        """All that was added; nothing can be added after it."""
        self._look_for_peaks(
            self._oversampler.resample_chunk(np.zeros((0, self._states[0].shape[0]), np.float32), last=True)
        )
        steps = np.concatenate([*self._powers, np.zeros(0)])
        momentary, short = _levels(steps, _MOMENTARY), _levels(steps, _SHORT_TERM)
        return Loudness(
            integrated=_gated_mean(momentary),
            range=_range(short),
            momentary_max=_highest(momentary),
            short_term_max=_highest(short),
            true_peak=round(20 * math.log10(self._peak), 2) if self._peak > 0 else None,
        )

    def _look_for_peaks(self, samples: NDArray[np.float32]) -> None:
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0)))


def _levels(steps: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """LUFS of every window of so many steps; -inf for digital silence."""
    if len(steps) < length:
        return np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(steps)])
    with np.errstate(divide="ignore"):
        return np.asarray(_OFFSET + 10 * np.log10(np.maximum(total[length:] - total[:-length], 0) / length))


def _gated_mean(levels: NDArray[np.float64]) -> float | None:
    loud = levels[levels > _ABSOLUTE]
    if not len(loud):
        return None
    loud = loud[loud > _mean(loud) - 10]
    return round(_mean(loud), 2)


def _range(levels: NDArray[np.float64]) -> float | None:
    loud = levels[levels > _ABSOLUTE]
    if not len(loud):
        return None
    low, high = np.percentile(loud[loud > _mean(loud) - 20], [10, 95])
    return round(float(high - low), 2)


def _mean(levels: NDArray[np.float64]) -> float:
    """Of the power, not of the figures."""
    return float(_OFFSET + 10 * np.log10(np.mean(10 ** ((levels - _OFFSET) / 10))))


def _highest(levels: NDArray[np.float64]) -> float | None:
    highest = float(levels.max(initial=-math.inf))
    return round(highest, 2) if highest > _ABSOLUTE else None


def _shelf(rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The head's effect: about +4 dB above 1.7 kHz. Its analogue form, so that it fits any rate; BS.1770's at 48 kHz."""
    gain, q = 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * min(1681.974450955533 / rate, 0.49))
    high = 10 ** (gain / 20)
    band = high**0.4996667741545416
    b = np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k])
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return b / a[0], a / a[0]


def _highpass(rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RLB weighting: what lies under 38 Hz counts little."""
    q = 0.5003270373238773
    k = math.tan(math.pi * 38.13547087602444 / rate)
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return np.array([1.0, -2.0, 1.0]), a / a[0]
