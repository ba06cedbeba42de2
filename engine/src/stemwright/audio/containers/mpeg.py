"""MPEG audio frames (mp3, mp2) and ADTS frames (raw AAC): headers only, as far as sniffing and counting need."""

from __future__ import annotations

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
_Parse = Callable[[bytes, int], "FrameHeader | None"]
_RUN = 3
"""Frames in a row that make a stream; fewer only when the data ends with the last one."""


@dataclass(frozen=True, kw_only=True)
class FrameHeader:
    """One frame: bytes it takes, samples it holds, where a Xing tag would lie, and what must not change."""

    size: int
    samples: int
    tag_offset: int
    signature: tuple[int, ...]


def mpeg_header(data: bytes, at: int) -> FrameHeader | None:
    """The MPEG audio frame header at `at`, or None if there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bits, rate, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    mpeg1, hertz = version == 3, _RATES[version][rate]
    bits_per_second = _KBITS[mpeg1, layer][bits] * 1000
    if layer == 1:
        samples, size = 384, (12 * bits_per_second // hertz + padding) * 4
    else:
        samples = 576 if layer == 3 and not mpeg1 else 1152
        size = samples // 8 * bits_per_second // hertz + padding
    mono = data[at + 3] >> 6 == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return FrameHeader(size=size, samples=samples, tag_offset=4 + side, signature=(version, layer, rate))


def adts_header(data: bytes, at: int) -> FrameHeader | None:
    """The ADTS frame header at `at`, or None if there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate, size = data[at + 2] >> 2 & 15, (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate > 12 or size < 7:
        return None
    return FrameHeader(size=size, samples=1024, tag_offset=0, signature=(data[at + 1], data[at + 2]))


def find_frames(data: bytes, *, adts: bool, ends: bool) -> int | None:
    """Offset of the first of several frames in a row, or None.

    `ends` says that `data` reaches the end of the file: then a shorter run that ends there will do, and
    so will a first frame that is cut.
    """
    parse = adts_header if adts else mpeg_header
    at = data.find(b"\xff")
    while at >= 0:
        if _is_run(data, at, parse=parse, ends=ends):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def _is_run(data: bytes, at: int, *, parse: _Parse, ends: bool) -> bool:
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


@dataclass(frozen=True, kw_only=True)
class XingTag:
    """What the tag in the first frame of an mp3 declares."""

    frames: int | None
    delay: int  # samples of encoder delay, without the decoder's 529
    padding: int


def xing_tag(frame: bytes, header: FrameHeader) -> XingTag | None:
    """Read the Xing or Info tag of the first frame, or None if it is an ordinary frame."""
    at = header.tag_offset
    if frame[at : at + 4] not in (b"Xing", b"Info") or len(frame) < at + 8:
        return None
    flags, at = frame[at + 7], at + 8
    frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else None
    at += 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    lame = frame[at : at + 24]
    if len(lame) < 24 or lame[:4] not in (b"LAME", b"Lavf", b"Lavc"):
        return XingTag(frames=frames, delay=0, padding=0)
    gapless = int.from_bytes(lame[21:24], "big")
    return XingTag(frames=frames, delay=gapless >> 12, padding=gapless & 0xFFF)
