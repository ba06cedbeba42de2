"""Our framewise SDR against museval's own code, filters and all."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from stemwright.errors import InputError
from stemwright.evaluation.frames import StemScore, framewise_sdr, measure_stem, score

RATE = 4000  # samples in a frame: the definition knows no rate, and museval is slow


@pytest.fixture(scope="module")
def museval() -> ModuleType:
    """museval's metrics module alone: the package around it wants musdb, pandas and ffmpeg for nothing here."""
    package = importlib.util.find_spec("museval")
    assert package is not None, "pip install --no-deps museval==0.4.1 scipy"
    path = Path(str(package.origin)).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference_sdr(museval: ModuleType, references: np.ndarray, estimates: np.ndarray, frame: int) -> np.ndarray:
    sdr, *_ = museval.bss_eval(
        references.transpose(0, 2, 1).astype(np.float64),
        estimates.transpose(0, 2, 1).astype(np.float64),
        window=frame,
        hop=frame,
        compute_permutation=False,
        framewise_filters=False,
        bsseval_sources_version=False,
    )
    return np.asarray(sdr)


def song(seed: int, *, stems: int = 2, channels: int = 2, samples: int = 5 * RATE + 1234) -> np.ndarray:
    """Coloured noises whose level changes: stems with a spectrum and dynamics of their own."""
    random = np.random.default_rng(seed)
    white = random.standard_normal((stems, channels, samples))
    coloured = np.stack([np.apply_along_axis(np.convolve, -1, w, random.standard_normal(9), "same") for w in white])
    level = np.interp(np.arange(samples), np.linspace(0, samples, 12), random.uniform(0.05, 1, 12))
    return (0.1 * coloured * level).astype(np.float32)


def leaky(references: np.ndarray, seed: int, leak: float = 0.2) -> np.ndarray:
    """What a separator does: bleeding of the other stems, a filtered stem, noise."""
    others = references.sum(axis=0, keepdims=True) - references
    dulled = np.apply_along_axis(np.convolve, -1, references, np.array([0.3, 0.5, 0.2]), "same")
    noise = np.random.default_rng(seed).standard_normal(references.shape)
    return np.asarray(dulled + leak * others + 0.01 * noise, dtype=np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [5 * RATE + 1234, 3 * RATE, RATE, RATE - 700])
def test_framewise_sdr_is_that_of_museval(museval: ModuleType, channels: int, samples: int) -> None:
    references = song(1, channels=channels, samples=samples)
    estimates = leaky(references, 2)
    ours = framewise_sdr(references, estimates, RATE)
    theirs = reference_sdr(museval, references, estimates, RATE)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


def test_framewise_sdr_is_that_of_museval_for_an_estimate_moved_in_time(museval: ModuleType) -> None:
    """A filter of 512 taps could undo the move, so this is where cancelling filters would show if they did not."""
    references = song(3)
    estimates = np.roll(references, 40, axis=-1)
    np.testing.assert_allclose(
        framewise_sdr(references, estimates, RATE), reference_sdr(museval, references, estimates, RATE), atol=1e-8
    )


def test_a_frame_with_a_silent_reference_or_estimate_counts_for_no_stem_as_in_museval(museval: ModuleType) -> None:
    references = song(4, stems=3)
    estimates = leaky(references, 5)
    references[0, :, RATE : 2 * RATE] = 0
    estimates[2, :, 3 * RATE : 4 * RATE] = 0
    estimates[1, 1, :RATE] = -estimates[1, 0, :RATE]  # sums to nothing: museval calls that silent
    ours = framewise_sdr(references, estimates, RATE)
    np.testing.assert_allclose(ours, reference_sdr(museval, references, estimates, RATE), atol=1e-8)
    assert np.isnan(ours).all(axis=0).tolist() == [True, True, False, True, False]


def scores(references: np.ndarray, estimates: np.ndarray) -> list[StemScore]:
    starts = range(0, references.shape[-1], RATE)
    stems = {
        str(i): measure_stem(((r[:, s : s + RATE], e[:, s : s + RATE]) for s in starts), RATE)
        for i, (r, e) in enumerate(zip(references, estimates, strict=True))
    }
    return list(score(stems).values())


def test_the_sdr_of_a_stem_is_the_median_of_the_frames_that_count(museval: ModuleType) -> None:
    references = song(6)
    estimates = leaky(references, 7)
    references[1, :, :RATE] = 0
    expected = np.nanmedian(reference_sdr(museval, references, estimates, RATE), axis=1)
    found = scores(references, estimates)
    np.testing.assert_allclose([s.sdr for s in found], expected, atol=1e-8)
    assert [s.frames for s in found] == [4, 4]


def test_a_perfect_estimate_has_no_error_to_measure() -> None:
    references = song(8)
    for stem in scores(references, references):
        assert stem.sdr == math.inf
        assert stem.si_sdr == math.inf
        assert stem.usdr > 80


def test_a_scaled_estimate_is_perfect_only_for_si_sdr() -> None:
    references = song(9)
    for stem in scores(references, 0.5 * references):
        assert stem.sdr == pytest.approx(20 * math.log10(2), abs=1e-6)
        assert stem.usdr == pytest.approx(20 * math.log10(2), abs=1e-4)
        assert stem.si_sdr > 130


def test_a_stem_that_is_silent_throughout_is_undefined_and_leaves_the_others_measured() -> None:
    references = song(10, stems=3)
    estimates = leaky(references, 11)
    alone = scores(references[:2], estimates[:2])
    references[2] = 0
    first, second, silent = scores(references, estimates)
    assert [first.sdr, second.sdr] == [s.sdr for s in alone]
    assert math.isnan(silent.sdr)
    assert math.isnan(silent.si_sdr)
    assert silent.frames == 0


def test_utterance_sdr_is_the_formula_of_the_challenge() -> None:
    references = song(12)
    estimates = leaky(references, 13)
    s, e = references.astype(np.float64), estimates.astype(np.float64)
    expected = 10 * np.log10(((s**2).sum((1, 2)) + 1e-7) / (((s - e) ** 2).sum((1, 2)) + 1e-7))
    np.testing.assert_allclose([x.usdr for x in scores(references, estimates)], expected, atol=1e-9)


def test_framewise_sdr_refuses_two_shapes() -> None:
    with pytest.raises(InputError, match="differ in shape"):
        framewise_sdr(song(14), song(14)[:, :1], RATE)
