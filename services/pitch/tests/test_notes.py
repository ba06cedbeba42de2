"""Notes of melodies and chords that are drawn at test time."""

from __future__ import annotations

from unittest.mock import Mock

import mir_eval
import numpy as np
import pytest
from drawn_sounds import RATE, midi_hz, noise, played

from stemwright_pitch.analysis import Networks
from stemwright_pitch.contour import contour
from stemwright_pitch.notes import Note, NoteOptions, activations, notes, windows
from stemwright_pitch.single import of_one_voice

Truth = list[tuple[float, float, int]]


def melody(count: int, rng: np.random.Generator) -> Truth:
    at, pitch, found = float(rng.uniform(0.2, 0.6)), int(rng.integers(55, 75)), []
    for _ in range(count):
        length = float(rng.choice([0.15, 0.25, 0.3, 0.5, 0.75]))
        pitch = int(np.clip(pitch + rng.integers(-7, 8), 48, 84))
        found.append((at, at + length * float(rng.uniform(0.8, 0.98)), pitch))
        at += length + (0.3 if rng.random() < 0.15 else 0)
    return found


def triads(count: int, rng: np.random.Generator) -> Truth:
    return [
        (0.5 + k, 0.5 + k + 0.9, root + step)
        for k, root in enumerate(rng.integers(50, 65, count))
        for step in (0, 3 + int(rng.integers(2)), 7)
    ]


def read(truth: Truth, timbre: str, rng: np.random.Generator, networks: Networks, *, alone: bool) -> list[Note]:
    seconds = max(end for _, end, _ in truth) + 0.7
    sound = (played(truth, seconds, timbre, rng, decay=2.0 if timbre == "saw" else 0.0) + noise(seconds, rng)).astype(
        np.float32
    )
    found = notes(activations(sound, networks.notes, lambda: None), NoteOptions())
    return of_one_voice(found, contour(sound, networks.pitch, lambda: None)) if alone else found


def f1(truth: Truth, found: list[Note]) -> float:
    """Onset within 50 ms and the pitch right: the field's usual measure."""
    intervals = np.array([(start, end) for start, end, _ in truth])
    theirs = np.array([(note.start, note.end) for note in found]).reshape(-1, 2)
    hz, their_hz = (
        np.array([midi_hz(pitch) for pitch in each]) for each in ([p for *_, p in truth], [n.pitch for n in found])
    )
    return float(
        mir_eval.transcription.precision_recall_f1_overlap(intervals, hz, theirs, their_hz, offset_ratio=None)[2]
    )


def test_melodies_are_written_down(networks: Networks) -> None:
    scores = []
    for seed, timbre in enumerate(("saw", "square", "flute", "bright", "saw", "flute")):
        rng = np.random.default_rng(40 + seed)
        truth = melody(24, rng)
        scores.append(f1(truth, read(truth, timbre, rng, networks, alone=True)))
    assert np.mean(scores) > 0.97
    assert min(scores) > 0.9


def test_notes_begin_and_end_when_they_are_played(networks: Networks) -> None:
    rng = np.random.default_rng(2)
    truth = melody(24, rng)
    found = read(truth, "square", rng, networks, alone=True)
    pairs = [(each, min(found, key=lambda note: abs(note.start - each[0]) + (note.pitch != each[2]))) for each in truth]
    assert np.abs(np.median([note.start - start for (start, _, _), note in pairs])) < 0.012
    assert np.abs(np.median([note.end - end for (_, end, _), note in pairs])) < 0.04


def test_chords_are_written_down(networks: Networks) -> None:
    scores = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = triads(8, rng)
        scores.append(f1(truth, read(truth, "saw", rng, networks, alone=False)))
    assert np.mean(scores) > 0.85


def test_nothing_is_written_for_silence_and_noise(networks: Networks) -> None:
    for seconds in (0.01, 3.3, 20.0):
        samples = np.zeros(round(seconds * RATE), np.float32)
        step = Mock()
        assert notes(activations(samples, networks.notes, step), NoteOptions()) == []
        assert step.call_count == windows(len(samples))
    for seed in range(3):
        sound = noise(20, np.random.default_rng(seed), -20).astype(np.float32)
        assert notes(activations(sound, networks.notes, lambda: None), NoteOptions()) == []


@pytest.mark.parametrize("bad", [12, -12, 19])
def test_a_partial_of_the_voice_is_left_out_and_what_is_sung_stays(bad: int, networks: Networks) -> None:
    rng = np.random.default_rng(1)
    truth = [(0.2, 1.2, 60), (1.3, 2.3, 64)]
    line = contour(played(truth, 3, "flute", rng).astype(np.float32), networks.pitch, lambda: None)
    sung = [Note(start=start, end=end, pitch=pitch, confidence=0.8) for start, end, pitch in truth]
    stray = Note(start=0.6, end=0.7, pitch=60 + bad, confidence=0.6)
    assert of_one_voice([*sung, stray], line) == sung
    chord = [Note(start=0.2, end=1.2, pitch=60 + step, confidence=0.8) for step in (0, 4, 7, bad)]
    assert of_one_voice(chord, line) == chord  # several at once: not a voice, nothing is known better
