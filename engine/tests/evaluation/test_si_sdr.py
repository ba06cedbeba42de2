import math

import numpy as np
import pytest

from stemwright.errors import InputError
from stemwright.evaluation import si_sdr


def noise(seed: int, channels: int = 2, samples: int = 30_000) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)


def by_definition(reference: np.ndarray, estimate: np.ndarray) -> float:
    s, e = reference.astype(np.float64).ravel(), estimate.astype(np.float64).ravel()
    target = (e @ s) / (s @ s) * s
    return float(10 * np.log10(np.sum(target**2) / np.sum((target - e) ** 2)))


@pytest.mark.parametrize("noise_gain", [3.0, 1.0, 1e-1, 1e-4])
@pytest.mark.parametrize("scale", [1.0, 0.2, -0.7])
def test_si_sdr_is_the_formula_of_le_roux_et_al(noise_gain: float, scale: float) -> None:
    reference = noise(1)
    estimate = scale * (reference + noise_gain * noise(2))
    assert si_sdr(reference, estimate) == pytest.approx(by_definition(reference, estimate), abs=1e-4)


def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_the_energies() -> None:
    reference = np.array([[1.0, 0.0, 1.0, 0.0]])
    estimate = reference + np.array([[0.0, 0.1, 0.0, 0.1]])
    assert si_sdr(reference, estimate) == pytest.approx(20.0)


def test_si_sdr_ignores_the_scale_of_an_estimate() -> None:
    reference = noise(3)
    estimate = reference + 0.3 * noise(4)
    assert si_sdr(reference, 0.01 * estimate) == pytest.approx(si_sdr(reference, estimate), abs=1e-4)


def test_si_sdr_counts_a_shifted_balance_as_an_error() -> None:
    reference = noise(5)
    panned = reference * np.array([[1.0], [0.5]], dtype=np.float32)
    assert si_sdr(reference, panned) < 15


def test_si_sdr_of_a_long_signal_is_the_formula_over_all_of_it() -> None:
    reference = noise(6, samples=600_001)
    estimate = reference + noise(7, samples=600_001)
    assert si_sdr(reference, estimate) == pytest.approx(by_definition(reference, estimate), abs=1e-6)


def test_si_sdr_of_the_reference_itself_is_infinite() -> None:
    assert si_sdr(noise(8), noise(8)) == math.inf


def test_si_sdr_of_a_scaled_reference_is_beyond_what_audio_can_show() -> None:
    reference = noise(9)
    assert si_sdr(reference, 0.3 * reference) > 130


def test_si_sdr_of_a_silent_estimate_is_minus_infinity() -> None:
    assert si_sdr(noise(10), np.zeros_like(noise(10))) == -math.inf


def test_si_sdr_against_a_silent_reference_is_undefined() -> None:
    assert math.isnan(si_sdr(np.zeros_like(noise(11)), noise(11)))


def test_si_sdr_refuses_two_shapes() -> None:
    with pytest.raises(InputError, match=r"\(2, 30000\) and \(2, 9\)"):
        si_sdr(noise(12), noise(12)[:, :9])


def test_si_sdr_leaves_the_arrays_of_the_caller_alone() -> None:
    reference, estimate = noise(13), noise(14)
    kept = reference.copy(), estimate.copy()
    si_sdr(reference, estimate)
    assert np.array_equal(reference, kept[0])
    assert np.array_equal(estimate, kept[1])
