"""The kernels for AMX, in a process that has it: as this machine does, or by an emulator."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiles

from stemwright.backends import compiled, operators
from stemwright.machine.machine import Machine

COMPILER = Machine.here().compiler
needs_amx = pytest.mark.skipif(
    not tiles.can_be_tried(), reason="this processor has no AVX-512, which the kernels for AMX use beside it"
)
CASES = Path(__file__).with_name("amx_cases.py")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    assert COMPILER is not None, "there is no C++ compiler: scripts/install_test_tools.sh"
    return tiles.environment(COMPILER, tmp_path_factory.mktemp("emulator"))


@needs_amx
def test_the_kernels_agree_as_closely_as_torch_does(environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-p", "no:faulthandler", str(CASES)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_amx
def test_the_emulator_lets_other_illegal_instructions_kill(environment: dict[str, str]) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 4)"], env=environment)
    assert ended.returncode == -signal.SIGILL


AMX = frozenset({"amx_tile", "amx_bf16", "avx512f", "avx512bw"})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, True),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, True),
        ({"ONEDNN_MAX_CPU_ISA": "all"}, True),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, False),
        ({"ATEN_CPU_CAPABILITY": "avx2"}, False),
    ],
)
def test_what_keeps_onednn_from_amx_keeps_our_kernels_from_it(limits: dict[str, str], expected: bool) -> None:
    machine = replace(Machine.here(limits), flags=AMX)
    assert machine.amx is (expected and sys.platform == "linux")
    assert not replace(machine, flags=AMX - {"amx_bf16"}).amx


def test_a_network_in_16_bits_gets_kernels_only_where_amx_is() -> None:
    machine = replace(Machine.here({}), compiler="c++")
    with_amx, without = replace(machine, flags=AMX), replace(machine, flags=frozenset({"avx2"}))
    assert compiled.kernels_for("bf16", with_amx) == (operators.KERNELS if sys.platform == "linux" else ())
    assert compiled.kernels_for("bf16", without) == ()
    assert compiled.kernels_for("fp32", without) == operators.KERNELS
    assert compiled.kernels_for("int16", without) == (*operators.KERNELS, operators.PRODUCT)
    assert compiled.kernels_for("fp32", replace(with_amx, compiler=None)) == ()
