"""Tempo, beats and bars, found in the strength of onsets.

Beats after Ellis ("Beat tracking by dynamic programming", 2007): the sequence of moments with the strongest onsets that are
as far from each other as the tempo says. The tempo may drift: its curve is the best path through the periods that repeat
(`_curve`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stemwright_pitch.onsets import FRAMES_PER_SECOND, HOP, Onsets
from stemwright_pitch.signals import RATE

SLOWEST, FASTEST = 50.0, 220.0  # beats a minute
_USUAL, _SPREAD = 115.0, 0.85  # beats a minute, octaves: what people tap to most music
_WINDOW, _STEP = 10.0, 2.0  # seconds that a period is looked for in, and between two looks
_TIGHT = 4000.0  # how much an uneven beat costs
_DRIFT = 40.0  # how much a change of tempo costs
METRES = (4, 3)
_EMPTY = 12.0  # how much it says against a tempo that every second beat is silence: no song of those that were fitted to has it
# How much each of the signs says (`_countings`): fitted, by multinomial logistic regression with a penalty, to songs of the
# generator in `training/`.
WEIGHTS = {
    "tempo squared": -2.235,
    "tempo": 2.346,
    "clearness": 1.681,
    "three": 0.514,
    "onsets on beats": 0.426,
    "onsets between": -0.045,
    "onsets at quarters": -0.715,
    "low on bars": 0.307,
    "low on other beats": 0.039,
    "low between": 0.282,
    "low in mid-bar": 0.07,
    "changes on bars": 2.446,
    "changes on other beats": -4.233,
    "changes between": -5.652,
    "changes at quarters": -4.947,
    "changes in mid-bar": -0.089,
    "changes of every second bar": -0.079,
    "bass on bars": 1.414,
    "bass on other beats": -1.168,
    "bass between": 0.579,
    "bass in mid-bar": 0.298,
    "bass of every second bar": -0.894,
    "snare": 0.276,
    "high on bars": 0.037,
    "high between": -0.058,
    "repeats": 1.243,
}


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One beat."""

    time: float  # seconds
    position: int  # in its bar, from 1
    confidence: float  # 0 to 1


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What there is to count. No tempo: there is nothing."""

    tempo: float | None  # beats a minute, of the middle beat
    tempo_confidence: float
    beats: tuple[Beat, ...]
    beats_per_bar: int | None
    bar_confidence: float

    @property
    def downbeats(self) -> tuple[Beat, ...]:
        """Where bars begin."""
        return tuple(beat for beat in self.beats if beat.position == 1)


NOTHING = Pulse(tempo=None, tempo_confidence=0.0, beats=(), beats_per_bar=None, bar_confidence=0.0)


def track(onsets: Onsets, harmony: Harmony | None = None, *, metres: tuple[int, ...] = METRES) -> Pulse:
    """Beats of a recording.

    Several tempi and several ways to count are followed, and the one whose bars explain most is taken: strong onsets on beats,
    bass and a change of harmony where bars begin, and the snare between (`_likely`).
    """
    if not onsets.sounding or len(onsets.strength) < 4 * FRAMES_PER_SECOND:
        return NOTHING
    ways = _ways(onsets, harmony, metres)
    if not ways:
        return NOTHING
    scores = np.array([way.score for way in ways])
    likely = np.exp(scores - scores.max())
    likely /= likely.sum()
    best = ways[int(scores.argmax())]
    same_tempo = np.array([abs(np.log2(way.period / best.period)) < 0.06 for way in ways])
    exact = _between_frames(onsets.strength, best.frames)
    strengths = _strength_at(onsets.strength, best.frames)
    usual = np.median(np.diff(exact))
    even = float(np.exp(-np.mean(np.abs(np.diff(exact) / usual - 1)) * 4))
    return Pulse(
        tempo=round(60 * FRAMES_PER_SECOND / _mean_period(exact), 2),
        tempo_confidence=round(float(likely[same_tempo].sum() * np.clip(2 * best.clearness, 0, 1) * even), 3),
        beats=tuple(
            Beat(
                time=float(frame) * HOP / RATE,
                position=(number - best.first) % best.metre + 1,
                confidence=round(float(strength / (strength + 1)), 3),
            )
            for number, (frame, strength) in enumerate(zip(exact, strengths, strict=True))
        ),
        beats_per_bar=best.metre,
        bar_confidence=round(float(likely.max()), 3),
    )


@dataclass(frozen=True, kw_only=True)
class Harmony:
    """What the notes say of where bars begin: at each frame of the onsets."""

    changes: NDArray[np.float64]  # how much the harmony changes
    bass: NDArray[np.float64]  # how much notes of the bass begin


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One way to count."""

    frames: NDArray[np.int64]  # beats
    period: float  # frames
    clearness: float
    metre: int
    first: int  # the first beat that begins a bar
    score: float  # how likely it is, as a logarithm


