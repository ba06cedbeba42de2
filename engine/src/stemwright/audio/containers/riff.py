"""WAV, AIFF and Wave64: their chunks, and which integers or floats their samples are.

FFmpeg takes the bits that are valid for the bits that are there, and reads a RIFX file as if it were little-endian: both
give noise. What the header means is read here, and the decoder is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from stemwright.audio.info import shown
from stemwright.errors import InputError

W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters of every other chunk of a Wave64 file."""
_SUBTYPE_TAIL = bytes.fromhex("800000aa00389b71")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A chunk: its four letters, where its data begin, and how many bytes it says they are."""

    name: bytes
    at: int
    length: int


def chunks(file: BinaryIO, size: int) -> Iterator[Chunk]:
    """The chunks of a RIFF, RIFX, RF64, FORM or Wave64 file of `size` bytes, as far as their headers lie in it.

    The length of an RF64 file's ``data`` is the one that its ``ds64`` has.
    """
    file.seek(0)
    form = file.read(16)
    if form == W64_RIFF:
        yield from _w64_chunks(file, size)
        return
    order = byte_order(form)
    large = None
    at = 12
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        name, length = head[:4], int.from_bytes(head[4:8], order)
        if name == b"ds64":
            file.seek(at + 16)
            large = int.from_bytes(file.read(8), "little")
        if name == b"data" and length == 0xFFFFFFFF and form[:4] in (b"RF64", b"BW64") and large is not None:
            length = large
        yield Chunk(name=name, at=at + 8, length=length)
        at += 8 + length + (length & 1)


def _w64_chunks(file: BinaryIO, size: int) -> Iterator[Chunk]:
    at = 40
    while at + 24 <= size:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[16:], "little") - 24
        if length < 0:
            return
        yield Chunk(name=head[:4] if head[4:16] == _W64_TAIL else b"", at=at + 24, length=length)
        at += 24 + (length + 7 & ~7)


def byte_order(form: bytes) -> Literal["big", "little"]:
    """The byte order of a file that begins with `form`."""
    return "big" if form[:4] in (b"FORM", b"RIFX") else "little"


def pcm_codec(file: BinaryIO, size: int, name: str) -> str | None:
    """FFmpeg's name for the samples of a WAV or Wave64 file; None where FFmpeg is right about them, or they are no PCM.

    Raises:
        InputError: ``decode_failed`` if the header contradicts itself, so that nobody can know.
    """
    file.seek(0)
    order = byte_order(file.read(4))
    form = next((chunk for chunk in chunks(file, size) if chunk.name == b"fmt "), None)
    if form is None or form.length < 16:
        return None
    file.seek(form.at)
    said = file.read(min(form.length, 40))
    tag, channels, align, bits = (int.from_bytes(said[at : at + 2], order) for at in (0, 2, 12, 14))
    bytes_each = align // channels if channels else 0
    if tag == _EXTENSIBLE and said[32:40] == _SUBTYPE_TAIL:
        tag = int.from_bytes(said[24:28], order)
    elif tag == _PCM and bits > 16 and bytes_each * 8 >= bits + 8:
        # Programs that wrote this meant different things by it, one of them floats.
        raise InputError(
            f"{shown(name)} cannot be decoded: its header says {bits} bits in {bytes_each} bytes, and not which of "
            "them; export it anew",
            code="decode_failed",
        )
    elif order == "little":
        return None
    if tag == _PCM and bytes_each == 1:
        return "pcm_u8"
    codec = f"pcm_{'s' if tag == _PCM else 'f'}{8 * bytes_each}{order[0]}e"
    return codec if tag in (_PCM, _FLOAT) and codec in _CODECS else None


_CODECS = frozenset(f"pcm_{kind}{order}" for kind in ("s16", "s24", "s32", "f32", "f64") for order in ("le", "be"))
