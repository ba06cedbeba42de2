"""Where the song goes over into another part, and which parts are alike.

A boundary is where the bars after it differ from those before it more than either differ among themselves: novelty (Foote,
ICME 2000), here as a distance of means, so that a loop of chords that goes through every part is no boundary in any of them.
Parts whose sound is alike have the same letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright_pitch.signals import RATE, magnitudes

_SIZE, _HOP = 4096, 2048  # samples
_BANDS = 24
_REACH = 4  # bars on each side of a boundary that are compared
_NOVEL = 0.9  # novelty that a boundary needs, in deviations within the parts
_ALIKE = 0.8  # novelty under which two parts have the same letter
_LOUD = 25.0  # dB: an end that is quieter than the song's middle by this dies away, and is no part
_FLOOR = 1e-4  # magnitude: -80 dB


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the song."""

    start: float  # seconds
    end: float
    label: str  # "A", "B" ... : the same for parts that are alike
    confidence: float  # 0 to 1: how clear its beginning is; 1 for the first


def sections(
    layers: Sequence[NDArray[np.float32]], bars: NDArray[np.float64], chroma: NDArray[np.float64], frame: float
) -> list[Section]:
    """The parts of a song.

    layers: mono samples at `RATE`, all of one length: the stems, or the mix alone.
    bars: seconds at which bars begin, rising. Fewer than three: steps of two seconds are taken for bars.
    chroma: ``[frames, 12]``, a frame for every ``frame`` seconds.
    """
    seconds = len(layers[0]) / RATE
    inner = bars[(bars > 0.5) & (bars < seconds - 0.5)]
    if len(inner) < 3:
        inner = np.arange(2.0, seconds - 1.0, 2.0)
    edges = np.concatenate([[0.0], inner, [seconds]])
    heard = _heard(layers, edges, chroma, frame)
    if heard is None:
        return []
    novelty = np.array(
        [
            _difference(heard[max(0, bar - _REACH) : bar], heard[bar : bar + _REACH])
            for bar in range(max(1, len(heard) - _REACH // 2))
        ]
    )
    starts = [0, *_peaks(novelty)]
    ends = [*starts[1:], len(edges) - 1]
    return [
        Section(
            start=float(edges[start]),
            end=float(edges[end]),
            label=label,
            confidence=1.0 if start == 0 else round(float(1 - np.exp(-novelty[start])), 3),
        )
        for start, end, label in zip(starts, ends, _labels(heard, starts, ends), strict=True)
    ]


def _heard(
    layers: Sequence[NDArray[np.float32]], edges: NDArray[np.float64], chroma: NDArray[np.float64], frame: float
) -> NDArray[np.float64] | None:
    """``[bars, features]``: how loud each band of each layer is, and which pitch classes sound. None for silence.

    Bars at the end in which the song dies away are left out.
    """
    limits = np.unique(np.rint(np.geomspace(60, 10_000, _BANDS // len(layers) + 1) * _SIZE / RATE).astype(int))
    levels = []
    for samples in layers:
        parts = [
            np.add.reduceat(np.square(each[:, : limits[-1]]), limits[:-1], axis=1)
            for each in magnitudes(samples, _SIZE, _HOP)
        ]
        levels.append(_by_bar(np.concatenate(parts).astype(np.float64), edges, _HOP / RATE))
    power = np.concatenate(levels, axis=1)
    total = power.sum(axis=1)
    if total.max() < _FLOOR**2:
        return None
    loud = np.flatnonzero(total > np.median(total) * 10 ** (-_LOUD / 10))
    last = int(loud[-1]) + 1 if len(loud) else len(total)
    # In dB over a floor 50 dB under the loudest band: what is inaudible has no level of its own.
    level = 10 * np.log10(power + power.max() * 1e-5)[:last]
    classes = np.sqrt(_by_bar(chroma, edges, frame))[:last]
    classes /= np.maximum(np.linalg.norm(classes, axis=1, keepdims=True), 0.3)
    features: NDArray[np.float64] = np.concatenate([level / 6.0, 2.0 * classes], axis=1) / np.sqrt(power.shape[1])
    return features


def _by_bar(values: NDArray[np.float64], edges: NDArray[np.float64], frame: float) -> NDArray[np.float64]:
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.clip(np.rint(edges / frame).astype(int), 0, len(values))
    return np.asarray(np.diff(total[at], axis=0) / np.maximum(np.diff(at), 1)[:, None])


def _difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """How far the means of two groups of bars are from each other, in deviations within them. One bar is no group."""
    if len(before) < 2 or len(after) < 2:
        return 0.0
    within = np.concatenate([before - before.mean(axis=0), after - after.mean(axis=0)])
    spread = np.sqrt(np.square(within).sum() / (len(within) - 2)) + 0.15
    return float(np.linalg.norm(after.mean(axis=0) - before.mean(axis=0)) / spread)


def _peaks(novelty: NDArray[np.float64]) -> list[int]:
    """Bars with a boundary before them: the highest of those around, at least two bars from each other."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(novelty, 2), 5).max(axis=1)
    return [int(bar) for bar in np.flatnonzero((novelty >= around) & (novelty > _NOVEL))]


def _labels(heard: NDArray[np.float64], starts: list[int], ends: list[int]) -> list[str]:
    """A letter for each part: that of the first part that it is like, or the next one."""
    kinds: list[NDArray[np.float64]] = []
    labels = []
    for start, end in zip(starts, ends, strict=True):
        part = heard[start:end]
        apart = [_difference(kind, part) if len(part) > 1 else _ALIKE for kind in kinds]
        if apart and min(apart) < _ALIKE:
            labels.append(int(np.argmin(apart)))
        else:
            labels.append(len(kinds))
            kinds.append(part)
    return [_name(label) for label in labels]


def _name(number: int) -> str:
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")
