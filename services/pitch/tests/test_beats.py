"""Tempo and beats of clicks at tempi that are drawn, and of nothing."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from drawn_sounds import RATE, clicks, noise, tone

from stemwright_pitch.beats import METRES, NOTHING, Pulse, track
from stemwright_pitch.onsets import onsets


def found(sound: np.ndarray, metres: tuple[int, ...] = METRES) -> Pulse:
    return track(onsets(sound.astype(np.float32)), metres=metres)


@pytest.mark.parametrize("seed", range(8))
def test_clicks_are_counted_at_their_tempo(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tempo, first = float(rng.uniform(70, 170)), float(rng.uniform(0.1, 0.5))
    times = np.arange(first, 25, 60 / tempo)
    pulse = found(clicks(times, 26, rng) + noise(26, rng))
    assert pulse.tempo == pytest.approx(tempo, rel=0.01)
    assert (
        mir_eval.beat.f_measure(times, np.array([beat.time for beat in pulse.beats]), f_measure_threshold=0.03) > 0.98
    )
    assert 0.5 < pulse.tempo_confidence <= 1


@pytest.mark.parametrize(("metre", "seed"), [(4, 1), (3, 2), (4, 3), (3, 4)])
def test_bars_begin_where_the_accents_are(metre: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tempo, shift = float(rng.uniform(80, 140)), int(rng.integers(metre))
    times = np.arange(0.2, 25, 60 / tempo)
    accents = [(number - shift) % metre == 0 for number in range(len(times))]
    pulse = found(clicks(times, 26, rng, accents=accents) + noise(26, rng))
    assert pulse.beats_per_bar == metre
    downbeats = np.array([beat.time for beat in pulse.downbeats])
    truth = np.array([time for time, accent in zip(times, accents, strict=True) if accent])
    assert mir_eval.beat.f_measure(truth, downbeats) > 0.95


def test_a_tempo_that_drifts_is_followed() -> None:
    rng = np.random.default_rng(5)
    gaps: np.ndarray = 60 / np.linspace(100, 112, 60)
    times = 0.3 + np.concatenate([[0], np.cumsum(gaps)])
    pulse = found(clicks(times, times[-1] + 1, rng) + noise(times[-1] + 1, rng))
    assert mir_eval.beat.f_measure(times, np.array([beat.time for beat in pulse.beats])) > 0.95


def test_a_metre_that_is_named_is_kept() -> None:
    rng = np.random.default_rng(6)
    times = np.arange(0.2, 25, 0.45)
    accents = [number % 5 == 0 for number in range(len(times))]
    pulse = found(clicks(times, 26, rng, accents=accents), metres=(5,))
    assert pulse.beats_per_bar == 5
    truth = times[::5]
    assert mir_eval.beat.f_measure(truth, np.array([beat.time for beat in pulse.downbeats])) > 0.95


def test_nothing_to_count_is_no_tempo() -> None:
    rng = np.random.default_rng(0)
    assert found(np.zeros(20 * RATE)) == NOTHING
    assert found(noise(20, rng, -20)) == NOTHING
    assert found(tone(np.full(20 * RATE, 220.0), "saw", rng)) == NOTHING
    assert found(np.zeros(100)) == NOTHING
    assert found(clicks([0.5], 20, rng)).tempo is None  # one stroke is no pulse
