"""Separation agrees with Demucs, streams, repeats itself, and says what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from packed import save_bag, save_safetensors, save_th
from small import SOURCES, music, snr_db, tiny_hdemucs, tiny_htdemucs

from stemwright import Canceled, DeviceError, InputError, ModelError, OptionError, SeparationOptions, Separator
from stemwright.audio import open_audio, open_writer, resampled_length
from stemwright.machine.hashing import sha256_of
from stemwright.options import OutputOptions, Progress
from stemwright.separation.buffers import blocks_of
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.run import Run

EXACT = SeparationOptions(precision="exact")


def tiny_demucs(seed: int = 0) -> Demucs:
    """Demucs's v2 waveform network: it wants more samples than it is asked for."""
    torch.manual_seed(seed)
    network: Demucs = Demucs(SOURCES, channels=8, depth=4, dconv_mode=1, lstm_layers=0, segment=2)
    network.eval()
    return network


def saved(network: torch.nn.Module, folder: Path, name: str = "abc") -> Separator:
    save_safetensors(network, folder, name)
    return Separator(name, models_path=folder, device="cpu")


def peer_separation(model: Any, mix: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    """What `demucs.api.Separator.separate_tensor` does around `apply_model`."""
    ref = mix.mean(0)
    mean, std = ref.mean(), ref.std() + 1e-8
    with torch.no_grad():
        stems: torch.Tensor = apply_model(model, ((mix - mean) / std)[None], **{"shifts": 0, **kwargs})[0]
    return stems * std + mean


def as_tensor(stems: Mapping[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(list(stems.values())))


@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_hdemucs, tiny_demucs], ids=["v4", "v3 hybrid", "v2 waveform"])
@pytest.mark.parametrize("seconds", [0.05, 1.5, 7.3])
def test_it_agrees_with_demucs_to_100_db(make: Callable[[], torch.nn.Module], seconds: float, tmp_path: Path) -> None:
    peer, mix = make(), music(seconds) + 0.02
    expected = peer_separation(peer, mix)
    got = saved(peer, tmp_path).separate(mix.numpy(), 44100, EXACT)
    assert list(got.stems) == SOURCES
    assert snr_db(expected, as_tensor(got.stems)) > 100


@pytest.mark.parametrize("save", [save_th, save_safetensors])
def test_a_weighted_bag_agrees_with_demucs(save: Callable[..., Path], tmp_path: Path) -> None:
    peers: list[Demucs | HDemucs | HTDemucs] = [tiny_htdemucs(seed=1), tiny_htdemucs(seed=2), tiny_htdemucs(seed=3)]
    weights = [[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.5], [0.0, 1.0, 1.0, 0.0]]
    for index, peer in enumerate(peers):
        save(peer, tmp_path, f"net{index}")
    save_bag(tmp_path, "bag", ["net0", "net1", "net2"], weights=weights)
    mix = music(3.7)
    got = Separator("bag", models_path=tmp_path, device="cpu").separate(mix.numpy(), 44100, EXACT)
    expected = peer_separation(BagOfModels(peers, weights), mix)
    assert snr_db(expected, as_tensor(got.stems)) > 100


def test_a_segment_and_an_overlap_of_ones_own_agree_with_demucs(tmp_path: Path) -> None:
    peer, mix = tiny_htdemucs(), music(4.1)
    options = SeparationOptions(precision="exact", segment=1, overlap=0.6)
    got = saved(peer, tmp_path).separate(mix.numpy(), 44100, options)
    assert snr_db(peer_separation(peer, mix, segment=1, overlap=0.6), as_tensor(got.stems)) > 100


