"""Kernels of our own for what torch does slowest in float32 on a CPU: the residual branches, and attention.

Two small C++ files in `native/`, compiled for this machine where there is a compiler, and called as operators of torch,
so that a compiled network can hold them. Which of them are used is measured.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.backends.library import KERNELS as LIBRARY
from stemwright.backends.library import load_kernels
from stemwright.models.crosstransformer import Attention
from stemwright.models.htdemucs import HTDemucs
from stemwright.models.layers import DConv, EncoderLayer

KERNELS = ("dconv", "attention")
_HEAD = 64  # channels of a head that the attention kernel is written for
_VECTOR = 16  # channels of a residual branch have to be a multiple of this
_ROUNDS = 5
_loaded: dict[str, Any] = {}


def build(compiler: str, folder: Path) -> None:
    """Compile the kernels for this machine into ``folder``.

    Raises:
        RuntimeError: the compiler failed; with the end of what it said.
    """
    sources = resources.files("stemwright.backends") / "native"
    with resources.as_file(sources) as native:
        files = [str(native / f"{name}.cpp") for name in (*KERNELS, "shims")]
        # Without errno and traps the loops become vectors; sums keep their order, so results do not depend on luck.
        options = ["-std=c++17", "-O3", *_instructions(), "-fno-math-errno", "-fno-trapping-math", "-fopenmp"]
        options.append(f"-I{Path(torch.__file__).parent / 'include'}")
        command = [compiler, *options, "-shared", "-fPIC", *files, "-o", str(folder / LIBRARY)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the kernels cannot be compiled: {done.stderr.strip()[-160:]}")


def load(folder: Path) -> None:
    """Let `dconv` and `attention` use the kernels in this folder, for the rest of this process."""
    library = load_kernels(folder)
    for name in KERNELS:
        _loaded[name] = getattr(library, f"stemwright_{name}")
        _loaded[name].restype = None


def fuse(network: HTDemucs, kernels: tuple[str, ...]) -> None:
    """Put the kernels of these names into a network, wherever they can compute what stands there."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DConv) and "dconv" in kernels and _fits(child):
                setattr(parent, name, FusedDConv(child))
            if isinstance(child, Attention) and "attention" in kernels and _head_of(child) == _HEAD:
                setattr(parent, name, FusedAttention(child))


def put_in(network: HTDemucs, compiler: str, folder: Path, *, x: Tensor) -> tuple[str, ...]:
    """Compile the kernels, and let the network use those that are faster here. Their names; nothing where they cannot be had.

    Args:
        x: what the core of this network is given, ``[1, bins, frames, parts]``: it tells the size of a segment.
    """
    try:
        build(compiler, folder)
        load(folder)
    except (RuntimeError, OSError):
        return ()
    names = that_pay(network, x)
    fuse(network, names)
    if not names:
        (folder / LIBRARY).unlink()
    return names


def that_pay(network: HTDemucs, x: Tensor) -> tuple[str, ...]:
    """The kernels that are faster here than torch's own operations, each tried on one layer. For ``x`` see `put_in`."""
    trials: dict[str, tuple[nn.Module, nn.Module, Tensor]] = {}
    outer, attention = network.encoder[0], network.crosstransformer.layers[0].self_attn  # type: ignore[index]
    assert isinstance(outer, EncoderLayer)
    assert isinstance(attention, Attention)
    if outer.dconv is not None and _fits(outer.dconv):
        rows, channels = x.shape[1] // outer.stride, outer.conv.weight.shape[0]
        trials["dconv"] = (outer.dconv, FusedDConv(outer.dconv), torch.randn(1, rows, x.shape[2], channels))
    if _head_of(attention) == _HEAD:
        rows = x.shape[1] // outer.stride ** len(network.encoder)  # type: ignore[arg-type]
        tokens = torch.randn(1, rows * x.shape[2], attention.out_proj.in_features)
        trials["attention"] = (attention, FusedAttention(attention), tokens)
    return tuple(name for name, (plain, fused, given) in trials.items() if _faster(fused, plain, given))


