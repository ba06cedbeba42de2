"""Which pitch classes sound, the chords that they make, and the key: read from what the network of the notes hears.

Chords are the best path (Viterbi) through one state for each chord and one for none, a step for each beat: a chord fits as far as
its notes sound and no others do, its root counts more in the bass, and staying costs nothing. The confidence of a chord is its
posterior (forward-backward). The key is the one whose scale and chords fit best (`_key`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from stemwright_pitch.notes import FRAME, LOWEST, Activations

NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
NO_CHORD = "N"
# Semitones over the root, by the names of Harte and others ("Symbolic representation of musical chords", ISMIR 2005).
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
}
_COMMON = {
    "maj": 0.0,
    "min": 0.0,
    "7": -0.5,
    "maj7": -0.55,
    "min7": -0.5,
    "dim": -0.9,
}  # how usual: added to a chord's fit
CHORDS = tuple(f"{name}:{quality}" for name in NAMES for quality in QUALITIES)
_BASS = 52 - LOWEST  # keys under E3 are the bass
_FIT = 10.0  # how much a fit of 1 says
_STAY = 3.2  # how much better another chord has to fit, in a step, to be taken
_LEAST = 0.02  # mean activation under which there is no chord
_SHORTEST = 0.1  # seconds: what is before the first beat or after the last, and shorter, has no chord of its own
_STEP = 0.5  # seconds, without beats
_LASTING = 0.8  # seconds: the first chord and the last are ones that stay, not what is between two beats
_CHANGE = 0.6  # seconds before and after a moment that are compared
SCALES = {
    "major": ("major", (0, 2, 4, 5, 7, 9, 11)),
    "mixolydian": ("major", (0, 2, 4, 5, 7, 9, 10)),
    "minor": ("minor", (0, 2, 3, 5, 7, 8, 10)),
    "dorian": ("minor", (0, 2, 3, 5, 7, 9, 10)),
}
# How much each of `_key_signs` says: fitted, by multinomial logistic regression with a penalty, to songs of the generator in
# `training/`.
KEY_WEIGHTS = np.array([1.0, 65.0, 65.0, 0.8, 8.6, 2.5, 2.2, 3.3, -1.4, -0.85, 0.9])
# Correlation profiles of Albrecht and Shanahan, "The Use of Large Corpora to Train a New Type of Key-Finding Algorithm", 2013.
_MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])


@dataclass(frozen=True, kw_only=True)
class Chroma:
    """``[frames, 12]`` each, C first: how much each pitch class sounds, in all and in the bass."""

    whole: NDArray[np.float64]
    bass: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Chord:
    """A chord, or `NO_CHORD`."""

    start: float  # seconds
    end: float
    name: str  # for example "Eb:min7"
    confidence: float  # 0 to 1


@dataclass(frozen=True, kw_only=True)
class Key:
    """Tonic and mode."""

    tonic: str
    mode: str  # "major" or "minor"
    scale: str  # of `SCALES`
    confidence: float  # 0 to 1

    @property
    def name(self) -> str:
        """For example "Eb minor"."""
        return f"{self.tonic} {self.mode}"


def chroma(given: Activations) -> Chroma:
    """Of what sounds, a frame for each of the network's."""
    sounds = np.square(given.sounds.astype(np.float64))
    return Chroma(whole=_fold(sounds), bass=_fold(np.pad(sounds[:, :_BASS], ((0, 0), (0, 88 - _BASS)))))


