"""Writes the model's card from its figures, and the picture on it. No figure on the card is written by hand."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import stft

from .figures import QUIETEST, Separate
from .score import SAMPLE_RATE, STEMS
from .soundfonts import SOUND_FONTS

Audio = npt.NDArray[np.float32]

TEMPLATE = Path(__file__).with_name("card_template.md")

SONG_ROWS = {
    "**pocket**, all held-out songs": "model",
    "pocket, sound font never heard": "new_font",
    "pocket, sound font heard in training": "known_font",
    "the mix as the estimate": "mix_itself",
    "the same network untrained": "untrained",
}
CLIP_ROWS = {"pocket": "model_clips", "the mix as the estimate": "mix_itself_clips"}
NUMPY_ROWS = (
    (
        "drum machines, synthesiser basses, keys, pads",
        "`stemwright_training.synths`",
        "MIT, ours",
        "training, held-out songs",
    ),
    ("instruments drawn anew for each part", "`stemwright_training.patches`", "MIT, ours", "training"),
    (
        "espeak-ng (sung syllables; pitch and length by WORLD)",
        "`espeak-ng`",
        "GPL-3 (the program)",
        "training, held-out songs, example song",
    ),
    ("WORLD, through pyworld", "`pyworld` (PyPI)", "modified BSD, MIT", "training, held-out songs, example song"),
    ("fluidsynth", "`fluidsynth`", "LGPL-2.1 (the program)", "training, held-out songs, example song"),
)


def write_card(path: Path, figures: Mapping[str, Any]) -> None:
    """Writes the card from the document of figures (`pocket.json`)."""
    training = figures["training"]
    path.write_text(
        TEMPLATE.read_text().format(
            quietest=QUIETEST,
            songs=figures["songs"],
            clips=figures["clips"],
            table=_table(figures, SONG_ROWS),
            clip_table=_table(figures, CLIP_ROWS),
            verdict=_verdict(figures["model"]),
            speed=figures["times_real_time"],
            processor=figures["machine"]["processor"],
            cores=figures["machine"]["cores"],
            megabytes=figures["checkpoint"]["bytes"] / 1e6,
            parameters=figures["checkpoint"]["parameters"] / 1e6,
            sha256=figures["checkpoint"]["sha256"],
            steps=training["steps"],
            batch=training["batch"],
            clip=training["clip"],
            minutes=training["seconds"] / 60,
            train_songs=training["songs"],
            train_minutes=training["music_seconds"] / 60,
            note=training.get("note", ""),
            comparison=_comparison(figures.get("htdemucs")),
            licences="\n".join(licence_rows()),
        )
    )


def licence_rows() -> list[str]:
    """A row of the card's table for everything that makes a sound."""
    fonts = [(font.name, f"`{font.package}`", font.licence, font.use) for font in SOUND_FONTS.values()]
    return [f"| {' | '.join(row)} |" for row in (*fonts, *NUMPY_ROWS)]


def _table(figures: Mapping[str, Any], rows: Mapping[str, str]) -> str:
    lines = ["| | " + " | ".join(STEMS) + " |", "| --- |" + " --- |" * len(STEMS)]
    for title, key in rows.items():
        cells = [
            f"{middle:.1f} ({low:.1f} to {high:.1f})" for low, middle, high in (figures[key][stem] for stem in STEMS)
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _verdict(model: Mapping[str, Any]) -> str:
    missed = [stem for stem in STEMS if model[stem][1] < 4.0]
    if not missed:
        return "The aim was a median of at least 4 dB for each stem: reached."
    return (
        f"The aim was a median of at least 4 dB for each stem: **missed for {', '.join(missed)}**. "
        "A longer training is one command away."
    )


def _comparison(other: Mapping[str, Any] | None) -> str:
    if other is None:
        return "It was not compared with a small HTDemucs in this run."
    lines = ["| median SI-SDR, dB | trained for | " + " | ".join(STEMS) + " |", "| --- | --- |" + " --- |" * len(STEMS)]
    for title, key in (
        (f"HTDemucs, {other['parameters'] / 1e6:.1f} million parameters", "htdemucs"),
        ("BandNet", "bandnet"),
    ):
        budget = f"{other[key + '_seconds'] / 60:.1f} minutes, {other[key + '_steps']} steps"
        lines.append(f"| {title} | {budget} | " + " | ".join(f"{other[key][stem][1]:.1f}" for stem in STEMS) + " |")
    return (
        "Why not a small HTDemucs, which would exercise the whole engine: both were trained on the same songs, one after the "
        f"other on the same machine, and measured on the same {other['songs']} held-out songs:\n\n"
        + "\n".join(lines)
        + "\n\nThe condition for shipping HTDemucs was to come within 1 dB."
        + (f" {other['note']}" if other.get("note") else "")
    )


def write_picture(path: Path, example: Path, separate: Separate) -> None:
    """Spectrograms of the example song: the mix, the true stems and the bundled model's, as one modest PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from PIL import Image

    mix = soundfile.read(example / "mix.flac", dtype="float32")[0].T
    true = {stem: soundfile.read(example / f"{stem}.flac", dtype="float32")[0].T for stem in STEMS}
    estimates = separate(mix)
    figure, axes = plt.subplots(3, 4, figsize=(12, 6.2), sharex=True, sharey=True, constrained_layout=True)
    for axis in axes[0, 1:]:
        axis.axis("off")
    _show(axes[0, 0], mix, "mix")
    for column, stem in enumerate(STEMS):
        _show(axes[1, column], true[stem], f"{stem}, true")
        _show(axes[2, column], np.asarray(estimates[stem]), f"{stem}, separated by pocket")
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("kHz", fontsize=9)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=72)
    plt.close(figure)
    # A palette of 64 colours is plenty for one colour map and a third of the bytes.
    Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def _show(axis: Any, x: Audio, title: str) -> None:
    low = x.mean(axis=0)
    frequencies, times, values = stft(low, SAMPLE_RATE, nperseg=2048, noverlap=1024)
    keep = frequencies < 8000
    level = 20 * np.log10(np.abs(values[keep]) + 1e-7)
    axis.pcolormesh(
        times[::2], frequencies[keep] / 1000, level[:, ::2], vmin=-95, vmax=-25, cmap="magma", rasterized=True
    )
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
