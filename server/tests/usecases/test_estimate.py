"""How long a separation will take, as far as anybody can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from world import World, make_world

from stemwright_server.usecases.estimate import estimate
from stemwright_server.usecases.record import record


@pytest.fixture
def measured(tmp_path: Path) -> World:
    """After a job that took 9 s for 2 s of audio, 1 s of it to load, on a GPU."""
    world = make_world(tmp_path)
    world.submitted()
    task = world.claimed()
    files = tuple(replace(file, duration=2.0) for file in world.upload(task).files)
    report = {"device": "cuda:0", "stage_seconds": {"loading": 1.0, "separating": 8.0}}
    assert record(world.deps, replace(world.report(task, "a"), files=files, report=report)).accepted
    return world


def test_what_was_measured_is_taken_for_as_long_as_the_audio_is(measured: World) -> None:
    for devices in (["cuda:3"], ["cpu", "cuda:0"], ["auto"]):  # auto may be any
        found = estimate(measured.deps, service="m", model="v", duration=10.0, devices=devices)
        assert (found.seconds, found.note) == (40.0, None), devices


@pytest.mark.parametrize(
    ("model", "duration", "devices", "note"),
    [
        ("v", None, ["cuda:0"], "The length of the audio is not known yet."),
        ("v", 10.0, [], "No worker is there now."),
        ("v", 10.0, ["cpu"], "No job of v has been measured on these workers yet."),
        ("short", 10.0, ["cuda:0"], "No job of short has been measured on these workers yet."),
    ],
)
def test_why_nobody_can_tell_is_said(
    measured: World, model: str, duration: float | None, devices: list[str], note: str
) -> None:
    found = estimate(measured.deps, service="m", model=model, duration=duration, devices=devices)
    assert (found.seconds, found.note) == (None, note)
