"""Samples as numbers: from a decoder's own format to float32, and back to integers without loss.

One scale both ways: an integer of b bits is divided by 2**(b-1), so that reading 16 or 24 bits and writing
them again gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Blocks of audio, the samples in the last dimension; 1 is full scale."""

SILENT = 1e-6
"""Of full scale (-120 dB): a stem below it counts as silent, and is not turned up, which would make noise of nothing."""

# FFmpeg's sample formats, without the p of the planar ones.
_TYPES: dict[str, type[np.generic]] = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}


def to_float(body: bytes | bytearray, name: str, *, planar: bool, channels: int) -> Samples:
    """Samples as float32 ``[channels, n]`` from the bytes of FFmpeg's sample format ``name``."""
    raw = np.frombuffer(body, dtype=_TYPES[name.removesuffix("p")])
    frames = raw.reshape(channels, -1) if planar else raw.reshape(-1, channels).T
    if raw.dtype == np.uint8:
        return (np.ascontiguousarray(frames).astype(np.float32) - np.float32(128)) / np.float32(128)
    if raw.dtype == np.int64:
        return (frames / 2.0**63).astype(np.float32)
    if raw.dtype in (np.int16, np.int32):
        scale = np.float32(2.0 ** -(8 * raw.dtype.itemsize - 1))
        return np.multiply(frames, scale, dtype=np.float32, order="C")
    with np.errstate(over="ignore"):  # beyond float32 becomes infinity, which the reader refuses
        return np.ascontiguousarray(frames, dtype=np.float32)


def to_integers(block: Samples, bits: int) -> NDArray[np.int32]:
    """Float samples as integers of ``bits`` bits: to the nearest (halves to even), clamped, no dither."""
    top = 2.0 ** (bits - 1)
    scaled = np.rint(block.astype(np.float64) * top)
    return np.clip(scaled, -top, top - 1).astype(np.int32)
