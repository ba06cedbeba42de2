"""Whatever cannot be used gets one clear error with its cause, at once, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from sounds import encode, read, sound

from stemwright.audio import InputLimits, open_audio, open_writer, probe, scan
from stemwright.errors import InputError

Make = Callable[[Path], None]


def refused(path: Path, **choices: object) -> InputError:
    """Read the file to its end; it must fail, with one line that names it."""
    with pytest.raises(InputError) as caught:
        scan(path, **choices)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert path.name.encode("unicode_escape").decode() in message
    assert not caught.value.retryable
    return caught.value


def outcome(path: Path) -> str:
    """The code of the error, or "read"; what is read has to be numbers. Any other exception is not caught."""
    try:
        samples = read(path)
    except InputError as error:
        return error.code
    assert np.isfinite(samples).all()
    return "read"


def wav_bytes(samples: int = 1000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.arange(2 * samples, dtype="<i2").tobytes())
    return buffer.getvalue()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.wav").code == "not_found"
    assert refused(tmp_path).code == "not_readable"
    os.mkfifo(tmp_path / "pipe.wav")
    assert refused(tmp_path / "pipe.wav").code == "not_readable"
    (tmp_path / "file").write_bytes(wav_bytes())
    assert refused(tmp_path / "file" / "in it").code == "not_found"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(wav_bytes())
    (tmp_path / "secret.wav").chmod(0)
    assert refused(tmp_path / "secret.wav").code == "not_readable"


def test_a_name_that_no_file_can_have_is_refused() -> None:
    for name in ("a\0b.wav", "a" * 5000):
        with pytest.raises(InputError) as caught:
            probe(name)
        assert caught.value.code == "not_readable"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("song.wav", wav_bytes())
    return buffer.getvalue()


def picture(codec: str, muxer: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=1, width=32, height=32)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p", "gif": "rgb8", "bmp": "bgr24"}[codec]
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


NOT_AUDIO = {
    "text": b"Dear listener,\nthis is a letter, and not a song.\n",
    "html": b"<!doctype html><html><body><p>404</p></body></html>",
    "random bytes": np.random.default_rng(7).bytes(300_000),
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "one byte": b"R",
    "zip": archive(),
    "png": picture("png", "image2pipe"),
    "jpg": picture("mjpeg", "image2pipe"),
    "bmp": picture("bmp", "image2pipe"),
    "gif": picture("gif", "gif"),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 40,
    "midi": b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + bytes(30),
    "id3 tag alone": b"ID3\3\0\0\0\0\1\0" + bytes(128),
    "script": b"#!/bin/sh\necho hello\n",
    "webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(30),
}


@pytest.mark.parametrize("what", NOT_AUDIO)
def test_what_is_no_audio_is_refused_whatever_it_is_called(tmp_path: Path, what: str) -> None:
    for name in ("song.wav", "song.mp3"):
        (tmp_path / name).write_bytes(NOT_AUDIO[what])
        assert refused(tmp_path / name).code == "not_audio"


PLAYLISTS = {
    "m3u": "#EXTM3U\n#EXTINF:10,song\nsong.wav\n",
    "plain m3u": "song.wav\nother song.mp3\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "pls": "[playlist]\nNumberOfEntries=1\nFile1=song.wav\n",
    "xspf": '<?xml version="1.0"?>\n<playlist version="1"><trackList><track/></trackList></playlist>',
    "asx": '<asx version="3.0"><entry><ref href="song.wav"/></entry></asx>',
    "smil": '<smil><body><audio src="song.wav"/></body></smil>',
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    "ffconcat": "ffconcat version 1.0\nfile 'song.wav'\n",
    "concat": "file 'song.wav'\nfile song.wav\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=audio 5004 RTP/AVP 0\r\n",
    "cue": 'PERFORMER "x"\nFILE "song.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "address": "https://example.com/song\n",
    "utf-16": "\ufeff#EXTM3U\nsong.wav\n",
}


@pytest.mark.parametrize("what", PLAYLISTS)
def test_playlists_are_refused_under_any_name(tmp_path: Path, what: str) -> None:
    (tmp_path / "song.wav").write_bytes(wav_bytes())
    content = PLAYLISTS[what].encode("utf-16-le" if what == "utf-16" else "utf-8")
    for name in ("list.wav", "list.m3u8", "list"):
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name).code == "playlist"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.flac").touch()
    assert refused(tmp_path / "x.flac").code == "empty"


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent film.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=64)
        stream.pix_fmt = "yuv420p"
        for shade in range(5):
            image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    assert refused(path).code == "no_audio_stream"


def test_files_without_a_single_sample_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav_bytes(0))
    assert refused(tmp_path / "x.wav").code == "no_samples"
    for codec, muxer in (("flac", "flac"), ("pcm_s16be", "aiff")):
        with av.open(str(tmp_path / muxer), "w", format=muxer) as container:
            container.add_stream(codec, rate=44100, layout="stereo")
            container.start_encoding()
        assert refused(tmp_path / muxer).code in ("no_samples", "truncated")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float, codec: str) -> None:
    samples = sound(44100, 100_000)
    samples[1, 90_000] = value
    path = encode(tmp_path / "x.wav", samples, 44100, codec=codec, muxer="wav")
    assert refused(path).code == "non_finite"


CUT = [
    ("pcm_s16le", "wav"),
    ("pcm_s16be", "aiff"),
    ("flac", "flac"),
    ("libmp3lame", "mp3"),
    ("aac", "mp4"),
    ("alac", "ipod"),
    ("libopus", "ogg"),
    ("libopus", "webm"),
]


@pytest.mark.parametrize(("codec", "muxer"), CUT)
def test_files_that_are_cut_short_are_refused(tmp_path: Path, codec: str, muxer: str) -> None:
    whole = encode(tmp_path / "whole", sound(48000, 100_000), 48000, codec=codec, muxer=muxer).read_bytes()
    for part in (0.9, 0.5):
        (tmp_path / "cut").write_bytes(whole[: int(len(whole) * part)])
        assert refused(tmp_path / "cut").code == "truncated"


@pytest.mark.parametrize(("codec", "muxer"), CUT)
def test_files_that_are_cut_in_their_header_are_refused(tmp_path: Path, codec: str, muxer: str) -> None:
    whole = encode(tmp_path / "whole", sound(48000, 20_000), 48000, codec=codec, muxer=muxer).read_bytes()
    for size in (13, 20, 30):
        (tmp_path / "cut").write_bytes(whole[:size])
        assert refused(tmp_path / "cut").code in ("truncated", "not_audio", "decode_failed", "no_samples")


def test_damage_in_the_middle_is_refused_where_it_can_be_known(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.flac", sound(48000, 200_000), 48000, codec="flac", muxer="flac")
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = np.random.default_rng(1).bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    assert refused(path).code in ("truncated", "decode_failed")


@pytest.mark.parametrize(
    ("codec", "muxer"), [("libmp3lame", "mp3"), ("aac", "mp4"), ("libopus", "ogg"), ("flac", "matroska")]
)
def test_random_damage_never_brings_anything_but_an_input_error(tmp_path: Path, codec: str, muxer: str) -> None:
    whole = encode(tmp_path / "whole", sound(48000, 30_000), 48000, codec=codec, muxer=muxer).read_bytes()
    chance = np.random.default_rng(11)
    for _ in range(4):
        data = bytearray(whole)
        for at in chance.integers(0, len(data), 30):
            data[at] = chance.integers(256)
        (tmp_path / "x").write_bytes(data)
        assert outcome(tmp_path / "x") != InputError.code


def test_a_small_file_that_holds_hours_is_stopped_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    with open_writer(path, format="flac", sample_rate=8000, channels=1) as writer:
        for _ in range(15):
            writer.write(np.zeros((1, 480_000), np.float32))
    assert path.stat().st_size < 7_200_000 * 2 / 60
    assert refused(path, limits=InputLimits(max_seconds=300)).code == "too_long"
    # The same when it does not say how long it is: the limit holds for what comes out.
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert probe(path).duration is None
    assert refused(path, limits=InputLimits(max_seconds=300)).code == "too_long"
    with open_audio(path, limits=InputLimits(max_seconds=300)) as reader:
        with pytest.raises(InputError):
            list(reader)
        assert 300 < reader.native_samples / 8000 < 310


def test_a_file_of_too_many_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav_bytes(1000))
    assert refused(tmp_path / "x.wav", limits=InputLimits(max_bytes=4000)).code == "too_large"
