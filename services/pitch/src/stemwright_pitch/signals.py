"""Arrays that several rooms need: spectrograms in pieces, and conversions of pitch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
RATE = 22050  # Hz, of everything but the contour's own model
A4 = 440.0
_FRAMES = 2048  # frames of a spectrogram held at once


def hz_to_midi(hz: Floats) -> Floats:
    """Pitch as a fractional MIDI note number, 69 is A4 at 440 Hz; NaN where ``hz`` is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(hz > 0, 69 + 12 * np.log2(np.maximum(hz, 1e-9) / A4), np.nan)


def frames_of(samples: NDArray[np.float32], size: int, hop: int) -> NDArray[np.float32]:
    """``[frames, size]``, frame k centred on sample ``k * hop``; a view of padded samples, one frame for each hop begun."""
    count = -(-len(samples) // hop)
    padded = np.pad(samples, (size // 2, size))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[: count * hop : hop]


def magnitudes(samples: NDArray[np.float32], size: int, hop: int) -> Iterator[NDArray[np.float32]]:
    """Magnitude spectra ``[frames, size // 2 + 1]`` of a Hann window, in pieces; a sine of amplitude 1 peaks at 1."""
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    window *= 2 / window.sum()
    frames = frames_of(samples, size, hop)
    for start in range(0, len(frames), _FRAMES):
        yield np.abs(np.fft.rfft(frames[start : start + _FRAMES] * window, axis=-1)).astype(np.float32)