class FusedDConv(nn.Module):
    """`DConv` through the kernel."""

    def __init__(self, plain: DConv) -> None:
        super().__init__()
        self.layers = plain.layers

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleDict)
            names = ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.weight", "4.bias", "6.scale")
            learnt = [layer.get_parameter(name) for name in names]
            x = torch.ops.stemwright.dconv(x.contiguous(), 2**index, learnt)
        return x


class FusedAttention(nn.Module):
    """`Attention` through the kernel; the linear layers around it are torch's."""

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.heads, self.out_proj = plain.heads, plain.out_proj
        self.in_proj_weight, self.in_proj_bias = plain.in_proj_weight, plain.in_proj_bias

    def forward(self, query: Tensor, memory: Tensor | None = None) -> Tensor:
        """See `Attention`."""
        dim = query.shape[-1]
        if memory is None:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q = F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            k, v = F.linear(memory, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        return self.out_proj(torch.ops.stemwright.attention(q, k, v, self.heads))  # type: ignore[no-any-return]


def _dconv(x: Tensor, dilation: int, learnt: list[Tensor]) -> Tensor:
    """``x`` ``[batch, rows, time, channels]`` and what a layer of `DConv` has learnt, in its order."""
    made = torch.empty_like(x)
    batch, rows, frames, channels = x.shape
    sizes = (batch * rows, frames, channels, learnt[0].shape[0], dilation)
    _loaded["dconv"](*_pointers(x, made), *map(ctypes.c_long, sizes), *_pointers(*learnt))
    return made


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """``[batch, tokens, heads * 64]`` each; rows may lie apart, as parts of one tensor do."""
    q, (k, v) = _in_rows(q), (_in_rows(k), _in_rows(v))
    if k.stride() != v.stride():
        k, v = k.contiguous(), v.contiguous()
    made = q.new_empty(q.shape)
    sizes = (q.shape[0], heads, q.shape[1], k.shape[1], q.stride(1), k.stride(1))
    _loaded["attention"](*_pointers(q, k, v, made), *map(ctypes.c_long, sizes))
    return made


def _in_rows(x: Tensor) -> Tensor:
    """As it is if channels follow each other and batch entries too."""
    whole = x.stride(2) == 1 and (x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if whole else x.contiguous()


def _pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(each.data_ptr()) for each in tensors]


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


def _faster(one: nn.Module, other: nn.Module, given: Tensor) -> bool:
    """Whether the best round of the one is shorter than that of the other; they take turns."""
    best = [float("inf"), float("inf")]
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for index, module in enumerate((one, other)):
                began = time.perf_counter()
                module(given)
                best[index] = min(best[index], time.perf_counter() - began)
    return best[0] < best[1]


def _without_numbers(x: Tensor, *_rest: object) -> Tensor:
    """What both operators give, as far as the compiler has to know: as large as their first argument."""
    return x.new_empty(x.shape)


_AS_TRACED = (torch.Tag.needs_exact_strides,)
torch.library.define("stemwright::dconv", "(Tensor x, int dilation, Tensor[] learnt) -> Tensor", tags=_AS_TRACED)
torch.library.define("stemwright::attention", "(Tensor q, Tensor k, Tensor v, int heads) -> Tensor", tags=_AS_TRACED)
torch.library.impl("stemwright::dconv", "CPU", _dconv)
torch.library.impl("stemwright::attention", "CPU", _attention)
for _name in KERNELS:
    torch.library.register_fake(f"stemwright::{_name}", _without_numbers)
SHIMS = {
    torch.ops.stemwright.dconv.default: [
        "AOTITorchError aoti_torch_cpu_dconv(AtenTensorHandle x, int64_t dilation, const AtenTensorHandle* learnt, "
        "int64_t count, AtenTensorHandle* made)"
    ],
    torch.ops.stemwright.attention.default: [
        "AOTITorchError aoti_torch_cpu_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, "
        "int64_t heads, AtenTensorHandle* made)"
    ],
}
"""How compiled networks call the operators: the functions in `native/shims.cpp`."""
