"""The example song that ships: "Take it all apart", written note by note, rendered like every other song.

Tempo 100, A minor to C major: two bars alone with the electric piano, a verse of four, a chorus of six, and an end of two.
"""

from pathlib import Path

import numpy as np

from . import mixing
from .dataset import EXAMPLE_SEED
from .players import DRUM_KEYS, Beat, bass_bar, comping_bar
from .render import Production, render
from .score import STEMS, Note, Part, Song

TITLE = "take-it-all-apart"
TEMPO = 100.0
BAR = 4 * 60 / TEMPO  # seconds
# Pitch classes of each bar's chord, root first.
AM, F, C, G = (9, 0, 4), (5, 9, 0), (0, 4, 7), (7, 11, 2)
CHORDS = (AM, F, AM, F, C, G, F, G, C, AM, F, G, C, C)
VOICINGS = {AM: (57, 60, 64), F: (57, 60, 65), C: (55, 60, 64), G: (55, 59, 62)}
INTRO, VERSE, CHORUS, END = range(2), range(2, 6), range(6, 12), range(12, 14)

# Sung by bar: (beat, beats, pitch, syllable as espeak-ng should read it).
TUNE: dict[int, tuple[tuple[float, float, int, str], ...]] = {
    2: (
        (0, 0.5, 64, "late"),
        (0.5, 0.5, 64, "at"),
        (1, 1, 67, "night"),
        (2, 0.5, 69, "the"),
        (2.5, 1.5, 67, "streets"),
    ),
    3: ((0, 0.5, 65, "are"), (0.5, 2.5, 69, "blue")),
    4: (
        (0, 0.5, 67, "all"),
        (0.5, 0.5, 67, "the"),
        (1, 1, 72, "lights"),
        (2, 0.5, 71, "are"),
        (2.5, 0.75, 69, "call"),
        (3.25, 0.75, 67, "ing"),
    ),
    5: ((0, 3, 71, "you"),),
    6: ((0, 0.5, 69, "take"), (0.5, 0.5, 69, "it"), (1, 1, 72, "all"), (2, 0.5, 74, "uh"), (2.5, 1.5, 72, "part")),
    7: ((0, 0.5, 71, "find"), (0.5, 0.5, 71, "the"), (1, 1, 74, "beet"), (2, 0.5, 76, "ing"), (2.5, 1.5, 74, "heart")),
    8: ((0, 0.5, 76, "ev"), (0.5, 0.5, 76, "ree"), (1, 1.5, 79, "sound"), (2.5, 0.5, 76, "uh"), (3, 1, 72, "lone")),
    9: ((0, 1.5, 72, "oh"), (2, 0.5, 69, "oh"), (2.5, 1.25, 72, "oh")),
    10: ((0, 0.5, 69, "brings"), (0.5, 0.5, 69, "the"), (1, 1, 72, "mew"), (2, 1, 74, "zick"), (3, 1, 72, "home")),
    11: ((0, 0.5, 71, "brings"), (0.5, 0.5, 71, "the"), (1, 1, 74, "mew"), (2, 1.75, 71, "zick")),
    12: ((0, 4, 72, "home"),),
}
# The bell answers where the voice rests.
BELL = {
    1: ((2, 1, 76), (3, 1, 79)),
    3: ((3, 0.5, 81), (3.5, 0.5, 79)),
    5: ((3, 0.5, 79), (3.5, 0.5, 83)),
    9: ((3.5, 0.5, 84),),
    13: ((0, 1, 79), (1, 1, 76), (2, 2, 72)),
}
VERSE_DRUMS = {"kick": "x......x..x.....", "rim": "....x.......x...", "hat": "x.xox.xox.xox.xo"}
CHORUS_DRUMS = {
    "kick": "x.....x.x.x.....",
    "snare": "....x..o....x..o",
    "hat": "x.x.x.x.x.x.x.x.",
    "tambourine": "..x...x...x...x.",
}
FILL = ((2, "snare"), (2.5, "snare"), (2.75, "snare"), (3, "tom1"), (3.25, "tom2"), (3.5, "tom3"), (3.75, "tom3"))


def example_song() -> Song:
    """The song as written; nothing in it is left to chance but the players' hands."""
    rng = np.random.default_rng(EXAMPLE_SEED)
    harmony = {
        bar: tuple((b, n, p - 4 if (p - 4) % 12 in (0, 2, 4, 5, 7, 9, 11) else p - 3, s) for b, n, p, s in TUNE[bar])
        for bar in (6, 7, 8, 10, 11)
    }
    parts = (
        _part("drums", "kit:8", _played(_drums(), rng), reverb=0.12),
        _part("bass", "gm:33", _played(_bass(rng), rng), reverb=0.0),
        _part("other", "gm:4", _played(_chords((*INTRO, *VERSE, *END), "arpeggio", rng), rng), pan=-0.25, reverb=0.2),
        _part("other", "gm:25", _played(_chords((*CHORUS,), "strum", rng), rng), gain=-1.0, pan=0.45, reverb=0.12),
        _part(
            "other",
            "gm:48",
            _played(_chords((*CHORUS, *END), "sustain", rng, up=12), rng),
            gain=-5.0,
            pan=-0.3,
            reverb=0.3,
        ),
        _part(
            "other",
            "gm:11",
            _played(
                {b: [Beat(start=s, length=n, pitch=p, strength=0.7) for s, n, p in notes] for b, notes in BELL.items()},
                rng,
            ),
            gain=-5.0,
            pan=0.3,
            reverb=0.3,
        ),
        _part("vocals", "voice:5", _played(_sung(TUNE, 0.85), rng), reverb=0.16),
        _part("vocals", "voice:2", _played(_sung(harmony, 0.7), rng), gain=-6.0, pan=0.5, reverb=0.25),
        _part(
            "vocals", "gm:53", _played(_chords((*CHORUS, 12), "sustain", rng), rng), gain=-9.0, pan=-0.4, reverb=0.35
        ),
    )
    return Song(
        seed=EXAMPLE_SEED,
        style="example",
        seconds=len(CHORDS) * BAR + 1.0,
        tempo=TEMPO,
        beats_per_bar=4.0,
        key="A minor, C major",
        parts=parts,
    )


