"""The cases of EBU Tech 3341 and 3342, made here: sines of known level."""

from __future__ import annotations

import numpy as np
import pytest

from stemwright_pitch.loudness import Loudness, LoudnessMeter


def sine(db: float, seconds: float, rate: int, hz: float = 1000.0, phase: float = 0.0) -> np.ndarray:
    at = np.arange(round(seconds * rate)) / rate
    return np.tile(10 ** (db / 20) * np.sin(2 * np.pi * hz * at + phase), (2, 1)).astype(np.float32)


def measured(parts: list[tuple[float, float]], rate: int = 48000, size: int = 9973) -> Loudness:
    samples = np.concatenate([sine(db, seconds, rate) for db, seconds in parts], axis=1)
    meter = LoudnessMeter(rate, 2)
    for start in range(0, samples.shape[1], size):  # of any length
        meter.add(samples[:, start : start + size])
    return meter.result()


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("db", [-23.0, -33.0])
def test_a_steady_sine_has_the_loudness_of_its_level_at_every_rate(rate: int, db: float) -> None:
    found = measured([(db, 10)], rate)
    assert found.integrated == pytest.approx(db, abs=0.1)
    assert found.momentary_max == pytest.approx(db, abs=0.1)
    assert found.short_term_max == pytest.approx(db, abs=0.1)


@pytest.mark.parametrize(
    "parts",
    [
        [(-36, 10), (-23, 60), (-36, 10)],
        [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
        [(-26, 20), (-20, 20.1), (-26, 20)],
    ],
)
def test_quiet_parts_do_not_count(parts: list[tuple[float, float]]) -> None:
    assert measured(parts).integrated == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-20, 20), (-30, 20)], 10),
        ([(-20, 20), (-15, 20)], 5),
        ([(-40, 20), (-20, 20)], 20),
        ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
    ],
)
def test_the_range_is_that_of_the_cases_of_ebu_tech_3342(parts: list[tuple[float, float]], expected: float) -> None:
    assert measured(parts).range == pytest.approx(expected, abs=1)


def test_the_true_peak_lies_between_the_samples() -> None:
    samples = sine(-6.0, 1, 48000, hz=12000, phase=np.pi / 4)  # no sample is near a peak: they read -9 dB
    meter = LoudnessMeter(48000, 2)
    meter.add(samples)
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-9.0, abs=0.1)
    assert meter.result().true_peak == pytest.approx(-6.0, abs=0.3)


def test_silence_and_next_to_nothing_have_no_loudness() -> None:
    for samples in (np.zeros((1, 48000), np.float32), np.zeros((1, 3), np.float32)):
        meter = LoudnessMeter(48000, 1)
        meter.add(samples)
        found = meter.result()
        assert (found.integrated, found.range, found.momentary_max, found.true_peak) == (None, None, None, None)