def test_shifts_are_demucs_own_at_the_shifts_that_the_seed_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import random

    peer, mix = tiny_htdemucs(), music(3.1)
    options = SeparationOptions(precision="exact", shifts=2, seed=5)
    separator = saved(peer, tmp_path)
    got = separator.separate(mix.numpy(), 44100, options)
    chance = random.Random(5)
    monkeypatch.setattr("demucs.apply.random.randint", chance.randint)
    assert snr_db(peer_separation(peer, mix, shifts=2), as_tensor(got.stems)) > 100
    again = separator.separate(mix.numpy(), 44100, options)
    other = separator.separate(mix.numpy(), 44100, SeparationOptions(precision="exact", shifts=2, seed=6))
    assert np.array_equal(got.stems["bass"], again.stems["bass"])
    assert not np.array_equal(got.stems["bass"], other.stems["bass"])


def test_jobs_change_nothing_in_the_result(tmp_path: Path) -> None:
    separator, mix = saved(tiny_htdemucs(), tmp_path), music(6.0).numpy()
    one = separator.separate(mix, 44100, SeparationOptions(shifts=2))
    three = separator.separate(mix, 44100, SeparationOptions(shifts=2, jobs=3))
    assert snr_db(as_tensor(one.stems), as_tensor(three.stems)) > 120


def test_what_computes_side_by_side_is_counted_once(tmp_path: Path) -> None:
    separator, mix = saved(tiny_htdemucs(), tmp_path), music(6.0).numpy()
    seconds = separator.separate(mix, 44100, SeparationOptions(shifts=2, jobs=4)).report.seconds
    assert 0 < seconds["model"] <= seconds["total"]


@pytest.mark.parametrize("size", [10_000, 44_100, 400_000], ids=["small blocks", "one a second", "all at once"])
def test_it_makes_no_difference_in_which_blocks_a_mix_comes(size: int, tmp_path: Path) -> None:
    separator, mix = saved(tiny_htdemucs(), tmp_path), music(7.0).numpy()
    run = Run(separator.recipe(EXACT))
    got = np.concatenate(list(run.blocks(blocks_of(mix, size), MixStats.of(mix))), axis=-1)
    expected = separator.separate(mix, 44100, EXACT)
    assert all(np.array_equal(expected.stems[name], stem) for name, stem in zip(SOURCES, got, strict=True))
    assert run.outputs_meter.stems() == expected.report.stems


def test_a_recipe_is_resolved_once_and_serves_several_mixes(tmp_path: Path) -> None:
    separator, mixes = saved(tiny_htdemucs(), tmp_path), (music(1.0).numpy(), music(2.0, seed=2).numpy())
    options = SeparationOptions(precision="exact", two_stems="vocals")
    recipe = separator.recipe(options)
    assert separator.recipe(recipe) is recipe
    assert recipe.stems == ("vocals", "no_vocals")
    separator.load(recipe)
    for mix in mixes:
        one, other = separator.separate(mix, 44100, recipe), separator.separate(mix, 44100, options)
        assert all(np.array_equal(one.stems[name], other.stems[name]) for name in recipe.stems)


def test_a_network_that_has_no_say_is_not_even_loaded(tmp_path: Path) -> None:
    save_safetensors(tiny_htdemucs(), tmp_path, "good")
    save_safetensors(tiny_htdemucs(), tmp_path, "broken")
    save_bag(tmp_path, "ft", ["good", "broken"], weights=[[1, 1, 1, 0], [0, 0, 0, 1]])
    separator = Separator("ft", models_path=tmp_path, device="cpu")
    (broken := tmp_path / "broken.safetensors").write_bytes(broken.read_bytes()[:-1000])
    calls: list[int] = []
    result = separator.separate(
        music(2).numpy(),
        44100,
        SeparationOptions(stems=("bass",)),
        on_progress=lambda p: calls.append(p.segments_total),
    )
    assert list(result.stems) == ["bass"]
    assert calls == [2, 2]
    assert result.report.residual_db is None
    with pytest.raises(ModelError, match="damaged"):
        separator.separate(music(2).numpy(), 44100)


