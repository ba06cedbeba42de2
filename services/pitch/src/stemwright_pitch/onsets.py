"""How strongly something begins, at each moment: what beats are found in.

SuperFlux (Böck and Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013): the rise of each band of a
logarithmic spectrogram over the highest of the bands beside it a moment before, so that a voice that glides does not count as
many beginnings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from stemwright_pitch.signals import RATE, magnitudes

HOP = 220  # samples
FRAMES_PER_SECOND = RATE / HOP
_SIZE = 1024  # samples: 46 ms
_BANDS_PER_OCTAVE, _LOWEST, _HIGHEST = 12, 40.0, 10_000.0
_LAG = 2  # frames between which a rise is measured
_SPLITS = (150.0, 1500.0)  # Hz: what a kick, and what a snare and a hat excite most


@dataclass(frozen=True, kw_only=True)
class Onsets:
    """One value for each `HOP` samples, of the recording as a whole and of three parts of its range."""

    strength: NDArray[np.float64]  # mean of the whole is about 1 where there is music; 0 in silence
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]
    sounding: bool  # False: silence, or noise without one beginning


def onsets(samples: NDArray[np.float32]) -> Onsets:
    """Of mono samples at `RATE`."""
    bands, centres = _filters()
    before = np.zeros((_LAG, len(centres)), dtype=np.float32)
    low, middle = centres < _SPLITS[0], (centres >= _SPLITS[0]) & (centres < _SPLITS[1])
    parts = []
    for spectrum in magnitudes(samples, _SIZE, HOP):
        logarithmic = np.concatenate([before, np.log1p(1000 * (spectrum @ bands))])
        rise = np.maximum(logarithmic[_LAG:] - maximum_filter1d(logarithmic, 3, axis=1)[:-_LAG], 0)
        parts.append(np.stack([rise[:, some].sum(axis=1) for some in (low, middle, ~(low | middle))]))
        before = logarithmic[-_LAG:]
    flux = np.concatenate(parts, axis=1).astype(np.float64)
    flux[:, : _LAG + 1] *= 0.5  # sound that begins with the file is one beginning, not the greatest of all
    whole = flux.sum(axis=0)
    # A beat is a peak that stands out: noise and sustained sound rise all the time and never.
    outstanding = np.percentile(whole, 98) > 3 * np.median(whole) + 0.5 if len(whole) else False
    return Onsets(
        strength=_standing_out(whole),
        low=_standing_out(flux[0]),
        middle=_standing_out(flux[1]),
        high=_standing_out(flux[2]),
        sounding=bool(outstanding),
    )


def _filters() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Triangles ``[bins, bands]`` at equal distances of pitch, and their centres in Hz. None is narrower than a bin."""
    count = int(np.log2(_HIGHEST / _LOWEST) * _BANDS_PER_OCTAVE)
    edges = _LOWEST * 2 ** (np.arange(-1, count + 1) / _BANDS_PER_OCTAVE)
    bins = np.unique(np.rint(edges * _SIZE / RATE).astype(int))
    filters = np.zeros((_SIZE // 2 + 1, len(bins) - 2), dtype=np.float32)
    for number, (left, centre, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        filters[left : centre + 1, number] = np.linspace(0, 1, centre - left + 1)
        filters[centre : right + 1, number] = np.linspace(1, 0, right - centre + 1)
    return filters, bins[1:-1] * RATE / _SIZE


def _standing_out(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over what is usual around it (1 s), and of equal size in quiet parts and loud ones (8 s)."""
    if not len(flux) or not flux.any():
        return flux
    over = np.maximum(flux - uniform_filter1d(flux, round(FRAMES_PER_SECOND)), 0)
    around = uniform_filter1d(over, round(8 * FRAMES_PER_SECOND), mode="nearest")
    return np.asarray(over / np.maximum(around, 0.25 * over.mean() + 1e-9))
