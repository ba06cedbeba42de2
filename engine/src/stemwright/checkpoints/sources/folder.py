"""A folder of models in Demucs's formats: bags in YAML, single checkpoints by their signature."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stemwright.checkpoints.checkpoint import Checkpoint, CheckpointFile
from stemwright.checkpoints.header import read_header
from stemwright.checkpoints.model_info import Member, ModelInfo, OnFetch
from stemwright.errors import ModelError, first_line
from stemwright.models.architecture import Architectures
from stemwright.models.registry import ARCHITECTURES

SUFFIXES = (".safetensors", ".th")


def models_folder(models_path: Path | None) -> Path | None:
    """The folder of the user's own models: ``models_path``, or the one that DEMUCS_MODELS_PATH names, if any.

    Raises:
        ModelError: It is set and not a folder.
    """
    chosen = models_path or (Path(env) if (env := os.environ.get("DEMUCS_MODELS_PATH")) else None)
    if chosen is not None and not chosen.is_dir():
        raise ModelError(f"the models path {chosen} is not a folder: name one that exists", code="models_path_missing")
    return chosen


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder, listed once. See `stemwright.checkpoints.model_info.Source`."""

    path: Path
    origin: str
    place: str
    licence: str  # where a bag does not say
    single_files: bool = True  # whether a checkpoint is a model of its own, beside the bags
    architectures: Architectures = ARCHITECTURES

    def names(self) -> list[str]:
        """Its yaml bags, and its single checkpoints by signature."""
        singles = [_signature(file) for file in self._checkpoints] if self.single_files else []
        return list(dict.fromkeys([*self._bags, *singles]))

    def find(self, name: str) -> ModelInfo:
        """See `Source`."""
        file = self._bags.get(name, self.path / f"{name}.yaml")
        bag: dict[str, Any] = _read_bag(file) if name in self._bags else {"models": [name]}
        pins = bag.get("sha256") or {}
        members = tuple(
            Member(signature=each, path=self._checkpoint_of(each), sha256=pins.get(each)) for each in bag["models"]
        )
        headers = [read_header(member.path, self.architectures) for member in members if member.path is not None]
        sources = headers[0].sources
        if any(header.sources != sources for header in headers):
            raise ModelError(f"the networks of the bag {file} name different stems", code="model_corrupt")
        weights = _checked_weights(bag.get("weights"), len(members), len(sources), file)
        return ModelInfo(
            name=name,
            description=str(bag.get("description") or f"{headers[0].klass.rsplit('.', 1)[-1]} from {self.path.name}"),
            sources=sources,
            licence=str(bag.get("licence") or self.licence),
            source=self,
            members=members,
            weights=weights,
            segment=bag.get("segment"),
        )

    def cached(self, model: ModelInfo, member: Member) -> Checkpoint:
        """See `Source`."""
        assert member.path is not None
        return CheckpointFile(path=member.path, published_sha256=member.sha256, architectures=self.architectures)

    def obtain(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        return self.cached(model, member)

    def renew(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        (found := self.cached(model, member)).checked_sha256()
        return found

    @functools.cached_property
    def _files(self) -> list[Path]:
        return sorted(self.path.iterdir())

    @functools.cached_property
    def _bags(self) -> dict[str, Path]:
        return {file.stem: file for file in self._files if file.suffix == ".yaml"}

    @functools.cached_property
    def _checkpoints(self) -> list[Path]:
        """Those of the format that is preferred first."""
        return [file for suffix in SUFFIXES for file in self._files if file.suffix == suffix]

    def _checkpoint_of(self, signature: str) -> Path:
        matches = [file for file in self._checkpoints if signature in (file.stem, _signature(file))]
        if not matches:
            raise ModelError(
                f"the network {signature} is not in {self.path}: "
                f"looked for {signature}.safetensors and {signature}[-hash].th",
                code="model_missing",
            )
        safetensors = [file for file in matches if file.suffix == ".safetensors"]
        if len(safetensors) == 1:
            return safetensors[0]
        if len(matches) > 1:
            names = ", ".join(file.name for file in matches)
            raise ModelError(f"{self.path} has several files for the network {signature}: {names}; keep one")
        return matches[0]


def _read_bag(file: Path) -> dict[str, Any]:
    try:
        bag = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"the bag {file} is not valid YAML: {first_line(error)}", code="model_corrupt") from None
    names = bag.get("models") if isinstance(bag, dict) else None
    if not isinstance(names, list) or not names or not all(_is_signature(item) for item in names):
        raise ModelError(f"the bag {file} does not list its networks under 'models'", code="model_corrupt")
    segment = bag.get("segment")
    if segment is not None and not (isinstance(segment, int | float) and segment > 0):
        raise ModelError(
            f"the bag {file} has a segment of {segment!r}: seconds above 0 are meant", code="model_corrupt"
        )
    if not isinstance(bag.get("sha256", {}), dict):
        raise ModelError(
            f"the bag {file} must give sha256 by network, as in 'sha256: {{abc: 0f...}}'", code="model_corrupt"
        )
    return dict(bag)


def _is_signature(item: object) -> bool:
    """A signature is part of a file name: it must not lead out of the folder."""
    return isinstance(item, str) and item != "" and Path(item).name == item and not item.startswith(".")


def _checked_weights(given: Any, networks: int, sources: int, file: Path) -> tuple[tuple[float, ...], ...] | None:
    if given is None:
        return None
    try:
        rows = tuple(tuple(float(value) for value in row) for row in given)
    except (TypeError, ValueError):
        raise ModelError(f"the weights in the bag {file} are not numbers", code="model_corrupt") from None
    if len(rows) != networks or any(len(row) != sources for row in rows):
        raise ModelError(
            f"the weights in the bag {file} must be {networks} rows of {sources}, one per network and stem",
            code="model_corrupt",
        )
    if any(sum(column) <= 0 for column in zip(*rows, strict=True)):
        raise ModelError(f"the weights in the bag {file} leave a stem without any network", code="model_corrupt")
    return rows


def _signature(file: Path) -> str:
    """Demucs names a `.th` file `<signature>-<start of its sha256>.th`."""
    return file.stem.rsplit("-", 1)[0] if file.suffix == ".th" and "-" in file.stem else file.stem
