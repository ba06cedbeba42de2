"""What is written comes back with the same length, the same start, and as close as its format allows."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from signals import snr_db
from sounds import lag, read, sound

from stemwright.audio import FORMATS, open_audio, open_writer
from stemwright.audio.samples import to_integers

CLOSE_ENOUGH = {"wav": 80, "wav24": 125, "wav-float": 150, "flac": 80, "flac24": 125}  # dB; the others are lossy
LOSSY = 20
CHOICES: list[tuple[str, dict[str, int]]] = [
    ("mp3", {"vbr_quality": 0}),
    ("mp3", {"vbr_quality": 9}),
    ("mp3", {"bitrate": 128_000, "preset": 7}),
    ("ogg", {"vbr_quality": 9}),
    ("m4a", {"bitrate": 128_000}),
    ("opus", {"bitrate": 64_000}),
]


def write(
    path: Path, samples: NDArray[np.float32], rate: int, *, format: str, step: int = 30_000, **choice: Any
) -> Path:
    with open_writer(path, format=format, sample_rate=rate, channels=len(samples), **choice) as writer:
        for at in range(0, samples.shape[1], step):
            writer.write(samples[:, at : at + step])
    return path


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("samples", [1, 2205, 100_003])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_back_what_was_written(tmp_path: Path, format: str, rate: int, samples: int) -> None:
    wanted = sound(rate, samples)
    got = read(write(tmp_path / "stem", wanted, rate, format=format), sample_rate=rate)
    assert got.shape == wanted.shape
    if samples > (1000 if FORMATS[format].lossless else 100_000):
        assert lag(got, wanted) == 0
        assert snr_db(wanted, got) > CLOSE_ENOUGH.get(format, LOSSY)


@pytest.mark.parametrize(("format", "choice"), CHOICES, ids=str)
def test_every_choice_gives_back_what_was_written(tmp_path: Path, format: str, choice: dict[str, int]) -> None:
    wanted = sound(44100, 100_003)
    got = read(write(tmp_path / "stem", wanted, 44100, format=format, **choice), sample_rate=44100)
    assert got.shape == wanted.shape
    assert lag(got, wanted) == 0
    assert snr_db(wanted, got) > 12


@pytest.mark.parametrize("samples", [1, 46, 2205, 100_003])
@pytest.mark.parametrize("format", [name for name in FORMATS if name != "ogg"])
def test_another_decoder_finds_the_same_samples(tmp_path: Path, format: str, samples: int) -> None:
    wanted = sound(48000, samples)
    path = write(tmp_path / f"stem.{FORMATS[format].extension}", wanted, 48000, format=format)
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    got = np.frombuffer(raw, np.float32).reshape(-1, 2).T
    assert got.shape == wanted.shape
    assert samples < 100_000 or lag(got, wanted) == 0


def test_libsndfile_finds_the_same_samples_in_ogg(tmp_path: Path) -> None:
    import soundfile

    for samples in (1, 2205, 100_003):
        wanted = sound(44100, samples)
        got, rate = soundfile.read(write(tmp_path / "stem.ogg", wanted, 44100, format="ogg"), dtype="float32")
        assert (got.T.shape, rate) == (wanted.shape, 44100)
        assert samples < 1000 or snr_db(wanted, got.T) > LOSSY


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format=st.sampled_from(list(FORMATS)), samples=st.integers(1, 9000), step=st.integers(1, 4000))
def test_any_length_in_any_steps_comes_back_whole(tmp_path: Path, format: str, samples: int, step: int) -> None:
    wanted = sound(44100, samples)
    got = read(write(tmp_path / "stem", wanted, 44100, format=format, step=step), sample_rate=44100)
    assert got.shape == wanted.shape


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_sixteen_bits_read_and_written_are_the_same_bits(tmp_path: Path, format: str) -> None:
    every = np.arange(-32768, 32768, dtype=np.float32)[None].repeat(2, axis=0) / np.float32(32768)
    first = write(tmp_path / "first", every, 44100, format=format)
    samples = read(first)
    assert np.array_equal(to_integers(samples, 16), to_integers(every, 16))
    assert write(tmp_path / "second", samples, 44100, format=format).read_bytes() == first.read_bytes()


@pytest.mark.parametrize("format", ["wav24", "flac24"])
def test_twenty_four_bits_read_and_written_are_the_same_bits(tmp_path: Path, format: str) -> None:
    wanted = np.random.default_rng(3).integers(-(2**23), 2**23, (2, 50_000)).astype(np.float32) / np.float32(2**23)
    assert np.array_equal(read(write(tmp_path / "stem", wanted, 44100, format=format)), wanted)


def test_float_wav_keeps_what_is_beyond_full_scale(tmp_path: Path) -> None:
    wanted = sound(44100, 5000) * 7
    assert np.array_equal(read(write(tmp_path / "stem", wanted, 44100, format="wav-float")), wanted)


@pytest.mark.parametrize("format", [name for name, form in FORMATS.items() if form.clips])
def test_other_formats_clamp_what_is_beyond_full_scale(tmp_path: Path, format: str) -> None:
    loud = sound(44100, 20_000) * 3
    got = read(write(tmp_path / "stem", loud, 44100, format=format), sample_rate=44100)
    assert not FORMATS[format].lossless or np.abs(got).max() <= 1.0
    assert snr_db(np.clip(loud, -1, 1), got) > LOSSY - 5


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_samples_make_the_same_bytes(tmp_path: Path, format: str) -> None:
    first = write(tmp_path / "first", sound(44100, 60_000), 44100, format=format)
    second = write(tmp_path / "second", sound(44100, 60_000), 44100, format=format, step=7001)
    assert first.read_bytes() == second.read_bytes()


RATES = {
    "wav": (37800, 192000),
    "flac24": (37800, 192000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000),
    "m4a": (8000, 88200),
    "ogg": (8000, 96000),
    "opus": (8000, 37800),
}


@pytest.mark.parametrize(("format", "rate"), [(name, rate) for name, rates in RATES.items() for rate in rates])
def test_other_rates_are_exact_too(tmp_path: Path, format: str, rate: int) -> None:
    wanted = sound(rate, 30_011)
    got = read(write(tmp_path / "stem", wanted, rate, format=format), sample_rate=rate)
    assert got.shape == wanted.shape
    assert lag(got, wanted) == 0


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 24000, 44100])
@pytest.mark.parametrize("samples", [1, 577])
def test_mono_mp3_shorter_than_a_frame_is_exact_at_every_kind_of_rate(tmp_path: Path, rate: int, samples: int) -> None:
    path = write(tmp_path / "stem", sound(rate, samples, 1), rate, format="mp3")
    with open_audio(path) as reader:
        assert (reader.info.channels, reader.info.sample_rate) == (1, rate)
        assert sum(block.shape[1] for block in reader) == samples


def test_mono_mp3_gives_back_what_was_written(tmp_path: Path) -> None:
    wanted = sound(44100, 30_011, 1)
    got = read(write(tmp_path / "stem", wanted, 44100, format="mp3"), channels=1)
    assert got.shape == wanted.shape
    assert lag(got, wanted) == 0
    assert snr_db(wanted, got) > LOSSY


def test_opus_of_a_rate_above_its_own_is_exact_to_its_own_rate(tmp_path: Path) -> None:
    got = read(write(tmp_path / "stem", sound(192_000, 30_011), 192_000, format="opus"))
    assert got.shape == (2, round(30_011 / 4))


@pytest.mark.parametrize("channels", [1, 6, 8])
def test_wav_and_flac_hold_other_numbers_of_channels(tmp_path: Path, channels: int) -> None:
    for name in ("wav", "flac", "wav-float"):
        path = write(tmp_path / "stem", sound(44100, 3000, channels), 44100, format=name)
        with open_audio(path) as reader:
            assert reader.info.channels == channels
            assert sum(block.shape[1] for block in reader) == 3000


@pytest.mark.parametrize("format", FORMATS)
def test_tags_are_kept(tmp_path: Path, format: str) -> None:
    tags = {"title": "Bläh; $(x)", "artist": "Ana", "album": "Ñ", "date": "2024", "track": "3", "genre": "Rock"}
    with open_writer(tmp_path / "stem", format=format, sample_rate=44100, channels=2, tags=tags) as writer:
        writer.write(sound(44100, 5000))
    with open_audio(tmp_path / "stem") as reader:
        assert dict(reader.info.tags).items() >= tags.items()
