"""MP4 files as phones and other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from boxes import box, in_milliseconds, moved, rebuild, with_duration, with_gap
from numpy.typing import NDArray
from signals import snr_db
from sounds import encode, read, sound

from stemwright.audio import InputOptions, media_type, open_audio, probe, scan
from stemwright.errors import InputError, OptionError

MOVIE = sound(44100, 60_000)


@pytest.fixture(scope="module")
def m4a(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """60,000 samples of AAC: 59 frames."""
    return encode(tmp_path_factory.mktemp("m4a") / "x", MOVIE, 44100, codec="aac", muxer="ipod").read_bytes()


@pytest.mark.parametrize("duration", [0, 0xFFFFFFFF], ids=["zero", "unknown"])
def test_a_track_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path: Path, m4a: bytes, duration: int) -> None:
    (tmp_path / "x").write_bytes(with_duration(m4a, duration))
    got = read(tmp_path / "x")
    assert got.shape[1] == 60 * 1024  # without its edit list nothing says what of them is padding
    assert snr_db(MOVIE[:, :58_000], got[:, 1024:59_024]) > 20


def test_a_track_whose_edit_ends_before_it_begins_is_read(tmp_path: Path, m4a: bytes) -> None:
    (tmp_path / "x").write_bytes(
        rebuild(m4a, (b"moov", b"trak", b"edts", b"elst"), lambda body: box(b"elst", body[:12] + b"\x7f" + body[13:]))
    )
    try:
        assert read(tmp_path / "x").shape[1] > 0
    except InputError as error:
        assert error.code == "no_samples"


@pytest.mark.parametrize(
    "tail",
    [b"TAG" + b"A Title".ljust(125, b"\0"), b"written by hand, with some text behind it\n", b"APETAGEX" + bytes(24)],
    ids=["ID3v1", "text", "APE"],
)
def test_a_tag_or_text_behind_the_last_box_does_not_matter(tmp_path: Path, m4a: bytes, tail: bytes) -> None:
    (tmp_path / "x").write_bytes(m4a + tail)
    got = read(tmp_path / "x")
    assert got.shape == MOVIE.shape
    assert snr_db(MOVIE, got) > 20


@pytest.mark.parametrize("missing", [0, 200_000], ids=["nothing", "picture"])
def test_media_data_that_claim_more_than_the_file_holds_are_read_if_the_sound_is_whole(
    tmp_path: Path, missing: int
) -> None:
    options = {"movflags": "+faststart"}
    data = encode(tmp_path / "x", MOVIE, 44100, codec="aac", muxer="mp4", muxer_options=options).read_bytes()
    at = data.index(b"mdat") - 4
    size = int.from_bytes(data[at : at + 4], "big") + 16 + missing
    for end in (len(data), len(data) * 3 // 4):
        (tmp_path / "x").write_bytes((data[:at] + size.to_bytes(4, "big") + data[at + 4 :])[:end])
        if end == len(data):
            assert snr_db(MOVIE, read(tmp_path / "x")) > 20
        else:
            with pytest.raises(InputError) as caught:
                read(tmp_path / "x")
            assert caught.value.code == "truncated"


def test_a_part_of_the_file_that_is_cut_short_still_does(tmp_path: Path, m4a: bytes) -> None:
    (tmp_path / "x").write_bytes(m4a + (1 << 20).to_bytes(4, "big") + b"moof" + bytes(100))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "x")
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("size", [92, 100_000], ids=["short", "longer than the first bytes"])
@pytest.mark.parametrize("kind", [b"free", b"skip", b"uuid"])
def test_boxes_that_mean_nothing_may_come_first(tmp_path: Path, m4a: bytes, kind: bytes, size: int) -> None:
    data = box(kind, bytes(size)) + moved(m4a, size + 8)
    (tmp_path / "x").write_bytes(data)
    assert media_type(data[: 1 << 16]) == "audio/mp4"
    got = read(tmp_path / "x")
    assert got.shape == MOVIE.shape
    assert snr_db(MOVIE, got) > 20


def test_text_that_has_the_name_of_a_box_is_none() -> None:
    assert media_type(b"The free software\n" * 50) is None
    assert media_type(b"\0\0\0\4free" + bytes(100)) is None


@pytest.mark.parametrize("rate", [48000, 44100])
def test_a_track_that_counts_milliseconds_is_read_whole(tmp_path: Path, rate: int) -> None:
    wanted = sound(rate, 59 * 1024)
    data = encode(tmp_path / "x", wanted, rate, codec="aac", muxer="ipod").read_bytes()
    (tmp_path / "x").write_bytes(in_milliseconds(data, rate))
    got = read(tmp_path / "x")
    assert got.shape[1] == 60 * 1024
    assert snr_db(wanted[:, :58_000], got[:, 1024:59_024]) > 20


def test_a_gap_that_the_file_means_is_no_sign_of_a_cut_and_can_be_kept(tmp_path: Path, m4a: bytes) -> None:
    """A recorder that was paused, or a call that was held."""
    (tmp_path / "x").write_bytes(with_gap(m4a, 30, 20_000))
    without = scan(tmp_path / "x")
    assert without.samples >= 59 * 1024
    assert without.notes == ("gaps in the sound, 0.454 s in all, were left out",)
    with open_audio(tmp_path / "x", options=InputOptions(video_clock=True)) as reader:
        got = np.concatenate(list(reader), axis=1)
    assert got.shape[1] == without.samples + 20_000
    assert reader.notes == ("gaps in the sound, 0.454 s in all, were kept as silence",)
    at = 30 * 1024
    assert not got[:, at : at + 20_000].any()
    assert snr_db(MOVIE[:, : at - 2048], got[:, 1024 : at - 1024]) > 20
    assert snr_db(MOVIE[:, at:55_000], got[:, at + 1024 + 20_000 : 56_024 + 20_000]) > 20


def test_a_gap_does_not_hide_a_cut(tmp_path: Path, m4a: bytes) -> None:
    data = with_duration(with_gap(m4a, 30, 20_000), 60 * 1024 + 20_000 + 5000)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError) as caught:
        scan(tmp_path / "x")
    assert caught.value.code == "truncated"


def two(tmp_path: Path, first: NDArray[np.float32], second: NDArray[np.float32], muxer: str = "mp4") -> Path:
    return encode(tmp_path / "two", first, 44100, codec="aac", muxer=muxer, more_tracks=(second,))


@pytest.mark.parametrize("muxer", ["mp4", "matroska", "mpegts"])
def test_of_two_tracks_the_first_is_read_unless_the_other_is_asked_for(tmp_path: Path, muxer: str) -> None:
    first, second = sound(44100, 40_000, seed=1), 0.5 * sound(44100, 90_000, seed=2)[::-1]
    path = two(tmp_path, first, second, muxer)
    exact = muxer == "mp4"
    for options, wanted, number in (
        (InputOptions(), first, 1),
        (InputOptions(track=1), first, 1),
        (InputOptions(track=2), second, 2),
    ):
        with open_audio(path, options=options) as reader:
            got, info = np.concatenate(list(reader), axis=1), reader.info
        assert (info.track, info.tracks) == (number, 2)
        assert probe(path, options=options).track == number
        assert info.notes == (f"audio track {number} of 2 was read",)
        assert got.shape[1] == wanted.shape[1] if exact else got.shape[1] >= wanted.shape[1]
        if exact:
            assert snr_db(wanted, got) > 20
            assert info.duration == pytest.approx(wanted.shape[1] / 44100)
            assert scan(path, options=options).samples == wanted.shape[1]
        assert np.abs(got[:, 5000:35_000]).max() == pytest.approx(np.abs(wanted[:, 5000:35_000]).max(), rel=0.1)


def test_a_track_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = two(tmp_path, MOVIE, MOVIE)
    with pytest.raises(InputError, match="2 audio tracks") as caught:
        scan(path, options=InputOptions(track=3))
    assert caught.value.code == "no_audio_stream"
    for number in (0, -1):
        with pytest.raises(OptionError):
            InputOptions(track=number)


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_track_in_a_codec_that_nobody_has_is_passed_over(tmp_path: Path, unknown: int) -> None:
    """An iPhone's second track is in Apple's own codec for spatial audio."""
    path = two(tmp_path, MOVIE, MOVIE)
    data = bytearray(path.read_bytes())
    entry = [at for at in range(len(data)) if data[at : at + 10] == b"mp4a" + bytes(6)][unknown]
    description = data.find(b"esds", entry)
    data[entry : entry + 4], data[description : description + 4] = b"apac", b"dapa"
    path.write_bytes(data)
    got = read(path)
    assert got.shape == MOVIE.shape
    assert snr_db(MOVIE, got) > 20
    assert probe(path).track == 2 - unknown
    with pytest.raises(InputError, match="codec") as caught:
        scan(path, options=InputOptions(track=1 + unknown))
    assert caught.value.code == "decode_failed"


def test_a_track_that_is_not_enabled_is_read_only_where_there_is_no_other(tmp_path: Path) -> None:
    path = two(tmp_path, 0.1 * MOVIE, MOVIE)
    seen = 0

    def disabled(body: bytes) -> bytes:
        nonlocal seen
        seen += 1
        return box(b"tkhd", body[:3] + bytes([body[3] & ~1 | (seen > 1)]) + body[4:])

    path.write_bytes(rebuild(path.read_bytes(), (b"moov", b"trak", b"tkhd"), disabled))
    assert probe(path).track == 2
    assert snr_db(MOVIE, read(path)) > 20
