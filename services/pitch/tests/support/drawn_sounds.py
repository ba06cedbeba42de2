"""Sound whose truth is known: made at test time, of numbers that are drawn."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 22050
Timbre = str  # a key of `TIMBRES`
TIMBRES = {
    "sine": (1.0,),
    "flute": tuple(np.exp(-1.2 * k) for k in range(8)),
    "saw": tuple(1 / k for k in range(1, 25)),
    "square": tuple((k % 2) / k for k in range(1, 20)),
    "weak": (0.15, *(1 / k for k in range(2, 25))),  # little of the fundamental, as on a telephone
    "bright": tuple(1 / (1 + 0.1 * k) for k in range(24)),
}


def midi_hz(pitch: float) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)


def tone(hz: NDArray[np.float64], timbre: Timbre, rng: np.random.Generator, rate: int = RATE) -> NDArray[np.float64]:
    """A voice at these frequencies, one for each sample; no partial is over half the rate; peak 0.3."""
    phase = 2 * np.pi * np.cumsum(hz) / rate
    total = np.zeros(len(hz))
    for number, level in enumerate(TIMBRES[timbre], 1):
        total += level * np.sin(number * phase + rng.uniform(0, 2 * np.pi)) * (number * hz < 0.45 * rate)
    scaled: NDArray[np.float64] = 0.3 * total / max(np.abs(total).max(), 1e-9)
    return scaled


def noise(seconds: float, rng: np.random.Generator, db: float = -60.0) -> NDArray[np.float64]:
    return 10 ** (db / 20) * rng.standard_normal(round(seconds * RATE))


def played(
    notes: Sequence[tuple[float, float, int]],
    seconds: float,
    timbre: Timbre,
    rng: np.random.Generator,
    *,
    decay: float = 0.0,
) -> NDArray[np.float64]:
    """Notes as (start, end, MIDI pitch), with a stroke of 5 ms and a release of 20 ms."""
    total = np.zeros(round(seconds * RATE))
    for start, end, pitch in notes:
        count = round((end - start) * RATE)
        at = np.arange(count) / RATE
        shape = np.minimum(1, at / 0.005) * np.clip((end - start - at) / 0.02, 0, 1) * np.exp(-decay * at)
        first = round(start * RATE)
        sound = shape * tone(np.full(count, midi_hz(pitch)), timbre, rng)
        total[first : first + count] += sound[: len(total) - first]
    return total


def clicks(
    times: Sequence[float] | NDArray[np.float64],
    seconds: float,
    rng: np.random.Generator,
    *,
    accents: Sequence[bool] = (),
) -> NDArray[np.float64]:
    """Short strokes; accented ones are lower and louder, as a drummer's."""
    total = np.zeros(round(seconds * RATE))
    count = round(0.06 * RATE)
    at = np.arange(count) / RATE
    for number, time in enumerate(times):
        strong = bool(accents) and accents[number]
        hz = 60.0 if strong else 1200.0
        sound = np.exp(-at * 60) * (np.sin(2 * np.pi * hz * at) + 0.3 * rng.standard_normal(count))
        first = round(time * RATE)
        total[first : first + count] += (0.8 if strong else 0.4) * sound[: len(total) - first]
    return total


def write(path: Path, samples: NDArray[np.float64], rate: int = RATE) -> Path:
    """A wav of 16 bits; ``[n]`` is mono, ``[channels, n]`` has so many."""
    planes = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(planes))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(planes.T, -1, 1) * 32767).astype("<i2").tobytes())
    return path
