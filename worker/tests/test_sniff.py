"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from stemwright_worker.sniff import sniff


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"fLaC\x00\x00\x00\x22", "audio/flac"),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),  # MPEG 1 layer III
        (b"\xff\xf3\x90\x00", "audio/mpeg"),  # MPEG 2 layer III
        (b"\xff\xe3\x90\x00", "audio/mpeg"),  # MPEG 2.5
        (b"\xff\xf1\x50\x80", "audio/aac"),  # ADTS
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        (b"FORM\x00\x00\x00\x00AIFC", "audio/aiff"),
        (b"\x1aE\xdf\xa3\x01", "video/x-matroska"),
        (b"G" + bytes(187) + b"G", "video/mp2t"),
        (b"", None),
        (b"\xff", None),
        (b"G" + bytes(400), None),
        (b"#EXTM3U\n", None),
        (b"ffconcat version 1.0\n", None),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", None),
        (b"FORM\x00\x00\x00\x00ILBM", None),
        (b"\xff\xd8\xff\xe0", None),  # JPEG begins like an MPEG frame, but one bit
        (b"MZ\x90\x00", None),
    ],
)
def test_content_says_what_it_is(head: bytes, media_type: str | None) -> None:
    assert sniff(head) == media_type
