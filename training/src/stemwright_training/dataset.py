"""Renders songs into a folder, one int16 array [4, 2, samples] a song, and says which seeds and fonts are for what.

Files appear whole or not at all (written aside, then renamed), and what is there is not rendered again: stop and go
on at will.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .compose import compose
from .render import OWN, Production, render


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One song to render."""

    seed: int
    font: str
    seconds: float

    @property
    def filename(self) -> str:
        """The file of the song inside its folder."""
        return f"{self.font}-{self.seed}.npy"


TRAIN_SEED = 2000  # training songs count up from here
HELD_OUT_SEED = 900_000  # songs of the card's figures
EXAMPLE_SEED = 700_000  # the example song
MUSESCORE_EVERY = 40  # MuseScore General renders slowly: one song in so many
TRAINING_FONTS = ("fluid", OWN, "musescore")


def training_items(count: int, seconds: float = 20.0) -> list[Item]:
    """The songs of the training set, half with FluidR3, half with patches drawn for each part.

    They are short, because another song has other instruments. The MuseScore share comes last, because it is slow to render.
    """
    slow = count // MUSESCORE_EVERY
    fonts = [(OWN, "fluid")[i % 2] for i in range(count - slow)] + ["musescore"] * slow
    return [Item(seed=TRAIN_SEED + i, font=font, seconds=seconds) for i, font in enumerate(fonts)]


def held_out_items(count: int, seconds: float = 24.0) -> list[Item]:
    """The songs of the figures: seeds never trained on, half of them with a sound font never trained on."""
    return [Item(seed=HELD_OUT_SEED + i, font=("timgm", "fluid")[i % 2], seconds=seconds) for i in range(count)]


def render_item(item: Item, folder: Path) -> Path:
    """Renders one song into the folder unless it is there."""
    path = folder / item.filename
    if not path.exists():
        stems = render(compose(item.seed, item.seconds), Production(font=item.font))
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.save(file, stems)
        part.replace(path)
    return path


def render_all(items: list[Item], folder: Path, workers: int) -> Iterator[Path]:
    """Renders songs side by side; yields the paths in order as they are done."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(render_item, items, [folder] * len(items))


def load(folder: Path, fonts: tuple[str, ...] = TRAINING_FONTS) -> list[npt.NDArray[np.int16]]:
    """The songs in a folder, memory-mapped, in the order of their names."""
    paths = sorted(path for font in fonts for path in folder.glob(f"{font}-*.npy"))
    return [np.load(path, mmap_mode="r") for path in paths]
