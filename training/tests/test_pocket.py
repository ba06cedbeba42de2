"""The shipped checkpoint: what it is, and that its figures are what the card says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from stemwright.checkpoints.header import read_header
from stemwright.machine.hashing import sha256_of
from stemwright_training import cli
from stemwright_training import figures as measuring
from stemwright_training.dataset import held_out_items, render_item
from stemwright_training.networks import RECIPES
from stemwright_training.score import STEMS

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "engine/src/stemwright/assets"
CARD = ROOT / "docs/models/pocket.md"


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CARD.with_suffix(".json").read_text())
    return found


def test_the_checkpoint_is_the_pinned_one_small_and_of_the_recipe(recorded: dict[str, Any]) -> None:
    bag = yaml.safe_load((ASSETS / "pocket.yaml").read_text())
    (signature,) = bag["models"]
    file = ASSETS / f"{signature}.safetensors"
    assert sha256_of(file) == bag["sha256"][signature] == recorded["checkpoint"]["sha256"]
    assert sha256_of(file).startswith(signature)
    assert list(ASSETS.glob("*.safetensors")) == [file]
    assert file.stat().st_size <= 16e6
    header = read_header(file)
    assert header.klass == RECIPES["bandnet"].klass
    assert header.sources == STEMS


def test_the_card_shows_the_recorded_figures_and_says_that_they_predict_nothing_real(recorded: dict[str, Any]) -> None:
    text = CARD.read_text()
    assert "none of the figures below predicts real music" in text
    assert recorded["checkpoint"]["sha256"] in text
    for key in ("model", "new_font", "known_font", "mix_itself", "untrained", "model_clips"):
        for stem in STEMS:
            low, middle, high = recorded[key][stem]
            assert f"{middle:.1f} ({low:.1f} to {high:.1f})" in text


def test_more_songs_than_the_card_has_are_refused_in_a_line(
    recorded: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the command sets it for torch where nobody has
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "--songs", str(len(recorded["by_song"]) + 1)])
    assert caught.value.code == 2
    assert f"the card has figures of {len(recorded['by_song'])}" in capsys.readouterr().err


def test_pocket_beats_the_mix_and_the_untrained_network_on_every_stem(recorded: dict[str, Any]) -> None:
    for stem in STEMS:
        assert recorded["model"][stem][1] > recorded["mix_itself"][stem][1] + 4
        assert recorded["untrained"][stem][1] < 0
        assert recorded["model"][stem][1] > 0
    assert recorded["times_real_time"] >= 5


@pytest.mark.parametrize("index", [0, 1])
def test_figures_measured_again_on_songs_rendered_again_are_the_cards(
    index: int, recorded: dict[str, Any], tmp_path: Path
) -> None:
    item = held_out_items(2)[index]
    stems = np.load(render_item(item, tmp_path))
    name = item.filename.removesuffix(".npy")
    again = measuring.measure(name, stems, measuring.separate_with(None, "pocket"))
    for stem, values in recorded["by_song"][name].items():
        now = [figure.si_sdr for figure in again if figure.stem == stem]
        np.testing.assert_allclose(now, values, atol=0.3)
