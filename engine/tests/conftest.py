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


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test starts a compiler in the background, or finds what another one built."""
    monkeypatch.setenv("STEMWRIGHT_CACHE", str(tmp_path / "stemwright-cache"))
    monkeypatch.setenv("STEMWRIGHT_WARM", "off")
    monkeypatch.delenv("STEMWRIGHT_BACKEND", raising=False)
