"""All that is found out about a song, in one place, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stemwright_pitch import onsets as onset
from stemwright_pitch.beats import METRES, Harmony, Pulse, track
from stemwright_pitch.contour import HIGHEST, LOWEST, Contour, contour, pieces
from stemwright_pitch.harmony import Chord, Chroma, Key, changes, chords, chroma, key
from stemwright_pitch.listening import MIX, Heard, Voice, sum_of
from stemwright_pitch.loudness import Loudness
from stemwright_pitch.notes import FRAME, Activations, Note, NoteOptions, activations, notes, windows
from stemwright_pitch.sections import Section, sections
from stemwright_pitch.signals import RATE
from stemwright_pitch.single import of_one_voice
from stemwright_pitch.tuning import Tuning, tuning

if TYPE_CHECKING:
    import onnxruntime

LEADS = ("vocals", "other", "guitar", "piano", "bass")  # whose contour it is, the first that is there
_ACCOMPANIMENT = ("bass", "guitar", "piano", "other")
_BASS_KEYS = 31  # under E3
_ALONE = ("vocals", "bass")  # usually one note at a time
_OTHER_STEPS = 4  # of the progress: beats, harmony, sections, tuning


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Both of them, loaded."""

    pitch: onnxruntime.InferenceSession
    notes: onnxruntime.InferenceSession


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """What may be asked for."""

    contour_of: str | None = None  # a role; None: the first of `LEADS`, or the mix
    lowest_hz: float = LOWEST
    highest_hz: float = HIGHEST
    voiced: float = 0.5
    notes: NoteOptions = field(default_factory=NoteOptions)
    beats_per_bar: int | None = None  # None: as it sounds


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What was found out. What is not there is None or empty: nothing is guessed for silence or noise."""

    seconds: float
    contour: Contour
    contour_of: str
    notes: dict[str, tuple[Note, ...]]  # by role
    pulse: Pulse
    chords: tuple[Chord, ...]
    key: Key | None
    sections: tuple[Section, ...]
    tuning: Tuning | None
    loudness: Loudness | None
    loudness_of: dict[str, Loudness]  # by role
    computed_from: dict[str, tuple[str, ...]]  # roles, by what


def steps(heard: Heard) -> int:
    """How many times ``step`` will be called by `analyse`."""
    samples = len(heard.voices[0].samples)
    whole = not heard.of(*_ACCOMPANIMENT)
    alone = {_lead(heard, None).role, *(voice.role for voice in heard.of(*_ALONE))}
    counted = len(heard.pitched) + (whole and MIX not in {voice.role for voice in heard.pitched})
    return len(alone) * pieces(samples) + counted * windows(samples) + _OTHER_STEPS


def analyse(heard: Heard, networks: Networks, options: AnalysisOptions, step: Callable[[], None]) -> Analysis:
    """Everything, calling ``step`` after each piece of work.

    Raises:
        PitchError: the contour of an input is asked for that is not there.
    """
    lead = _lead(heard, options.contour_of)
    contours = {
        voice.role: contour(
            voice.samples,
            networks.pitch,
            step,
            lowest=options.lowest_hz,
            highest=options.highest_hz,
            voiced=options.voiced,
        )
        for voice in heard.voices
        if voice is lead or voice.role in _ALONE
    }
    keys = {voice.role: activations(voice.samples, networks.notes, step) for voice in heard.pitched}
    found = {role: notes(given, options.notes) for role, given in keys.items()}
    for role, line in contours.items():
        if role in found:
            found[role] = of_one_voice(found[role], line)
    harmonic, chord_roles = _harmonic(heard, networks, keys, step)
    sounding = chroma(harmonic)
    strengths = onset.onsets(heard.whole)
    metres = METRES if options.beats_per_bar is None else (options.beats_per_bar,)
    pulse = track(strengths, _harmony(harmonic, sounding, len(strengths.strength)), metres=metres)
    step()
    names = tuple(chords(sounding, np.array([beat.time for beat in pulse.beats]), heard.seconds))
    tonality = key(sounding, names)
    step()
    layers = [voice.samples for voice in heard.stems] if len(heard.stems) > 1 else [heard.whole]
    parts = sections(layers, np.array([beat.time for beat in pulse.downbeats]), sounding.whole, FRAME)
    step()
    tuned = tuning(sum_of(heard.pitched))
    step()
    stems = tuple(voice.role for voice in heard.stems) if len(heard.stems) > 1 else ()
    whole = (MIX,) if heard.of(MIX) else tuple(voice.role for voice in heard.voices)
    return Analysis(
        seconds=heard.seconds,
        contour=contours[lead.role],
        contour_of=lead.role,
        notes={role: tuple(each) for role, each in found.items()},
        pulse=pulse,
        chords=names,
        key=tonality,
        sections=tuple(parts),
        tuning=tuned,
        loudness=heard.loudness,
        loudness_of={voice.role: voice.loudness for voice in heard.voices},
        computed_from={
            "tempo": tuple(dict.fromkeys((*whole, *chord_roles))),
            "chords": chord_roles,
            "key": chord_roles,
            "sections": stems or whole,
            "tuning": tuple(voice.role for voice in heard.pitched),
            "loudness": whole,
        },
    )


def _lead(heard: Heard, asked: str | None) -> Voice:
    from stemwright_pitch.errors import PitchError

    there = {voice.role: voice for voice in heard.voices}
    if asked is not None and asked not in there:
        raise PitchError(f"there is no {asked} among the inputs: they are {', '.join(there)}", "bad_inputs")
    wanted = (asked,) if asked is not None else (*LEADS, MIX)
    return next((there[role] for role in wanted if role in there), heard.voices[0])


def _harmonic(
    heard: Heard, networks: Networks, keys: dict[str, Activations], step: Callable[[], None]
) -> tuple[Activations, tuple[str, ...]]:
    """What the chords are read from: the stems of the accompaniment together, or all there is."""
    given = {voice.role: keys[voice.role] for voice in heard.of(*_ACCOMPANIMENT)}
    if not given and MIX in keys:
        return keys[MIX], (MIX,)
    if not given:
        return activations(heard.whole, networks.notes, step), tuple(voice.role for voice in heard.voices)
    return (
        Activations(
            sounds=np.maximum.reduce([each.sounds for each in given.values()]),
            struck=np.maximum.reduce([each.struck for each in given.values()]),
        ),
        tuple(given),
    )


def _harmony(given: Activations, sounding: Chroma, frames: int) -> Harmony:
    """At the frames of the onsets."""
    times = np.arange(frames) * (onset.HOP / RATE)
    own = np.arange(len(given.sounds)) * FRAME

    def there(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(np.interp(times, own, values))

    return Harmony(changes=there(changes(sounding)), bass=there(given.struck[:, :_BASS_KEYS].sum(axis=1)))