def _fold(sounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys to pitch classes."""
    return np.stack([sounds[:, (pitch - LOWEST) % 12 :: 12].sum(axis=1) for pitch in range(12)], axis=1)


def changes(given: Chroma) -> NDArray[np.float64]:
    """How much what sounds after each frame differs from what sounded before, 0 to 1."""
    size = round(_CHANGE / FRAME)
    both = np.concatenate([given.whole, 2 * given.bass], axis=1)
    if len(both) <= size:
        return np.zeros(len(both))
    mean = uniform_filter1d(both, size, axis=0, mode="nearest")
    before, after = np.roll(mean, size // 2, axis=0), np.roll(mean, -size // 2, axis=0)
    before[: size // 2], after[-size // 2 :] = before[size // 2 : size // 2 + 1], after[-size // 2 - 1 : -size // 2]
    length = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    alike = (before * after).sum(axis=1) / np.maximum(length, 1e-9)
    return np.asarray(np.where(length > 1e-6, 1 - alike, 0))


def chords(given: Chroma, times: NDArray[np.float64], seconds: float) -> list[Chord]:
    """The chords between ``times`` (seconds, rising: the beats), and before the first and after the last.

    Where there are no beats, a chord may change as often as if there were; without any, every half second.
    """
    edges = _edges(times, seconds)
    whole, bass = (_means(each, edges) for each in (given.whole, given.bass))
    if not len(whole):
        return []
    fit = _fits(whole, bass)
    path, sure = _path(fit)
    found: list[Chord] = []
    begin = 0
    for step in range(1, len(path) + 1):
        if step == len(path) or path[step] != path[begin]:
            name = NO_CHORD if path[begin] == len(CHORDS) else CHORDS[path[begin]]
            confidence = round(float(sure[begin:step].mean()), 3)
            found.append(Chord(start=float(edges[begin]), end=float(edges[step]), name=name, confidence=confidence))
            begin = step
    return found


def _edges(times: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """The beats from the beginning to the end; those that nobody plays are counted on."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else _STEP
    first, last = (float(times[0]), float(times[-1])) if len(times) else (0.0, 0.0)
    before, after = np.arange(first - step, 0, -step)[::-1], np.arange(last + step, seconds, step)
    inner = np.concatenate([before, times, after])
    inner = inner[(inner > _SHORTEST) & (inner < seconds - _SHORTEST)]
    return np.concatenate([[0.0], inner, [seconds]])


def _means(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[steps, 12]`` between each two edges, in seconds."""
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(values, axis=0)])
    frames = np.clip(np.rint(edges / FRAME).astype(int), 0, len(values))
    counts = np.maximum(np.diff(frames), 1)[:, None]
    return np.asarray(np.diff(total[frames], axis=0) / counts)


def _templates() -> NDArray[np.float64]:
    """``[chords, 12]``, of length 1."""
    templates = np.zeros((len(CHORDS), 12))
    for number, (root, tones) in enumerate((root, tones) for root in range(12) for tones in QUALITIES.values()):
        for tone in tones:
            templates[number, (root + tone) % 12] = 0.8 if tone in (10, 11) else 1.0
    return np.asarray(templates / np.linalg.norm(templates, axis=1, keepdims=True))


def _fits(whole: NDArray[np.float64], bass: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[steps, chords and none]``: how well each fits, as a logarithm of how likely it is."""
    level = whole.sum(axis=1)
    even = np.sqrt(whole)  # a loud note is not a chord
    even /= np.maximum(np.linalg.norm(even, axis=1, keepdims=True), 1e-9)
    low = np.sqrt(bass)
    low /= np.maximum(np.linalg.norm(low, axis=1, keepdims=True), 1e-9)
    roots = np.repeat(np.arange(12), len(QUALITIES))
    common = np.tile(list(_COMMON.values()), 12)
    fit = _FIT * (even @ _templates().T + 0.22 * low[:, roots]) + common
    none = np.where(level < _LEAST, 50.0, _FIT * 0.62)
    return np.concatenate([fit, none[:, None]], axis=1)


def _path(fit: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best state of each step, and its posterior."""
    steps, states = fit.shape
    total, back = fit[0], np.zeros((steps, states), dtype=np.int64)
    for step in range(1, steps):
        other = int(total.argmax())
        moves = total[other] - _STAY > total
        back[step] = np.where(moves, other, np.arange(states))
        total = np.where(moves, total[other] - _STAY, total) + fit[step]
    path = np.zeros(steps, dtype=np.int64)
    path[-1] = total.argmax()
    for step in range(steps - 1, 0, -1):
        path[step - 1] = back[step, path[step]]
    forward, backward = np.zeros_like(fit), np.zeros_like(fit)
    forward[0] = fit[0]
    for step in range(1, steps):
        forward[step] = _spread(forward[step - 1]) + fit[step]
        backward[-step - 1] = _spread(backward[-step] + fit[-step])
    both = forward + backward
    both = np.exp(both - both.max(axis=1, keepdims=True))
    return path, np.asarray(both[np.arange(steps), path] / both.sum(axis=1))


def _spread(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """One step of the chain, in logarithms: stay, or pay and go anywhere."""
    highest = weights.max()
    anywhere = highest + np.log(np.exp(weights - highest).sum()) - _STAY
    return np.asarray(np.logaddexp(weights, anywhere))


def key(given: Chroma, found: Sequence[Chord]) -> Key | None:
    """The key of the whole; None if nothing sounds that has one."""
    named = [chord for chord in found if chord.name != NO_CHORD]
    tones = np.sqrt(given.whole).sum(axis=0)
    low = np.sqrt(given.bass).sum(axis=0)
    if not named or tones.max() <= 0:
        return None
    signs = [_key_signs(tones, low, named, tonic, scale) for tonic in range(12) for scale in SCALES]
    scores = np.array(signs) @ KEY_WEIGHTS
    likely = np.exp(scores - scores.max())
    likely /= likely.sum()
    tonic, number = divmod(int(scores.argmax()), len(SCALES))
    scale = list(SCALES)[number]
    mode = SCALES[scale][0]
    same = [SCALES[each][0] == mode for each in SCALES]
    sure = likely.reshape(12, -1)[tonic, same].sum()
    return Key(tonic=NAMES[tonic], mode=mode, scale=scale, confidence=round(float(sure), 3))


def _key_signs(
    tones: NDArray[np.float64], low: NDArray[np.float64], named: Sequence[Chord], tonic: int, scale: str
) -> list[float]:
    """What speaks for a key: see `KEY_WEIGHTS`."""
    mode, steps = SCALES[scale]
    members = [(tonic + step) % 12 for step in steps]
    own = {"major": ("maj", "7", "maj7"), "minor": ("min", "min7")}[mode]
    chords = {f"{NAMES[tonic]}:{quality}" for quality in own}
    length = sum(chord.end - chord.start for chord in named)
    lasting = [chord for chord in named if chord.end - chord.start >= _LASTING] or named
    home = sum(chord.end - chord.start for chord in named if chord.name in chords)
    fifth = sum(chord.end - chord.start for chord in named if chord.name.split(":")[0] == NAMES[(tonic + 7) % 12])
    fourth = sum(chord.end - chord.start for chord in named if chord.name.split(":")[0] == NAMES[(tonic + 5) % 12])
    profile = {"major": _MAJOR, "minor": _MINOR}[mode]
    return [
        float(np.corrcoef(np.roll(tones, -tonic), profile)[0, 1]),
        float(tones[members].sum() / tones.sum()),
        float(tones[tonic] / tones.sum()),
        float(low[tonic] / max(low.sum(), 1e-9)),
        home / length,
        fifth / length,
        fourth / length,
        float(lasting[0].name in chords),
        float(lasting[-1].name in chords),
        float(scale in ("dorian", "mixolydian")),
        float(mode == "minor"),
    ]
