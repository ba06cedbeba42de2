"""What is audio: the service refuses exactly what the command line refuses."""

from __future__ import annotations

import io
import wave
from dataclasses import replace
from pathlib import Path

import pytest
from world import CALLER, make_world

from stemwright.audio import inspection, open_audio
from stemwright.errors import InputError
from stemwright_server.usecases.upload import announce, receive
from stemwright_worker.errors import TooLarge, UnusableInput
from stemwright_worker.installed import InstalledProbe

NOT_AUDIO = ("not_audio", "playlist")


def song() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    return data.getvalue()


HEADS = {
    "a song": song(),
    "TTA": b"TTA1\x01\x00" + bytes(30),
    "MPEG-PS": b"\x00\x00\x01\xba\x44" + bytes(30),
    "mov that begins with moov": b"\x00\x00\x00\x20moov" + bytes(30),
    "mov that begins with wide": b"\x00\x00\x00\x08wide" + bytes(30),
    "mov that begins with mdat": b"\x00\x00\x00\x20mdat" + bytes(30),
    "APE": b"MAC \x96\x0f" + bytes(30),
    "AMR": b"#!AMR\n" + bytes(30),
    "WAVE in no RIFF": b"JUNK" + song()[4:],
    "flac": b"fLaC\x00\x00\x00\x22" + bytes(30),
    "tags and flac": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"fLaC\x00\x00\x00\x22" + bytes(30),
    "tags and nothing": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"<html>",
    "tags longer than the first bytes": b"ID3\x04\0\0\0\x08\0\0" + bytes(1 << 17) + b"<html>",
    "one MPEG frame": b"\xff\xfb\x90\x00" + bytes(30),
    "AIFF": b"FORM\x00\x00\x00\x00AIFF" + bytes(30),
    "a picture in a FORM": b"FORM\x00\x00\x00\x00ILBM" + bytes(30),
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(30),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(30),
    "a program": b"MZ\x90\x00" + bytes(30),
    "a playlist": b"#EXTM3U\nhttp://example.com/a.mp3\n",
    "text": b"hello",
    "zeros": bytes(100),
    "many zeros": bytes(1 << 17),
    "many zeros and frames": bytes(1 << 17) + (b"\xff\xfb\x90\x00" + bytes(413)) * 8,
    "Wave64": bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8) + b"wave" + bytes(30),
    "AC-3": (b"\x0b\x77\0\0\x14\x40" + bytes(762)) * 4,
    "m2ts": (bytes(4) + b"G" + bytes(187)) * 8,
    "MP4 that begins with free": b"\0\0\0\x10free" + bytes(8) + b"\0\0\0\x08ftyp" + bytes(30),
    "a tag with a length in plain bytes": b"ID3\x03\0\0\0\0\0\xc0" + bytes(192) + (b"\xff\xfb\x90\0" + bytes(413)) * 8,
    "a tag that is longer than the file": b"ID3\x03\0\0\x7f\0\0\0" + bytes(range(200)) * 500,
}


@pytest.mark.parametrize("more", [0, 1 << 17], ids=["short", "long"])
@pytest.mark.parametrize("name", HEADS)
def test_both_doors_refuse_the_same(tmp_path: Path, name: str, more: int) -> None:
    data = HEADS[name] + bytes(more)
    (path := tmp_path / "file").write_bytes(data)
    try:
        with open_audio(path) as reader:
            for _ in reader:
                pass
        command_line = None
    except InputError as error:
        command_line = error.code

    world = make_world(tmp_path / "service")
    probe = InstalledProbe(inspection, max_seconds=None)
    world.deps = replace(world.deps, probe=probe, limits=replace(world.deps.limits, max_bytes=1 << 20))
    track = announce(world.deps, CALLER, filename="s", size=None, sha256=None, request_id="r").track
    world.deps.blobs.write(track.key, data)
    try:
        assert receive(world.deps, track.id).media_type is not None
        service = None
    except (UnusableInput, TooLarge) as error:
        service = error.code
    if command_line in NOT_AUDIO:
        assert service in NOT_AUDIO
    else:
        assert service == command_line


def test_without_a_probe_nothing_is_refused_for_its_content(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.deps = replace(world.deps, probe=None)
    track = world.uploaded(b"hello")
    assert (track.state, track.media_type) == ("ready", None)
