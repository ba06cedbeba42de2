"""The networks, and how one is made from the class and arguments that a checkpoint names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names of models are read from here without torch
    from torch import nn


def build(klass: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module:
    """Make a network. Arguments that its class does not have are dropped, as Demucs does.

    Our own HTDemucs stands in for Demucs's wherever it computes the same.

    Raises:
        ValueError: the class is not one that may be made.
    """
    match klass:
        case "demucs.htdemucs.HTDemucs":
            from stemwright.models.htdemucs.arguments import supports

            if supports(kwargs):
                from stemwright.models.htdemucs.network import HTDemucs

                return HTDemucs(*args, **kwargs)
            from demucs.htdemucs import HTDemucs as made
        case "demucs.hdemucs.HDemucs":
            from demucs.hdemucs import HDemucs as made
        case "demucs.demucs.Demucs":
            from demucs.demucs import Demucs as made
        case "stemwright.models.bandnet.BandNet":
            from stemwright.models.bandnet import BandNet

            return BandNet(*args, **kwargs)
        case _:
            raise ValueError(f"{klass!r} is not a network that may be made")
    known = inspect.signature(made).parameters
    return made(*args, **{name: value for name, value in kwargs.items() if name in known})  # type: ignore[no-any-return]
