"""WAV, Wave64 and CAF files as recorders and editors write them, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sounds import encode, read, sound

from stemwright.audio import media_type, probe
from stemwright.errors import InputError

RATE = 44100
SOUND = np.round(sound(RATE, 3000) * 2**15) / 2**15
"""Samples that 16 bits hold exactly."""
_SUBTYPE = bytes.fromhex("000000001000800000aa00389b71")  # behind the format of an extensible header


def integers(width: int, order: str = "<", bits: int | None = None) -> bytes:
    """The sound as integers of `width` bits, `bits` of them in use, to the left, in this byte order."""
    bits = bits or width
    values = np.round(SOUND.T * 2.0 ** (bits - 1)).astype(np.int64) << (width - bits)
    words = [int(value).to_bytes(width // 8, "little", signed=True) for value in values.ravel()]
    return b"".join(words if order == "<" else [word[::-1] for word in words])


def form(width: int, *, bits: int | None = None, tag: int = 1, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHIIHH", tag, 2, RATE, RATE * width // 4, width // 4, bits or width)


def extensible(width: int, valid: int, tag: int = 1) -> bytes:
    return form(width, tag=0xFFFE) + struct.pack("<HHIH", 22, valid, 3, tag) + _SUBTYPE


def wav(fmt: bytes, data: bytes, *, size: int | None = None, order: str = "<") -> bytes:
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack(f"{order}I", len(fmt)) + fmt + b"data" + struct.pack(f"{order}I", size) + data
    return (b"RIFF" if order == "<" else b"RIFX") + struct.pack(f"{order}I", len(body)) + body


def w64(fmt: bytes, data: bytes, *, size: int | None = None) -> bytes:
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    size = len(data) if size is None else size
    chunks = [
        b"wave" + tail,
        b"junk" + tail + struct.pack("<Q", 24 + 5) + bytes(8),
        b"fmt " + tail + struct.pack("<Q", 24 + len(fmt)) + fmt + bytes(-len(fmt) % 8),
        b"data" + tail + struct.pack("<Q", 24 + size) + data,
    ]
    body = b"".join(chunks)
    return bytes.fromhex("726966662e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(body)) + body


def caf(width: int, bits: int, *, little: bool) -> bytes:
    data = integers(width, "<" if little else ">", bits)
    description = struct.pack(">d4sIIIII", RATE, b"lpcm", 2 * little, width // 4, 1, 2, bits)
    chunks = b"desc" + struct.pack(">q", len(description)) + description
    return b"caff\0\1\0\0" + chunks + b"data" + struct.pack(">q", len(data) + 4) + bytes(4) + data


def floats(order: str, kind: str) -> bytes:
    return SOUND.T.astype(f"{order}{kind}").tobytes()


EXACT = {
    "RIFX of 16 bits": wav(form(16, order=">"), integers(16, ">"), order=">"),
    "RIFX of 24 bits": wav(form(24, order=">"), integers(24, ">"), order=">"),
    "RIFX of 32 bits": wav(form(32, order=">"), integers(32, ">"), order=">"),
    "RIFX of floats": wav(form(32, tag=3, order=">"), floats(">", "f4"), order=">"),
    "RIFX of doubles": wav(form(64, tag=3, order=">"), floats(">", "f8"), order=">"),
    "20 bits in 32": wav(extensible(32, 20), integers(32, bits=20)),
    "24 bits in 32": wav(extensible(32, 24), integers(32, bits=24)),
    "16 bits in 32": wav(extensible(32, 16), integers(32, bits=16)),
    "16 bits in 24": wav(extensible(24, 16), integers(24, bits=16)),
    "20 bits in 24": wav(extensible(24, 20), integers(24, bits=20)),
    "all of 32 bits": wav(extensible(32, 32), integers(32)),
    "extensible floats": wav(extensible(32, 32, tag=3), floats("<", "f4")),
    "Wave64": w64(form(16), integers(16)),
    "Wave64 of 20 bits in 32": w64(extensible(32, 20), integers(32, bits=20)),
    "Wave64 of floats": w64(form(32, tag=3), floats("<", "f4")),
    "CAF of 24 bits in 32": caf(32, 24, little=True),
    "CAF of 20 bits in 32": caf(32, 20, little=False),
    "CAF of 16 bits": caf(16, 16, little=True),
}


@pytest.mark.parametrize("what", EXACT)
def test_each_form_of_samples_is_read_as_its_header_means_it(tmp_path: Path, what: str) -> None:
    (tmp_path / "x").write_bytes(EXACT[what])
    assert np.array_equal(read(tmp_path / "x"), SOUND.astype(np.float32))


def test_bytes_are_bytes_in_any_order(tmp_path: Path) -> None:
    data = np.round(SOUND.T * 128 + 128).clip(0, 255).astype(np.uint8).tobytes()
    for order in "<>":
        (tmp_path / "x").write_bytes(wav(form(8, order=order), data, order=order))
        assert np.abs(read(tmp_path / "x") - SOUND).max() < 0.01


def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    """Programs that wrote this meant floats, or integers to the left, or to the right."""
    (tmp_path / "x").write_bytes(wav(form(32, bits=24), integers(32)))
    with pytest.raises(InputError, match="24 bits in 4 bytes") as caught:
        read(tmp_path / "x")
    assert caught.value.code == "decode_failed"


@pytest.mark.parametrize("more", [44, 36], ids=["the whole file's size", "the form's size"])
def test_a_length_of_the_file_in_place_of_the_length_of_the_audio_is_known_as_what_it_is(
    tmp_path: Path, more: int
) -> None:
    data = integers(16)
    (tmp_path / "x").write_bytes(wav(form(16), data, size=len(data) + more))
    assert np.array_equal(read(tmp_path / "x"), SOUND.astype(np.float32))


@pytest.mark.parametrize("more", [4, 100, 5000])
def test_any_other_length_beyond_the_end_is_a_file_that_is_cut_short(tmp_path: Path, more: int) -> None:
    data = integers(16)
    for make in (wav, w64):
        (tmp_path / "x").write_bytes(make(form(16), data, size=len(data) + more))
        with pytest.raises(InputError) as caught:
            read(tmp_path / "x")
        assert caught.value.code == "truncated"


def test_wave64_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert media_type(w64(form(16), integers(16))) == "audio/x-w64"
    path = encode(tmp_path / "x", SOUND.astype(np.float32), RATE, codec="pcm_s24le", muxer="w64")
    assert np.array_equal(read(path), SOUND.astype(np.float32))


def test_text_in_riff_tags_is_latin_1_or_utf_8(tmp_path: Path) -> None:
    def info(title: bytes) -> bytes:
        entry = b"INAM" + struct.pack("<I", len(title)) + title + bytes(len(title) % 2)
        return b"LIST" + struct.pack("<I", 4 + len(entry)) + b"INFO" + entry

    for title in (b"M\xfcller", "Müller".encode()):
        (tmp_path / "x").write_bytes(wav(form(16), integers(16) + info(title), size=len(integers(16))))
        assert probe(tmp_path / "x").tags["title"] == "Müller"


def test_the_samples_are_what_they_should_be() -> None:
    """Of the helpers above: so that two faults cannot make one right value."""
    data: NDArray[np.int32] = np.frombuffer(integers(32, bits=20), np.int32)
    assert np.array_equal(data.reshape(-1, 2).T / 2.0**31, SOUND)
    assert not (data & 0xFFF).any()
