"""A look into an uploaded file: it is decoded once, in the engine's limited child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def probe(path: Path, *, max_seconds: float | None) -> Mapping[str, Any]:
    """What the file is.

    Raises:
        InputError: it cannot be separated; its ``code`` says why.
    """
    from stemwright.audio import InputLimits, scan

    found = scan(path, limits=InputLimits(max_seconds=max_seconds))
    return {
        "duration": found.samples / found.info.sample_rate,
        "sample_rate": found.info.sample_rate,
        "channels": found.info.channels,
        "codec": found.info.codec,
    }