def test_the_report_names_the_weights_that_were_used_not_those_loaded_before(tmp_path: Path) -> None:
    files = [save_safetensors(tiny_htdemucs(seed=seed), tmp_path, f"net{seed}") for seed in (1, 2)]
    save_bag(tmp_path, "ft", ["net1", "net2"], weights=[[1, 1, 1, 0], [0, 0, 0, 1]])
    separator, mix = Separator("ft", models_path=tmp_path, device="cpu"), music(0.3).numpy()
    both = separator.separate(mix, 44100)
    one = separator.separate(mix, 44100, SeparationOptions(stems=("vocals",)))
    assert both.report.weights_sha256 == tuple(sha256_of(each) for each in files)
    assert one.report.weights_sha256 == (sha256_of(files[1]),)


def test_stems_go_to_paths_of_ones_own_and_each_needs_one(tmp_path: Path) -> None:
    separator, song = saved(tiny_htdemucs(), tmp_path), tmp_path / "song.wav"
    with open_writer(song, format="wav-float", sample_rate=44100, channels=2) as writer:
        writer.write(music(1.0).numpy())
    recipe = separator.recipe(SeparationOptions(two_stems="bass"))
    paths = {"no_bass": tmp_path / "rest/a.wav", "bass": tmp_path / "b.wav"}
    done = separator.separate_to(paths, song, recipe, OutputOptions(format="wav-float"))
    assert {each.stem: each.path for each in done.artifacts} == paths
    expected = separator.separate(music(1.0).numpy(), 44100, recipe).stems
    for stem, path in paths.items():
        with open_audio(path) as blocks:
            np.testing.assert_allclose(np.concatenate(list(blocks), axis=-1), expected[stem], atol=1e-6)
    with pytest.raises(OptionError, match="no path for bass"):
        separator.separate_to({"no_bass": tmp_path / "c.wav"}, song, recipe, OutputOptions())


@pytest.mark.parametrize(("method", "rest"), [("add", "no_vocals"), ("minus", "minus_vocals")])
def test_two_stems_are_one_stem_and_everything_else(method: str, rest: str, tmp_path: Path) -> None:
    separator, mix = saved(tiny_htdemucs(), tmp_path), music(2).numpy()
    full = separator.separate(mix, 44100).stems
    two = separator.separate(mix, 44100, SeparationOptions(two_stems="vocals", other_method=method)).stems  # type: ignore[arg-type]
    assert list(two) == ["vocals", rest]
    assert np.array_equal(two["vocals"], full["vocals"])
    expected = full["drums"] + full["bass"] + full["other"] if method == "add" else mix - full["vocals"]
    np.testing.assert_allclose(two[rest], expected, atol=1e-5)


def test_the_same_mix_gives_the_same_bytes_and_is_not_changed(tmp_path: Path) -> None:
    separator, mix = saved(tiny_htdemucs(), tmp_path), music(2).numpy()
    kept = mix.copy()
    first, second = separator.separate(mix, 44100), separator.separate(mix, 44100)
    assert all(np.array_equal(first.stems[name], second.stems[name]) for name in SOURCES)
    assert np.array_equal(mix, kept)


@pytest.mark.parametrize(("rate", "samples"), [(48000, 48000), (22050, 30001), (37800, 12345)])
def test_another_rate_is_converted_to_the_models(rate: int, samples: int, tmp_path: Path) -> None:
    mix = music(samples / rate, sample_rate=rate)[:, :samples].numpy()
    result = saved(tiny_htdemucs(), tmp_path).separate(mix, rate)
    assert result.sample_rate == 44100
    assert result.stems["drums"].shape == (2, resampled_length(mix.shape[-1], rate, 44100))


def test_mono_becomes_stereo(tmp_path: Path) -> None:
    mono = music(1).numpy()[0]
    separator = saved(tiny_htdemucs(), tmp_path)
    expected = separator.separate(np.stack([mono, mono]), 44100).stems["other"]
    assert np.array_equal(separator.separate(mono, 44100).stems["other"], expected)


