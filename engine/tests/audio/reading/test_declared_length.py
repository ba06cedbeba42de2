"""The length that a file declares, and what is made of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sounds import encode, lag, read, sound

from stemwright.audio import open_writer
from stemwright.audio.containers.mp4 import Length, mp4_lengths
from stemwright.audio.containers.mpeg import find_frames, mpeg_header
from stemwright.audio.containers.ogg import pages, set_numbers, single_page_samples
from stemwright.audio.reading.declared_length import Declared
from stemwright.audio.reading.sniff import sniff
from stemwright.errors import InputError


@pytest.mark.parametrize("timescale", ["600", "1000", "44100", "90000"])
@pytest.mark.parametrize("muxer", ["mp4", "mov", "ipod"])
def test_the_edit_list_gives_the_length_in_any_unit(tmp_path: Path, muxer: str, timescale: str) -> None:
    options = {"movie_timescale": timescale}
    path = encode(tmp_path / "x", sound(44100, 50_021), 44100, codec="aac", muxer=muxer, muxer_options=options)
    with path.open("rb") as file:
        assert mp4_lengths(file, path.stat().st_size, "x") == {1: Length(samples=50_021, rate=44100)}


def test_the_tag_of_apple_gives_the_length(tmp_path: Path) -> None:
    path = encode(tmp_path / "x", sound(44100, 50_021), 44100, codec="aac", muxer="ipod")
    data = path.read_bytes()
    at = data.index(b"moov") - 4  # the last box of the file: it can grow without moving anything
    text = b"iTunSMPB" + b" 00000000 00000400 000002B7 %016X " % 50_000
    note = (8 + len(text)).to_bytes(4, "big") + b"free" + text
    moov = data[at + 8 :] + note
    path.write_bytes(data[:at] + (8 + len(moov)).to_bytes(4, "big") + b"moov" + moov)
    assert read(path).shape == (2, 50_000)


def test_fragments_declare_nothing_and_are_read(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = encode(tmp_path / "x", sound(44100, 50_021), 44100, codec="aac", muxer="mp4", muxer_options=options)
    with path.open("rb") as file:
        assert mp4_lengths(file, path.stat().st_size, "x") == {}
    assert read(path).shape[1] == pytest.approx(50_021, abs=2048)


def test_twice_the_rate_is_twice_the_samples_and_another_rate_says_nothing() -> None:
    said = Declared(samples=1000, rate=24000, tolerance=10, slack=5)
    assert said.at(24000) == said
    assert said.at(48000) == Declared(samples=2000, rate=48000, tolerance=20, slack=5)
    assert said.at(44100) == Declared()
    assert Declared(samples=7).at(44100) == Declared(samples=7)


def test_units_that_are_no_samples_are_rounded_to_one_of_them() -> None:
    milliseconds = Declared(samples=3051, rate=1000)
    assert milliseconds.at(48000) == Declared(samples=146_448, rate=48000, tolerance=48, grain=48)
    assert milliseconds.at(44100) == Declared(samples=134_549, rate=44100, tolerance=45, grain=45)
    assert Declared(samples=90_000, rate=90_000).at(44100) == Declared(samples=44_100, rate=44100, tolerance=1, grain=1)


def test_two_mp3_files_in_one_are_read_to_the_end(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with open_writer(tmp_path / name, format="mp3", sample_rate=44100, channels=2) as writer:
            writer.write(sound(44100, 44_100))
    (tmp_path / "both").write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert read(tmp_path / "both").shape[1] == pytest.approx(88_200, abs=5000)


def test_garbage_before_the_first_frame_does_not_matter(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", format="mp3", sample_rate=44100, channels=2) as writer:
        writer.write(sound(44100, 44_100))
    (tmp_path / "b").write_bytes(bytes(5000) + b"\xff\xff junk \xff\xfb" + (tmp_path / "a").read_bytes())
    got = read(tmp_path / "b")
    assert got.shape == (2, 44_100)
    assert lag(got, sound(44100, 44_100)) == 0


def test_frame_headers_are_read_as_the_standard_says() -> None:
    header = mpeg_header(bytes.fromhex("fffb9064"), 0)
    assert header is not None
    assert (header.size, header.samples) == (417, 1152)
    header = mpeg_header(bytes.fromhex("fff350c4"), 0)  # MPEG-2 layer III, 40 kbit/s at 22050 Hz
    assert header is not None
    assert (header.size, header.samples) == (130, 576)
    for wrong in ("fffbf064", "fffb9c64", "ffeb9064", "fff99064", "00fb9064"):
        assert mpeg_header(bytes.fromhex(wrong), 0) is None


def test_one_frame_alone_in_other_data_is_no_stream() -> None:
    frame = bytes.fromhex("fffb9064") + bytes(413)
    assert find_frames(bytes(100) + frame * 3 + bytes(5000), mpeg_header, ends=True) == 100
    assert find_frames(bytes(100) + frame + bytes(5000), mpeg_header, ends=True) is None


def test_the_pages_of_an_ogg_file_can_be_given_another_number(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "x.ogg"
    with open_writer(path, format="ogg", sample_rate=44100, channels=2) as writer:
        writer.write(sound(44100, 200_000))
    before, _ = soundfile.read(path)
    with path.open("r+b") as file:
        assert {page.serial for page in pages(file)} == {1}
        set_numbers(file, 0x12345678)
        assert {page.serial for page in pages(file)} == {0x12345678}
    after, _ = soundfile.read(path)  # libogg drops pages whose checksum is wrong
    assert (before == after).all()


def test_a_short_vorbis_file_is_known_by_its_single_page(tmp_path: Path) -> None:
    for samples, wanted in ((2205, 2205), (200_000, None)):
        with open_writer(tmp_path / "x", format="ogg", sample_rate=44100, channels=2) as writer:
            writer.write(sound(44100, samples))
        with (tmp_path / "x").open("rb") as file:
            assert single_page_samples(file) == wanted


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFX\0\0\0\0WAVE", "wav"),
        (b"FORM\0\0\0\0AIFC", "aiff"),
        (b"\0\0\0\x20ftypM4A \0\0", "m4a"),
        (b"\0\0\0\x20ftypqt  \0\0", "mov"),
        (b"\0\0\0\x20ftypisom\0\0", "mp4"),
        (b"ID3\4\0\0\0\0\0\0fLaC", "flac"),
        (b"\xff\xfb\x90\x64", "mp3"),
    ],
)
def test_first_bytes_name_the_kind(head: bytes, container: str) -> None:
    assert sniff(io.BytesIO(head), "x").container == container


def test_first_bytes_that_only_look_like_it_do_not() -> None:
    for head in (b"XXXX\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVX", b"\0\0\0\0fty", b"ID3\4\0\0\0\0\0\0RIFF\0\0\0\0WAVE"):
        with pytest.raises(InputError):
            sniff(io.BytesIO(head), "x")
