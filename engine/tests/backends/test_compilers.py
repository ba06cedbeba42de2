"""Our kernels are C++ that both compilers understand which the documentation names, for each kind of processor."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest
import torch

from stemwright.backends import code_version

SOURCES = sorted((code_version.PACKAGE / code_version.BACKENDS / "native").glob("*.cpp"))
HEADERS = Path(torch.__file__).parent / "include"

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="this processor has no such instructions")


@pytest.mark.parametrize("processor", ["haswell", "skylake-avx512", "sapphirerapids"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_every_kernel_compiles(compiler: str, processor: str) -> None:
    assert len(SOURCES) > 5
    command = [compiler, "-std=c++17", f"-march={processor}", "-fopenmp", f"-I{HEADERS}", "-fsyntax-only"]
    done = subprocess.run([*command, *map(str, SOURCES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
