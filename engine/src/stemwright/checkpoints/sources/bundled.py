"""The models that are part of this package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from stemwright.checkpoints.sources.folder import Folder
from stemwright.models.architecture import Architectures
from stemwright.models.registry import ARCHITECTURES


def bundled(architectures: Architectures = ARCHITECTURES) -> Folder:
    """The folder in which they lie."""
    return Folder(
        path=Path(str(resources.files("stemwright") / "assets")),
        origin="bundled",
        place="among the bundled models",
        licence="MIT, ours: trained on songs that Stemwright composes itself",
        single_files=False,
        architectures=architectures,
    )
