"""The networks, once in a session; and no folder of weights that a developer may have set."""

from __future__ import annotations

import os

import pytest

from stemwright_pitch import weights
from stemwright_pitch.analysis import Networks


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.FOLDER, raising=False)


@pytest.fixture(scope="session")
def networks() -> Networks:
    os.environ.pop(weights.FOLDER, None)
    return Networks(pitch=weights.session(weights.SWIFT_F0), notes=weights.session(weights.BASIC_PITCH))
