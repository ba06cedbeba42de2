"""Lets tests of kernels for AMX run on processors without it, by the emulator in `amx/`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stemwright.machine.processor import cpu_flags

OPTIONS = ["-march=native", "-mamx-tile", "-mamx-bf16"]
_EMULATOR = Path(__file__).parent / "amx" / "emulator.cpp"


def can_be_tried() -> bool:
    """Whether the emulator can run kernels for AMX here: they use AVX-512 beside it, which it does not emulate."""
    return {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= cpu_flags()


def environment(compiler: str, folder: Path) -> dict[str, str]:
    """The variables of a process that has AMX: ours where the processor has it, else with the emulator, made in ``folder``."""
    if {"amx_tile", "amx_bf16"} <= cpu_flags():
        return dict(os.environ)
    library = folder / "emulator.so"
    options = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, str(_EMULATOR), "-o", str(library), "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
