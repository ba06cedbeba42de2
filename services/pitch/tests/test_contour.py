"""The pitch of voices whose pitch is known at every moment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from drawn_sounds import RATE, TIMBRES, midi_hz, noise, tone

from stemwright_pitch.analysis import Networks
from stemwright_pitch.contour import HOP, NETWORK_RATE, contour, pieces

SEEDS = range(6)
Line = Callable[[np.random.Generator, int], np.ndarray]


def glissando(rng: np.random.Generator, count: int) -> np.ndarray:
    first, last = rng.uniform(90, 1200, 2)
    return np.geomspace(float(first), float(last), count)


def vibrato(rng: np.random.Generator, count: int) -> np.ndarray:
    at = np.arange(count) / RATE
    return rng.uniform(110, 800) * 2 ** (rng.uniform(20, 100) / 1200 * np.sin(2 * np.pi * rng.uniform(4, 7) * at))


def steps(rng: np.random.Generator, count: int) -> np.ndarray:
    pitches = rng.integers(48, 84, 12)
    return np.array([midi_hz(pitch) for pitch in np.repeat(pitches, count // 12 + 1)[:count]])


def errors(hz: np.ndarray, timbre: str, rng: np.random.Generator, networks: Networks) -> tuple[np.ndarray, float]:
    """Cents of every voiced frame that is not at a leap, and the share of frames that are voiced."""
    count = len(hz)
    sound = tone(hz, timbre, rng) + 10 ** (-rng.uniform(35, 60) / 20) * 0.3 * rng.standard_normal(count)
    found = contour(sound.astype(np.float32), networks.pitch, lambda: None)
    at = np.arange(count) / RATE
    truth = np.interp(found.times, at, hz)
    before, after = (np.interp(found.times + shift, at, hz) for shift in (-0.04, 0.04))
    still = np.abs(np.log2(before / after)) < 0.5 / 12
    return 1200 * np.log2(found.hz / truth)[found.voiced & still], float(found.voiced.mean())


@pytest.mark.parametrize("line", [glissando, vibrato, steps])
def test_a_voice_is_followed_to_a_few_cents_and_in_its_octave(line: Line, networks: Networks) -> None:
    cents, heard = [], []
    for seed, timbre in zip(SEEDS, TIMBRES, strict=True):
        rng = np.random.default_rng([seed, len(line.__name__)])
        found, share = errors(line(rng, round(rng.uniform(3, 5) * RATE)), timbre, rng, networks)
        cents.append(found)
        heard.append(share)
    all_cents = np.abs(np.concatenate(cents))
    gross = all_cents > 200
    assert np.median(all_cents) < 3
    assert np.percentile(all_cents[~gross], 95) < 9
    assert gross.mean() < 0.003  # octave errors and the like
    assert np.mean(heard) > 0.93


def test_the_second_opinion_corrects_partials_that_the_network_takes_for_the_pitch(networks: Networks) -> None:
    """Without it the network alone errs on these: a bright voice is heard three to five times as high."""
    wrong_alone = wrong = total = 0
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        hz = steps(rng, 4 * RATE)
        sound = tone(hz, ("square", "bright")[seed % 2], rng).astype(np.float32)
        found = contour(sound, networks.pitch, lambda: None)
        audio = soxr.resample(sound, RATE, NETWORK_RATE)
        limits = {"fmin": np.array(46.875, np.float32), "fmax": np.array(2093.75, np.float32)}
        alone, sure = (
            each[0] for each in networks.pitch.run(["pitch", "confidence"], {"audio": audio[None], **limits})
        )
        frames = min(len(alone), len(found.hz))
        truth, before, after = (
            np.interp(found.times[:frames] + shift, np.arange(len(hz)) / RATE, hz) for shift in (0, -0.04, 0.04)
        )
        both = (before == after) & found.voiced[:frames] & (sure[:frames] >= 0.5)
        wrong_alone += int((np.abs(np.log2(alone[:frames] / truth)) > 0.5)[both].sum())
        wrong += int((np.abs(np.log2(found.hz[:frames] / truth)) > 0.5)[both].sum())
        total += int(both.sum())
    assert wrong_alone > 10
    assert wrong <= wrong_alone / 4
    assert wrong < 0.005 * total


@pytest.mark.parametrize("seconds", [0.01, 0.5, 31.7])
def test_silence_has_no_pitch_however_long_it_is(seconds: float, networks: Networks) -> None:
    called = []
    samples = np.zeros(round(seconds * RATE), np.float32)
    found = contour(samples, networks.pitch, lambda: called.append(1))
    assert not found.voiced.any()
    assert len(called) == pieces(len(samples))
    assert len(found.hz) == pytest.approx(max(1, seconds * NETWORK_RATE / HOP), abs=1)


def test_noise_has_hardly_a_pitch(networks: Networks) -> None:
    found = contour(noise(20, np.random.default_rng(3), -20).astype(np.float32), networks.pitch, lambda: None)
    assert found.voiced.mean() < 0.005


def test_a_long_voice_reads_the_same_in_pieces_as_at_once(networks: Networks) -> None:
    """Windows of 30 s join without a seam."""
    rng = np.random.default_rng(9)
    hz = vibrato(rng, 33 * RATE)
    cents = 1200 * np.abs(
        np.log2(
            (found := contour(tone(hz, "saw", rng).astype(np.float32), networks.pitch, lambda: None)).hz
            / np.interp(found.times, np.arange(len(hz)) / RATE, hz)
        )
    )
    seam = (found.times > 29.5) & (found.times < 30.5)
    assert found.voiced[seam].all()
    assert cents[seam].max() < 15


def test_only_what_is_between_the_limits_is_heard(networks: Networks) -> None:
    rng = np.random.default_rng(4)
    sound = np.concatenate([tone(np.full(RATE * 2, hz), "flute", rng) for hz in (150.0, 600.0)]).astype(np.float32)
    found = contour(sound, networks.pitch, lambda: None, lowest=400.0)
    assert not found.voiced[found.times < 1.9].any()
    assert found.voiced[(found.times > 2.2) & (found.times < 3.8)].mean() > 0.9
