"""Bringing any number of channels to one or two.

Stereo from more than two follows ITU-R BS.775: the centre and each surround go in at -3 dB, the low
frequency channel is left out. The whole matrix is then scaled so that no output can exceed full scale when
no input does; a surround mix therefore comes out quieter (5.1 by 7.7 dB), and never clipped. Mono becomes
stereo by copying, at full level, and stereo becomes mono by the mean: both as Demucs does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stemwright.audio.samples import Samples

_HALF_POWER = 0.5**0.5
# What of each channel goes to the left and to the right, by FFmpeg's names of the channels.
_TO_STEREO: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "FC": (_HALF_POWER, _HALF_POWER),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (_HALF_POWER, 0.0),
    "BR": (0.0, _HALF_POWER),
    "SL": (_HALF_POWER, 0.0),
    "SR": (0.0, _HALF_POWER),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "WL": (1.0, 0.0),
    "WR": (0.0, 1.0),
    "TFL": (_HALF_POWER, 0.0),
    "TFR": (0.0, _HALF_POWER),
    "TBL": (_HALF_POWER, 0.0),
    "TBR": (0.0, _HALF_POWER),
    "TSL": (_HALF_POWER, 0.0),
    "TSR": (0.0, _HALF_POWER),
    "BC": (0.5, 0.5),
    "TC": (0.5, 0.5),
}
# Files that do not say which channel is which: the usual order by count.
_USUAL: dict[int, tuple[str, ...]] = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def mixing_matrix(names: Sequence[str], channels: int) -> Samples:
    """The matrix ``[channels, len(names)]`` that mixes channels called ``names`` to mono (1) or stereo (2)."""
    count = len(names)
    if count == channels:
        return np.eye(channels, dtype=np.float32)
    if count == 1:
        return np.ones((channels, 1), dtype=np.float32)
    if any(name not in _TO_STEREO for name in names):
        # Channels of no known place go left and right in turn.
        names = _USUAL.get(count) or tuple("FR" if index % 2 else "FL" for index in range(count))
    stereo = np.array([_TO_STEREO[name] for name in names], dtype=np.float64).T
    if not stereo.any():
        stereo = np.full((2, count), 0.5)
    stereo /= max(1.0, float(np.abs(stereo).sum(axis=1).max()))
    return (stereo if channels == 2 else stereo.mean(axis=0, keepdims=True)).astype(np.float32)


def mix_channels(block: Samples, matrix: Samples) -> Samples:
    """Apply a matrix ``[to, from]`` to a block ``[from, n]``; the block itself comes back if there is nothing to do."""
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix), dtype=np.float32)):
        return block
    if matrix.shape[1] == 1:
        return np.repeat(block, matrix.shape[0], axis=0)
    return matrix @ block
