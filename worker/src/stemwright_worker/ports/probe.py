"""A look into an uploaded file before it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What decoding showed; None where unknown."""

    duration: float | None = None  # seconds
    sample_rate: int | None = None  # Hz


class Probe(Protocol):
    """Decodes a file, somewhere it can do no harm."""

    def probe(self, path: Path, *, filename: str) -> ProbeResult:
        """Raises UnusableInput or TooLarge, with the decoder's own code and message about ``filename``."""
        ...
