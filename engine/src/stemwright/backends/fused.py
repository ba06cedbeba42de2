"""Kernels of our own for what torch does slowest on a CPU: residual branches, attention, the decoder's gates.

Small C++ files in `native/`, compiled for this machine where there is a compiler, and called as `operators` of torch:
in float32, and in bfloat16 for processors with AMX (`amx`); and products of integers (`integers`). Which of them are used
is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.backends import amx, winograd
from stemwright.backends.integers import ProductAttention, through_product
from stemwright.backends.library import KERNELS as LIBRARY
from stemwright.backends.operators import KERNELS, PRODUCT, load
from stemwright.models.core import CoreModule
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Rewrite

_HEAD = 64  # channels of a head that the attention kernel is written for
_VECTOR = 16  # channels of a residual branch or a gate have to be a multiple of this
_ROUNDS = 5
_PATIENCE = 300.0  # seconds: a few are enough


def build(compiler: str, folder: Path) -> None:
    """Compile the kernels for this machine into ``folder``.

    Raises:
        RuntimeError: the compiler failed; with the end of what it said.
    """
    sources = resources.files("stemwright.backends") / "native"
    with resources.as_file(sources) as native:
        files = sorted(str(file) for file in native.glob("*.cpp"))
        # Without errno and traps the loops become vectors; sums keep their order, so results do not depend on luck.
        options = ["-std=c++17", "-O3", *_instructions(), "-fno-math-errno", "-fno-trapping-math", "-fopenmp"]
        options.append(f"-I{Path(torch.__file__).parent / 'include'}")
        command = [compiler, *options, "-shared", "-fPIC", *files, "-o", str(folder / LIBRARY)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the kernels cannot be compiled: {done.stderr.strip()[-160:]}")


def fuse(network: nn.Module, kernels: tuple[str, ...]) -> None:
    """Put the kernels of these names into a network, wherever they can compute what stands there."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if (made := _fused(child, kernels)) is not None:
                setattr(parent, name, made)


def _fused(plain: nn.Module, kernels: tuple[str, ...]) -> nn.Module | None:
    if isinstance(plain, DConv) and "dconv" in kernels and _fits(plain):
        return FusedDConv(plain)
    if isinstance(plain, Attention) and "attention" in kernels and _head_of(plain) == _HEAD:
        return ProductAttention(plain) if PRODUCT in kernels else FusedAttention(plain)
    if isinstance(plain, Rewrite) and "rewrite" in kernels and winograd.fits(plain.weight):
        return FusedRewrite(plain)
    return through_product(plain) if PRODUCT in kernels else None


def put_in(
    core: CoreModule, compiler: str, folder: Path, *, dtype: torch.dtype, kernels: Collection[str] = KERNELS
) -> tuple[str, ...]:
    """Compile the kernels, and let the core use those that are right and faster here. Their names; none without a compiler.

    Args:
        dtype: what the core multiplies in.
        kernels: those that may be used.
    """
    try:
        build(compiler, folder)
        right = that_are_right(folder, dtype)
        load(folder)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"no kernels are used: {error}", file=sys.stderr)
        return ()
    names = that_pay(core, among=right.intersection(kernels))
    fuse(core, names)
    if not names:
        (folder / LIBRARY).unlink()
    return names


def that_are_right(folder: Path, dtype: torch.dtype) -> frozenset[str]:
    """The kernels in this folder that compute what torch does: see `trial`. Why others do not, the error output says.

    Raises:
        OSError, subprocess.TimeoutExpired: they could not be tried.
    """
    module, words = "stemwright.backends.trial", (str(folder), str(dtype).removeprefix("torch."))
    command = [sys.executable, "-P", "-m", module, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE)
    right = done.stdout.split()
    if done.returncode != 0:
        used = ", ".join(right) or "none"
        print(f"the trial of the kernels ended early (status {done.returncode}): {used} used", file=sys.stderr)
    return frozenset(right)


