"""What a file is, by its first bytes. An allowlist: what is not on it is not audio here."""

from __future__ import annotations

HEAD_BYTES = 4096  # enough for every signature below

# (offset, bytes, media type). Containers with an audio track count, video among them.
_SIGNATURES = (
    (8, b"WAVE", "audio/wav"),  # after RIFF, RF64 or BW64
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"AIFF", "audio/aiff"),
    (8, b"AIFC", "audio/aiff"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),  # also flac and aac under an ID3 tag; the decoder tells them apart
    (4, b"ftyp", "audio/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"caff", "audio/x-caf"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "audio/x-ms-wma"),
    (0, b"wvpk", "audio/x-wavpack"),
    (0, b"MAC ", "audio/x-ape"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"#!AMR", "audio/amr"),
    (0, b".snd", "audio/basic"),
)


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins with ``head``, or None if that is no audio we know."""
    for offset, signature, media_type in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return media_type
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # A bare MPEG audio frame: 11 sync bits; layer bits 00 mean AAC in ADTS frames.
        return "audio/aac" if head[1] & 0x06 == 0 else "audio/mpeg"
    if len(head) > 188 and head[0] == 0x47 and head[188] == 0x47:
        return "video/mp2t"
    return None
