"""The models that are part of this package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def bundled_folder() -> Path:
    """Where the models lie that are part of this package."""
    return Path(str(resources.files("stemwright") / "assets"))


def bundled_names() -> list[str]:
    return [file.stem for file in sorted(bundled_folder().glob("*.yaml"))]
