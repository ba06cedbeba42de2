"""Kernels of our own for what torch does slowest on a CPU: residual branches, attention, the decoder's gates.

Small C++ files in `native/`, compiled for this machine where there is a compiler, and called as `operators` of torch:
in float32, and in bfloat16 for processors with AMX (`amx`); and products of integers (`integers`). Which of them are used
is measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.backends import amx, winograd
from stemwright.backends.integers import ProductAttention, to_int16
from stemwright.backends.library import KERNELS as LIBRARY
from stemwright.backends.operators import KERNELS, PRODUCT, load
from stemwright.backends.timing import TIMING, Timing
from stemwright.machine.machine import Machine
from stemwright.models.core import CoreModule
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Rewrite

NATIVE = resources.files("stemwright.backends") / "native"
_HEAD = 64  # channels of a head that the attention kernel is written for
_VECTOR = 16  # channels of a residual branch or a gate have to be a multiple of this
_PATIENCE = 300.0  # seconds: a few are enough


def instructions(machine: Machine) -> tuple[str, ...]:
    """What the compiler may use: all that this processor has, unless oneDNN or torch is kept to less."""
    return ("-mavx2", "-mfma") if machine.limits.only_avx2 else ("-march=native",)


def build(compiler: str, folder: Path, instructions: Sequence[str], *, sources: Traversable = NATIVE) -> None:
    """Compile the kernels into ``folder``.

    Args:
        instructions: Options of the compiler that say which instructions it may use.
        sources: Folder of the C++ files.

    Raises:
        RuntimeError: The compiler failed; with the end of what it said.
    """
    with resources.as_file(sources) as native:
        files = sorted(str(file) for file in native.glob("*.cpp"))
        # Without errno and traps the loops become vectors; sums keep their order, so results do not depend on luck.
        options = ["-std=c++17", "-O3", *instructions, "-fno-math-errno", "-fno-trapping-math", "-fopenmp"]
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
    return to_int16(plain) if PRODUCT in kernels else None


def install_kernels(
    core: CoreModule,
    folder: Path,
    machine: Machine,
    *,
    dtype: torch.dtype,
    kernels: Collection[str] = KERNELS,
    timing: Timing = TIMING,
) -> tuple[str, ...]:
    """Compile the kernels, and let the core use those that are right and faster here.

    Args:
        folder: Gets the compiled kernels, if any of them is used.
        dtype: What the core multiplies in.
        kernels: Those that may be used.
        timing: Decides which are faster.

    Returns:
        The names of those that are used; none where the compiler fails, and the error output says why.
    """
    assert machine.compiler is not None, "without one there are no kernels: see `compiled.kernels_for`"
    try:
        build(machine.compiler, folder, instructions(machine))
        right = verify(folder, dtype)
        load(folder)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"no kernels are used: {error}", file=sys.stderr)
        return ()
    names = select_faster(core, among=right.intersection(kernels), timing=timing)
    fuse(core, names)
    if not names:
        (folder / LIBRARY).unlink()
    return names


def verify(folder: Path, dtype: torch.dtype) -> frozenset[str]:
    """The kernels in this folder that compute what torch does: see `trial`. Why others do not, the error output says.

    Raises:
        OSError: They could not be tried.
        subprocess.TimeoutExpired: They took too long.
    """
    module, words = "stemwright.backends.trial", (str(folder), str(dtype).removeprefix("torch."))
    command = [sys.executable, "-P", "-m", module, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE)
    right = done.stdout.split()
    if done.returncode != 0:
        used = ", ".join(right) or "none"
        print(f"the trial of the kernels ended early (status {done.returncode}): {used} used", file=sys.stderr)
    return frozenset(right)


def select_faster(core: CoreModule, *, among: Collection[str], timing: Timing = TIMING) -> tuple[str, ...]:
    """Those of the kernels that are faster here than torch's own operations, each tried on one layer."""
    layers = {name: each for name, each in core.layers().items() if name in among}
    return tuple(
        name
        for name, (plain, given) in layers.items()
        if (fused := _fused(plain, (name,))) is not None and timing.is_faster(fused, plain, given)
    )


class FusedDConv(nn.Module):
    """`DConv` through the kernel."""

    def __init__(self, plain: DConv) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        for layer in plain.layers:
            assert isinstance(layer, nn.ModuleDict)
            of_layer = parameters(layer)
            prepared = amx.parameters(of_layer) if of_layer[0].dtype == torch.bfloat16 else of_layer
            self.weights.extend(nn.Parameter(each, requires_grad=False) for each in prepared)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, rows, time, channels]`` to the same: the input with the branch added."""
        return torch.ops.stemwright.dconv(x.contiguous(), list(self.weights))  # type: ignore[no-any-return]


def parameters(layer: nn.ModuleDict) -> list[Tensor]:
    """The `operators.LAYER_PARAMETERS` tensors of a layer of `DConv`, in the order in which the kernel reads them.

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

    bias: Tensor
    prepared: Tensor

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
