"""What a file is, by its content: no file reaches a demuxer but through `sniff`.

FFmpeg is never asked to guess. A file is opened with the one demuxer that its first bytes name, from the
table below, so that no demuxer that opens other files or addresses (HLS, DASH, concat, SDP, image
sequences) can ever be chosen, whatever the file is called.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from typing import BinaryIO

from stemwright.audio.containers.mp4 import begins_with_box
from stemwright.audio.containers.mpeg import ac3_header, adts_header, find_frames, mpeg_header
from stemwright.audio.info import shown
from stemwright.errors import InputError

HEAD = 1 << 16
"""Bytes looked at after the leading ID3v2 tags."""
_PACKETS = 5
"""Packets in a row that make a transport stream."""
_ZEROS = bytes(16)
"""No kind of file begins with these."""
_MOST_ZEROS = 1 << 26
"""Bytes of zeros before the first frame that are passed over."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A container: our name for it, FFmpeg's demuxer for it, and where its first byte lies."""

    container: str
    demuxer: str
    start: int = 0
    garbage: bool = False  # whether bytes that mean nothing lie before it: the demuxer is to begin at `start`

    @property
    def media_type(self) -> str:
        """What HTTP calls it, for example audio/flac."""
        return _MEDIA_TYPES[self.container]


# (offset, magic, container, demuxer)
_AUDIO: tuple[tuple[int, bytes, str, str], ...] = (
    (8, b"WAVE", "wav", "wav"),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", "w64", "w64"),
    (8, b"AVI ", "avi", "avi"),
    (8, b"AIFF", "aiff", "aiff"),
    (8, b"AIFC", "aiff", "aiff"),
    (0, b"fLaC", "flac", "flac"),
    (0, b"OggS", "ogg", "ogg"),
    (0, b"\x1a\x45\xdf\xa3", "matroska", "matroska"),
    (4, b"ftyp", "mp4", "mov"),
    (4, b"moov", "mov", "mov"),
    (4, b"mdat", "mov", "mov"),
    (4, b"wide", "mov", "mov"),
    (0, b"caff", "caf", "caf"),
    (0, b".snd", "au", "au"),
    (0, b"wvpk", "wavpack", "wv"),
    (0, b"TTA1", "tta", "tta"),
    (0, b"FLV\x01", "flv", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", "asf"),
    (0, b"\x00\x00\x01\xba", "mpeg", "mpeg"),
)
_MEDIA_TYPES = {
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "aiff": "audio/aiff",
    "asf": "audio/x-ms-wma",
    "au": "audio/basic",
    "avi": "video/x-msvideo",
    "caf": "audio/x-caf",
    "eac3": "audio/eac3",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "m4a": "audio/mp4",
    "matroska": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
    "mpeg": "video/mpeg",
    "mpegts": "video/mp2t",
    "ogg": "audio/ogg",
    "tta": "audio/x-tta",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wavpack": "audio/x-wavpack",
    "webm": "video/webm",
}
# What else people hand in, for a message that helps: (magic, what it is)
_OTHER: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"MThd", "a MIDI file: notes, not sound"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_PLAYLIST = re.compile(
    r"""^\s*(\#extm3u|\#ext-x-|\#extinf|\[playlist\]|\[reference\]|ffconcat\s+version|v=0\s*[\r\n]+o=)
    | <(\?wpl|asx|playlist|smil|mpd|smoothstreamingmedia|rss)\b
    | ^\s*file\s+(['"]?).+\3(\s+(wave|mp3|aiff|flac|binary|motorola))?\s*$
    | ^\s*track\s+\d+\s+audio\s*$
    | ^\s*(https?|rtsps?|rtmp|rtp|udp|mms|ftp|file|concat|subfile|data|crypto)(:|://)\S+\s*$
    | ^[^\#\r\n<>]+\.(mp3|wav|flac|ogg|opus|m4a|aac|aiff?|mp4|mkv|ts|m3u8?|wma)\s*$""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def sniff(file: BinaryIO, name: str) -> Kind:
    """Say what the open file is.

    Raises:
        InputError: ``playlist`` if it is a list of other files, ``truncated`` if it ends inside the tag it begins with,
            ``not_audio`` if it is anything else that holds no audio.
    """
    size = file.seek(0, io.SEEK_END)
    start, tag_end, odd = _after_id3(file, size)
    head = _read(file, start)
    if head.startswith(_ZEROS):
        start, tag_end, odd = _after_id3(file, size, _after_zeros(file, start))
        head, odd = _read(file, start), True
    text = _as_text(head)
    kind = _by_magic(head, start) or (_by_frames(head, start) or _by_packets(head, start) if text is None else None)
    if kind is not None:
        return replace(kind, garbage=kind.garbage or odd)
    if tag_end > size:
        raise InputError(
            f"{shown(name)} is cut short: its ID3 tag declares {tag_end} bytes and the file holds {size}; "
            "get a complete copy",
            code="truncated",
        )
    if text is not None and _PLAYLIST.search(text):
        raise InputError(
            f"{shown(name)} is a playlist: it names other files and holds no audio; give the audio file itself",
            code="playlist",
        )
    raise InputError(
        f"{shown(name)} is {_what(head, text)}; give an audio file, or a video file with sound", code="not_audio"
    )


def _what(head: bytes, text: str | None) -> str:
    if not head.strip(b"\0"):
        return "nothing but zeros" if head else "nothing but a tag"
    if text is not None:
        return "text"
    return next((what for magic, what in _OTHER if head.startswith(magic)), "no audio file known here")


def media_type(head: bytes) -> str | None:
    """The media type of a file that begins with `head`, or None if `sniff` would refuse the file.

    `head` is the first `HEAD` bytes, or the whole file if it is shorter. Tags at its beginning, or zeros, may be longer
    than that: such a file passes for MPEG audio, until it is opened.
    """
    file = io.BytesIO(head)
    if len(head) >= HEAD and (_after_id3(file, len(head))[1] >= len(head) or not head.strip(b"\0")):
        return _MEDIA_TYPES["mp3"]
    try:
        return sniff(file, "").media_type
    except InputError as error:
        cut = error.code == "truncated" or (len(head) >= HEAD and head.startswith(b"ID3"))
        return _MEDIA_TYPES["mp3"] if cut else None


def _after_id3(file: BinaryIO, size: int, start: int = 0) -> tuple[int, int, bool]:
    """What is behind the ID3v2 tags that begin at `start` (there may be several).

    Returns:
        Offset of the first byte behind them, where the last says that it ends, and whether one is longer or shorter than
        its length says by the standard.
    """
    end = start
    odd = False
    for _ in range(8):
        file.seek(start)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            break
        ends = [start + 10 + length + (10 if tag[5] & 0x10 else 0) for length in _tag_lengths(tag)]
        fitting = [each for each in ends if each <= size]
        end = next((each for each in fitting if _begins_at(file, each)), fitting[0] if fitting else ends[0])
        odd = odd or end != ends[0] or not fitting or any(byte & 0x80 for byte in tag[6:10])
        # A tag longer than the file does not say where it ends: the frames are looked for behind its header.
        start = end if fitting else start + 10
    return start, end, odd


def _tag_lengths(tag: bytes) -> list[int]:
    """What the length of an ID3v2 tag may be: seven bits of each byte, as it is defined, or all eight, as some write it."""
    plain = int.from_bytes(tag[6:10], "big")
    if any(byte & 0x80 for byte in tag[6:10]):
        return [plain]
    return [tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9], plain]


def _begins_at(file: BinaryIO, at: int) -> bool:
    """Whether something that may follow a tag begins exactly here."""
    file.seek(at)
    head = file.read(16)
    return (
        head.startswith((b"ID3", b"fLaC", b"TTA1"))
        or mpeg_header(head, 0) is not None
        or adts_header(head, 0) is not None
    )


def _after_zeros(file: BinaryIO, start: int) -> int:
    """The first byte from `start` on that is not zero; where the search ended if there is none near."""
    for at in range(start, start + _MOST_ZEROS, HEAD):
        piece = _read(file, at)
        if rest := piece.lstrip(b"\0"):
            return at + len(piece) - len(rest)
        if len(piece) < HEAD:
            break
    return at


def _read(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    return file.read(HEAD)


def _by_magic(head: bytes, start: int) -> Kind | None:
    for offset, magic, container, demuxer in _AUDIO:
        if not head.startswith(magic, offset):
            continue
        if offset == 8 and head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
            continue
        if start and demuxer not in ("flac", "tta"):
            continue  # in no other kind of file does an ID3v2 tag come first
        if demuxer == "mov":
            container = {b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov"}.get(head[8:12], container)
        if demuxer == "matroska" and b"webm" in head[:64]:
            container = "webm"
        return Kind(container=container, demuxer=demuxer, start=start)
    if not start and begins_with_box(head):
        return Kind(container="mp4", demuxer="mov")
    return None


def _by_packets(head: bytes, start: int) -> Kind | None:
    """A transport stream: packets of 188 bytes, with 4 before each on discs and in cameras, and 16 behind it on the air."""
    for packet in (188, 192, 204):
        for at in range(packet):
            marks = head[at::packet]
            if len(marks) > _PACKETS and marks[:_PACKETS] == b"G" * _PACKETS:
                return Kind(container="mpegts", demuxer="mpegts", start=start + at, garbage=start + at > 0)
    return None


def _by_frames(head: bytes, start: int) -> Kind | None:
    """Raw MPEG, ADTS or AC-3 frames have no magic number: look for several in a row, past zeros and stray bytes."""
    ends = len(head) < HEAD
    found = [
        (at, container)
        for parse, container in ((adts_header, "aac"), (mpeg_header, "mp3"), (ac3_header, "ac3"))
        if (at := find_frames(head, parse, ends=ends)) is not None
    ]
    if not found:
        return None
    # The bytes of one kind of frame can look like headers of the other; the stream itself begins earlier.
    at, container = min(found)
    if container == "ac3" and head[at + 5] >> 3 > 10:
        container = "eac3"
    return Kind(container=container, demuxer=container, start=start + at, garbage=at > 0)


def _as_text(head: bytes) -> str | None:
    """The head as text, or None if it is binary."""
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))  # the marks of UTF-16; an MPEG frame may begin like one
    if not wide and b"\0" in head:
        return None
    text = head[: len(head) & ~1].decode("utf-16", errors="replace") if wide else head.decode("utf-8", errors="replace")
    if wide and sum(character.isascii() for character in text) * 2 < len(text):
        return None
    strange = sum(character == "\ufffd" or (character < " " and character not in "\t\r\n\f") for character in text)
    return text.lstrip("\ufeff") if strange * 10 <= len(text) else None