def that_pay(core: CoreModule, *, among: Collection[str]) -> tuple[str, ...]:
    """Those of the kernels that are faster here than torch's own operations, each tried on one layer."""
    layers = {name: each for name, each in core.layers().items() if name in among}
    return tuple(
        name
        for name, (plain, given) in layers.items()
        if (fused := _fused(plain, (name,))) is not None and _faster(fused, plain, given)
    )


class FusedDConv(nn.Module):
    """`DConv` through the kernel."""

    def __init__(self, plain: DConv) -> None:
        super().__init__()
        self.learnt = nn.ParameterList()
        for layer in plain.layers:
            assert isinstance(layer, nn.ModuleDict)
            of_layer = learnt(layer)
            prepared = amx.learnt(of_layer) if of_layer[0].dtype == torch.bfloat16 else of_layer
            self.learnt.extend(nn.Parameter(each, requires_grad=False) for each in prepared)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.stemwright.dconv(x.contiguous(), list(self.learnt))  # type: ignore[no-any-return]


def learnt(layer: nn.ModuleDict) -> list[Tensor]:
    """What a layer of `DConv` has learnt, in the order of `operators.LEARNT`.

    Last come the moments of the wide tensor, ``[hidden + 2, hidden + 1]``: with W the kernel of its convolution and the bias
    side by side, W'W, and W's sum over the outputs.
    """
    names = ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.weight", "4.bias", "6.scale")
    made = [layer.get_parameter(name).detach() for name in names]
    whole = torch.cat([made[4][:, :, 0], made[5][:, None]], dim=1).double()
    moments = torch.cat([whole.T @ whole, whole.sum(0, keepdim=True)])
    return [*made, moments.float()]


class FusedAttention(nn.Module):
    """`Attention` through the kernel; the linear layers around it are torch's."""

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.heads, self.out_proj = plain.heads, plain.out_proj
        self.in_proj_weight, self.in_proj_bias = plain.in_proj_weight, plain.in_proj_bias

    def forward(self, query: Tensor, memory: Tensor | None = None) -> Tensor:
        """See `Attention`."""
        dim = query.shape[-1]
        query = query.to(self.in_proj_weight.dtype)
        if memory is None:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q = F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            memory = memory.to(self.in_proj_weight.dtype)
            k, v = F.linear(memory, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        return self.out_proj(torch.ops.stemwright.attention(q, k, v, self.heads))  # type: ignore[no-any-return]


class FusedRewrite(nn.Module):
    """`Rewrite` through the kernel, which wants its weight prepared."""

    def __init__(self, plain: Rewrite) -> None:
        super().__init__()
        self.dtype = plain.weight.dtype
        pack = amx.packed if self.dtype == torch.bfloat16 else winograd.packed
        self.register_buffer("bias", plain.bias.detach().float())
        self.register_buffer("prepared", pack(plain.weight.detach()))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """See `Rewrite`."""
        x, skip = (each.to(self.dtype).contiguous() for each in (x, skip))
        return torch.ops.stemwright.rewrite(x, skip, self.prepared, self.bias)  # type: ignore[no-any-return]


def _fits(branch: DConv) -> bool:
    """Its first convolution's weight is ``[hidden, channels, 3]``."""
    channels = branch.get_parameter("layers.0.0.weight").shape[1]
    return channels % _VECTOR == 0


def _head_of(attention: Attention) -> int:
    return attention.out_proj.in_features // attention.heads


def _instructions() -> list[str]:
    """What this processor has, unless oneDNN and torch are kept to less: then so are we."""
    limits = f"{os.environ.get('ONEDNN_MAX_CPU_ISA', '')} {os.environ.get('ATEN_CPU_CAPABILITY', '')}".lower()
    return ["-mavx2", "-mfma"] if "avx2" in limits.split() else ["-march=native"]


def _faster(one: nn.Module, other: nn.Module, given: tuple[Tensor, ...]) -> bool:
    """Whether the best round of the one is shorter than that of the other; they take turns."""
    best = [float("inf"), float("inf")]
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for index, module in enumerate((one, other)):
                began = time.perf_counter()
                module(*given)
                best[index] = min(best[index], time.perf_counter() - began)
    return best[0] < best[1]
