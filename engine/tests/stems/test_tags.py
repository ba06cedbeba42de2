"""Which tags of a song its stems have."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from pathlib import Path

import imageio_ffmpeg
import pytest
from sounds import sound

from stemwright.audio import open_audio, open_writer, probe
from stemwright.audio.cover import Cover
from stemwright.cli import main

OF_THE_SONG = {
    "title": "A Title",
    "artist": "One; Another",
    "album_artist": "All",
    "composer": "Who",
    "album": "An Album",
    "track": "3/12",
    "date": "1999",
    "genre": "Jazz",
}
OF_THE_MIX = {"replaygain_track_gain": "-7.89 dB", "replaygain_album_peak": "0.98", "r128_track_gain": "-1000"}


def png(width: int = 8, height: int = 6, more: int = 0) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80\x20\xe0" * width) * height)
    text = chunk(b"tEXt", b"x\0" + bytes(more)) if more else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(folder: Path) -> bytes:
    """A real one, of 40 x 24 pixels."""
    made = folder / "made.jpg"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=red:s=40x24"]
    subprocess.run([*command, "-frames:v", "1", str(made)], check=True)
    return made.read_bytes()


def song_with(path: Path, cover: Cover, form: str = "flac") -> Path:
    with open_writer(path, format=form, sample_rate=44100, channels=2, tags=OF_THE_SONG, cover=cover) as writer:
        writer.write(sound(44100, 44100))
    return path


def split(song: Path, out: Path, form: str, *more: str) -> Path:
    words = ["-q", "--model", "pocket", "--device", "cpu", "--format", form, "-o", str(out), *more]
    assert main(["split", *words, str(song)]) == 0
    (stem,) = out.glob("*/vocals.*")
    return stem


@pytest.mark.parametrize(
    ("form", "kind"),
    [("flac", "png"), ("m4a", "png"), ("m4a", "jpeg"), ("ogg", "png"), ("opus", "png"), ("mp3", "jpeg")],
)
def test_the_cover_goes_into_every_stem_byte_by_byte(tmp_path: Path, form: str, kind: str) -> None:
    # 200 kB: over the pages of an Ogg file, and the blocks of all the others.
    data, size = (png(more=200_000), (8, 6)) if kind == "png" else (jpeg(tmp_path), (40, 24))
    cover = Cover(mime=f"image/{kind}", width=size[0], height=size[1], data=data)
    song = song_with(tmp_path / f"song.{form}", cover, form)
    assert probe(song).cover == cover
    stem = split(song, tmp_path / "out", form)
    assert probe(stem).cover == cover
    # As a stranger reads it: the image is decoded, and the sound beside it is whole.
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([ffmpeg, "-v", "error", "-xerror", "-i", str(stem), "-frames:v", "1", "-f", "null", "-"], check=True)
    with open_audio(stem, sample_rate=44100) as reader:
        assert sum(block.shape[1] for block in reader) == 44100


def test_a_cover_that_is_too_large_or_no_image_is_left_out_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = Cover(mime="image/png", width=8, height=6, data=png(more=10_000_000))
    other = Cover(mime="image/png", width=8, height=6, data=b"<svg onload='alert(1)'/>" * 10)
    for name, cover, why in (("large", large, "10000000 are the most"), ("other", other, "no JPEG or PNG image")):
        stem = split(song_with(tmp_path / f"{name}.flac", cover), tmp_path / name, "flac", "--json")
        (song,) = json.loads(capsys.readouterr().out)["songs"]
        assert [
            note for note in song["report"]["notes"] if "the picture of the album was left out" in note and why in note
        ]
        assert probe(stem).cover is None
        assert probe(stem).tags["title"] == "A Title"


def test_a_wav_stem_is_whole_without_the_cover(tmp_path: Path) -> None:
    cover = Cover(mime="image/png", width=8, height=6, data=png())
    stem = split(song_with(tmp_path / "song.mp3", cover, "mp3"), tmp_path / "out", "wav")
    assert probe(stem).cover is None
    assert probe(stem).tags["title"] == "A Title"
    assert probe(stem).tags["artist"] == "One; Another"


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_the_second_artist_is_kept_where_a_file_tells_them_apart(tmp_path: Path) -> None:
    plain = {}
    for form in ("mp3", "m4a"):
        with open_writer(tmp_path / f"x.{form}", format=form, sample_rate=44100, channels=2) as writer:
            writer.write(sound(44100, 4410))
        plain[form] = (tmp_path / f"x.{form}").read_bytes()
    names = "Eins\0Z\u0175ei\0Drei"
    for encoding, text in ((3, names.encode()), (1, names.encode("utf-16")), (2, names.encode("utf-16-be"))):
        frame = b"TPE1" + struct.pack(">I", 1 + len(text)) + b"\0\0" + bytes([encoding]) + text
        (tmp_path / "x.mp3").write_bytes(b"ID3\4\0\0\0\0\0" + bytes([len(frame)]) + frame + plain["mp3"])
        assert probe(tmp_path / "x.mp3").tags["artist"] == "Eins;Z\u0175ei;Drei"
    values = [box(b"data", struct.pack(">II", 1, 0), name.encode()) for name in names.split("\0")]
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    listed = box(b"udta", box(b"meta", bytes(4), handler, box(b"ilst", box(b"\xa9ART", *values))))
    data = plain["m4a"]
    at = data.rindex(b"moov") - 4  # it is the last of the file
    (tmp_path / "x.m4a").write_bytes(data[:at] + box(b"moov", data[at + 8 :], listed))
    assert probe(tmp_path / "x.m4a").tags["artist"] == "Eins;Z\u0175ei;Drei"


@pytest.mark.parametrize("format", ["flac", "m4a", "ogg", "opus", "mp3"])
def test_what_is_said_of_the_song_is_kept_and_what_is_said_of_the_mix_is_not(tmp_path: Path, format: str) -> None:
    song = tmp_path / "song.flac"
    with open_writer(song, format="flac", sample_rate=44100, channels=2, tags={**OF_THE_SONG, **OF_THE_MIX}) as writer:
        writer.write(sound(44100, 44100))
    assert probe(song).tags["replaygain_track_gain"] == "-7.89 dB"
    words = ["-q", "--model", "pocket", "--device", "cpu", "--format", format, "-o", str(tmp_path / "out")]
    assert main(["split", *words, str(song)]) == 0
    tags = probe(tmp_path / "out" / "song" / f"vocals.{format}").tags
    assert {name: tags.get(name) for name in OF_THE_SONG} == OF_THE_SONG
    assert not [name for name in tags if name.startswith(("replaygain", "r128"))]
