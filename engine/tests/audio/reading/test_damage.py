"""Headers that are damaged: whatever our own readers of them meet, they answer, or refuse the file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sounds import encode, sound

from stemwright.audio import media_type, open_writer
from stemwright.audio.reading.plan import plan
from stemwright.audio.reading.sniff import HEAD, sniff
from stemwright.errors import InputError


def encoded(codec: str, muxer: str) -> Callable[[Path], bytes]:
    return lambda path: encode(path, sound(48000, 20_000), 48000, codec=codec, muxer=muxer).read_bytes()


def twice(format: str) -> Callable[[Path], bytes]:
    def make(path: Path) -> bytes:
        with open_writer(path, format=format, sample_rate=44100, channels=2) as writer:
            writer.write(sound(44100, 6000))
        return path.read_bytes() * 2

    return make


FILES = {
    "wav": encoded("pcm_s24le", "wav"),
    "w64": encoded("pcm_s24le", "w64"),
    "caf": encoded("pcm_s24le", "caf"),
    "aiff": encoded("pcm_s16be", "aiff"),
    "flac": encoded("flac", "flac"),
    "matroska": encoded("flac", "matroska"),
    "mp4": encoded("aac", "mp4"),
    "mpegts": encoded("ac3", "mpegts"),
    "ac3": encoded("ac3", "ac3"),
    "eac3": encoded("eac3", "eac3"),
    "adts": encoded("aac", "adts"),
    "ogg": twice("ogg"),
    "mp3": twice("mp3"),
}
VALUES = (0, 1, 0x7F, 0x80, 0xFF)


@pytest.mark.parametrize("what", FILES)
def test_damaged_headers_are_answered_or_refused(tmp_path: Path, what: str) -> None:
    whole = FILES[what](tmp_path / "x")
    chance = np.random.default_rng(3)
    refused = 0
    for _ in range(250):
        data = bytearray(whole)
        where = min(len(data), int(chance.choice([64, 500, 5000])))
        for _ in range(int(chance.choice([1, 3, 20]))):
            at = int(chance.integers(where))
            data[at if chance.random() < 0.7 else -at - 1] = int(chance.choice(VALUES))
        if chance.random() < 0.2:
            del data[int(chance.integers(len(data))) :]
        media_type(bytes(data[:HEAD]))
        file = io.BytesIO(data)
        try:
            plan(file, len(data), sniff(file, "x"), "x")
        except InputError as error:
            assert error.code != InputError.code
            refused += 1
    assert refused < 250
