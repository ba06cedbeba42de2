"""The memory of GPUs, as nvidia-smi words it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright_worker.contract.tasks import GpuMemory
from stemwright_worker.process.gpu_memory import GpuMeter, gpus_of


def test_the_lines_are_read_as_bytes() -> None:
    assert gpus_of("0, 1024, 143771\n1, 0, 16384\n", "h") == (
        GpuMemory(host="h", index=0, used_bytes=1 << 30, total_bytes=143771 << 20),
        GpuMemory(host="h", index=1, used_bytes=0, total_bytes=1 << 34),
    )
    with pytest.raises(ValueError, match="invalid literal"):
        gpus_of("No devices were found\n", "h")


def test_without_a_driver_there_is_nothing_to_tell() -> None:
    assert GpuMeter("no-such-command")() == ()


def test_it_looks_now_and_then_and_gives_up_on_a_broken_driver(tmp_path: Path) -> None:
    tool = tmp_path / "smi"
    tool.write_text("#!/bin/sh\necho '0, 10, 20'\n")
    tool.chmod(0o755)
    now = 100.0
    meter = GpuMeter(str(tool), clock=lambda: now)
    assert [gpu.index for gpu in meter()] == [0]
    assert meter() == ()  # 15 s are not over
    now += 15.0
    assert [gpu.index for gpu in meter()] == [0]
    works = tool.read_text()
    tool.write_text("#!/bin/sh\nexit 9\n")
    now += 15.0
    assert meter() == ()
    tool.write_text(works)
    now += 15.0
    assert meter() == ()
