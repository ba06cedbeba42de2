"""Which workers a service starts."""

from __future__ import annotations

import pytest

from stemwright_server.bootstrap_worker import devices, devices_elsewhere
from stemwright_server.settings import Settings


@pytest.mark.parametrize(
    ("settings", "visible", "expected"),
    [
        ({}, "0,3", ["cuda:0", "cuda:1"]),  # renumbered, as torch sees them
        ({}, "", ["auto"]),  # all hidden
        ({"device": "cpu"}, "0,1", ["cpu"]),
        ({"workers": 3, "device": "cpu"}, "0", ["cpu"] * 3),
        ({"workers": 0}, "0", []),
    ],
)
def test_one_worker_for_each_device(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices(Settings.model_construct(**settings)) == expected


@pytest.mark.parametrize(("workers", "expected"), [(0, ["cpu"]), (None, ["cpu"]), (2, ["cpu"] * 2)])
def test_a_service_without_workers_of_its_own_takes_none_from_a_worker_command(
    workers: int | None, expected: list[str]
) -> None:
    """Both may read the same file of settings."""
    assert devices_elsewhere(Settings.model_construct(device="cpu", workers=workers)) == expected
