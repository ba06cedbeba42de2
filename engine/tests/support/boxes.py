"""The boxes of MP4 files, taken apart and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable

Change = Callable[[bytes], bytes]
"""From the body of a box to what stands in its place, its header included; no bytes take it out."""
MEDIA = (b"moov", b"trak", b"mdia")


def box(kind: bytes, body: bytes) -> bytes:
    """A box."""
    return struct.pack(">I", 8 + len(body)) + kind + body


def rebuild(data: bytes, path: tuple[bytes, ...], change: Change) -> bytes:
    """Replace the boxes at a path. What is before the media data must not grow: offsets are not changed."""
    out, at = b"", 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + size]
        if kind != path[0]:
            out += data[at : at + size]
        else:
            out += change(body) if len(path) == 1 else box(kind, rebuild(body, path[1:], change))
        at += size
    return out


def with_duration(data: bytes, duration: int, scale: int | None = None) -> bytes:
    """The file whose media say that they are so long, in their units, and have no edit list."""

    def change(body: bytes) -> bytes:
        units = body[12:16] if scale is None else struct.pack(">I", scale)
        return box(b"mdhd", body[:12] + units + struct.pack(">I", duration) + body[20:])

    return rebuild(rebuild(data, (*MEDIA, b"mdhd"), change), (b"moov", b"trak", b"edts"), lambda _: b"")


def in_milliseconds(data: bytes, rate: int) -> bytes:
    """The file whose tracks, of frames at so many samples a second, count in milliseconds and have no edit list."""
    total = 0

    def change(body: bytes) -> bytes:
        nonlocal total
        runs = [struct.unpack_from(">II", body, 8 + 8 * i) for i in range(struct.unpack_from(">I", body, 4)[0])]
        ticks, at = [], 0
        for count, delta in runs:
            for _ in range(count):
                ticks.append(round((at + delta) * 1000 / rate) - round(at * 1000 / rate))
                at += delta
        total = sum(ticks)
        return box(
            b"stts", bytes(4) + struct.pack(">I", len(ticks)) + b"".join(struct.pack(">II", 1, n) for n in ticks)
        )

    data = rebuild(data, (*MEDIA, b"minf", b"stbl", b"stts"), change)
    return with_duration(data, total, 1000)


def with_gap(data: bytes, frame: int, ticks: int) -> bytes:
    """The file whose tracks are heard so many ticks later from this frame on, and have no edit list."""
    total = 0

    def change(body: bytes) -> bytes:
        nonlocal total
        (first, delta), *rest = (struct.unpack_from(">II", body, 8 + 8 * i) for i in range((len(body) - 8) // 8))
        runs = [(frame - 1, delta), (1, delta + ticks), (first - frame, delta), *rest]
        total = sum(count * each for count, each in runs)
        return box(
            b"stts", bytes(4) + struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
        )

    data = rebuild(data, (*MEDIA, b"minf", b"stbl", b"stts"), change)
    return with_duration(data, total)


def moved(data: bytes, by: int) -> bytes:
    """The file with its media data so many bytes further behind."""

    def change(body: bytes) -> bytes:
        offsets = struct.unpack(f">{(len(body) - 8) // 4}I", body[8:])
        return box(b"stco", body[:8] + struct.pack(f">{len(offsets)}I", *(offset + by for offset in offsets)))

    return rebuild(data, (*MEDIA, b"minf", b"stbl", b"stco"), change)
