"""What the service and its workers ask of a file before it is separated: its first bytes, and whether it can be decoded.

Found by the entry point group `stemwright.probes`. Decoding happens once, in a limited child process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NICE = 19  # whoever waits for an answer of the API goes first


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins with ``head``; None: the engine would refuse it, and it is not decoded."""
    from stemwright.audio import media_type

    return media_type(head)


def probe(path: Path, *, max_seconds: float | None) -> Mapping[str, Any]:
    """What the file is. Decoded to its end: what a header says is not believed.

    Raises:
        InputError: it cannot be separated; its ``code`` says why.
    """
    from stemwright.audio import InputLimits, open_audio

    with open_audio(path, limits=InputLimits(max_seconds=max_seconds, nice=_NICE)) as reader:
        samples = sum(block.shape[1] for block in reader)
        info = reader.info
    return {
        "duration": samples / info.sample_rate,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
        "codec": info.codec,
    }
