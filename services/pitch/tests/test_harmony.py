"""Chords and keys of progressions that are drawn at test time."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from drawn_sounds import RATE, noise, played

from stemwright_pitch.analysis import Networks
from stemwright_pitch.harmony import NAMES, NO_CHORD, QUALITIES, Chord, Key, chords, chroma, key
from stemwright_pitch.notes import FRAME, activations
from stemwright_pitch.tuning import tuning

MAJOR = {0: "maj", 2: "min", 4: "min", 5: "maj", 7: "maj", 9: "min"}
MINOR = {0: "min", 3: "maj", 5: "min", 7: "min", 8: "maj", 10: "maj"}
LOOPS = {"major": ((0, 7, 9, 5), (0, 9, 5, 7), (0, 5, 7, 5)), "minor": ((0, 8, 3, 10), (0, 5, 7, 0), (0, 10, 8, 10))}
Progression = list[tuple[float, float, str]]


def progression(rng: np.random.Generator, mode: str, bars: int = 8, beat: float = 0.5) -> tuple[int, Progression]:
    """A tonic and chords of two seconds each."""
    tonic = int(rng.integers(12))
    loop = LOOPS[mode][int(rng.integers(3))]
    kinds = MAJOR if mode == "major" else MINOR
    degrees = [loop[bar % 4] for bar in range(bars)]
    return tonic, [
        (bar * 4 * beat, (bar + 1) * 4 * beat, f"{NAMES[(tonic + degree) % 12]}:{kinds[degree]}")
        for bar, degree in enumerate(degrees)
    ]


def sound_of(given: Progression, rng: np.random.Generator) -> np.ndarray:
    """A bass on the root, and the chord struck on each beat in a position that is drawn."""
    notes = []
    for start, end, name in given:
        root, quality = name.split(":")
        tones = [NAMES.index(root) + step for step in QUALITIES[quality]]
        turn = int(rng.integers(len(tones)))
        voicing = [60 + (each % 12) for each in tones[turn:] + tones[:turn]]
        for at in np.arange(start, end - 0.1, 0.5):
            notes += [(at, at + 0.48, pitch) for pitch in voicing]
        notes.append((start, end - 0.05, 36 + NAMES.index(root)))
    sound = played(notes, given[-1][1] + 0.5, "flute", rng, decay=1.0)
    return np.asarray((0.5 * sound / np.abs(sound).max() + noise(given[-1][1] + 0.5, rng)).astype(np.float32))


def heard(sound: np.ndarray, networks: Networks) -> tuple[list[Chord], Key | None]:
    given = chroma(activations(sound, networks.notes, lambda: None))
    seconds = len(sound) / RATE
    found = chords(given, np.arange(0.5, seconds, 0.5), seconds)
    return found, key(given, found)


def overlap(truth: Progression, found: list[Chord]) -> float:
    """Share of the time in which the chord is right, as MIREX counts major, minor and sevenths."""
    intervals = np.array([(start, end) for start, end, _ in truth])
    theirs, names = mir_eval.util.adjust_intervals(
        np.array([(each.start, each.end) for each in found]),
        [each.name for each in found],
        0,
        intervals[-1, 1],
        NO_CHORD,
        NO_CHORD,
    )
    merged, ours, their = mir_eval.util.merge_labeled_intervals(intervals, [name for *_, name in truth], theirs, names)
    return float(
        mir_eval.chord.weighted_accuracy(
            mir_eval.chord.sevenths(ours, their), mir_eval.util.intervals_to_durations(merged)
        )
    )


def test_chords_and_keys_of_progressions_are_found(networks: Networks) -> None:
    overlaps, keys = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mode = ("major", "minor")[seed % 2]
        tonic, truth = progression(rng, mode)
        found, tonality = heard(sound_of(truth, rng), networks)
        overlaps.append(overlap(truth, found))
        keys.append(tonality is not None and (tonality.tonic, tonality.mode) == (NAMES[tonic], mode))
    assert np.mean(overlaps) > 0.85
    assert sum(keys) >= 7


def test_sevenths_are_told_from_triads(networks: Networks) -> None:
    rng = np.random.default_rng(11)
    roots = rng.permutation(12)[:6]
    truth = [(2.0 * k, 2.0 * k + 2, f"{NAMES[root]}:{('7', 'min7', 'maj')[k % 3]}") for k, root in enumerate(roots)]
    assert overlap(truth, heard(sound_of(truth, rng), networks)[0]) > 0.8


def test_chords_cover_the_whole_without_a_gap(networks: Networks) -> None:
    rng = np.random.default_rng(1)
    _, truth = progression(rng, "major", bars=3)
    found, _ = heard(sound_of(truth, rng), networks)
    assert found[0].start == 0
    assert [each.end for each in found[:-1]] == [each.start for each in found[1:]]
    assert all(0 <= each.confidence <= 1 for each in found)


def test_silence_has_no_chord_and_no_key_and_noise_none_either(networks: Networks) -> None:
    found, tonality = heard(np.zeros(5 * RATE, np.float32), networks)
    assert {each.name for each in found} == {NO_CHORD}
    assert tonality is None
    found, tonality = heard(noise(15, np.random.default_rng(2), -20).astype(np.float32), networks)
    assert {each.name for each in found} == {NO_CHORD}
    assert tonality is None
    assert tuning(np.zeros(5 * RATE, np.float32)) is None


@pytest.mark.parametrize("cents", [-38.0, -12.0, 0.0, 23.0, 41.0])
def test_the_tuning_is_measured(cents: float) -> None:
    rng = np.random.default_rng(int(cents) + 100)
    pitches = [(k * 0.5, k * 0.5 + 0.48, int(pitch)) for k, pitch in enumerate(rng.integers(55, 80, 16))]
    sound = played(pitches, 8.5, "flute", rng)
    stretched = np.interp(np.arange(0, len(sound), 2 ** (cents / 1200)), np.arange(len(sound)), sound).astype(
        np.float32
    )
    found = tuning(stretched)
    assert found is not None
    assert found.cents == pytest.approx(cents, abs=3)


def test_a_chord_lasts_for_as_long_as_it_sounds(networks: Networks) -> None:
    """The frames of the network are as long as it is said."""
    sound = np.zeros(10 * RATE, np.float32)
    assert len(activations(sound, networks.notes, lambda: None).sounds) * FRAME == pytest.approx(10, abs=FRAME)
