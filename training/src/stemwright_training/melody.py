"""Melodies for voices and solo instruments: phrases of two bars that are repeated and varied, as songs do."""

from dataclasses import dataclass

import numpy as np

from .players import Beat
from .theory import MODES, nearest_pitch

# One-syllable words of nobody's song, and sung vowels.
WORDS = (  # noqa: SIM905
    "night light love time day way heart start home road rain sun moon sea sky fire high low long gone stay play "
    "run fall call all you me we go know show slow blue true through new down town sound round ground dream stream "
    "wait late great free feel real deep sleep keep hold gold cold old hand stand land wind mind find shine mine line "
    "wild child world girl burn turn learn back black track stars arms far hard dark one gun done when then again "
    "what that said dead red bed need lead more door floor soul whole hope float boat stone bone phone just trust dust "
    "kiss miss this lips skin thin breathe leave please peace chance dance france street beat heat sweet song strong"
).split()
VOWELS = "ah oh ooh eh la na da hey yeah whoa ay mm doo wah ho".split()  # noqa: SIM905


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """A phrase: onsets and lengths in beats, and how far each note wants to move in scale steps."""

    onsets: tuple[float, ...]
    lengths: tuple[float, ...]
    steps: tuple[int, ...]
    words: tuple[str, ...]


def make_phrase(beats: float, density: float, vowels_only: bool, rng: np.random.Generator) -> Phrase:
    """A phrase over `beats` beats with a breath at its end; `density` is how many of the eighths start a note."""
    grid = 0.5
    breath = float(rng.choice([0.5, 1.0, 1.5, 2.0]))
    first = float(rng.choice([0.0, 0.0, 0.5, 1.0]))
    slots = np.arange(first, beats - breath, grid)
    chosen = [float(t) for t in slots if rng.random() < (density + (0.25 if t % 1 == 0 else 0.0))] or [first]
    if density > 0.6 and rng.random() < 0.5:  # a run of sixteenths, as rappers and divas like
        at = chosen[int(rng.integers(len(chosen)))]
        chosen = sorted({*chosen, at + 0.25})
    ends = [*chosen[1:], min(beats - breath / 2, chosen[-1] + float(rng.choice([1.0, 2.0])))]
    lengths = [
        max(0.2, (end - start) * float(rng.choice([0.95, 0.95, 0.7]))) for start, end in zip(chosen, ends, strict=True)
    ]
    steps = rng.choice([-3, -2, -1, -1, 0, 0, 1, 1, 2, 4], size=len(chosen))
    pool = VOWELS if vowels_only else WORDS
    words = [str(rng.choice(pool if rng.random() < 0.9 else VOWELS)) for _ in chosen]
    return Phrase(onsets=tuple(chosen), lengths=tuple(lengths), steps=tuple(int(s) for s in steps), words=tuple(words))


def sing_phrase(
    phrase: Phrase,
    chord_at: list[tuple[int, ...]],
    beats_per_bar: float,
    tonic: int,
    mode: str,
    low: int,
    high: int,
    start: int,
) -> tuple[list[Beat], int]:
    """Gives a phrase its pitches: chord tones on the beat, scale tones between. `chord_at` holds one chord a bar.

    Returns the notes and the last pitch, from which the next phrase goes on.
    """
    scale = tuple((tonic + step) % 12 for step in MODES[mode])
    pitch = start
    out = []
    for onset, length, step, word in zip(phrase.onsets, phrase.lengths, phrase.steps, phrase.words, strict=True):
        target = pitch + 2 * step
        if target > high:
            target -= 5
        if target < low:
            target += 5
        chord = chord_at[min(int(onset // beats_per_bar), len(chord_at) - 1)]
        strong = onset % 1 == 0 and length >= 0.45
        pitch = min(max(nearest_pitch(chord if strong else scale, target), low - 3), high + 3)
        out.append(Beat(start=onset, length=length, pitch=pitch, strength=0.85 if strong else 0.75, syllable=word))
    return out, pitch
