"""How good a separation is, given the true stems.

Names are imported when first used: the command line reads this package for ``--help``, without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemwright.evaluation.evaluate import SongScore, StemSummary, evaluate_song, overall, summarize
    from stemwright.evaluation.folders import Comparison, SongFiles, StemFiles, compare_folders
    from stemwright.evaluation.frames import StemScore, framewise_sdr
    from stemwright.evaluation.metrics import si_sdr, usdr

__all__ = [
    "Comparison",
    "SongFiles",
    "SongScore",
    "StemFiles",
    "StemScore",
    "StemSummary",
    "compare_folders",
    "evaluate_song",
    "framewise_sdr",
    "overall",
    "si_sdr",
    "summarize",
    "usdr",
]

_MODULES = ("metrics", "frames", "folders", "evaluate")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES)):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
