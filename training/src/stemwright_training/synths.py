"""Instruments made in numpy: drum machines, synthesiser basses, keys, pads and plucks. They are ours, fast, and free.

Each plays one note to mono float32; `render_synth` places the notes of a part. A song's random generator chooses
the patch once, so that a part sounds like one instrument.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from .players import DRUM_KEYS
from .score import SAMPLE_RATE, Note

Mono = npt.NDArray[np.float32]
Patch = Callable[[float, float], Mono]  # frequency in Hz, seconds -> sound
_DRUM_NAMES = {key: name for name, key in DRUM_KEYS.items()}


def _time(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(max(1, int(seconds * SAMPLE_RATE))) / SAMPLE_RATE


def _envelope(n: int, attack: float, release: float) -> npt.NDArray[np.float64]:
    """A straight attack and release, in seconds, around a flat middle."""
    out = np.ones(n)
    a, r = min(n, int(attack * SAMPLE_RATE) + 1), min(n, int(release * SAMPLE_RATE) + 1)
    out[:a] *= np.linspace(0, 1, a)
    out[n - r :] *= np.linspace(1, 0, r)
    return out


def _filtered(
    x: npt.NDArray[np.float64], kind: str, hertz: float | tuple[float, float], order: int = 2
) -> npt.NDArray[np.float64]:
    out: npt.NDArray[np.float64] = sosfilt(butter(order, hertz, kind, fs=SAMPLE_RATE, output="sos"), x)
    return out


def _harmonics(
    frequency: float,
    t: npt.NDArray[np.float64],
    amplitudes: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    top: float,
) -> npt.NDArray[np.float64]:
    """A band-limited wave: the sum of harmonics below `top` Hz, each with its amplitude."""
    count = int(np.clip(min(top, 18000) / frequency, 1, 60))
    numbers = np.arange(1.0, count + 1.0)
    weights = amplitudes(numbers)
    out = np.zeros_like(t)
    for number, weight in zip(numbers, weights, strict=True):
        if abs(weight) > 1e-4:
            out += weight * np.sin(2 * np.pi * frequency * number * t)
    return out


def drum_machine(name: str, rng: np.random.Generator) -> dict[str, Mono]:
    """One sound for each drum of a machine: "808" (round, long) or "909" (hard, noisy)."""
    deep = name == "808"
    noise = rng.standard_normal(2 * SAMPLE_RATE)

    def kick() -> npt.NDArray[np.float64]:
        t = _time(rng.uniform(0.4, 0.9) if deep else rng.uniform(0.25, 0.45))
        base, sweep = rng.uniform(42, 58), rng.uniform(60, 220)
        fall = rng.uniform(18, 45)
        phase = 2 * np.pi * (base * t + sweep / fall * (1 - np.exp(-fall * t)))
        body = np.sin(phase) * np.exp(-t * (rng.uniform(4, 7) if deep else rng.uniform(8, 14)))
        click = noise[: t.size] * np.exp(-t * 400) * rng.uniform(0.05, 0.5)
        return np.tanh((body + click) * rng.uniform(1, 3))

    def snare() -> npt.NDArray[np.float64]:
        t = _time(0.35)
        pitch = rng.uniform(160, 230)
        tone = np.sin(2 * np.pi * pitch * t + 2 * np.exp(-60 * t)) + 0.6 * np.sin(2 * np.pi * pitch * 1.6 * t)
        rattle = _filtered(noise[: t.size], "bandpass", (rng.uniform(900, 1800), 11000))
        ringing: npt.NDArray[np.float64] = tone * np.exp(-t * rng.uniform(18, 35)) * 0.5
        return ringing + rattle * np.exp(-t * rng.uniform(12, 25)) * rng.uniform(0.5, 1)

    def metal(decay: float, low: float) -> npt.NDArray[np.float64]:
        t = _time(min(1.8, 6 / decay))
        ratios = np.array([2.0, 3.0, 4.16, 5.43, 6.79, 8.21]) * rng.uniform(35, 48) * 4
        squares = sum(np.sign(np.sin(2 * np.pi * r * t + rng.uniform(0, 6))) for r in ratios)
        mixed = squares * rng.uniform(0.1, 0.3) + noise[: t.size] * rng.uniform(0.3, 1.0)
        return _filtered(mixed, "highpass", low, 4) * np.exp(-t * decay) * 0.6

    def clap() -> npt.NDArray[np.float64]:
        t = _time(0.3)
        bursts = sum(np.exp(-np.maximum(0, t - d) * 250) * (t >= d) for d in (0, 0.011, 0.023))
        return _filtered(noise[: t.size] * (bursts + 0.8 * np.exp(-t * 14)), "bandpass", (800, 3500)) * 1.2

    def tom(pitch: float) -> npt.NDArray[np.float64]:
        t = _time(0.5)
        return np.sin(2 * np.pi * (pitch * t + pitch / 40 * (1 - np.exp(-25 * t)))) * np.exp(-t * 8)

    def burst(decay: float, low: float, high: float) -> npt.NDArray[np.float64]:
        t = _time(6 / decay)
        return _filtered(noise[: t.size], "bandpass", (low, high)) * np.exp(-t * decay) * np.minimum(1, t * 200) * 0.7

    tuned = rng.uniform(0.85, 1.2)
    sounds = {
        "kick": kick(),
        "snare": snare(),
        "rim": burst(60, 1500, 5000) + 0.4 * tom(480 * tuned)[: _time(0.1).size],
        "clap": clap(),
        "hat": metal(rng.uniform(45, 90), 7000),
        "foothat": metal(60, 6000),
        "openhat": metal(rng.uniform(7, 14), 6500),
        "ride": metal(5, 5000),
        "crash": metal(3.5, 4000),
        "tambourine": burst(22, 5000, 15000),
        "shaker": burst(30, 4000, 14000),
        "conga": tom(210 * tuned),
        "tom1": tom(170 * tuned),
        "tom2": tom(130 * tuned),
        "tom3": tom(95 * tuned),
    }
    levels = {"kick": 1.0, "snare": 0.75, "clap": 0.6, "rim": 0.5}
    return {
        key: (sound / (np.abs(sound).max() + 1e-9) * levels.get(key, 0.4) * rng.uniform(0.7, 1.1)).astype(np.float32)
        for key, sound in sounds.items()
    }


def _bass_patch(name: str, rng: np.random.Generator) -> Patch:
    bright, drive = rng.uniform(400, 2500), rng.uniform(1, 4)
    index, ratio, decay = rng.uniform(0.5, 4), float(rng.choice([1, 2, 0.5])), rng.uniform(1, 6)

    def play(frequency: float, seconds: float) -> Mono:
        t = _time(seconds + 0.05)
        if name == "subbass":
            x = np.tanh(drive * 0.5 * np.sin(2 * np.pi * frequency * t))
        elif name == "808bass":
            glide = 1 + 0.5 * np.exp(-60 * t)
            x = np.tanh(drive * np.sin(2 * np.pi * np.cumsum(frequency * glide) / SAMPLE_RATE)) * np.exp(
                -t * decay * 0.3
            )
        elif name == "fmbass":
            x = np.sin(
                2 * np.pi * frequency * t + index * np.exp(-decay * t) * np.sin(2 * np.pi * frequency * ratio * t)
            )
        elif name == "pickbass":
            x = _harmonics(frequency, t, lambda n: np.abs(np.sin(n * 0.45)) / n, bright * 2)
            x = np.tanh(drive * x * np.exp(-t * decay * 0.4))
        else:
            odd = name == "squarebass"
            x = _harmonics(
                frequency,
                t,
                lambda n: np.where(odd & (n % 2 == 0), 0, 1 / n) / (1 + (n * frequency / bright) ** 2),
                bright * 5,
            )
            x = x * (0.5 + 0.5 * np.exp(-t * decay))
        return (x * _envelope(t.size, 0.004, 0.04)).astype(np.float32)

    return play


def _key_patch(name: str, rng: np.random.Generator) -> Patch:
    bright, detune = rng.uniform(1200, 7000), rng.uniform(0.002, 0.008)
    index, ratio = rng.uniform(0.5, 3), float(rng.choice([1, 2, 3, 7, 14]))
    attack = {"pad": 0.25, "warmpad": 0.4}.get(name, 0.005)
    release = {"pad": 0.5, "warmpad": 0.6, "pluck": 0.3}.get(name, 0.06)
    decay = {"pluck": rng.uniform(5, 12), "fmkeys": rng.uniform(1.5, 4)}.get(name, 0.3)

    def play(frequency: float, seconds: float) -> Mono:
        t = _time(seconds + release)
        if name == "fmkeys":
            x = np.sin(
                2 * np.pi * frequency * t + index * np.exp(-decay * t) * np.sin(2 * np.pi * frequency * ratio * t)
            )
        elif name == "distorted":  # with the fifth of a power chord, through a valve and a loudspeaker
            root = frequency / 2 if frequency > 164 else frequency  # no guitar goes lower than 82 Hz
            x = _harmonics(root, t, lambda n: 1 / n, 6000) + _harmonics(root * 1.498, t, lambda n: 1 / n, 6000)
            x = _filtered(np.tanh(8 * x), "bandpass", (90, 4500))
        else:
            odd = name == "square"
            x = np.zeros_like(t)
            for d in (1 - detune, 1, 1 + detune):
                x += _harmonics(
                    frequency * d,
                    t,
                    lambda n: np.where(odd & (n % 2 == 0), 0, 1 / n) / (1 + (n * frequency / bright) ** 2),
                    bright * 3,
                )
        return (0.5 * x * np.exp(-t * decay) * _envelope(t.size, attack, release)).astype(np.float32)

    return play


def render_synth(name: str, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> Mono:
    """Plays one of our instruments: a drum machine ("808", "909"), a "...bass", or keys. Mono float32 [samples]."""
    out = np.zeros(samples, np.float32)
    if name in ("808", "909"):
        machine = drum_machine(name, rng)
        for note in notes:
            _place(out, machine[_DRUM_NAMES[note.pitch]] * (note.velocity / 127) ** 1.5, note.start)
        return out
    patch = _bass_patch(name, rng) if name.endswith("bass") else _key_patch(name, rng)
    cache: dict[tuple[int, int], Mono] = {}
    for note in notes:
        key = (note.pitch, round(note.duration * 50))
        if key not in cache:
            cache[key] = patch(440 * 2 ** ((note.pitch - 69) / 12), max(0.04, key[1] / 50))
        _place(out, cache[key] * (note.velocity / 127) ** 1.3, note.start)
    return out


def _place(out: Mono, sound: Mono, start: float) -> None:
    at = int(start * SAMPLE_RATE)
    length = min(sound.size, out.size - at)
    if length > 0:
        out[at : at + length] += sound[:length]
