"""Anything that holds sound is read, by its content, at any rate, with any channels."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from signals import snr_db
from sounds import encode, lag, read, sound

from stemwright.audio import InputLimits, open_audio, open_writer, probe, scan
from stemwright.errors import OptionError

# (codec, muxer, container we name, exact): exact means that the file says where its sound begins and ends.
KINDS = [
    ("libmp3lame", "mp3", "mp3", True),
    ("flac", "flac", "flac", True),
    ("pcm_s16le", "wav", "wav", True),
    ("pcm_s24le", "wav", "wav", True),
    ("pcm_u8", "wav", "wav", True),
    ("pcm_f64le", "wav", "wav", True),
    ("pcm_mulaw", "wav", "wav", True),
    ("adpcm_ms", "wav", "wav", False),
    ("aac", "ipod", "m4a", True),
    ("alac", "ipod", "m4a", True),
    ("aac", "adts", "aac", False),
    ("libopus", "ogg", "ogg", True),
    ("flac", "ogg", "ogg", True),
    ("pcm_s16be", "aiff", "aiff", True),
    ("pcm_f32be", "aiff", "aiff", True),
    ("aac", "mp4", "mp4", True),
    ("aac", "mov", "mov", True),
    ("libopus", "webm", "webm", True),
    ("flac", "matroska", "matroska", True),
    ("ac3", "matroska", "matroska", False),
    ("libmp3lame", "avi", "avi", False),
    ("pcm_s16le", "avi", "avi", True),
    ("pcm_s16le", "caf", "caf", True),
    ("pcm_s16be", "au", "au", True),
    ("wavpack", "wv", "wavpack", True),
    ("tta", "tta", "tta", True),
    ("wmav2", "asf", "asf", False),
    ("aac", "mpegts", "mpegts", False),
    ("mp2", "mpeg", "mpeg", False),
    ("aac", "flv", "flv", False),
]
IDS = [f"{codec}-in-{muxer}" for codec, muxer, _, _ in KINDS]


@pytest.mark.parametrize(("codec", "muxer", "container", "exact"), KINDS, ids=IDS)
def test_each_kind_of_file_is_known_by_its_content(
    tmp_path: Path, codec: str, muxer: str, container: str, exact: bool
) -> None:
    wanted = sound(48000, 50_021)
    path = encode(tmp_path / "a file.txt", wanted, 48000, codec=codec, muxer=muxer)
    with open_audio(path) as reader:
        info, got = reader.info, np.concatenate(list(reader), axis=1)
    assert (info.container, info.sample_rate, info.channels, info.size) == (container, 48000, 2, path.stat().st_size)
    if exact:
        assert got.shape == wanted.shape
        assert lag(got, wanted) == 0
        assert snr_db(wanted, got) > 20
        assert info.duration == pytest.approx(50_021 / 48000, abs=0.05)
    else:
        late = lag(got, wanted, 4000)
        assert abs(late) <= 3000
        part = wanted[:, 5000:45_000]
        assert snr_db(part, got[:, 5000 + late : 45_000 + late]) > 12


@pytest.mark.parametrize(
    ("codec", "muxer"), [("aac", "mp4"), ("aac", "mov"), ("libopus", "matroska"), ("pcm_s16le", "avi")]
)
def test_the_sound_of_a_video_is_read(tmp_path: Path, codec: str, muxer: str) -> None:
    wanted = sound(48000, 40_000)
    got = read(encode(tmp_path / "film", wanted, 48000, codec=codec, muxer=muxer, video=True))
    assert got.shape == wanted.shape
    assert snr_db(wanted, got) > 20


@pytest.mark.parametrize(
    ("muxer", "subtitles", "attachment"),
    [("matroska", "srt", True), ("matroska", "ass", False), ("webm", "webvtt", False), ("mp4", "mov_text", False)],
)
def test_the_sound_of_a_film_with_other_streams_is_read(
    tmp_path: Path, muxer: str, subtitles: str, attachment: bool
) -> None:
    wanted = sound(48000, 40_000)
    codec, video = ("aac", True) if muxer == "mp4" else ("libopus", muxer != "webm")
    path = encode(
        tmp_path / "film",
        wanted,
        48000,
        codec=codec,
        muxer=muxer,
        video=video,
        subtitles=subtitles,
        attachment=attachment,
    )
    got = read(path)
    assert got.shape == wanted.shape
    assert snr_db(wanted, got) > 20


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 37800, 44100, 48000, 88200, 96000, 192000])
def test_any_rate_is_brought_to_the_rate_asked_for(tmp_path: Path, rate: int) -> None:
    seconds = np.arange(rate) / rate
    samples = 0.5 * np.sin(2 * np.pi * np.array([[440.0], [1000.0]]) * seconds).astype(np.float32)
    with open_writer(tmp_path / "in.wav", format="wav-float", sample_rate=rate, channels=2) as writer:
        writer.write(samples)
    with open_audio(tmp_path / "in.wav", sample_rate=44100, block=1000) as reader:
        blocks = list(reader)
        assert (reader.sample_rate, reader.info.sample_rate) == (44100, rate)
    got = np.concatenate(blocks, axis=1)
    assert max(block.shape[1] for block in blocks) <= 1000
    assert got.shape == (2, 44100)
    wanted = 0.5 * np.sin(2 * np.pi * np.array([[440.0], [1000.0]]) * np.arange(44100) / 44100)
    assert snr_db(wanted[:, 2000:-2000].astype(np.float32), got[:, 2000:-2000]) > 90


def test_mono_becomes_two_equal_channels_and_stereo_one_mean(tmp_path: Path) -> None:
    one, two = sound(44100, 5000, 1), sound(44100, 5000, 2)
    for name, samples in (("one", one), ("two", two)):
        with open_writer(tmp_path / name, format="wav-float", sample_rate=44100, channels=len(samples)) as writer:
            writer.write(samples)
    assert np.array_equal(read(tmp_path / "one"), np.repeat(one, 2, axis=0))
    assert np.array_equal(read(tmp_path / "one", channels=1), one)
    assert np.allclose(read(tmp_path / "two", channels=1)[0], two.mean(axis=0), atol=1e-7)


def test_surround_is_mixed_down_by_place_and_cannot_clip(tmp_path: Path) -> None:
    alone = np.zeros((6, 6000), np.float32)
    for channel in range(6):  # FL FR FC LFE BL BR, one after the other, each at full scale
        alone[channel, channel * 1000 : channel * 1000 + 1000] = 1
    with open_writer(tmp_path / "five.wav", format="wav-float", sample_rate=44100, channels=6) as writer:
        writer.write(alone)
        writer.write(np.ones((6, 1000), np.float32))
    got = read(tmp_path / "five.wav")[:, 500::1000]
    half, whole = 0.5**0.5, 1 + 2 * 0.5**0.5
    left = np.array([1, 0, half, 0, half, 0, whole]) / whole
    assert np.allclose(got, [left, left[[1, 0, 2, 3, 5, 4, 6]]], atol=1e-6)


@pytest.mark.parametrize(("channels", "codec"), [(4, "flac"), (6, "aac"), (6, "ac3"), (8, "flac")])
def test_surround_files_become_stereo(tmp_path: Path, channels: int, codec: str) -> None:
    samples = sound(48000, 20_000, channels)
    path = encode(tmp_path / "many", samples, 48000, codec=codec, muxer="matroska")
    assert probe(path).channels == channels
    assert read(path).shape[0] == 2


def test_wav_of_unknown_size_is_read_to_its_end(tmp_path: Path) -> None:
    whole = bytearray(wav(np.arange(4000, dtype=np.int16)))
    for riff, data in ((0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0xFFFFFFFF, 0), (0x7FFFF024, 0x7FFFF000)):
        struct.pack_into("<I", whole, 4, riff)
        struct.pack_into("<I", whole, 40, data)
        path = tmp_path / "stream.wav"
        path.write_bytes(whole)
        assert np.array_equal(read(path)[0] * 32768, np.arange(4000))


def test_rf64_is_read(tmp_path: Path) -> None:
    wanted = sound(44100, 3000)
    path = encode(tmp_path / "x.wav", wanted, 44100, codec="pcm_f32le", muxer="wav", muxer_options={"rf64": "always"})
    assert path.read_bytes()[:4] == b"RF64"
    assert np.array_equal(read(path), wanted)


def test_extensible_wav_and_chunks_around_the_audio_are_read(tmp_path: Path) -> None:
    samples = np.arange(-500, 500, dtype=np.int16)
    junk, tail = b"JUNK" + struct.pack("<I", 7) + b"1234567\0", b"LIST" + struct.pack("<I", 4) + b"INFO"
    guid = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    extensible = struct.pack("<HHIIHH", 0xFFFE, 1, 44100, 88200, 2, 16) + guid
    data = b"data" + struct.pack("<I", 2000) + samples.tobytes()
    body = b"WAVE" + junk + b"fmt " + struct.pack("<I", len(extensible)) + extensible + data + tail
    (tmp_path / "x").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body + b"garbage after the end")
    assert np.array_equal(read(tmp_path / "x")[0] * 32768, samples)


def wav(samples: np.ndarray, rate: int = 44100) -> bytes:
    """A plain mono 16-bit WAV file, byte by byte."""
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    data = samples.astype("<i2").tobytes()
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@pytest.mark.parametrize(("codec", "muxer"), [("libmp3lame", "mp3"), ("flac", "flac")])
def test_tags_before_and_garbage_after_do_not_matter(tmp_path: Path, codec: str, muxer: str) -> None:
    wanted = sound(44100, 30_000)
    path = encode(tmp_path / "x", wanted, 44100, codec=codec, muxer=muxer)
    picture = b"APIC" + struct.pack(">I", 200_000) + b"\0\0" + b"\0image/png\0\3\0" + b"\x89PNG" + bytes(200_000 - 17)
    size = len(picture)
    tag = b"ID3\3\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + picture
    path.write_bytes(tag + path.read_bytes() + b"TAG" + bytes(125) + b"and some text that means nothing" * 20)
    got = read(path)
    assert got.shape == wanted.shape
    assert snr_db(wanted, got) > 20


def test_the_rest_of_an_mp3_that_turns_mono_is_read(tmp_path: Path) -> None:
    options = {"write_xing": "0", "id3v2_version": "0"}
    parts = [
        encode(
            tmp_path / str(n), sound(44100, 44_100, n), 44100, codec="libmp3lame", muxer="mp3", muxer_options=options
        )
        for n in (2, 1)
    ]
    (tmp_path / "both").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert read(tmp_path / "both").shape[1] == pytest.approx(88_200, abs=5000)


@pytest.mark.parametrize(
    "name",
    [
        "it's.wav",
        'a "b".wav',
        "-i.wav",
        "two\nlines.wav",
        "$(touch x);&|`id`.wav",
        "ünï 曲 🎵.wav",
        "http:x.wav",
        "%d.wav",
        "a" * 250,
    ],
)
def test_any_name_will_do(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_writer(name, format="wav", sample_rate=44100, channels=2) as writer:
        writer.write(sound(44100, 3000))
    assert read(Path(name)).shape == (2, 3000)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 5000)), np.full((2, 5000), 0.25), np.full((2, 1), 0.5), sound(44100, 2205), sound(44100, 5000) * 9],
    ids=["silence", "offset", "one sample", "50 ms", "beyond full scale"],
)
def test_odd_signals_are_kept_as_they_are(tmp_path: Path, samples: np.ndarray) -> None:
    with open_writer(tmp_path / "x.wav", format="wav-float", sample_rate=44100, channels=2) as writer:
        writer.write(samples.astype(np.float32))
    assert np.array_equal(read(tmp_path / "x.wav"), samples.astype(np.float32))
    found = scan(tmp_path / "x.wav", sample_rate=44100)
    assert found.samples == samples.shape[1]


def test_nonsense_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(np.ones(10)))
    for choice in ({"channels": 0}, {"channels": 3}, {"sample_rate": 0}, {"block": 0}):
        with pytest.raises(OptionError):
            open_audio(tmp_path / "x.wav", **choice)  # type: ignore[arg-type]


def test_limits_that_are_not_reached_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(np.ones(44100)))
    limits = InputLimits(max_bytes=(tmp_path / "x.wav").stat().st_size, max_seconds=1.0)
    assert scan(tmp_path / "x.wav", limits=limits).samples == 44100
