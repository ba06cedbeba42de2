"""The picture of the album that a file holds, as it is found in the decoding process: its bytes, and what its head says.

Imported by `decode_child`, which runs outside this package: so this module imports nothing of it. The picture is not
decoded, here or anywhere: its first bytes say whether it is an image, and of what size.

Sources: PNG, third edition, section 11.2.1 (IHDR); ITU-T T.81, annex B.2.2 (the frame header of a JPEG).
"""

from __future__ import annotations

import base64
from typing import Any

MOST = 10_000_000
"""Bytes: a larger one is left out."""
_COVER = 1 << 10
"""FFmpeg's disposition of a stream that is a picture."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def stream_of(container: Any) -> Any:
    """The stream of a file that is its picture, the front cover before others; None if it has none."""
    pictures = [each for each in container.streams.video if int(each.disposition) & _COVER]
    return min(pictures, key=lambda each: each.metadata.get("comment") != "Cover (front)", default=None)


def described(data: bytes) -> dict[str, Any]:
    """What is told of a picture: media type, size and bytes, for JSON; or ``refused``, why it is left out."""
    if len(data) > MOST:
        return {"refused": f"it has {len(data)} bytes, and {MOST} are the most"}
    size = _png_size(data) if data.startswith(_PNG) else _jpeg_size(data)
    if size is None or 0 in size:
        return {"refused": "it is no JPEG or PNG image"}
    mime = "image/png" if data.startswith(_PNG) else "image/jpeg"
    return {"mime": mime, "width": size[0], "height": size[1], "data": base64.b64encode(data).decode()}


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR" or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if data[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _JPEG_FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        # A marker may be preceded by fill bytes; all but the frame's are followed by their length.
        at += 1 if kind == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
