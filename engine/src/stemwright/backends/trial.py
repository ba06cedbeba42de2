"""Whether the kernels compute what torch does, each on a small layer, in a process that may die of it.

    python -m stemwright.backends.trial FOLDER float32|bfloat16

prints the names of those that do; how far off others were, the error output says. A kernel that this processor or its
compiler cannot cope with ends this process, and not the one that builds a network; what would have come after it is not
used then.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from stemwright.backends import fused, operators
from stemwright.backends.measure import agreement_db
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Gate, Rewrite, Strided, Transposed, lower

_AGREEMENT_DB = {torch.float32: 90.0, torch.bfloat16: 30.0}  # wrong numbers are far below, rounded ones above
_OF_INTEGERS_DB = 60.0


class Convolutions(nn.Module):
    """One of each kind that `integers` replaces; linear layers go the way of the gate, without its GLU."""

    def __init__(self) -> None:
        super().__init__()
        self.strided = Strided(7, 48, spectral=True, kernel=8, stride=4)
        self.gate = Gate(96, 48, 1, 1, bias=96)
        self.transposed = Transposed(48, 24, spectral=True, kernel=8, stride=4, activated=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, 7, frequencies, frames]`` through a strided, a gated and a transposed convolution."""
        return self.transposed(self.gate(self.strided(x)), x.shape[2])  # type: ignore[no-any-return]


def layer(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """What a kernel stands for, and inputs that no size of its tiles divides."""
    torch.manual_seed(0)
    if name == "dconv":
        return DConv(48, compress=8, depth=2, init=0.3), (torch.randn(1, 3, 77, 48),)
    if name == "attention":
        return Attention(128, 2), (torch.randn(1, 101, 128),)
    if name == operators.PRODUCT:
        return Convolutions(), (torch.randn(1, 64, 29, 7),)
    return Rewrite(96, 48, 3, 3, bias=96), (torch.randn(1, 5, 29, 48), torch.randn(1, 5, 29, 48))


def agreement(name: str, dtype: torch.dtype) -> float:
    """How closely the kernel of this name, which was loaded, agrees with plain torch in float32; in dB."""
    plain, given = layer(name)
    holder = nn.ModuleList([copy.deepcopy(plain)])
    lower(holder, dtype)
    fused.fuse(holder, (name,))
    with torch.inference_mode():
        expected, got = plain(*given), holder[0](*(each.to(dtype) for each in given))
    return agreement_db(expected.numpy(), got.float().numpy())


def main() -> None:
    """Try every kernel that there is for this type."""
    folder, dtype = Path(sys.argv[1]), getattr(torch, sys.argv[2])
    operators.load(folder)
    for name in (*operators.KERNELS, operators.PRODUCT):
        if name not in operators.loaded(dtype):
            continue
        needed = _OF_INTEGERS_DB if name == operators.PRODUCT else _AGREEMENT_DB[dtype]
        found = agreement(name, dtype)
        if found > needed:
            print(name, flush=True)
        else:
            said = f"{found:.0f} dB of agreement with torch where {needed:.0f} are needed: not used"
            print(f"kernel {name}: {said}", file=sys.stderr)


if __name__ == "__main__":
    main()
