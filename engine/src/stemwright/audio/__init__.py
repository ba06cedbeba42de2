"""Audio in and out: untrusted files to samples and samples to files, exact to the sample and in constant memory.

Names are loaded when they are first used, so that a caller who only asks for the formats does not import numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemwright.audio.cover import Cover
    from stemwright.audio.formats import FORMATS, AudioFormat
    from stemwright.audio.info import AudioInfo, InputLimits, InputOptions
    from stemwright.audio.reading.reader import AudioReader, open_audio, probe
    from stemwright.audio.reading.scan import ScanResult, scan
    from stemwright.audio.reading.sniff import media_type
    from stemwright.audio.resample import Resampler, resampled_length
    from stemwright.audio.writing.writer import AudioWriter, WrittenFile, claim_output, open_writer, part_path

__all__ = [
    "FORMATS",
    "AudioFormat",
    "AudioInfo",
    "AudioReader",
    "AudioWriter",
    "Cover",
    "InputLimits",
    "InputOptions",
    "Resampler",
    "ScanResult",
    "WrittenFile",
    "claim_output",
    "media_type",
    "open_audio",
    "open_writer",
    "part_path",
    "probe",
    "resampled_length",
    "scan",
]

_HOMES = {
    "cover": ("Cover",),
    "formats": ("FORMATS", "AudioFormat"),
    "info": ("AudioInfo", "InputLimits", "InputOptions"),
    "reading.reader": ("AudioReader", "open_audio", "probe"),
    "reading.scan": ("ScanResult", "scan"),
    "reading.sniff": ("media_type",),
    "resample": ("Resampler", "resampled_length"),
    "writing.writer": ("AudioWriter", "WrittenFile", "claim_output", "open_writer", "part_path"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"stemwright.audio.{_HOME[name]}"), name)
    raise AttributeError(f"module 'stemwright.audio' has no attribute {name!r}")
