"""Networks that Demucs's own classes compute (demucs 4.1.0): v3, v2, and variants of v4 that were never released.

Needs no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stemwright.models.architecture import Architecture, Arguments

if TYPE_CHECKING:
    from torch import nn


def _made(klass: Callable[..., Any], arguments: Arguments) -> nn.Module:
    """Arguments that a class does not have are dropped, as Demucs does."""
    known = inspect.signature(klass).parameters
    kwargs = {name: value for name, value in arguments.kwargs.items() if name in known}
    return klass(*arguments.args, **kwargs)  # type: ignore[no-any-return]


def _htdemucs(arguments: Arguments) -> nn.Module:
    from demucs.htdemucs import HTDemucs

    return _made(HTDemucs, arguments)


def _hdemucs(arguments: Arguments) -> nn.Module:
    from demucs.hdemucs import HDemucs

    return _made(HDemucs, arguments)


def _demucs(arguments: Arguments) -> nn.Module:
    from demucs.demucs import Demucs

    return _made(Demucs, arguments)


HTDEMUCS_VARIANTS = Architecture(
    name="HTDemucs, computed by Demucs", klasses=("demucs.htdemucs.HTDemucs",), build=_htdemucs, fixed_segment=True
)
DEMUCS_V3 = Architecture(name="Hybrid Demucs (v3)", klasses=("demucs.hdemucs.HDemucs",), build=_hdemucs)
DEMUCS_V2 = Architecture(name="Demucs (v2)", klasses=("demucs.demucs.Demucs",), build=_demucs)
