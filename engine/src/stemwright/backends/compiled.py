"""Networks compiled for this machine: torch's ahead-of-time Inductor, weights frozen, one library in the cache.

Only the core of a network is compiled (see `stemwright.models.architecture.Core`). A library takes a C++ compiler and a
minute or two to build; `stemwright.backends.library` runs it, without any compiler.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from stemwright.backends import fused, operators
from stemwright.backends.eager import DTYPES
from stemwright.backends.library import CORE
from stemwright.backends.operators import KERNELS, PRODUCT
from stemwright.backends.timing import TIMING, Timing
from stemwright.machine.machine import Machine, NumberType
from stemwright.models.architecture import LoadedModule


def kernels_for(precision: NumberType, machine: Machine) -> tuple[str, ...]:
    """Names of our own kernels that a network may be compiled with: none without a compiler, nor in 16 bits without AMX."""
    if machine.compiler is None or (precision == "bf16" and not machine.amx):
        return ()
    return (*KERNELS, PRODUCT) if precision == "int16" else KERNELS


def build(
    network: LoadedModule, precision: NumberType, folder: Path, machine: Machine, *, timing: Timing = TIMING
) -> None:
    """Compile the core of a network for the CPU into ``folder``, with the kernels of `fused` that are faster here.

    Args:
        network: In float32; it is not changed.
        precision: ``fp32``, ``bf16`` or ``int16``.
        timing: Decides which kernels are faster.

    Raises:
        RuntimeError: The compiler failed, or ``int16`` was asked for where its kernel is of no use.
    """
    architecture = network.architecture
    assert architecture.core is not None
    assert architecture.lower is not None
    core = architecture.core.module(network.module)
    dtype = DTYPES["fp32" if precision == "int16" else precision]
    architecture.lower(core, dtype)
    used: tuple[str, ...] = ()
    if kernels := kernels_for(precision, machine):
        used = fused.install_kernels(core, folder, machine, dtype=dtype, kernels=kernels, timing=timing)
    if precision == "int16" and PRODUCT not in used:
        raise RuntimeError("the kernel for integers is not right here, or not faster than floats: the log says which")
    inputs = core.inputs()
    with torch.no_grad(), _scratch() as scratch:
        core(*inputs)  # makes the positions, which become constants
        exported = torch.export.export(core, inputs)
        package = torch._inductor.aoti_compile_and_package(
            exported,
            package_path=str(scratch / "core.pt2"),
            inductor_configs={
                "freezing": True,
                "aot_inductor.custom_ops_to_c_shims": operators.SHIMS,
                # `library` loads what is needed of torch: clang would have all of torch's libraries named, and found.
                "aot_inductor.link_libtorch": False,
                **_vector_length(machine),
            },
        )
        _unpack(Path(package), folder)


def _unpack(package: Path, folder: Path) -> None:
    """Take the library out of a package."""
    with zipfile.ZipFile(package) as archive:
        (library,) = (name for name in archive.namelist() if name.endswith(".so"))
        with archive.open(library) as packed, (folder / CORE).open("wb") as file:
            shutil.copyfileobj(packed, file)


def _vector_length(machine: Machine) -> dict[str, int]:
    """Inductor's vectors are as long as the processor's, unless torch is kept to AVX2."""
    return {"cpp.simdlen": 256} if machine.limits.torch == "avx2" else {}


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Let the compiler work in a temporary folder that does not stay."""
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="stemwright-compile-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before
