"""Composes a whole song from a seed: style, key, tempo, form, and a part for each player."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .melody import Phrase, make_phrase, sing_phrase
from .players import Beat, bass_bar, comping_bar, drum_bar
from .score import Note, Part, Song, Stem
from .styles import BY_NAME, STYLES, Style
from .theory import NAMES, PROGRESSIONS, chord_classes, voice_chord

# Forms: for each section who plays (d drums, b bass, c chords, m melody sung, l lead, v backing voices) and how hard.
# A lead plays where nobody sings: arrangers give one line at a time the range of the voice.
FORMS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("dbcl", 0.7), ("dbcm", 0.8), ("dbcmv", 1.0), ("dbcm", 0.8)),
    (("dbcm", 0.8), ("dbcmv", 1.0), ("dbcl", 0.9), ("dbcmv", 1.0)),
    (("cm", 0.6), ("dbcm", 0.85), ("dbcmv", 1.0), ("dbm", 0.8)),
    (("dbl", 0.8), ("dbcm", 0.9), ("bcm", 0.7), ("dbcmv", 1.0)),
    (("dbcmv", 1.0), ("dcm", 0.7), ("dbcl", 1.0), ("dbcm", 0.9)),
)
VOICES = tuple(f"voice:{i}" for i in range(1, 13))
CHOIRS = ("gm:52", "gm:53", "gm:54", "gm:52")
MIDDLE = (-0.08, 0.08)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What all players of a song agree on."""

    style: Style
    tempo: float
    swing: float
    mode: str
    tonic: int  # pitch class
    loop: tuple[int, ...]  # chord degrees, one a bar
    sections: tuple[tuple[str, float], ...]
    bars_per_section: int

    @property
    def beats(self) -> float:
        """Beats in a bar."""
        return self.style.beats_per_bar

    @property
    def bars(self) -> int:
        """Bars in the song."""
        return self.bars_per_section * len(self.sections)

    def section(self, bar: int) -> tuple[str, float]:
        """Who plays in a bar, and how hard."""
        return self.sections[bar // self.bars_per_section]

    def chord(self, bar: int, size: int = 3) -> tuple[int, ...]:
        """Pitch classes of a bar's chord, root first."""
        return chord_classes(self.loop[bar % len(self.loop)], self.mode, self.tonic, size)

    def seconds(self, bar: int, beat: float) -> float:
        """When a beat of a bar sounds, with the style's swing."""
        unit = self.style.swing_unit
        pair, within = divmod(beat, 2 * unit)
        share = within / (2 * unit)
        bent = share * self.swing * 2 if share < 0.5 else self.swing + (share - 0.5) * 2 * (1 - self.swing)
        return (bar * self.beats + (pair + bent) * 2 * unit) * 60 / self.tempo


def compose(seed: int, seconds: float = 36.0, style: str | None = None) -> Song:
    """Composes a song of about `seconds` seconds (whole bars). The same arguments give the same song."""
    rng = np.random.default_rng([20240, seed])
    frame = _frame(BY_NAME[style] if style else STYLES[int(rng.integers(len(STYLES)))], seconds, rng)
    parts = [*_drums(frame, rng), *_bass(frame, rng), *_chords(frame, rng), *_melodies(frame, rng)]
    return Song(
        seed=seed,
        style=frame.style.name,
        seconds=frame.seconds(frame.bars, 0.0) + 1.5,
        tempo=frame.tempo,
        beats_per_bar=frame.beats,
        key=f"{NAMES[frame.tonic]} {frame.mode}",
        parts=tuple(part for part in parts if part.notes),
    )


def _frame(style: Style, seconds: float, rng: np.random.Generator) -> Frame:
    tempo = float(rng.uniform(*style.tempo))
    mode = str(rng.choice(style.modes))
    form = FORMS[int(rng.integers(len(FORMS)))]
    bars = seconds * tempo / 60 / style.beats_per_bar
    loops = PROGRESSIONS[mode]
    return Frame(
        style=style,
        tempo=tempo,
        swing=float(rng.uniform(*style.swing)),
        mode=mode,
        tonic=int(rng.integers(12)),
        loop=loops[int(rng.integers(len(loops)))],
        sections=form,
        bars_per_section=max(2, round(bars / len(form) / 2) * 2),
    )


def _play(
    frame: Frame,
    rng: np.random.Generator,
    who: str,
    bar_of: Callable[[int, float], list[Beat]],
    *,
    loose: float = 0.007,
) -> tuple[Note, ...]:
    """Plays `bar_of(bar, intensity)` for each bar whose section has one of `who`; `loose` is the hand's spread in seconds."""
    notes = []
    for bar in range(frame.bars):
        players, intensity = frame.section(bar)
        if not set(who) & set(players):
            continue
        for beat in bar_of(bar, intensity):
            start = frame.seconds(bar, beat.start)
            end = frame.seconds(bar, beat.start + beat.length)
            velocity = 127 * beat.strength * (0.6 + 0.4 * intensity) * rng.uniform(0.86, 1.0)
            notes.append(
                Note(
                    start=max(0.0, start + float(np.clip(rng.normal(0, loose), -2 * loose, 2 * loose))),
                    duration=max(0.04, end - start),
                    pitch=beat.pitch,
                    velocity=int(np.clip(velocity, 8, 127)),
                    syllable=beat.syllable,
                )
            )
    return tuple(sorted(notes, key=lambda n: (n.start, n.pitch)))


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _part(
    stem: Stem,
    instrument: str,
    notes: tuple[Note, ...],
    rng: np.random.Generator,
    *,
    pan: tuple[float, float],
    gain: float = 0.0,
) -> Part:
    """`gain` is the middle of what is drawn, in dB."""
    return Part(
        stem=stem,
        instrument=instrument,
        notes=notes,
        gain_db=gain + float(rng.uniform(-3, 3)),
        pan=float(rng.uniform(*pan)),
        reverb=float(rng.uniform(0.0, 0.3)),
    )


def _drums(frame: Frame, rng: np.random.Generator) -> list[Part]:
    style = frame.style
    pattern = dict(style.drums[int(rng.integers(len(style.drums)))])
    for name, line in style.extra.items():
        if rng.random() < 0.4:
            pattern[name] = line
    busy = float(rng.uniform(0, 1))
    fill_every = int(rng.choice([4, 4, 8]))

    def bar_of(bar: int, intensity: float) -> list[Beat]:
        fill = bar % fill_every == fill_every - 1 and rng.random() < 0.8
        return drum_bar(pattern, rng, busy=busy, fill=fill, crash=bar % fill_every == 0 and intensity > 0.75)

    notes = _play(frame, rng, "d", bar_of, loose=0.0 if style.name in ("house", "trap", "synthwave") else 0.005)
    return [_part("drums", _pick(style.kits, rng), notes, rng, pan=MIDDLE)]


def _bass(frame: Frame, rng: np.random.Generator) -> list[Part]:
    style = frame.style
    figures = [_pick(style.bass, rng), _pick(style.bass, rng)]
    low = int(rng.integers(28, 34))

    def bar_of(bar: int, intensity: float) -> list[Beat]:
        figure = figures[0 if intensity < 0.9 else 1]
        return bass_bar(figure, frame.chord(bar), frame.chord(bar + 1)[0], low, frame.beats, rng)

    return [_part("bass", _pick(style.basses, rng), _play(frame, rng, "b", bar_of), rng, pan=MIDDLE)]


def _chords(frame: Frame, rng: np.random.Generator) -> list[Part]:
    style = frame.style
    parts = []
    side = int(rng.choice([-1, 1]))
    for player in range(int(rng.choice([1, 2, 2, 3]))):
        figure = _pick(style.comping, rng) if player == 0 else _pick((*style.comping, "sustain"), rng)
        size = int(rng.choice(style.chord_size))
        centre = int(rng.integers(55, 70))
        voicings: list[tuple[int, ...]] = []
        for bar in range(len(frame.loop)):
            voicings.append(voice_chord(frame.chord(bar, size), voicings[-1] if voicings else (), centre))

        def bar_of(
            bar: int, intensity: float, figure: str = figure, voicings: list[tuple[int, ...]] = voicings
        ) -> list[Beat]:
            return comping_bar(figure, voicings[bar % len(voicings)], frame.beats, rng)

        # Left and right in turn: the middle is for voice, bass and bass drum.
        pan = (0.3, 0.8) if side * (-1) ** player > 0 else (-0.8, -0.3)
        parts.append(_part("other", _pick(style.keys, rng), _play(frame, rng, "c", bar_of), rng, pan=pan))
    return parts


def _melodies(frame: Frame, rng: np.random.Generator) -> list[Part]:
    style = frame.style
    low = int(rng.integers(50, 66))
    sung = _line(frame, rng, "m", low, low + 13, style.vocal_density, vowels_only=bool(rng.random() < 0.2))
    lead_low = int(rng.integers(60, 72))
    lead = _line(frame, rng, "l", lead_low, lead_low + 14, float(rng.uniform(0.3, 0.7)), vowels_only=True)
    voice = _pick(VOICES, rng)
    parts = [
        _part("vocals", voice, sung, rng, pan=MIDDLE),
        _part("other", _pick(style.leads, rng), lead, rng, pan=(-0.6, 0.6)),
    ]
    backing = rng.random()
    if backing < 0.35:  # a second voice, a scale third above where the section has one
        third = tuple(
            Note(
                start=n.start + 0.01,
                duration=n.duration,
                pitch=_third_above(frame, n.pitch),
                velocity=n.velocity,
                syllable=n.syllable,
            )
            for n in sung
            if "v" in frame.section(min(frame.bars - 1, int(n.start * frame.tempo / 60 / frame.beats)))[0]
        )
        parts.append(_part("vocals", voice if rng.random() < 0.5 else _pick(VOICES, rng), third, rng, pan=(-0.6, 0.6)))
    elif backing < 0.5:  # a choir on the chords, well behind the voice

        def bar_of(bar: int, intensity: float) -> list[Beat]:
            return comping_bar("sustain", voice_chord(frame.chord(bar), (), 62), frame.beats, rng)

        parts.append(
            _part("vocals", _pick(CHOIRS, rng), _play(frame, rng, "v", bar_of), rng, pan=(-0.4, 0.4), gain=-7.0)
        )
    return parts


def _third_above(frame: Frame, pitch: int) -> int:
    scale = [(frame.tonic + s) % 12 for s in (0, 2, 4, 5, 7, 9, 11)] if frame.mode == "major" else None
    return pitch + (4 if scale is None or (pitch + 4) % 12 in scale else 3)


def _line(
    frame: Frame, rng: np.random.Generator, who: str, low: int, high: int, density: float, *, vowels_only: bool
) -> tuple[Note, ...]:
    """A melody of two-bar phrases in the order A A' B A, new ones for hard sections."""
    phrases: dict[tuple[bool, int], Phrase] = {}
    pitch = (low + high) // 2

    def bar_of(bar: int, intensity: float) -> list[Beat]:
        nonlocal pitch
        if bar % 2:
            return []
        kind = (intensity > 0.9, (0, 0, 1, 0)[(bar // 2) % 4])
        if kind not in phrases:
            phrases[kind] = make_phrase(2 * frame.beats, density, vowels_only, rng)
        chords = [frame.chord(bar), frame.chord(bar + 1)]
        beats, pitch = sing_phrase(phrases[kind], chords, frame.beats, frame.tonic, frame.mode, low, high, pitch)
        return beats

    return _play(frame, rng, who, bar_of, loose=0.012)
