"""No test of the service reaches a hub."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DEMUCS_MODELS_PATH", "DEMUCS_DEFAULT_MODEL", "ENVIRONMENT", "DEMUCS_WEIGHTS_LICENCE_ACCEPTED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
