"""Notes of one voice: where the contour and the network of the notes disagree by octaves and the like, the contour is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stemwright_pitch.contour import Contour
from stemwright_pitch.notes import Note
from stemwright_pitch.signals import hz_to_midi

_MOSTLY = 0.85  # share of the time with notes in which there is but one, for it to be one voice
_STRAY = (12, 19, 24, 28, 31, 34, 36)  # semitones from a note to its partials


def of_one_voice(found: Sequence[Note], line: Contour) -> list[Note]:
    """The notes without those that are a partial of what is sung, or its lower octave. As they are, if several sound at once."""
    if not found or not _is_one_voice([note for note in found if not _may_be_a_partial(note, found)]):
        return list(found)
    midi = hz_to_midi(line.hz)
    return [note for note in found if not _stray(note, line, midi)]


def _may_be_a_partial(note: Note, found: Sequence[Note]) -> bool:
    """Whether a surer note, with which it would be in tune as a partial, sounds for most of its time."""
    return any(
        other.confidence > note.confidence
        and abs(note.pitch - other.pitch) in _STRAY
        and min(note.end, other.end) - max(note.start, other.start) > 0.6 * (note.end - note.start)
        for other in found
    )


def _is_one_voice(found: Sequence[Note]) -> bool:
    step = 0.02
    sounding = np.zeros(int(max(note.end for note in found) / step) + 2, dtype=int)
    for note in found:
        sounding[int(note.start / step) : max(int(note.end / step), int(note.start / step) + 1)] += 1
    return bool((sounding == 1).sum() >= _MOSTLY * (sounding > 0).sum())


def _stray(note: Note, line: Contour, midi: np.ndarray) -> bool:
    here = (line.times >= note.start) & (line.times < note.end)
    heard = midi[here & line.voiced]
    if len(heard) < 2 or len(heard) < 0.5 * here.sum():
        return False
    apart = abs(float(np.median(heard)) - note.pitch)
    return any(abs(apart - interval) < 0.8 for interval in _STRAY)
