"""What the engine's tests share: no way out to any hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.checkpoints import manifest

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reaches a hub, or finds what somebody fetched before."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(manifest, "LEGACY_ROOT", f"{NOWHERE}/")
    monkeypatch.delenv("DEMUCS_MODELS_PATH", raising=False)
