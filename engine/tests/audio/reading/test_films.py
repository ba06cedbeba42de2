"""The sound of a film on the film's clock."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from boxes import box, rebuild
from signals import snr_db
from sounds import encode, lag, read, sound

from stemwright.audio import InputLimits, InputOptions, open_audio, probe, resampled_length, scan
from stemwright.errors import InputError

RATE = 48000
LATE = 66_000
SOUND = sound(RATE, 60_000)
ON_CLOCK = InputOptions(video_clock=True)

# (muxer, codec); what they may miss the beginning by is less than a millisecond, the unit that Matroska and MP4 count in
FILMS = [("mp4", "aac"), ("mov", "pcm_s16le"), ("matroska", "flac"), ("mpegts", "aac")]
WITHIN = 48


def film(path: Path, muxer: str, codec: str, *, begins_at: int = LATE) -> Path:
    return encode(path, SOUND, RATE, codec=codec, muxer=muxer, video=True, begins_at=begins_at)


@pytest.mark.parametrize(("muxer", "codec"), FILMS)
def test_sound_that_begins_after_the_picture_is_told_and_can_be_kept_there(
    tmp_path: Path, muxer: str, codec: str
) -> None:
    path = film(tmp_path / "x", muxer, codec)
    early = read(path)
    with open_audio(path, options=ON_CLOCK) as reader:
        got, info = np.concatenate(list(reader), axis=1), reader.info
        assert reader.native_samples == got.shape[1]
    silence = got.shape[1] - early.shape[1]
    assert silence / RATE == pytest.approx(info.late, abs=1 / RATE)
    assert not got[:, :silence].any()
    assert np.array_equal(got[:, silence:], early)
    wanted = np.concatenate([np.zeros((2, LATE), np.float32), SOUND], axis=1)
    assert abs(lag(got, wanted)) <= WITHIN
    assert scan(path, options=ON_CLOCK).samples == got.shape[1]
    (note,) = probe(path).notes
    assert f"{info.late:.3f} s after the picture" in note


def test_a_track_that_begins_with_an_empty_edit_is_as_long_as_its_music(tmp_path: Path) -> None:
    path = film(tmp_path / "x", "mp4", "aac", begins_at=0)
    size = SOUND.shape[1] * 1000 // RATE

    def later(body: bytes) -> bytes:
        edits = struct.pack(">IiI", LATE * 1000 // RATE, -1, 1 << 16) + struct.pack(">IiI", size, 1024, 1 << 16)
        return box(b"elst", bytes(4) + struct.pack(">I", 2) + edits)

    of_sound = iter([lambda body: box(b"elst", body), later])  # the picture's comes first
    path.write_bytes(
        rebuild(path.read_bytes(), (b"moov", b"trak", b"edts", b"elst"), lambda body: next(of_sound)(body))
    )
    got = read(path)
    assert got.shape == SOUND.shape
    assert snr_db(SOUND, got) > 20
    assert probe(path).late == LATE / RATE
    assert probe(path).duration == SOUND.shape[1] / RATE


def test_another_rate_keeps_the_clock(tmp_path: Path) -> None:
    path = film(tmp_path / "x", "matroska", "flac")
    found = scan(path, sample_rate=44100, options=ON_CLOCK)
    assert found.samples == resampled_length(LATE + SOUND.shape[1], RATE, 44100)
    assert found.native_samples == LATE + SOUND.shape[1]


@pytest.mark.parametrize("options", [InputOptions(), ON_CLOCK])
def test_where_sound_and_picture_begin_together_nothing_is_added(tmp_path: Path, options: InputOptions) -> None:
    path = film(tmp_path / "x", "mp4", "aac", begins_at=0)
    with open_audio(path, options=options) as reader:
        got = np.concatenate(list(reader), axis=1)
    assert got.shape == SOUND.shape
    assert snr_db(SOUND, got) > 20
    assert reader.info.late < 0.001
    assert not reader.info.notes


def test_without_a_picture_there_is_no_clock(tmp_path: Path) -> None:
    path = encode(tmp_path / "x", SOUND, RATE, codec="flac", muxer="matroska", begins_at=LATE)
    assert probe(path).late == 0
    assert scan(path, options=ON_CLOCK).samples == SOUND.shape[1]


def test_the_silence_counts_towards_the_longest_that_will_do(tmp_path: Path) -> None:
    path = film(tmp_path / "x", "matroska", "flac")
    limits = InputLimits(max_seconds=2)
    assert scan(path, limits=limits).samples == SOUND.shape[1]
    with pytest.raises(InputError) as caught:
        scan(path, limits=limits, options=ON_CLOCK)
    assert caught.value.code == "too_long"
