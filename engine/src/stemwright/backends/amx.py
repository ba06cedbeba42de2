"""Weights for the kernels in bfloat16 (`native/amx*.cpp`), which multiply in the tiles of Intel's AMX.

A tile of the right factor is 32 rows, that are added up, by 16 columns; the rows lie in pairs: ``[16, 16, 2]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_DEPTH = 32
_COLUMNS = 16


def tiles(matrix: Tensor) -> Tensor:
    """A right factor ``[depth, columns]`` in tiles, ``[depth / 32, columns / 16, 16, 16, 2]``, filled up with zeros."""
    depth, columns = matrix.shape
    filled = F.pad(matrix, (0, -columns % _COLUMNS, 0, -depth % _DEPTH))
    return filled.view(-1, _DEPTH // 2, 2, filled.shape[1] // _COLUMNS, _COLUMNS).permute(0, 3, 1, 4, 2).contiguous()


def packed(weight: Tensor) -> Tensor:
    """A gate's kernel ``[2 * channels, channels, 3]`` or ``[.., 3, 3]`` in the order in which `native/amx_rewrite.cpp` reads it.

    Returns ``[rows, channels / 16, 3 * channels / 32, value and gate, 16, 16, 2]``; see `winograd.fits` for which are taken.
    """
    outputs, channels = weight.shape[:2]
    rows = weight.view(outputs, channels, -1, weight.shape[-1]).permute(2, 3, 1, 0).flatten(1, 2)  # as the input lies
    return torch.stack([_panels(tiles(row), channels) for row in rows])


def parameters(plain: Sequence[Tensor]) -> list[Tensor]:
    """The parameters of a layer of `DConv` (`fused.parameters`) as `native/amx_dconv.cpp` wants it.

    The kernels ``[hidden, channels, 3]`` and ``[2 * channels, hidden, 1]`` in tiles, and the rest in float32.
    """
    squeeze, widen = plain[0], plain[4]
    taps = torch.stack([tiles(squeeze[:, :, tap].T) for tap in range(squeeze.shape[2])])
    panels = _panels(tiles(widen[:, :, 0].T), squeeze.shape[1])
    return [taps, *(each.float() for each in plain[1:4]), panels, *(each.float() for each in plain[5:])]


def _panels(matrix: Tensor, channels: int) -> Tensor:
    """``[depth, 2 * channels / 16, ..]`` to ``[channels / 16, depth, value and gate, ..]``."""
    return matrix.view(-1, 2, channels // _COLUMNS, _DEPTH // 2, _COLUMNS, 2).permute(2, 0, 1, 3, 4, 5).contiguous()
