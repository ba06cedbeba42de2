"""Notes, of any number of voices: basic-pitch's network, and how notes are read out of what it answers.

The network (Bittner and others, "A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription", ICASSP 2022) says
for each frame and key of a piano how likely the key sounds and how likely it is struck. A note begins where a key is struck, or
where it comes to sound without, and lasts for as long as it sounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stemwright_pitch.signals import RATE

if TYPE_CHECKING:
    import onnxruntime

HOP = 256  # samples at `RATE`
FRAME = HOP / RATE  # seconds
LOWEST = 21  # MIDI number of the first of 88 keys
_INPUT = 43844  # samples that the network takes at once
_FRAMES = 172  # that it answers for them
_MARGIN = 15  # frames on each side whose answers lack context, and are taken from the window beside
_STEP = (_FRAMES - 2 * _MARGIN) * HOP
_BATCH = 8  # windows of a run
_OUTPUTS = ("StatefulPartitionedCall:1", "StatefulPartitionedCall:2")  # sounds, struck
_GAP = 11  # frames that a note may fall silent for, and go on
_LONG = 0.14  # seconds: the click of a note that breaks off looks like a shorter one, but not like a sure one
_SURE = (0.45, 0.33)  # confidence that a short note needs, and a long one
_EARLY = 0.003  # seconds before the stroke that the network says so (measured on notes of known times)
_RINGS = 0.03  # seconds that a key is said to sound on after its release (measured too)


@dataclass(frozen=True, kw_only=True)
class Activations:
    """``[frames, 88]`` each, 0 to 1, a frame for every `HOP` samples from the first sample on."""

    sounds: NDArray[np.float32]
    struck: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Note:
    """One note."""

    start: float  # seconds
    end: float
    pitch: int  # MIDI note number
    confidence: float  # 0 to 1: how sure the network is while it sounds


@dataclass(frozen=True, kw_only=True)
class NoteOptions:
    """How sure the network has to be."""

    struck: float = 0.5  # that a key is struck, for a note to begin
    sounds: float = 0.3  # that it sounds, for a note to go on
    shortest: float = 0.06  # seconds
    lowest: int = LOWEST
    highest: int = LOWEST + 87


def windows(samples: int) -> int:
    """How many runs of the network so many samples take: how often ``step`` will be called."""
    return math.ceil(math.ceil(max(1, samples) / _STEP) / _BATCH)


def activations(
    samples: NDArray[np.float32], network: onnxruntime.InferenceSession, step: Callable[[], None]
) -> Activations:
    """What the network says of mono samples at `RATE`; ``step`` is called after each run (`windows`)."""
    count = -(-max(1, len(samples)) // _STEP)
    frames = -(-max(1, len(samples)) // HOP)
    padded = np.pad(samples, (_MARGIN * HOP, count * _STEP + _INPUT - len(samples)))
    views = np.lib.stride_tricks.sliding_window_view(padded, _INPUT)[: count * _STEP : _STEP]
    (given,) = network.get_inputs()
    pieces: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    for start in range(0, count, _BATCH):
        answers = network.run(_OUTPUTS, {given.name: views[start : start + _BATCH, :, None]})
        for kept, answer in zip(pieces, answers, strict=True):
            kept.append(answer[:, _MARGIN : _FRAMES - _MARGIN].reshape(-1, 88))
        step()
    sounds, struck = (np.concatenate(each)[:frames] for each in pieces)
    return Activations(sounds=sounds, struck=struck)


def notes(given: Activations, options: NoteOptions) -> list[Note]:
    """The notes, by their beginning."""
    sounds, struck = given.sounds.copy(), _with_rises(given)
    outside = np.r_[0 : max(0, options.lowest - LOWEST), min(88, options.highest + 1 - LOWEST) : 88].astype(int)
    sounds[:, outside] = struck[:, outside] = 0
    shortest, long = (max(1, round(seconds / FRAME)) for seconds in (options.shortest, _LONG))
    found: list[Note] = []
    left = sounds.copy()  # what no note explains yet
    for start, key in _strokes(struck, options.struck):
        end = _end(left[:, key], start, options.sounds)
        if end - start >= shortest:
            found.append(_note(sounds, start, end, key))
            _take(left, start, end, key)
    found += _without_stroke(left, sounds, options.sounds, long)
    sure = [each for each in found if each.confidence >= _SURE[each.end - each.start >= _LONG - _RINGS]]
    return [] if _chance(sure, len(sounds) * FRAME) else sorted(sure, key=lambda note: (note.start, note.pitch))


def _chance(found: list[Note], seconds: float) -> bool:
    """Whether these are what noise sounds like: few notes, and hardly one that is sure."""
    if not found:
        return False
    share = sum(each.end - each.start for each in found) / seconds
    return float(np.median([each.confidence for each in found])) < 0.5 and share < 0.25


def _with_rises(given: Activations) -> NDArray[np.float32]:
    """Strokes, and where a key comes to sound at once without one."""
    sounds = given.sounds
    if len(sounds) < 3:
        return given.struck.copy()
    before = np.maximum(np.pad(sounds, ((1, 0), (0, 0)))[:-1], np.pad(sounds, ((2, 0), (0, 0)))[:-2])
    rise = np.maximum(sounds - before, 0)
    rise[:2] = 0
    highest = rise.max()
    # As sure as the surest stroke, for the steepest of them; in silence neither means anything.
    return np.maximum(given.struck, rise * (given.struck.max() / highest) if highest > 0.1 else 0).astype(np.float32)


def _strokes(struck: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    """Frame and key of each peak over the threshold, the last first."""
    padded = np.pad(struck, ((1, 1), (0, 0)), constant_values=-1)
    peak = (struck > padded[:-2]) & (struck >= padded[2:]) & (struck >= threshold)
    return [(int(frame), int(key)) for frame, key in np.argwhere(peak)[::-1]]


def _end(sounds: NDArray[np.float32], start: int, threshold: float) -> int:
    """The first frame after ``start`` from which on a key is silent for longer than a gap."""
    on = sounds[start + 1 :] >= threshold
    silent = 0
    for frame, heard in enumerate(on, start + 1):
        silent = 0 if heard else silent + 1
        if silent > _GAP:
            return frame - silent + 1
    return len(sounds) - silent


def _note(sounds: NDArray[np.float32], start: int, end: int, key: int) -> Note:
    begins = start * FRAME + (_EARLY if start else 0.0)
    return Note(
        start=begins,
        end=max(begins + 2 * FRAME, end * FRAME - _RINGS),
        pitch=LOWEST + key,
        confidence=round(float(min(1.0, sounds[start:end, key].mean())), 3),
    )


def _take(left: NDArray[np.float32], start: int, end: int, key: int) -> None:
    """A note explains what the keys beside it seem to sound too."""
    left[start:end, max(0, key - 1) : key + 2] = 0


def _without_stroke(
    left: NDArray[np.float32], sounds: NDArray[np.float32], threshold: float, shortest: int
) -> list[Note]:
    """Notes that swell or glide in: what sounds for long enough and no note explains."""
    found = []
    for key in np.argsort(-left.max(axis=0, initial=0), kind="stable"):
        on = left[:, key] >= threshold
        for start, end in np.flatnonzero(np.diff(np.pad(on.astype(np.int8), 1))).reshape(-1, 2):
            if end - start >= shortest and (left[start:end, key] >= threshold).all():
                found.append(_note(sounds, int(start), int(end), int(key)))
                _take(left, start, end, int(key))
    return found
