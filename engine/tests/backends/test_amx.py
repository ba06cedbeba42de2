"""The kernels for AMX, in a process that has it: as this machine does, or by an emulator."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiles
import torch
from small import loaded, tiny_htdemucs

from stemwright.backends import amx, compiled, fused
from stemwright.models.htdemucs.architecture import HTDEMUCS
from stemwright.models.htdemucs.network import HTDemucs

COMPILER = compiled.compiler()
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
def test_what_keeps_onednn_from_amx_keeps_our_kernels_from_it(
    limits: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    flags = {"amx_tile", "amx_bf16", "avx512f", "avx512bw"}
    monkeypatch.setattr(amx, "cpu_flags", lambda: frozenset(flags))
    assert amx.here() is (expected and sys.platform == "linux")
    monkeypatch.setattr(amx, "cpu_flags", lambda: frozenset(flags - {"amx_bf16"}))
    assert not amx.here()


@pytest.mark.parametrize("here", [True, False])
def test_a_network_in_16_bits_gets_kernels_only_where_amx_is(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ExportedError(Exception):
        """As far as this goes."""

    def export(*_: object) -> None:
        raise ExportedError

    network = HTDemucs(**tiny_htdemucs(depth=2, t_layers=1)._init_args_kwargs[1]).eval()
    put_in: list[str] = []
    monkeypatch.setattr(compiled, "compiler", lambda: "c++")
    monkeypatch.setattr(amx, "here", lambda: here)
    monkeypatch.setattr(fused, "put_in", lambda network, found, folder, **_: put_in.append(found))
    monkeypatch.setattr(torch.export, "export", export)
    with pytest.raises(ExportedError):
        compiled.build(loaded(network, HTDEMUCS), "bf16", tmp_path)
    assert put_in == (["c++"] if here else [])
