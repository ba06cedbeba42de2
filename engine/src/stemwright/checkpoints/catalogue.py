"""All models that can be had on this machine, by name, without loading any. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from stemwright.checkpoints.model_info import ModelInfo, Source
from stemwright.checkpoints.sources.bundled import bundled
from stemwright.checkpoints.sources.folder import Folder, models_folder
from stemwright.checkpoints.sources.hub import Hub
from stemwright.checkpoints.sources.package import Package
from stemwright.errors import ModelError
from stemwright.models.architecture import Architectures
from stemwright.models.registry import ARCHITECTURES


def sources_of(models_path: Path | None, architectures: Architectures = ARCHITECTURES) -> tuple[Source, ...]:
    """The places that models come from, one line for each, in the order in which they are looked at.

    Raises:
        ModelError: The folder of the user's own models is not one (``models_path_missing``).
    """
    own = models_folder(models_path)
    return (
        *([_own_folder(own, architectures)] if own is not None else []),
        bundled(architectures),
        Hub(architectures=architectures),
        Package(),
    )


def catalogue(models_path: Path | None = None) -> list[ModelInfo]:
    """Every model that can be named here: in the folder, bundled, on the hub, in an installed package.

    Files that cannot be read are left out here; `find` says what is wrong with them.

    Raises:
        ModelError: The folder of the user's own models is not one (``models_path_missing``).
    """
    found: dict[str, ModelInfo | None] = {}
    for source in sources_of(models_path):
        for name in source.names():
            if name not in found:
                found[name] = _readable(source, name)
    return [model for model in found.values() if model is not None]


def find(name: str, models_path: Path | None = None, *, architectures: Architectures = ARCHITECTURES) -> ModelInfo:
    """The model of this name.

    Looked for in the places of `sources_of`, in their order.

    Args:
        name: As `catalogue` lists it.
        models_path: A folder of the user's own models; None: the one that DEMUCS_MODELS_PATH names, if any.
        architectures: Those that its networks may be of.

    Raises:
        ModelError: There is none (``model_unknown``), or its files are not what they should be (``model_corrupt``).
    """
    sources = sources_of(models_path, architectures)
    for source in sources:
        if name in source.names():
            return source.find(name)
    known = ", ".join(sorted({each for source in sources for each in source.names()}))
    *places, last = [source.place for source in sources]
    raise ModelError(
        f"no model is called {name!r}: looked {', '.join(places)} and {last}; there are {known}", code="model_unknown"
    )


def _own_folder(path: Path, architectures: Architectures) -> Folder:
    return Folder(
        path=path,
        origin="folder",
        place=f"in {path}",
        licence="not stated: see where the files came from",
        architectures=architectures,
    )


def _readable(source: Source, name: str) -> ModelInfo | None:
    try:
        return source.find(name)
    except ModelError:
        return None
