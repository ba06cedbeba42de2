"""Which devices workers run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemwright_worker.devices import device_of_one, devices, devices_elsewhere
from stemwright_worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"),
    [
        (2, None, ["cuda:0", "cuda:1"]),
        (4, "0,3", ["cuda:0", "cuda:1"]),  # renumbered, as torch sees them
        (4, "GPU-8a1b, GPU-9c2d", ["cuda:0", "cuda:1"]),
        (2, "", ["auto"]),  # all hidden
        (2, "-1", ["auto"]),
        (2, "1,-1,0", ["cuda:0"]),
        (1, "3", ["auto"]),  # CUDA sees none either
        (1, "GPU-8a1b,GPU-9c2d", ["cuda:0"]),
        (0, None, ["auto"]),
        (0, "0", ["auto"]),  # as in the documents' example, on a machine without a GPU
    ],
)
def test_one_worker_for_each_gpu_that_is_there_and_visible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: int, visible: str | None, expected: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for number in range(gpus):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)
    assert devices(WorkerSettings.model_construct(), gpus=tmp_path / "gpus") == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"device": "cpu"}, ["cpu"]),
        ({"workers": 3, "device": "cpu"}, ["cpu"] * 3),
        ({"workers": 0}, []),
    ],
)
def test_what_is_said_wins(settings: dict[str, Any], expected: list[str]) -> None:
    assert devices(WorkerSettings.model_construct(**settings)) == expected


@pytest.mark.parametrize(("workers", "expected"), [(0, ["cpu"]), (None, ["cpu"]), (2, ["cpu"] * 2)])
def test_a_service_without_workers_of_its_own_takes_none_from_a_worker_command(
    workers: int | None, expected: list[str]
) -> None:
    """Both may read the same file of settings."""
    assert devices_elsewhere(WorkerSettings.model_construct(device="cpu", workers=workers)) == expected


@pytest.mark.parametrize(
    ("gpus", "device", "expected"), [(2, "auto", "cuda:0"), (2, "cpu", "cpu"), (0, "auto", "auto")]
)
def test_a_worker_that_is_alone_names_the_gpu_that_auto_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: int, device: str, expected: str
) -> None:
    """So that whoever asks how the service is hears of it: a Celery worker, or a number that was said."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for number in range(gpus):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    assert device_of_one(WorkerSettings.model_construct(device=device), gpus=tmp_path) == expected
    assert devices(WorkerSettings.model_construct(device=device, workers=2), gpus=tmp_path) == [expected] * 2
