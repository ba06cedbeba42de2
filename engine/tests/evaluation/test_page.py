"""The page on evaluation: its commands run, its table adds up, its words name what there is."""

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import torch
from packed import save_safetensors
from small import SOURCES, music, tiny_htdemucs

from stemwright.checkpoints import manifest

PAGE = (Path(__file__).parents[3] / "docs/evaluation.md").read_text(encoding="utf-8")


def write(path: Path, samples: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes((samples.T * 8000).round().clamp(-32768, 32767).short().numpy().tobytes())


def test_the_commands_of_the_page_separate_and_measure_a_folder_laid_out_as_musdb(tmp_path: Path) -> None:
    (commands,) = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    stems = {stem: music(2.0, seed=index) for index, stem in enumerate(SOURCES)}
    song = tmp_path / "musdb18hq/test/Zeno - It's a Sign"
    for stem, samples in stems.items():
        write(song / f"{stem}.wav", samples)
    write(song / "mixture.wav", sum(stems.values(), torch.zeros(1)))
    models = tmp_path / "models"
    models.mkdir()
    save_safetensors(tiny_htdemucs(), models, "tiny")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODEL": "tiny",
        "DEMUCS_MODELS_PATH": str(models),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert song.name in done.stdout
    assert "all songs (1)" in done.stdout


def figures() -> list[tuple[str, list[float], str]]:
    rows = re.findall(r"^\| ([^|]+) \| [^|]*\| ([\d.]+) \|((?: [\d.]+ \|){4}) ?([^|]*)\|$", PAGE, flags=re.MULTILINE)
    return [(model, [float(all_), *map(float, re.findall(r"[\d.]+", four))], name) for model, all_, four, name in rows]


@pytest.mark.parametrize(("model", "values"), [(model, values) for model, values, _ in figures()])
def test_the_column_all_is_the_mean_of_the_stems(model: str, values: list[float]) -> None:
    """So a mistyped figure shows. The paper prints one row that does not agree with itself, and the page says so."""
    difference = abs(sum(values[1:]) / 4 - values[0])
    assert difference < 0.0101 or (model.startswith("Sparse") and "(9.27 by its four stems)" in PAGE)


def test_the_models_of_the_table_are_models_here() -> None:
    named = [name for _, _, cell in figures() for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == ["hdemucs_mmi", "htdemucs", "htdemucs_ft"]
    assert set(named) <= set(manifest.KNOWN)
