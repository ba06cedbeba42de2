"""What the environment says of the machine is read in one place."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from stemwright.errors import DeviceError, OptionError
from stemwright.machine.device import choose_device, low_precision
from stemwright.machine.machine import Limits, Machine

SOURCE = Path(__file__).parents[2] / "src" / "stemwright"
NAMES = (
    "STEMWRIGHT_BACKEND",
    "STEMWRIGHT_WARM",
    "STEMWRIGHT_CACHE",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "CXX",
)


def test_an_empty_environment_chooses_and_limits_nothing() -> None:
    machine = Machine.here({"XDG_CACHE_HOME": "/caches"})
    assert (machine.backend, machine.preparation, machine.notes) == ("auto", "background", ())
    assert machine.limits == Limits()
    assert machine.cache_folder == Path("/caches/stemwright")
    assert 1 <= machine.threads <= (os.cpu_count() or 1)
    assert machine.torch is not None


def test_every_variable_is_heard() -> None:
    variables = {
        "STEMWRIGHT_BACKEND": "openvino",
        "STEMWRIGHT_WARM": "off",
        "STEMWRIGHT_CACHE": "/built",
        "XDG_CACHE_HOME": "/caches",
        "OMP_NUM_THREADS": "3",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    }
    machine = Machine.here(variables)
    assert (machine.backend, machine.preparation, machine.threads) == ("openvino", "off", 3)
    assert machine.cache.root == machine.cache_folder == Path("/built")
    assert machine.limits == Limits(onednn="avx2", torch="avx2", mkl="avx512")


@pytest.mark.parametrize("named", ["", "0", "-1", "4,2", "many"])
def test_a_number_of_threads_that_is_none_counts_as_not_given(named: str) -> None:
    assert Machine.here({"OMP_NUM_THREADS": named}).threads == Machine.here({}).threads


def test_the_compiler_that_is_named_comes_first_and_one_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    for name in ("g++", "icpx"):
        (tmp_path / name).touch(mode=0o700)
    path = {"PATH": str(tmp_path)}
    assert Machine.here({**path, "CXX": "icpx"}).compiler == str(tmp_path / "icpx")
    assert Machine.here({**path, "CXX": "missing"}).compiler == str(tmp_path / "g++")
    assert Machine.here({"PATH": str(tmp_path / "empty")}).compiler is None


def test_a_backend_that_does_not_exist_is_an_error_and_in_the_environment_a_note() -> None:
    words = "STEMWRIGHT_BACKEND is 'tensorrt', which is none of auto, eager, compiled, openvino: auto is meant"
    machine = Machine.here({"STEMWRIGHT_BACKEND": "tensorrt"})
    assert (machine.backend, machine.notes) == ("auto", (words,))
    with pytest.raises(OptionError, match="backend is 'tensorrt': choose one of auto, eager, compiled, openvino"):
        replace(machine, backend=cast(Any, "tensorrt"))


def test_without_torch_auto_is_the_cpu_and_a_named_device_an_error() -> None:
    machine = replace(Machine.here({}), torch=None, may_have_gpu=True)
    assert choose_device("auto", machine) == "cpu"
    with pytest.raises(DeviceError, match="the device 'cuda' needs torch: pip install torch, or choose cpu"):
        choose_device("cuda", machine)


def test_a_processor_with_amx_multiplies_16_bits() -> None:
    machine = replace(Machine.here({}), flags=frozenset({"amx_tile"}))
    assert low_precision("cpu", machine) == "bf16"
    assert low_precision("cpu", replace(machine, flags=frozenset())) is None
    assert low_precision("mps", machine) is None


def test_no_other_module_reads_these_variables() -> None:
    reading = re.compile(r'(?:environ(?:\.get\(|\[)|getenv\()\s*"(\w+)"')
    read = {
        (file.relative_to(SOURCE).as_posix(), name)
        for file in SOURCE.rglob("*.py")
        for name in reading.findall(file.read_text())
    }
    assert read  # others have their places
    assert not [each for each in read if each[1] in NAMES]
