"""Files that are put together of several, and files whose headers are not right about them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from signals import snr_db
from sounds import encode, lag, read, sound

from stemwright.audio import media_type, open_writer, probe, scan
from stemwright.errors import InputError

RATE = 44100
Sound = NDArray[np.float32]


def written(path: Path, samples: Sound, format: str, rate: int = RATE, **choices: int) -> bytes:
    with open_writer(path, format=format, sample_rate=rate, channels=len(samples), **choices) as writer:  # type: ignore[arg-type]
        writer.write(samples)
    return path.read_bytes()


def likeness(got: Sound, wanted: Sound) -> float:
    """The lowest correlation of any channel."""
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(got, wanted, strict=True))


def beside(*sounds: Sound) -> Sound:
    """One after the other, as stereo."""
    return np.concatenate([each if len(each) == 2 else np.repeat(each, 2, axis=0) for each in sounds], axis=1)


LONG, SHORT, MONO = sound(RATE, 90_000, seed=1), sound(RATE, 6_000, seed=2), sound(RATE, 50_000, 1, seed=3)


@pytest.mark.parametrize(
    ("sounds", "qualities"),
    [((SHORT, LONG), (1, 1)), ((LONG, SHORT), (1, 1)), ((LONG, LONG), (5, 1)), ((SHORT, SHORT, SHORT), (2, 9, 0))],
    ids=["short first", "short last", "two qualities", "three"],
)
def test_vorbis_streams_one_after_the_other_are_each_decoded_as_what_they_are(
    tmp_path: Path, sounds: tuple[Sound, ...], qualities: tuple[int, ...]
) -> None:
    links = [
        written(tmp_path / "one", each, "ogg", vbr_quality=quality)
        for each, quality in zip(sounds, qualities, strict=True)
    ]
    (tmp_path / "x").write_bytes(b"".join(links))
    got, wanted = read(tmp_path / "x"), beside(*sounds)
    assert got.shape == wanted.shape
    assert likeness(got, wanted) > 0.98
    assert scan(tmp_path / "x").samples == wanted.shape[1]
    assert probe(tmp_path / "x").duration is None  # each says its own


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_other_streams_in_ogg_one_after_the_other_are_read_whole(tmp_path: Path, codec: str) -> None:
    sounds = sound(48000, 40_021, seed=1), sound(48000, 30_007, 1, seed=2), sound(48000, 5_003, seed=3)
    links = [encode(tmp_path / "one", each, 48000, codec=codec, muxer="ogg").read_bytes() for each in sounds]
    (tmp_path / "x").write_bytes(b"".join(links))
    got, wanted = read(tmp_path / "x"), beside(*sounds)
    assert got.shape == wanted.shape
    assert likeness(got, wanted) > 0.98


def test_links_of_other_rates_are_brought_to_the_first(tmp_path: Path) -> None:
    first, second = sound(RATE, 50_000, seed=1), sound(22050, 50_000, 1, seed=2)
    links = written(tmp_path / "a", first, "ogg") + written(tmp_path / "b", second, "ogg", 22050)
    (tmp_path / "x").write_bytes(links)
    got = read(tmp_path / "x")
    assert got.shape[1] == pytest.approx(150_000, abs=100)
    assert likeness(got[:, :50_000], first) > 0.98
    assert likeness(got[:, 50_000:150_000:2][:, :49_000], np.repeat(second, 2, axis=0)[:, :49_000]) > 0.9


def test_a_link_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    links = [written(tmp_path / "one", LONG, "ogg") for _ in range(2)]
    (tmp_path / "x").write_bytes(links[0] + links[1][:-2000])
    with pytest.raises(InputError) as caught:
        scan(tmp_path / "x")
    assert caught.value.code == "truncated"


def test_a_file_of_too_many_parts_is_refused(tmp_path: Path) -> None:
    link = written(tmp_path / "one", SHORT[:, :500], "ogg")
    (tmp_path / "x").write_bytes(link * 1001)
    with pytest.raises(InputError, match="more than 1000 parts") as caught:
        scan(tmp_path / "x")
    assert caught.value.code == "decode_failed"


@pytest.mark.parametrize("sounds", [(MONO, LONG), (LONG, MONO), (MONO, LONG, MONO), (LONG, SHORT)])
def test_mp3_files_one_after_the_other_are_each_read_to_the_sample(tmp_path: Path, sounds: tuple[Sound, ...]) -> None:
    parts = [written(tmp_path / "one", each, "mp3", bitrate=128_000) for each in sounds]
    (tmp_path / "x").write_bytes(b"".join(parts))
    got, wanted = read(tmp_path / "x"), beside(*sounds)
    assert got.shape == wanted.shape
    assert snr_db(wanted, got) > 15
    assert probe(tmp_path / "x").duration == pytest.approx(wanted.shape[1] / RATE)


def test_mp3_frames_that_turn_from_mono_to_stereo_stay_stereo(tmp_path: Path) -> None:
    """Without a tag nothing says where one ends: it is the frames that change."""
    options = {"write_xing": "0", "id3v2_version": "0"}
    one, other = sound(RATE, 1152 * 40, 1, seed=1), sound(RATE, 1152 * 60, seed=2)
    for name, samples in (("a", one), ("b", other)):
        encode(tmp_path / name, samples, RATE, codec="libmp3lame", muxer="mp3", muxer_options=options)
    (tmp_path / "x").write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    got = read(tmp_path / "x")
    tail = got[:, -1152 * 50 :]
    late = lag(tail, other[:, -1152 * 50 :], 4000)
    same = other[:, -1152 * 50 :][:, 5000:40_000]
    assert likeness(tail[:, 5000 + late : 40_000 + late], same) > 0.98
    assert np.array_equal(got[0, : 1152 * 30], got[1, : 1152 * 30])


def promising(data: bytes, more: int) -> bytes:
    """The mp3 whose tag promises so many frames more than it has."""
    at = max(data.find(b"Xing"), data.find(b"Info")) + 8
    return data[:at] + struct.pack(">I", struct.unpack_from(">I", data, at)[0] + more) + data[at + 4 :]


@pytest.mark.parametrize("more", [-4, -2, -1, 0, 1, 2, 5])
def test_a_tag_that_is_wrong_by_a_few_frames_is_not_believed(tmp_path: Path, more: int) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    (tmp_path / "x").write_bytes(promising(whole, more))
    got = read(tmp_path / "x")
    assert got.shape == LONG.shape
    assert np.array_equal(got, read(tmp_path / "one"))


def test_a_tag_that_promises_far_less_than_there_is_hides_nothing(tmp_path: Path) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    (tmp_path / "x").write_bytes(promising(whole, -40))
    got = read(tmp_path / "x")
    assert got.shape[1] >= LONG.shape[1]
    assert snr_db(LONG, got[:, : LONG.shape[1]]) > 20


def test_a_tag_that_promises_far_more_than_there_is_shows_a_file_that_is_cut_short(tmp_path: Path) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    for data in (promising(whole, 30), whole[: len(whole) * 2 // 3] + bytes(len(whole) // 3)):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(InputError) as caught:
            scan(tmp_path / "x")
        assert caught.value.code == "truncated"


@pytest.mark.parametrize("count", [1, 600, 3000])
def test_stray_bytes_in_the_middle_cost_the_frame_they_lie_in(tmp_path: Path, count: int) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    middle = len(whole) // 2
    (tmp_path / "x").write_bytes(whole[:middle] + np.random.default_rng(1).bytes(count) + whole[middle:])
    got = read(tmp_path / "x")
    assert LONG.shape[1] - 3 * 1152 <= got.shape[1] <= LONG.shape[1]
    assert snr_db(LONG[:, :40_000], got[:, :40_000]) > 20
    assert snr_db(LONG[:, -40_000:], got[:, -40_000:]) > 20
    (note,) = probe(tmp_path / "x").notes
    assert "bytes between its frames" in note
    assert any("damaged packets were left out" in note for note in scan(tmp_path / "x").notes)


def test_nothing_behind_the_last_frame_is_taken_for_sound(tmp_path: Path) -> None:
    """Covers in an APE tag, lyrics and the like have bytes that look like frames."""
    whole = written(tmp_path / "one", LONG, "mp3")
    noise = np.random.default_rng(4).bytes(100_000)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, len(noise) + 32, 1, 1 << 31) + bytes(8) + noise
    for tail in (ape, ape + b"TAG" + b"Title".ljust(125, b"\0"), b"TAG" + bytes(125) + noise, noise):
        (tmp_path / "x").write_bytes(whole + tail)
        assert np.array_equal(read(tmp_path / "x"), read(tmp_path / "one"))
        assert scan(tmp_path / "x").notes == ()


def test_tags_between_files_put_together_are_no_stray_bytes(tmp_path: Path) -> None:
    options = {"write_xing": "0"}
    whole = encode(tmp_path / "one", LONG, RATE, codec="libmp3lame", muxer="mp3", muxer_options=options).read_bytes()
    assert whole.startswith(b"ID3")
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 1 << 31) + bytes(8) + bytes(32)
    (tmp_path / "x").write_bytes(whole + b"TAG" + bytes(125) + whole + ape + whole)
    assert probe(tmp_path / "x").notes == ()
    assert read(tmp_path / "x").shape[1] == pytest.approx(3 * LONG.shape[1], abs=3 * 3 * 1152)


def test_a_hole_in_the_middle_is_damage(tmp_path: Path) -> None:
    options = {"write_xing": "0"}
    whole = encode(tmp_path / "one", LONG, RATE, codec="libmp3lame", muxer="mp3", muxer_options=options).read_bytes()
    third = len(whole) // 3
    (tmp_path / "x").write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    with pytest.raises(InputError, match="damaged") as caught:
        scan(tmp_path / "x")
    assert caught.value.code == "decode_failed"


@pytest.mark.parametrize("zeros", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("cover", [0, 200_000], ids=["frames", "a tag with a cover"])
def test_any_number_of_zeros_may_come_first(tmp_path: Path, zeros: int, cover: int) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    tag = b"ID3\3\0\0" + bytes([0, cover >> 14, cover >> 7 & 127, cover & 127]) + bytes(range(1, 101)) * (cover // 100)
    (tmp_path / "x").write_bytes(bytes(zeros) + tag * bool(cover) + whole)
    assert media_type((tmp_path / "x").read_bytes()[: 1 << 16]) == "audio/mpeg"
    assert np.array_equal(read(tmp_path / "x"), read(tmp_path / "one"))


def id3(size: bytes, body: bytes) -> bytes:
    return b"ID3\3\0\0" + size + body


TITLE = b"TIT2" + struct.pack(">I", 6) + b"\0\0\0Title"
COVER = b"APIC" + struct.pack(">I", 200_000) + b"\0\0" + b"\0image/png\0\3\0" + np.random.default_rng(5).bytes(199_986)


@pytest.mark.parametrize("body", [TITLE + bytes(300), TITLE + COVER], ids=["small", "with a cover"])
def test_a_tag_may_write_its_length_in_plain_bytes(tmp_path: Path, body: bytes) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    (tmp_path / "x").write_bytes(id3(struct.pack(">I", len(body)), body) + whole)
    assert np.array_equal(read(tmp_path / "x"), read(tmp_path / "one"))


def test_frames_behind_a_tag_that_claims_to_be_longer_than_the_file_are_found(tmp_path: Path) -> None:
    whole = written(tmp_path / "one", LONG, "mp3")
    (tmp_path / "x").write_bytes(id3(bytes([2, 0, 0, 0]), b"") + whole)
    assert np.array_equal(read(tmp_path / "x"), read(tmp_path / "one"))


def test_a_file_that_ends_inside_its_tag_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(id3(bytes([0, 100, 0, 0]), TITLE + COVER[:90_000]))
    with pytest.raises(InputError, match="ID3 tag declares 1638410 bytes") as caught:
        probe(tmp_path / "x")
    assert caught.value.code == "truncated"
    assert media_type((tmp_path / "x").read_bytes()[: 1 << 16]) == "audio/mpeg"


@pytest.mark.parametrize(
    ("title", "meant"),
    [
        ("Müller".encode("latin-1"), "Müller"),
        ("Müller".encode(), "Müller"),
        (("x" + 15 * "é").encode()[:30], "x" + 14 * "é"),
        (b"\x80uro", "€uro"),
        (b"plain", "plain"),
    ],
    ids=["Latin-1", "UTF-8", "UTF-8 that is cut", "Windows", "ASCII"],
)
def test_text_behind_an_mp3_is_read_as_it_was_written(tmp_path: Path, title: bytes, meant: str) -> None:
    whole = written(tmp_path / "one", SHORT, "mp3")
    (tmp_path / "x").write_bytes(whole + b"TAG" + title.ljust(125, b"\0"))
    assert probe(tmp_path / "x").tags["title"] == meant


def packets(data: bytes, *, before: int = 0, behind: int = 0) -> bytes:
    """A transport stream with so many bytes before and behind each packet."""
    return b"".join(bytes(before) + data[at : at + 188] + bytes(behind) for at in range(0, len(data), 188))


def test_transport_streams_of_discs_and_of_recorders_are_read(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain", LONG, RATE, codec="ac3", muxer="mpegts").read_bytes()
    wanted = read(tmp_path / "plain")
    forms = {"m2ts": packets(plain, before=4), "204 bytes": packets(plain, behind=16), "from inside": plain[100:]}
    for name, data in forms.items():
        (tmp_path / "x").write_bytes(data)
        assert media_type(data[: 1 << 16]) == "video/mp2t", name
        assert np.array_equal(read(tmp_path / "x"), wanted), name


@pytest.mark.parametrize(("codec", "kind"), [("ac3", "audio/ac3"), ("eac3", "audio/eac3")])
@pytest.mark.parametrize("rate", [48000, 44100, 32000])
def test_bare_frames_of_ac3_are_read(tmp_path: Path, codec: str, kind: str, rate: int) -> None:
    wanted = sound(rate, 60_000)
    path = encode(tmp_path / "x", wanted, rate, codec=codec, muxer=codec)
    assert media_type(path.read_bytes()[: 1 << 16]) == kind
    got = read(path)
    late = lag(got, wanted)
    assert late == 256  # the overlap of the first block, which bare frames do not tell
    assert snr_db(wanted[:, 2000:50_000], got[:, 2000 + late : 50_000 + late]) > 20
