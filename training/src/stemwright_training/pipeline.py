"""The whole run: render, train, write the checkpoint, measure, write the card. Each step finds what an earlier run left."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file

from .card import write_card, write_picture
from .checkpoint import averaged_weights, write_model
from .dataset import held_out_items, load, render_all, render_item, training_items
from .figures import measure, separate_with
from .networks import RECIPES, new_network
from .report import full_report, measure_all, summary, write_json
from .score import SAMPLE_RATE, STEMS
from .train import Budget, train

NAME = "pocket"
DESCRIPTION = "Small and free: drums, bass, other, vocals. Learned from synthetic songs only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things lie: `data` is large and outside the repository; the rest is what is committed."""

    data: Path
    repository: Path

    @property
    def assets(self) -> Path:
        """The folder of the bundled model."""
        return self.repository / "engine/src/stemwright/assets"

    @property
    def card(self) -> Path:
        """The model's card."""
        return self.repository / "docs/models/pocket.md"

    @property
    def example(self) -> Path:
        """The example song."""
        return self.repository / "examples/take-it-all-apart"


def render_songs(places: Places, songs: int, held_out: int, workers: int) -> None:
    """Renders the training songs and the held-out songs, as far as they are not there."""
    for folder, items in (("heldout", held_out_items(held_out)), ("train", training_items(songs))):
        for count, _ in enumerate(render_all(items, places.data / folder, workers), 1):
            print(f"\r{folder}: {count} of {len(items)} songs", end="", flush=True)
        print()


def train_network(
    places: Places, recipe_name: str, run: str, seconds: float, device: str, *, from_bundled: bool = False
) -> Path:
    """Trains (or goes on training) one network, from nothing or from the bundled model's weights; returns the run's folder."""
    recipe = RECIPES[recipe_name]
    folder = places.data / "runs" / run
    parts = 1 if device != "cpu" else max(1, min(torch.get_num_threads(), recipe.batch // 2))
    budget = Budget(seconds=seconds, batch=recipe.batch, clip=recipe.clip, threads=parts)
    network = new_network(recipe)
    if from_bundled:
        network.load_state_dict(load_file(_checkpoint(places)))
    train(network, lambda: load(places.data / "train"), budget, folder, device)
    return folder


def write_bundled(places: Places, run: Path) -> Path:
    """Writes a run's averaged weights as the bundled model."""
    recipe = RECIPES["bandnet"]
    return write_model(
        places.assets, NAME, recipe.klass, recipe.kwargs, averaged_weights(run)[0], description=DESCRIPTION
    )


def compare(places: Places, theirs: Path, ours: Path, songs: int) -> dict[str, Any]:
    """The figures of a small HTDemucs (run `theirs`) and of BandNet at the same budget (run `ours`), on the same songs."""
    document: dict[str, Any] = {"songs": songs}
    for name, run in (("htdemucs", theirs), ("bandnet", ours)):
        recipe = RECIPES[name]
        weights, steps, seconds = averaged_weights(run)
        write_model(places.data / "compared", name, recipe.klass, recipe.kwargs, weights, description=name)
        separate = separate_with(places.data / "compared", name)
        document[name] = summary(measure_all(held_out_items(songs), places.data / "heldout", separate)[0])
        document[f"{name}_steps"] = steps
        document[f"{name}_seconds"] = round(seconds)
    document["parameters"] = sum(p.numel() for p in new_network(RECIPES["htdemucs"]).parameters())
    return document


def write_figures(places: Places, run: Path, held_out: int, comparison: dict[str, Any] | None) -> None:
    """Measures the bundled model and writes `pocket.json`, the card and the picture."""
    checkpoint = _checkpoint(places)
    recipe = RECIPES["bandnet"]
    songs = load(places.data / "train")
    _, steps, seconds = averaged_weights(run)
    separate = separate_with(places.assets, NAME)
    document = full_report(separate, places.data, held_out)
    document["checkpoint"] = {
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "bytes": checkpoint.stat().st_size,
        "parameters": sum(p.numel() for p in new_network(recipe).parameters()),
    }
    document["training"] = {
        "steps": steps,
        "seconds": round(seconds),
        "batch": recipe.batch,
        "clip": recipe.clip,
        "songs": len(songs),
        "music_seconds": round(sum(song.shape[2] for song in songs) / SAMPLE_RATE),
    }
    if (note := run / "note.txt").exists():  # what the figures of this very run leave out
        document["training"]["note"] = " " + note.read_text().strip()
    if comparison is not None:
        document["htdemucs"] = comparison
    places.card.parent.mkdir(parents=True, exist_ok=True)
    write_json(places.card.with_suffix(".json"), document)
    write_card(places.card, document)
    write_picture(places.card.with_suffix(".png"), places.example, separate)


def _checkpoint(places: Places) -> Path:
    bag = yaml.safe_load((places.assets / f"{NAME}.yaml").read_text())
    return Path(places.assets / f"{bag['models'][0]}.safetensors")


def songs_of_card(places: Places) -> dict[str, dict[str, list[float]]]:
    """By held-out song and stem: the figures of its clips, in dB."""
    songs: dict[str, dict[str, list[float]]] = json.loads(places.card.with_suffix(".json").read_text())["by_song"]
    return songs


def check(places: Places, songs: int) -> float:
    """Renders the first held-out songs again and measures the bundled model on them.

    Returns:
        The largest difference in dB between a song's mean figure for a stem now and on the card.
    """
    recorded = songs_of_card(places)
    separate = separate_with(places.assets, NAME)
    worst = 0.0
    for item in held_out_items(songs):
        stems = np.load(render_item(item, places.data / "heldout"))
        name = item.filename.removesuffix(".npy")
        figures = measure(name, stems, separate)
        for stem, clips in recorded[name].items():
            now = [figure.si_sdr for figure in figures if figure.stem == stem]
            worst = max(worst, abs(float(np.mean(now)) - float(np.mean(clips))))
    return worst


def whole_run(
    places: Places,
    *,
    minutes: float,
    songs: int,
    held_out: int,
    workers: int,
    device: str,
    compare_minutes: float,
    from_bundled: bool = False,
) -> None:
    """Everything, from nothing to the card. Started again with the same folder, it goes on where it was stopped."""
    started = time.monotonic()
    render_songs(places, songs, held_out, workers)
    comparison = None
    if compare_minutes:
        runs = [
            train_network(places, name, f"compare-{name}", compare_minutes * 60, device)
            for name in ("htdemucs", "bandnet")
        ]
        comparison = compare(places, runs[0], runs[1], min(12, held_out))
    run = train_network(places, "bandnet", "pocket", minutes * 60, device, from_bundled=from_bundled)
    write_bundled(places, run)
    write_figures(places, run, held_out, comparison)
    print(f"done in {(time.monotonic() - started) / 60:.0f} minutes: {places.card}, stems {', '.join(STEMS)}")
