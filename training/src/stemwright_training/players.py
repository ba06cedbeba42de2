"""The players of the band: each turns a bar of chords into notes.

All times here are in beats from the start of the bar; `compose` turns them into seconds, with swing and a human hand.
"""

from dataclasses import dataclass

import numpy as np

from .theory import nearest_pitch

# General MIDI drum keys.
DRUM_KEYS = {
    "kick": 36,
    "snare": 38,
    "rim": 37,
    "clap": 39,
    "hat": 42,
    "foothat": 44,
    "openhat": 46,
    "ride": 51,
    "crash": 49,
    "tambourine": 54,
    "shaker": 70,
    "conga": 63,
    "tom1": 50,
    "tom2": 47,
    "tom3": 43,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """One note within a bar: start and length in beats, MIDI pitch, velocity from 0 to 1."""

    start: float
    length: float
    pitch: int
    strength: float
    syllable: str = ""


def drum_bar(pattern: dict[str, str], rng: np.random.Generator, *, busy: float, fill: bool, crash: bool) -> list[Beat]:
    """One bar of drums. `busy` from 0 to 1 adds ghost notes; a fill takes over the bar's last quarter or half."""
    steps = len(next(iter(pattern.values())))
    fill_from = steps - int(rng.choice([4, 4, 8])) if fill else steps
    beats = []
    for name, line in pattern.items():
        for step, mark in enumerate(line[:fill_from]):
            accent = 1.0 if step % 4 == 0 else 0.85
            if mark == "x" and rng.random() > 0.015:
                beats.append(_hit(name, step, accent))
            elif mark == "o" or (name in ("snare", "hat") and rng.random() < 0.05 * busy):
                beats.append(_hit(name, step, 0.45))
    if crash:
        beats.append(_hit("crash", 0, 0.9))
    if fill:
        order = ["snare", "tom1", "tom2", "tom3"] if rng.random() < 0.7 else ["snare", "snare", "snare", "kick"]
        density = rng.choice([1, 1, 2])
        for i, step in enumerate(range(fill_from, steps, int(density))):
            place = min(3, 4 * i * int(density) // max(1, steps - fill_from))
            if rng.random() < 0.88:
                beats.append(_hit(order[place], step, 0.7 + 0.3 * i * density / (steps - fill_from)))
    return beats


def _hit(name: str, step: int, strength: float) -> Beat:
    return Beat(start=step / 4, length=0.25, pitch=DRUM_KEYS[name], strength=strength)


# Bass figures: (start, length, what) in beats of a 4/4 bar; what: r root, 5 fifth, 8 octave, 3 third,
# a a step towards the next bar's root. Figures for bars of three beats are cut.
BASS_FIGURES: dict[str, tuple[tuple[float, float, str], ...]] = {
    "roots": ((0, 1.9, "r"), (2, 1.8, "r")),
    "long": ((0, 3.8, "r"),),
    "eighths": tuple((i / 2, 0.45, "r") for i in range(8)),
    "sixteenths": tuple((i / 4, 0.22, "r") for i in range(16)),
    "fifths": ((0, 1.4, "r"), (1.5, 0.45, "r"), (2, 1.4, "5"), (3.5, 0.45, "a")),
    "octaves": tuple((i / 2, 0.4, "8" if i % 2 else "r") for i in range(8)),
    "offbeat": tuple((i + 0.5, 0.4, "r") for i in range(4)),
    "syncopated": ((0, 0.7, "r"), (0.75, 0.7, "r"), (1.5, 0.9, "r"), (2.75, 0.5, "5"), (3.5, 0.4, "a")),
    "funk": (
        (0, 0.4, "r"),
        (0.75, 0.2, "8"),
        (1.5, 0.3, "r"),
        (2.25, 0.2, "r"),
        (2.5, 0.4, "5"),
        (3.25, 0.2, "8"),
        (3.5, 0.4, "a"),
    ),
    "dub": ((0, 0.9, "r"), (1.5, 0.45, "5"), (2, 0.9, "8"), (3, 0.4, "5"), (3.5, 0.4, "3")),
    "bossa": ((0, 1.4, "r"), (1.5, 0.45, "5"), (2, 1.4, "5"), (3.5, 0.45, "r")),
    "walking": ((0, 0.95, "r"), (1, 0.95, "3"), (2, 0.95, "5"), (3, 0.95, "a")),
}


def bass_bar(
    figure: str, chord: tuple[int, ...], following: int, low: int, beats: float, rng: np.random.Generator
) -> list[Beat]:
    """One bar of bass. `chord` holds pitch classes, root first; `following` is the next root's class; `low` the lowest pitch."""
    root = low + (chord[0] - low) % 12
    fifth = root + (chord[2] - chord[0]) % 12
    approach = nearest_pitch((following,), root + 2) + int(rng.choice([-1, 1, -2, 2]))
    third = root + (chord[1] - chord[0]) % 12
    pitches = {"r": root, "5": fifth if fifth < low + 17 else fifth - 12, "8": root + 12, "3": third, "a": approach}
    out = []
    for start, length, what in BASS_FIGURES[figure]:
        if start < beats and rng.random() > 0.03:
            strength = 0.95 if start == 0 else 0.8
            out.append(Beat(start=start, length=min(length, beats - start), pitch=pitches[what], strength=strength))
    return out


# Comping rhythms: (start, length) of each chord in a 4/4 bar.
COMPING: dict[str, tuple[tuple[float, float], ...]] = {
    "sustain": ((0, 4.0),),
    "quarters": tuple((i, 0.9) for i in range(4)),
    "eighths": tuple((i / 2, 0.45) for i in range(8)),
    "chug": tuple((i / 4, 0.2) for i in (0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15)),
    "push": ((0, 1.4), (1.5, 1.9), (3.5, 0.5)),
    "stabs": ((0.5, 0.2), (1.75, 0.2), (2.5, 0.2), (3.75, 0.2)),
    "scratch": tuple((i / 4, 0.12) for i in (0, 2, 3, 5, 6, 8, 10, 11, 13, 14)),
    "offbeats": tuple((i + 0.5, 0.25) for i in range(4)),
    "bossa": ((0, 0.4), (1, 0.4), (1.75, 0.7), (2.75, 0.4), (3.5, 0.4)),
    "waltz": ((1, 0.6), (2, 0.6)),
    "strum": ((0, 0.9), (1, 0.45), (1.5, 0.45), (2.5, 0.45), (3, 0.45), (3.5, 0.45)),
}
ARPEGGIO_STEP = {"arpeggio": 0.5, "arpeggio16": 0.25}


def comping_bar(figure: str, voicing: tuple[int, ...], beats: float, rng: np.random.Generator) -> list[Beat]:
    """One bar of chords, struck together, strummed or broken."""
    if figure in ARPEGGIO_STEP:
        step = ARPEGGIO_STEP[figure]
        notes = [*voicing, voicing[0] + 12, *voicing[:0:-1]]
        return [
            Beat(start=i * step, length=step * 1.6, pitch=notes[i % len(notes)], strength=0.8 if i % 4 == 0 else 0.65)
            for i in range(round(beats / step))
        ]
    out = []
    for start, length in COMPING[figure]:
        if start >= beats:
            continue
        upward = bool(rng.random() < 0.4)
        for i, pitch in enumerate(reversed(voicing) if upward else voicing):
            spread = 0.035 * i if figure == "strum" else 0.0
            strength = 0.85 if start == int(start) else 0.72
            out.append(Beat(start=start + spread, length=min(length, beats - start), pitch=pitch, strength=strength))
    return out
