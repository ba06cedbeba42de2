"""Apple's Core Audio Format: which integers or floats its samples are.

FFmpeg takes the bits that are valid for the bits that are there, and gives noise where there are more.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_DESCRIPTION = struct.Struct(">d4sIIIII")
_FLOAT, _LITTLE = 1, 2


def caf_codec(file: BinaryIO) -> str | None:
    """FFmpeg's name for the samples of a CAF file whose samples are kept in wider words; None for any other."""
    file.seek(8)  # the description is always the first chunk
    chunk = file.read(12 + _DESCRIPTION.size)
    if chunk[:4] != b"desc" or len(chunk) < 12 + _DESCRIPTION.size:
        return None
    _, kind, flags, packet, frames, channels, bits = _DESCRIPTION.unpack_from(chunk, 12)
    if kind != b"lpcm" or flags & _FLOAT or frames != 1 or not channels or packet % channels:
        return None
    width = 8 * (packet // channels)
    if width not in (16, 24, 32) or width < bits + 8:
        return None
    return f"pcm_s{width}{'le' if flags & _LITTLE else 'be'}"
