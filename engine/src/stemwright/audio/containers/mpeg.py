"""MPEG audio frames (mp3, mp2), ADTS (raw AAC) and AC-3 frames: headers only, as far as sniffing and counting need."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# kbit/s by (is MPEG-1, layer); index 0 is "free format" and 15 is invalid.
_KBITS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
Parse = Callable[[bytes, int], "FrameHeader | None"]
"""What reads the header of a kind of frame."""
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AC3_RATES = (48000, 44100, 32000)
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_RUN = 3
"""Frames in a row that make a stream; fewer only when the data ends with the last one."""


@dataclass(frozen=True, kw_only=True)
class FrameHeader:
    """One frame: bytes it takes, samples it holds at which rate, where a Xing tag would lie, and what must not change."""

    size: int
    samples: int
    rate: int
    tag_offset: int
    signature: tuple[int, ...]


def mpeg_header(data: bytes, at: int) -> FrameHeader | None:
    """The MPEG audio frame header at `at`, or None if there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    return _mpeg_header(data[at + 1], data[at + 2], data[at + 3] >> 6 == 3)


@functools.lru_cache(maxsize=4096)  # a song has thousands of frames, and a few headers
def _mpeg_header(first: int, second: int, mono: bool) -> FrameHeader | None:
    version, layer = first >> 3 & 3, 4 - (first >> 1 & 3)
    bits, rate, padding = second >> 4, second >> 2 & 3, second >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    mpeg1, hertz = version == 3, _RATES[version][rate]
    bits_per_second = _KBITS[mpeg1, layer][bits] * 1000
    if layer == 1:
        samples, size = 384, (12 * bits_per_second // hertz + padding) * 4
    else:
        samples = 576 if layer == 3 and not mpeg1 else 1152
        size = samples // 8 * bits_per_second // hertz + padding
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return FrameHeader(size=size, samples=samples, rate=hertz, tag_offset=4 + side, signature=(version, layer, rate))


def adts_header(data: bytes, at: int) -> FrameHeader | None:
    """The ADTS frame header at `at`, or None if there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate, size = data[at + 2] >> 2 & 15, (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate > 12 or size < 7:
        return None
    return FrameHeader(
        size=size, samples=1024, rate=_ADTS_RATES[rate], tag_offset=0, signature=(data[at + 1], data[at + 2])
    )


def ac3_header(data: bytes, at: int) -> FrameHeader | None:
    """The header of the AC-3 or E-AC-3 frame at `at`, or None if there is none (ETSI TS 102 366, 4.4 and E.1.3)."""
    if at + 6 > len(data) or data[at] != 0x0B or data[at + 1] != 0x77:
        return None
    rate, kind = data[at + 4] >> 6, data[at + 5] >> 3
    if kind > 10:
        blocks = 6 if rate == 3 else (1, 2, 3, 6)[data[at + 4] >> 4 & 3]
        hertz = _AC3_RATES[rate] if rate < 3 else 24000
        size = ((data[at + 2] & 7) << 8 | data[at + 3]) * 2 + 2
        return FrameHeader(size=size, samples=256 * blocks, rate=hertz, tag_offset=0, signature=(11, rate))
    code = data[at + 4] & 63
    if rate == 3 or code > 37:
        return None
    kbits = _AC3_KBITS[code >> 1]
    words = kbits * 96000 // _AC3_RATES[rate] + (code & 1 if rate == 1 else 0)
    return FrameHeader(size=words * 2, samples=1536, rate=_AC3_RATES[rate], tag_offset=0, signature=(kind, rate))


def find_frames(data: bytes, parse: Parse, *, ends: bool) -> int | None:
    """Offset of the first of several frames in a row that `parse` knows the headers of, or None.

    `ends` says that `data` reaches the end of the file: then a shorter run that ends there will do, and
    so will a first frame that is cut.
    """
    first = b"\x0b\x77" if parse is ac3_header else b"\xff"
    at = data.find(first)
    while at >= 0:
        if _is_run(data, at, parse=parse, ends=ends):
            return at
        at = data.find(first, at + 1)
    return None


def _is_run(data: bytes, at: int, *, parse: Parse, ends: bool) -> bool:
    position, first = at, parse(data, at)
    if first is None:
        return False
    for _ in range(_RUN):
        header = parse(data, position)
        if header is None or header.signature != first.signature:
            # At the very end of a short file anything may follow (a tag); only a leading frame may do so.
            return ends and at == 0 and (position > at and position >= len(data) - 128)
        position += header.size
        if position >= len(data):
            # The window ends within the run: only what began at its very start may be shorter than a run.
            return at == 0 or (ends and position == len(data))
    return True
