"""Our own kernels as operators of torch, so that a compiled network can hold them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stemwright.backends.library import load_kernels

KERNELS = ("dconv", "attention", "rewrite")
"""Of which each precision has its own."""
PRODUCT = "product"
"""The one that multiplies integers."""
LAYER_PARAMETERS = 10
"""Tensors of one layer of a residual branch."""
_SUFFIXES = {torch.float32: "", torch.bfloat16: "_bf16"}
_loaded: dict[tuple[str, torch.dtype], Any] = {}


def load(folder: Path) -> None:
    """Let the operators use the kernels in this folder, for the rest of this process.

    Raises:
        OSError: They cannot be loaded.
    """
    library = load_kernels(folder)
    _loaded.clear()
    for dtype, suffix in _SUFFIXES.items():
        if suffix and not _tiles_allowed(library):
            continue
        for name in (*KERNELS, PRODUCT):
            if (kernel := getattr(library, f"stemwright_{name}{suffix}", None)) is not None:
                kernel.restype = None
                _loaded[name, dtype] = kernel


def loaded(dtype: torch.dtype) -> frozenset[str]:
    """The kernels that there are for numbers of this type."""
    return frozenset(name for name, known in _loaded if known == dtype)


def _tiles_allowed(library: ctypes.CDLL) -> bool:
    """Whether kernels for 16 bits were compiled, and the operating system lets this process use what they need."""
    allowed = getattr(library, "stemwright_tiles_allowed", None)
    return allowed is not None and bool(allowed())


def _dconv(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """``x`` ``[batch, rows, time, channels]`` and the parameters of a branch's layers: see `fused.FusedDConv`."""
    made = torch.empty_like(x)
    batch, rows, frames, channels = x.shape
    sizes = (batch * rows, frames, channels, parameters[2].shape[0], len(parameters) // LAYER_PARAMETERS)
    each = (ctypes.c_void_p * len(parameters))(*_pointers(*parameters))
    _loaded["dconv", x.dtype](*_pointers(x, made), *map(ctypes.c_long, sizes), each)
    return made


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """``[batch, tokens, heads * 64]`` each; rows may lie apart, as parts of one tensor do."""
    q, (k, v) = _in_rows(q), (_in_rows(k), _in_rows(v))
    if k.stride() != v.stride():
        k, v = k.contiguous(), v.contiguous()
    made = q.new_empty(q.shape)
    sizes = (q.shape[0], heads, q.shape[1], k.shape[1], q.stride(1), k.stride(1))
    _loaded["attention", q.dtype](*_pointers(q, k, v, made), *map(ctypes.c_long, sizes))
    return made


def _rewrite(x: Tensor, skip: Tensor, prepared: Tensor, bias: Tensor) -> Tensor:
    """``[batch, rows, time, channels]`` both; the weight as `winograd.packed` makes it, or `amx.packed`."""
    made = torch.empty_like(x)
    sizes = (*x.shape, prepared.shape[0])
    _loaded["rewrite", x.dtype](*_pointers(x, skip, made), *map(ctypes.c_long, sizes), *_pointers(prepared, bias))
    return made


def _product(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor, outputs: int, *shape: int) -> Tensor:
    """``x`` ``[batch, axis, inner, channels]``; the rest as `integers.Product` gives it."""
    *_, length, _ = shape
    made = x.new_empty(x.shape[0], length, x.shape[2], outputs)
    sizes = map(ctypes.c_long, (*x.shape, outputs, *shape))
    _loaded[PRODUCT, x.dtype](*_pointers(x, made), *sizes, *_pointers(weight, scales, bias))
    return made


def _in_rows(x: Tensor) -> Tensor:
    """As it is if channels follow each other and batch entries too."""
    whole = x.stride(2) == 1 and (x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if whole else x.contiguous()


def _pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(each.data_ptr()) for each in tensors]


def _without_numbers(x: Tensor, *_rest: object) -> Tensor:
    """What the operators give, as far as the compiler has to know: as large as their first argument."""
    return x.new_empty(x.shape)


def _product_without_numbers(
    x: Tensor, _weight: Tensor, _scales: Tensor, _bias: Tensor, outputs: int, *shape: int
) -> Tensor:
    """The same, of the one that changes sizes."""
    return x.new_empty(x.shape[0], shape[-2], x.shape[2], outputs)


_AS_TRACED = (torch.Tag.needs_exact_strides,)
torch.library.define("stemwright::dconv", "(Tensor x, Tensor[] learnt) -> Tensor", tags=_AS_TRACED)
torch.library.define("stemwright::attention", "(Tensor q, Tensor k, Tensor v, int heads) -> Tensor", tags=_AS_TRACED)
torch.library.define(
    "stemwright::rewrite", "(Tensor x, Tensor skip, Tensor prepared, Tensor bias) -> Tensor", tags=_AS_TRACED
)
torch.library.define(
    "stemwright::product",
    "(Tensor x, Tensor weight, Tensor scales, Tensor bias, int outputs, int kernel, int stride, int padding, int spread, "
    "int crop, int length, int activation) -> Tensor",
    tags=_AS_TRACED,
)
torch.library.impl("stemwright::dconv", "CPU", _dconv)
torch.library.impl("stemwright::attention", "CPU", _attention)
torch.library.impl("stemwright::rewrite", "CPU", _rewrite)
torch.library.impl("stemwright::product", "CPU", _product)
for _name in KERNELS:
    torch.library.register_fake(f"stemwright::{_name}", _without_numbers)
torch.library.register_fake("stemwright::product", _product_without_numbers)
SHIMS = {
    torch.ops.stemwright.dconv.default: [
        "AOTITorchError aoti_torch_cpu_dconv(AtenTensorHandle x, const AtenTensorHandle* learnt, int64_t count, "
        "AtenTensorHandle* made)"
    ],
    torch.ops.stemwright.attention.default: [
        "AOTITorchError aoti_torch_cpu_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, "
        "int64_t heads, AtenTensorHandle* made)"
    ],
    torch.ops.stemwright.rewrite.default: [
        "AOTITorchError aoti_torch_cpu_rewrite(AtenTensorHandle x, AtenTensorHandle skip, AtenTensorHandle prepared, "
        "AtenTensorHandle bias, AtenTensorHandle* made)"
    ],
    torch.ops.stemwright.product.default: [
        "AOTITorchError aoti_torch_cpu_product(AtenTensorHandle x, AtenTensorHandle weight, AtenTensorHandle scales, "
        "AtenTensorHandle bias, int64_t outputs, int64_t kernel, int64_t stride, int64_t padding, int64_t spread, "
        "int64_t crop, int64_t length, int64_t activation, AtenTensorHandle* made)"
    ],
}
"""How compiled networks call the operators: the functions in `native/shims.cpp`."""