@pytest.mark.parametrize(
    "mix",
    [np.zeros((2, 5000)), np.full((2, 5000), 0.3), np.ones((2, 1)), music(0.05).numpy(), 3 * music(0.5).numpy()],
    ids=["silence", "constant", "one sample", "50 ms", "beyond full scale"],
)
def test_unusual_mixes_separate_to_finite_stems_of_their_length(mix: np.ndarray, tmp_path: Path) -> None:
    result = saved(tiny_htdemucs(), tmp_path).separate(mix, 44100)
    for stem in result.stems.values():
        assert stem.shape == mix.shape
        assert np.isfinite(stem).all()


@pytest.mark.parametrize(
    ("mix", "code"),
    [
        (np.zeros((2, 0)), "no_samples"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), "non_finite"),
        (np.array([[0.0, np.inf], [0.0, 0.0]]), "non_finite"),
        (np.zeros((3, 100)), "bad_channels"),
        (np.zeros((1, 2, 100)), "bad_shape"),
    ],
)
def test_an_array_that_is_no_mix_is_refused(mix: np.ndarray, code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        saved(tiny_htdemucs(), tmp_path).separate(mix, 44100)
    assert caught.value.code == code


def test_a_device_that_is_not_there_is_said_and_not_tried_again() -> None:
    with pytest.raises(DeviceError, match="no device 'cuda:99' here") as caught:
        Separator("pocket", device="cuda:99")
    assert (caught.value.code, caught.value.retryable) == ("device_missing", False)
    assert DeviceError("out of memory").retryable


def test_progress_counts_segments_and_ends_at_all_of_them(tmp_path: Path) -> None:
    seen: list[Progress] = []
    saved(tiny_htdemucs(), tmp_path).separate(music(6).numpy(), 44100, on_progress=seen.append)
    assert [each.segments_done for each in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].fraction == 1
    assert seen[-1].remaining == 0
    assert all(a.elapsed <= b.elapsed for a, b in pairwise(seen))


def test_a_cancel_takes_effect_before_the_next_segment(tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(Canceled):
        saved(tiny_htdemucs(), tmp_path).separate(
            music(8).numpy(),
            44100,
            on_progress=lambda p: done.append(p.segments_done),
            should_stop=lambda: len(done) == 2,
        )
    assert done == [1, 2]


def test_the_report_names_what_was_done(tmp_path: Path) -> None:
    mix = music(3).numpy()
    result = saved(tiny_htdemucs(), tmp_path).separate(mix, 44100, EXACT)
    report = result.report
    assert (report.samples, report.sample_rate, report.model) == (mix.shape[-1], 44100, "abc")
    assert report.weights_sha256 == (sha256_of(tmp_path / "abc.safetensors"),)
    assert (report.device, report.precision) == ("cpu", "fp32")
    total = sum(result.stems.values())
    expected = 10 * np.log10(np.square(mix - total).sum() / np.square(mix).sum())
    assert report.residual_db == pytest.approx(expected, abs=0.01)
    assert report.stems["bass"].peak == pytest.approx(np.abs(result.stems["bass"]).max())
    assert {"load", "model", "total"} <= set(report.seconds)


def test_weights_that_give_no_numbers_are_an_error_and_not_a_result(tmp_path: Path) -> None:
    peer = tiny_htdemucs()
    peer.get_parameter("decoder.3.conv_tr.bias").data[:] = float("nan")
    with pytest.raises(ModelError, match="not numbers") as caught:
        saved(peer, tmp_path).separate(music(1).numpy(), 44100)
    assert caught.value.code == "non_finite_output"


def test_a_stem_that_the_model_lacks_and_a_segment_that_is_too_long_are_refused(tmp_path: Path) -> None:
    separator = saved(tiny_htdemucs(), tmp_path)
    with pytest.raises(OptionError, match="no stem 'piano': it has drums, bass, other, vocals"):
        separator.separate(music(1).numpy(), 44100, SeparationOptions(stems=("piano",)))
    with pytest.raises(OptionError, match=r"longer than the 1\.5 s"):
        separator.separate(music(1).numpy(), 44100, SeparationOptions(segment=2))
