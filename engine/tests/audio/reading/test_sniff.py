"""What a file is by its first bytes, and what HTTP calls it."""

from __future__ import annotations

import io

import pytest

from stemwright.audio import media_type
from stemwright.audio.reading.sniff import HEAD, sniff
from stemwright.errors import InputError

MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 4  # MPEG 1 layer III, 128 kbit/s at 44100 Hz
AAC = (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)) * 4  # ADTS

AC3 = (b"\x0b\x77\0\0\x14\x40" + bytes(762)) * 4  # 192 kbit/s at 48000 Hz


def id3(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127)) + bytes(size)


HEADS = [
    (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
    (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
    (bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8) + b"wave", "audio/x-w64"),
    (b"RIFF\x24\x00\x00\x00AVI LIST", "video/x-msvideo"),
    (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
    (b"FORM\x00\x00\x00\x00AIFC", "audio/aiff"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (id3(300) + b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"OggS\x00\x02", "audio/ogg"),
    (MP3, "audio/mpeg"),
    (id3(300) + MP3, "audio/mpeg"),
    (AAC, "audio/aac"),
    (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
    (b"\x00\x00\x00\x20ftypisom", "audio/mp4"),
    (b"\x00\x00\x00\x20ftypqt  ", "video/quicktime"),
    (b"\x00\x00\x00\x20moov\0\0", "video/quicktime"),
    (b"\x00\x00\x00\x08wide\0\0", "video/quicktime"),
    (b"\x00\x00\x00\x20mdat\0\0", "video/quicktime"),
    (b"\x1aE\xdf\xa3\x01\0matroska", "video/x-matroska"),
    (b"\x1aE\xdf\xa3\x01\0webm", "video/webm"),
    (b"caff\0\1", "audio/x-caf"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "audio/x-ms-wma"),
    (b"wvpk\0\0", "audio/x-wavpack"),
    (b"TTA1\1\0", "audio/x-tta"),
    (b"FLV\x01\5", "video/x-flv"),
    (b".snd\0\0", "audio/basic"),
    (b"\x00\x00\x01\xba\x44", "video/mpeg"),
    ((b"G" + bytes(187)) * 6, "video/mp2t"),
    ((bytes(4) + b"G" + bytes(187)) * 6, "video/mp2t"),
    (bytes(99) + (b"G" + bytes(187)) * 6, "video/mp2t"),
    (b"G" * 2000, None),
    (b"\0\0\0\x10free" + bytes(8) + b"\0\0\0\x20ftypM4A ", "audio/mp4"),
    (b"\0\0\0\x10free" + bytes(8) + b"\0\0\0\x20nope", None),
    (AC3, "audio/ac3"),
    (b"\x0b\x77" + bytes(600), None),
    (b"ID3\x03\0\0\0\0\0\xc0" + bytes(192) + MP3, "audio/mpeg"),  # a length in plain bytes
    (b"", None),
    (b"\xff", None),
    (b"G" + bytes(400), None),
    (b"MAC \x96\x0f", None),  # Monkey's Audio
    (b"#!AMR\n<", None),
    (b"JUNK\x24\x00\x00\x00WAVEfmt ", None),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 ", None),
    (b"FORM\x00\x00\x00\x00ILBM", None),
    (b"\xff\xd8\xff\xe0", None),  # JPEG begins like an MPEG frame, but one bit
    (b"MZ\x90\x00", None),
    (b"#EXTM3U\n", None),
    (b"ffconcat version 1.0\n", None),
    (id3(300) + b"<html>", None),
]


@pytest.mark.parametrize(("head", "expected"), HEADS)
def test_the_first_bytes_say_what_it_is_called(head: bytes, expected: str | None) -> None:
    assert media_type(head) == expected


@pytest.mark.parametrize(("head", "expected"), HEADS)
@pytest.mark.parametrize("more", [b"", bytes(3 * HEAD)], ids=["the whole file", "a file that goes on"])
def test_what_is_refused_by_its_first_bytes_is_what_is_refused_when_it_is_opened(
    head: bytes, expected: str | None, more: bytes
) -> None:
    data = head + more
    try:
        opened: str | None = sniff(io.BytesIO(data), "x").media_type
    except InputError as error:
        assert error.code in ("not_audio", "playlist")
        opened = None
    # What may come before the first frame may be longer than the first bytes.
    unknown = more and (head.startswith(b"ID3") or not head)
    assert media_type(data[:HEAD]) in (opened, "audio/mpeg" if unknown else opened)


def test_tags_longer_than_the_first_bytes_leave_it_open_until_the_file_is_opened() -> None:
    assert media_type((id3(2 * HEAD) + MP3)[:HEAD]) == "audio/mpeg"
    assert media_type(id3(2 * HEAD)[:HEAD]) == "audio/mpeg"
    assert media_type(id3(HEAD // 4) + bytes(10)) is None  # the whole file: nothing follows its tags
