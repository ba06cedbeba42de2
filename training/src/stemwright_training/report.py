"""The figures of a model as a document: measured here, written as JSON beside the card, and read again by the tests."""

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import write_model
from .dataset import Item, held_out_items, render_item
from .figures import WHOLE, ClipFigure, Separate, measure, mix_itself, quartiles, separate_with
from .networks import RECIPES, new_network
from .score import SAMPLE_RATE, STEMS


def measure_all(items: list[Item], folder: Path, separate: Separate) -> tuple[list[ClipFigure], float]:
    """The figures over all songs, and how many times faster than real time the separation was."""
    figures: list[ClipFigure] = []
    audio = spent = 0.0
    for item in items:
        stems = np.load(render_item(item, folder))

        def timed(mix: np.ndarray[Any, Any]) -> Mapping[str, Any]:
            nonlocal spent
            started = time.perf_counter()
            estimates = separate(mix)
            spent += time.perf_counter() - started
            return estimates

        figures += measure(item.filename.removesuffix(".npy"), stems, timed)
        audio += stems.shape[2] / SAMPLE_RATE
    return figures, audio / spent


def summary(figures: list[ClipFigure], *, whole: bool = True) -> dict[str, list[float]]:
    """Lower quartile, median and upper quartile of each stem, in dB with two decimals."""
    return {stem: [round(value, 2) for value in quartiles(figures, stem, whole=whole)] for stem in STEMS}


def untrained(folder: Path) -> Separate:
    """The same network as it is before training."""
    recipe = RECIPES["bandnet"]
    weights = new_network(recipe).state_dict()
    write_model(folder, "untrained", recipe.klass, recipe.kwargs, weights, description="untrained")
    return separate_with(folder, "untrained")


def full_report(separate: Separate, data: Path, songs: int) -> dict[str, Any]:
    """All figures of the card: the model's, by sound font too, and those of both baselines."""
    items = held_out_items(songs)
    figures, speed = measure_all(items, data / "heldout", separate)
    baseline, _ = measure_all(items, data / "heldout", mix_itself)
    start, _ = measure_all(items[: max(4, songs // 4)], data / "heldout", untrained(data / "untrained"))
    return {
        "songs": songs,
        "clips": len({(figure.song, figure.clip) for figure in figures if figure.clip != WHOLE}),
        "model": summary(figures),
        "model_clips": summary(figures, whole=False),
        "new_font": summary([figure for figure in figures if figure.song.startswith("timgm")]),
        "known_font": summary([figure for figure in figures if figure.song.startswith("fluid")]),
        "mix_itself": summary(baseline),
        "mix_itself_clips": summary(baseline, whole=False),
        "untrained": summary(start),
        "times_real_time": round(speed, 1),
        "machine": {"processor": _processor(), "cores": os.cpu_count()},
        "by_song": _by_song(figures),
    }


def _by_song(figures: list[ClipFigure]) -> dict[str, dict[str, list[float]]]:
    """SI-SDR by song and stem, of the whole song and then of each clip: the test of the checkpoint measures it again."""
    out: dict[str, dict[str, list[float]]] = {}
    for figure in figures:
        out.setdefault(figure.song, {}).setdefault(figure.stem, []).append(round(figure.si_sdr, 2))
    return out


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a document so that a change of one figure is a change of one line, as far as that goes."""
    path.write_text(json.dumps(document, indent=1) + "\n")
