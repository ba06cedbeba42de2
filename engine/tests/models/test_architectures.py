"""An architecture is known by its value alone: the rest of the engine names no network, and another one is one line."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from packed import save_safetensors
from small import SOURCES, music
from torch import nn

import stemwright
from stemwright import ModelError, SeparationOptions, Separator, models
from stemwright.checkpoints import find
from stemwright.models.architecture import Architecture, Architectures, Arguments
from stemwright.models.registry import ARCHITECTURES

PACKAGE = Path(stemwright.__file__).parent


class Panned(nn.Module):
    """Gives each source a share of the mix, and each channel a gain that is learnt."""

    def __init__(self, sources: list[str], shares: list[float]) -> None:
        super().__init__()
        self.sources, self.samplerate, self.audio_channels, self.segment = sources, 44100, 2, 0.5
        self._init_args_kwargs = ((), {"sources": sources, "shares": shares})  # as Demucs's networks keep them
        self.shares = nn.Parameter(torch.tensor(shares))
        self.gains = nn.Parameter(torch.tensor([1.0, 0.5]))

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        return self.shares[None, :, None, None] * (self.gains[:, None] * mix)[:, None]


PANNED = Architecture(
    name="Panned",
    klasses=(f"{Panned.__module__}.Panned",),
    build=lambda arguments: Panned(**arguments.kwargs),
    unsupported=lambda arguments: None if len(arguments.sources) == 2 else "it has two sources",
    normalises=False,
)


def test_an_architecture_that_is_registered_separates_and_nothing_else_has_to_know_it(tmp_path: Path) -> None:
    save_safetensors(Panned(["left", "right"], [0.75, 0.25]), tmp_path, "mine")
    info = find("mine", tmp_path, architectures=Architectures(PANNED))
    mix = music(1.3).numpy()
    separated = Separator(info, device="cpu").separate(mix, 44100, SeparationOptions(segment=0.4))
    assert separated.report.segments > 1
    assert separated.report.backend == "eager"
    gained = mix * np.array([[1.0], [0.5]], dtype=np.float32)
    np.testing.assert_allclose(separated.stems["left"], 0.75 * gained, atol=1e-5)
    np.testing.assert_allclose(separated.stems["right"], 0.25 * gained, atol=1e-5)


def test_a_checkpoint_of_an_architecture_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    save_safetensors(Panned(["left", "right"], [0.75, 0.25]), tmp_path, "mine")
    with pytest.raises(ModelError, match="not one that may be loaded") as caught:
        find("mine", tmp_path)
    assert caught.value.code == "model_forbidden"


def test_what_an_architecture_is_not_written_for_is_said(tmp_path: Path) -> None:
    arguments = Arguments(klass=PANNED.klasses[0], kwargs={"sources": SOURCES})
    with pytest.raises(ValueError, match=r"is not a network that may be made; Panned: it has two sources"):
        Architectures(PANNED).of(arguments)


def test_every_class_that_a_checkpoint_may_name_is_built_by_an_architecture() -> None:
    for klass in ARCHITECTURES.klasses:
        arguments = Arguments(klass=klass, kwargs={"sources": SOURCES, "samplerate": 48000})
        architecture = ARCHITECTURES.of(arguments)
        with torch.device("meta"):
            found = architecture.facts(architecture.build(arguments))
        assert (found.sources, found.samplerate) == (tuple(SOURCES), 48000)


def test_what_a_built_network_depends_on_is_there() -> None:
    for each in ARCHITECTURES:
        assert (each.core is None) == (each.code == ""), each.name
        assert (PACKAGE / each.code).exists()


def network_classes() -> set[str]:
    """The networks in the folders of architectures, and the classes in checkpoints."""
    folders = [each.name for each in pkgutil.iter_modules(models.__path__) if each.ispkg]
    modules = [importlib.import_module(f"stemwright.models.{name}.network") for name in folders]
    defined = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    }
    return defined | {klass.rsplit(".", 1)[-1] for klass in ARCHITECTURES.klasses}


def outside() -> Iterator[tuple[Path, ast.Module]]:
    """The engine without the folders and files of architectures."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.parent.parent != PACKAGE / "models" and file.name != "demucs_own.py":
            yield file.relative_to(PACKAGE), ast.parse(file.read_text(encoding="utf-8"))


def test_no_network_is_named_outside_of_its_own_folder() -> None:
    names, found = network_classes(), []
    assert {"HTDemucs", "HDemucs", "Demucs", "BandNet", "Spleeter"} <= names
    for file, tree in outside():
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in names:
                    found.append(f"{file}: {name}")
                case ast.Constant(value=str(text)) if text in ARCHITECTURES.klasses:
                    found.append(f"{file}: {text!r}")
                case ast.Compare() if any(
                    isinstance(each, ast.Attribute) and each.attr == "__name__" for each in ast.walk(node)
                ):
                    found.append(f"{file}:{node.lineno}: a class is compared by its name")
    assert found == []
