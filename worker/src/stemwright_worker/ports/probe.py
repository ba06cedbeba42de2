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


HEAD_BYTES = 1 << 16  # of a file, enough to tell what it is


class Probe(Protocol):
    """Tells what a file is: the same that whoever decodes it will say."""

    def sniff(self, head: bytes) -> str | None:
        """The media type of a file that begins so; None: it is refused for what it is, whatever follows.

        ``head``: the first ``HEAD_BYTES``, or the whole of a shorter file.
        """
        ...

    def probe(self, path: Path, *, filename: str) -> ProbeResult:
        """Decode a file, somewhere it can do no harm.

        Raises:
            UnusableInput, TooLarge: with the decoder's own code and message about ``filename``.
        """
        ...
