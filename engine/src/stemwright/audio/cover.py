"""The picture of the album, which stems take over from their mix."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field

_FRONT = 3  # the picture's kind: the front cover


@dataclass(frozen=True, kw_only=True)
class Cover:
    """A picture as a file held it."""

    mime: str  # image/jpeg or image/png
    width: int  # pixels
    height: int
    data: bytes = field(repr=False)


def picture_comment(cover: Cover) -> str:
    """The value of ``METADATA_BLOCK_PICTURE``, the comment that Ogg files hold a picture in.

    Source: RFC 9639, section 8.8, of which it is the Base64 form; the name is Xiph's, https://wiki.xiph.org/VorbisComment.
    """
    mime = cover.mime.encode()
    head = struct.pack(">II", _FRONT, len(mime)) + mime
    # No description; bits of a pixel and colours of a palette: 0, not told.
    sizes = struct.pack(">IIIIII", 0, cover.width, cover.height, 0, 0, len(cover.data))
    return base64.b64encode(head + sizes + cover.data).decode()