def write_example(folder: Path) -> None:
    """Renders the song and writes mix.flac and a flac for each stem; the stems sum to the mix sample by sample."""
    folder.mkdir(parents=True, exist_ok=True)
    stems = render(example_song(), Production(font="fluid", spread_db=0.0, lossy=0.0, resampled=0.0))
    stems = stems - stems.mean(axis=2, keepdims=True)  # sampled drums bring a little direct current
    # 12 bits: their noise lies 80 dB below full scale, under the song at any moment, and the files are half as large.
    stems = (np.round(stems / 16) * 16).astype(np.int16)
    mixing.write_flac(str(folder / "mix.flac"), stems.sum(axis=0, dtype=np.int32).astype(np.int16))
    for name, stem in zip(STEMS, stems, strict=True):
        mixing.write_flac(str(folder / f"{name}.flac"), stem)


def _part(
    stem: str, instrument: str, notes: tuple[Note, ...], *, gain: float = 0.0, pan: float = 0.0, reverb: float
) -> Part:
    named = next(name for name in STEMS if name == stem)
    return Part(stem=named, instrument=instrument, notes=notes, gain_db=gain, pan=pan, reverb=reverb)


def _played(bars: dict[int, list[Beat]], rng: np.random.Generator) -> tuple[Note, ...]:
    """Beats by bar as notes in seconds, by hands that are a few milliseconds off."""
    return tuple(
        Note(
            start=max(0.0, bar * BAR + beat.start * 60 / TEMPO + float(np.clip(rng.normal(0, 0.004), -0.008, 0.008))),
            duration=beat.length * 60 / TEMPO,
            pitch=beat.pitch,
            velocity=int(np.clip(118 * beat.strength * rng.uniform(0.92, 1.0), 10, 127)),
            syllable=beat.syllable,
        )
        for bar, beats in sorted(bars.items())
        for beat in beats
    )


def _drums() -> dict[int, list[Beat]]:
    bars: dict[int, list[Beat]] = {}
    for bar in (*VERSE, *CHORUS):
        pattern = VERSE_DRUMS if bar in VERSE else CHORUS_DRUMS
        last = bar in (5, 11)
        bars[bar] = [
            Beat(
                start=step / 4,
                length=0.25,
                pitch=DRUM_KEYS[name],
                strength=0.5 if mark == "o" else 0.95 if step % 4 == 0 else 0.75,
            )
            for name, line in pattern.items()
            for step, mark in enumerate(line)
            if mark in "xo" and not (last and step >= 8)
        ]
        if last:
            bars[bar] += [
                Beat(start=s, length=0.25, pitch=DRUM_KEYS[name], strength=0.75 + 0.05 * i)
                for i, (s, name) in enumerate(FILL)
            ]
    crash = Beat(start=0, length=1, pitch=DRUM_KEYS["crash"], strength=0.85)
    kick = Beat(start=0, length=1, pitch=DRUM_KEYS["kick"], strength=0.95)
    hats = [Beat(start=i, length=0.25, pitch=DRUM_KEYS["hat"], strength=0.5 + 0.05 * i) for i in range(4)]
    return {1: hats, **bars, 6: [*bars[6], crash], 12: [crash, kick]}


def _bass(rng: np.random.Generator) -> dict[int, list[Beat]]:
    bars = {
        bar: bass_bar("fifths" if bar in VERSE else "syncopated", CHORDS[bar], CHORDS[bar + 1][0], 29, 4.0, rng)
        for bar in (*VERSE, *CHORUS)
    }
    return {**bars, 12: [Beat(start=0, length=6, pitch=36, strength=0.9)]}


def _chords(which: tuple[int, ...], figure: str, rng: np.random.Generator, up: int = 0) -> dict[int, list[Beat]]:
    return {bar: comping_bar(figure, tuple(p + up for p in VOICINGS[CHORDS[bar]]), 4.0, rng) for bar in which}


def _sung(tune: dict[int, tuple[tuple[float, float, int, str], ...]], strength: float) -> dict[int, list[Beat]]:
    return {
        bar: [Beat(start=b, length=n, pitch=p, strength=strength, syllable=s) for b, n, p, s in notes]
        for bar, notes in tune.items()
    }
