"""Weights for the kernels in bfloat16 (`native/amx*.cpp`), which multiply in the tiles of Intel's AMX.

A tile of the right factor is 32 rows, that are added up, by 16 columns; the rows lie in pairs: ``[16, 16, 2]``.
"""

from __future__ import annotations

import os
import sys

import torch
from torch import Tensor
from torch.nn import functional as F

from stemwright.backends.machine import cpu_flags

_DEPTH = 32
_COLUMNS = 16
_NO_LIMIT = ("", "all", "default")


def here() -> bool:
    """Whether this processor has what the kernels need, and oneDNN and torch are not kept from it."""
    onednn = os.environ.get("ONEDNN_MAX_CPU_ISA", "").lower()
    limited = onednn not in _NO_LIMIT and "amx" not in onednn
    limited |= os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("default", "avx2")
    return sys.platform == "linux" and not limited and {"amx_tile", "amx_bf16", "avx512bw"} <= cpu_flags()


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
    each = torch.stack([tiles(row).view(-1, 2, channels // _COLUMNS, _DEPTH // 2, _COLUMNS, 2) for row in rows])
    return each.permute(0, 3, 1, 2, 4, 5, 6).contiguous()
