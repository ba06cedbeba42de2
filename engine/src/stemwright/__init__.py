"""Takes a mix apart into stems, in memory that does not grow with the song.

    from stemwright import SeparationOptions, Separator

    Separator("htdemucs").separate_file("song.mp3", "stems/", SeparationOptions(stems=("vocals",)))

Names are loaded when they are first used: importing this package imports neither torch nor a decoder.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemwright.audio import AudioInfo, InputLimits, InputOptions, probe
    from stemwright.checkpoints import ModelInfo, catalogue
    from stemwright.errors import (
        Canceled,
        DeviceError,
        InputError,
        MissingExtraError,
        ModelError,
        OptionError,
        OutputError,
        StemwrightError,
    )
    from stemwright.machine.machine import Machine
    from stemwright.options import OutputOptions, Progress, SeparationOptions
    from stemwright.separation.report import FidelityReport, StemReport
    from stemwright.separator import FileSeparation, Separation, Separator
    from stemwright.stems.files import Artifact

_HOME = {
    "Artifact": "stems.files",
    "AudioInfo": "audio",
    "Canceled": "errors",
    "DeviceError": "errors",
    "FidelityReport": "separation.report",
    "FileSeparation": "separator",
    "InputError": "errors",
    "InputLimits": "audio",
    "InputOptions": "audio",
    "Machine": "machine.machine",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "ModelInfo": "checkpoints",
    "OptionError": "errors",
    "OutputError": "errors",
    "OutputOptions": "options",
    "Progress": "options",
    "Separation": "separator",
    "SeparationOptions": "options",
    "Separator": "separator",
    "StemReport": "separation.report",
    "StemwrightError": "errors",
    "catalogue": "checkpoints",
    "probe": "audio",
}

__all__ = [
    "Artifact",
    "AudioInfo",
    "Canceled",
    "DeviceError",
    "FidelityReport",
    "FileSeparation",
    "InputError",
    "InputLimits",
    "InputOptions",
    "Machine",
    "MissingExtraError",
    "ModelError",
    "ModelInfo",
    "OptionError",
    "OutputError",
    "OutputOptions",
    "Progress",
    "Separation",
    "SeparationOptions",
    "Separator",
    "StemReport",
    "StemwrightError",
    "catalogue",
    "probe",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"stemwright.{_HOME[name]}"), name)
    raise AttributeError(f"module 'stemwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
