"""Scales, chords and progressions: the little harmony that the composer needs. Pitches are MIDI note numbers."""

from collections.abc import Sequence

import numpy as np

NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

# Scale degrees (0 is the tonic) of chord loops that are common property of popular music.
PROGRESSIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "major": (
        (0, 4, 5, 3),
        (0, 5, 3, 4),
        (5, 3, 0, 4),
        (0, 3, 4, 3),
        (0, 2, 3, 4),
        (3, 0, 4, 5),
        (1, 4, 0, 5),
        (0, 3, 0, 4),
        (0, 0, 3, 0, 4, 3, 0, 4),
    ),
    "minor": (
        (0, 5, 2, 6),
        (0, 6, 5, 6),
        (0, 3, 5, 4),
        (0, 2, 6, 3),
        (5, 6, 0, 0),
        (0, 0, 5, 6),
        (0, 3, 0, 4),
        (0, 3, 6, 2, 5, 3, 4, 4),
    ),
    "dorian": ((0, 3, 0, 3), (0, 2, 3, 6), (0, 6, 3, 0), (0, 1, 2, 3)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 4, 6, 3), (0, 6, 0, 6)),
}


def degree_to_pitch(degree: int, mode: str, tonic: int) -> int:
    """The pitch of a scale degree that may lie below 0 or above 6, counted from the tonic's pitch."""
    octave, step = divmod(degree, 7)
    return tonic + 12 * octave + MODES[mode][step]


def chord_classes(degree: int, mode: str, tonic: int, size: int = 3) -> tuple[int, ...]:
    """Pitch classes of the chord of thirds on a scale degree: 3 notes is a triad, 4 a seventh chord."""
    return tuple(degree_to_pitch(degree + 2 * i, mode, tonic) % 12 for i in range(size))


def voice_chord(classes: Sequence[int], previous: Sequence[int], centre: int) -> tuple[int, ...]:
    """The close voicing near `centre` that moves least from the previous one."""
    best: tuple[int, ...] = ()
    best_cost = float("inf")
    for lowest in range(centre - 9, centre + 4):
        if lowest % 12 not in classes:
            continue
        voicing = tuple(sorted(lowest + (c - lowest) % 12 for c in classes))
        goal = previous if len(previous) == len(voicing) else [centre] * len(voicing)
        cost = float(np.abs(np.subtract(voicing, goal)).sum())
        if cost < best_cost:
            best, best_cost = voicing, cost
    return best


def nearest_pitch(classes: Sequence[int], target: int) -> int:
    """The pitch whose class is in `classes` and that lies nearest to `target`."""
    return min((p for p in range(target - 6, target + 7) if p % 12 in classes), key=lambda p: abs(p - target))