def _ways(onsets: Onsets, harmony: Harmony | None, metres: tuple[int, ...]) -> list[_Way]:
    periods, looks = _periodogram(onsets)
    found: list[_Way] = []
    z = {name: _normal(getattr(onsets, name)) for name in ("strength", "low", "middle", "high")}
    silent = np.zeros(len(onsets.strength))
    z["changes"] = silent if harmony is None else _normal(harmony.changes)
    z["bass"] = silent if harmony is None else _normal(harmony.bass)
    salience = onsets.strength + 0.5 * onsets.low + np.maximum(z["changes"], 0) + 0.5 * np.maximum(z["bass"], 0)
    for centre in _tempi(periods, looks):
        curve, clearness = _curve(periods, looks, centre, len(onsets.strength))
        on = _beats(salience, curve)
        for frames in (on, _beats(_without(salience, on, curve), curve)):
            if len(frames) >= 8:
                found += _countings(frames, float(curve.mean()), clearness, z, onsets.strength, metres)
    return found


def _without(
    salience: NDArray[np.float64], frames: NDArray[np.int64], curve: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As if nothing happened on these beats: what is found then are those between."""
    left = salience.copy()
    for frame in frames:
        reach = int(0.2 * curve[frame])
        left[max(0, frame - reach) : frame + reach + 1] = 0
    return left


def _tempi(periods: NDArray[np.float64], looks: NDArray[np.float64]) -> list[float]:
    """Periods worth following, in frames: the one that repeats best, and its simple relatives."""
    usual = np.exp(-0.5 * (np.log2(60 * FRAMES_PER_SECOND / periods / _USUAL) / _SPREAD) ** 2)
    best = periods[int((np.maximum(looks.mean(axis=0), 0) * usual).argmax())]
    relatives = (best * factor for factor in (1, 2, 1 / 2, 3 / 2, 2 / 3, 3, 1 / 3, 4 / 3, 3 / 4))
    return [each for each in relatives if periods[0] <= each <= periods[-1]]


def _countings(
    frames: NDArray[np.int64],
    period: float,
    clearness: float,
    z: Mapping[str, NDArray[np.float64]],
    strength: NDArray[np.float64],
    metres: tuple[int, ...],
) -> list[_Way]:
    """Every metre and every beat that a bar may begin with."""
    between = (frames[:-1] + frames[1:]) // 2
    on = {name: _strength_at(values, frames, 8 if name == "changes" else 4) for name, values in z.items()}
    half = {
        name: float(_strength_at(values, between, 8 if name == "changes" else 4).mean()) for name, values in z.items()
    }
    quarters = np.concatenate([(3 * frames[:-1] + frames[1:]) // 4, (frames[:-1] + 3 * frames[1:]) // 4])
    tempo = float(np.log2(60 * FRAMES_PER_SECOND / period / _USUAL))
    beats = {
        "tempo squared": tempo**2,
        "tempo": tempo,
        "clearness": clearness,
        "onsets on beats": float(on["strength"].mean()),
        "onsets between": half["strength"],
        "onsets at quarters": float(_strength_at(z["strength"], quarters, 3).mean()),
        "low between": half["low"],
        "changes between": half["changes"],
        "changes at quarters": float(_strength_at(z["changes"], quarters, 3).mean()),
        "bass between": half["bass"],
        "high between": half["middle"] + half["high"],
    }
    empty = _EMPTY * _emptiness(strength, frames)
    found = []
    for metre in metres:
        for first in range(metre):
            signs = (
                beats | _signs(on, metre, first) | {"three": float(metre == 3), "repeats": _repeats(z, frames, metre)}
            )
            score = sum(weight * signs[name] for name, weight in WEIGHTS.items()) - empty
            found.append(_Way(frames=frames, period=period, clearness=clearness, metre=metre, first=first, score=score))
    return found


def _signs(on: Mapping[str, NDArray[np.float64]], metre: int, first: int) -> dict[str, float]:
    """What speaks for bars of so many beats, the first of which begins at beat ``first``."""
    position = (np.arange(len(on["low"])) - first) % metre
    down, rest, middle = position == 0, position != 0, position == 2
    high = on["middle"] + on["high"]
    signs = {"high on bars": float(high[down].mean()), "snare": 0.0}
    for name in ("low", "changes", "bass"):
        signs[f"{name} on bars"] = float(on[name][down].mean())
        signs[f"{name} on other beats"] = float(on[name][rest].mean())
        signs[f"{name} in mid-bar"] = float(on[name][middle].mean()) if metre == 4 else 0.0
        signs[f"{name} of every second bar"] = _alternates(on[name][down])
    if metre == 4:
        signs["snare"] = float(high[position % 2 == 1].mean() - high[down | middle].mean())
    return signs


def _emptiness(strength: NDArray[np.float64], frames: NDArray[np.int64]) -> float:
    """1 if nothing begins on every second beat, or on two of three: then the others are the beats. 0 if something does."""
    there = _strength_at(strength, frames)
    ratios = []
    for every in (2, 3):
        means = sorted(float(there[start::every].mean()) for start in range(every))
        ratios.append(means[-2] / max(means[-1], 1e-9))
    return max(0.0, 1 - min(ratios) / 0.25)


def _alternates(bars: NDArray[np.float64]) -> float:
    """How much every second bar has more than the others: it is much where two of them are one."""
    return abs(float(bars[::2].mean() - bars[1::2].mean())) if len(bars) > 1 else 0.0


def _repeats(z: Mapping[str, NDArray[np.float64]], frames: NDArray[np.int64], metre: int) -> float:
    """How much a bar is like the one before, over all that was measured on its beats."""
    values = np.stack([_strength_at(z[name], frames) for name in ("strength", "low", "middle", "bass")])
    values = values - values.mean(axis=1, keepdims=True)
    if values.shape[1] <= metre:
        return 0.0
    return float((values[:, metre:] * values[:, :-metre]).sum() / max(np.square(values).sum(), 1e-9))


def _mean_period(frames: NDArray[np.float64]) -> float:
    """Frames between two beats where most are: the middle half of all distances, so that a pause does not count."""
    distances = np.sort(np.diff(frames))
    return float(distances[len(distances) // 4 : -(len(distances) // 4) or None].mean())


def _periodogram(onsets: Onsets) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Periods in frames, and how much each repeats ``[looks, periods]``, 1 is perfect."""
    strength = gaussian_filter1d(onsets.strength, 1.5)
    size = min(len(strength), round(_WINDOW * FRAMES_PER_SECOND))
    step = round(_STEP * FRAMES_PER_SECOND)
    starts = range(0, max(1, len(strength) - size + 1), step)
    length = 2 << (size - 1).bit_length()
    fastest, slowest = (60 * FRAMES_PER_SECOND / tempo for tempo in (FASTEST, SLOWEST))
    periods = np.geomspace(fastest, slowest, 220)
    looks = []
    for start in starts:
        piece = strength[start : start + size] - strength[start : start + size].mean()
        spectrum = np.abs(np.fft.rfft(piece, length)) ** 2
        repeats = np.fft.irfft(spectrum)[:size] / np.maximum(np.arange(size, 0, -1), size / 4)
        repeats /= max(repeats[0], 1e-9)
        lags = np.arange(size)
        looks.append(
            sum(weight * np.interp(periods * times, lags, repeats) for times, weight in ((1, 0.5), (2, 0.3), (4, 0.2)))
        )
    return periods, np.array(looks)


def _curve(
    periods: NDArray[np.float64], looks: NDArray[np.float64], centre: float, length: int
) -> tuple[NDArray[np.float64], float]:
    """The period at each of ``length`` frames, and how much it repeats (0 to 1): one tempo for all, that may drift a little."""
    best = int(np.abs(periods - centre).argmin())
    near = np.abs(np.log2(periods / periods[best])) < 0.12
    scores = np.where(near, np.maximum(looks, 0), -1.0)
    jump = _DRIFT * np.square(np.log2(periods[:, None] / periods[None]))
    total, paths = scores[0], []
    for look in scores[1:]:
        ways = total[None] - jump
        paths.append(ways.argmax(axis=1))
        total = ways.max(axis=1) + look
    path = [int(total.argmax())]
    for step in reversed(paths):
        path.append(int(step[path[-1]]))
    chosen = periods[path[::-1]]
    centres = (np.arange(len(chosen)) * _STEP + min(_WINDOW, length / FRAMES_PER_SECOND) / 2) * FRAMES_PER_SECOND
    return np.interp(np.arange(length), centres, chosen), float(looks.mean(axis=0)[best])


def _beats(strength: NDArray[np.float64], curve: NDArray[np.float64]) -> NDArray[np.int64]:
    """The frames of the beats: the sequence of most strength that is evenly spaced, by dynamic programming."""
    local = gaussian_filter1d(np.minimum(strength, 12.0), 1.5)
    score, back = local.copy(), np.full(len(local), -1)
    for frame in range(len(local)):
        period = curve[frame]
        first, last = frame - int(2 * period), frame - int(period / 2)
        if last <= 0:
            continue
        earlier = np.arange(max(0, first), last)
        ways = score[earlier] - _TIGHT * np.square(np.log((frame - earlier) / period))
        best = int(ways.argmax())
        if ways[best] > 0:
            score[frame] += ways[best]
            back[frame] = earlier[best]
    last_period = int(curve[-1])
    frame = len(score) - last_period + int(score[-last_period:].argmax())
    found = []
    while frame >= 0:
        found.append(frame)
        frame = int(back[frame])
    return _without_silence(np.array(found[::-1]), strength)


def _without_silence(frames: NDArray[np.int64], strength: NDArray[np.float64]) -> NDArray[np.int64]:
    """Without beats before the music and after it."""
    there = _strength_at(strength, frames)
    heard = np.flatnonzero(there > max(0.5, 0.2 * float(np.median(there)))) if len(there) else frames[:0]
    return frames[heard[0] : heard[-1] + 1] if len(heard) else frames[:0]


def _strength_at(strength: NDArray[np.float64], frames: NDArray[np.int64], reach: int = 4) -> NDArray[np.float64]:
    """The highest value around each frame."""
    padded = np.pad(strength, reach)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)[frames].max(axis=1))


def _between_frames(strength: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each beat at its onset, if one is very near, to fractions of a frame."""
    smooth = np.pad(gaussian_filter1d(strength, 1.0), 4)
    exact = frames.astype(np.float64)
    for number, frame in enumerate(frames):
        around = smooth[frame + 1 : frame + 8]
        peak = int(around.argmax())
        if 0 < peak < 6 and around[peak] > 0.5:
            left, middle, right = around[peak - 1 : peak + 2]
            exact[number] = frame + peak - 3 + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9)
    return np.maximum(exact, 0)


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))
