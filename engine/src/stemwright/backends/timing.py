"""Small things that are timed here before anything is built on them. Imports torch when it is asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_ROUNDS = 5
_PRODUCT_ROUNDS = 4
_PRODUCT_SIZE = 512
_WORTH_IT = 0.8  # of the time in float32: below it a product in bfloat16 is worth its rounding


def is_faster(one: nn.Module, other: nn.Module, given: tuple[Tensor, ...]) -> bool:
    """Whether the best round of the one is shorter than that of the other; they take turns."""
    import torch

    best = [float("inf"), float("inf")]
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for index, module in enumerate((one, other)):
                began = time.perf_counter()
                module(*given)
                best[index] = min(best[index], time.perf_counter() - began)
    return best[0] < best[1]


def bf16_is_faster() -> bool:
    """Whether a matrix product in bfloat16 is faster here than in float32."""
    import torch

    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(_PRODUCT_SIZE, _PRODUCT_SIZE, dtype=dtype)
        rounds = []
        for _ in range(_PRODUCT_ROUNDS):
            began = time.perf_counter()
            a @ a
            rounds.append(time.perf_counter() - began)
        seconds.append(min(rounds))
    return seconds[1] < _WORTH_IT * seconds[0]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What decides on kernels and number types: see the functions of these names."""

    is_faster: Callable[[nn.Module, nn.Module, tuple[Tensor, ...]], bool] = is_faster
    bf16_is_faster: Callable[[], bool] = bf16_is_faster


TIMING = Timing()
