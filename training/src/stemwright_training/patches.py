"""Instruments that nobody has heard: random patches in the manner of a General MIDI program, additive or FM.

Sound fonts are few, and a network that heard one font knows that font. A song of the font `own` is played with these
instead: each part draws harmonics, resonances, decay and attack anew. They are ours, fast, and free.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from .score import SAMPLE_RATE, Note

Mono = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
HARMONICS = 36
TOP = 16000.0  # Hz


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What the programs of a General MIDI family have in common; pairs are ranges to draw from."""

    attack: tuple[float, float]  # seconds
    decay: tuple[float, float]  # in nepers a second
    slope: tuple[float, float]  # amplitude of harmonic n is n to the power of minus this
    release: tuple[float, float] = (0.03, 0.15)  # seconds
    noise: float = 0.02  # of the attack's hiss, against the tone
    vibrato: float = 0.0  # semitones at most
    drive: float = 0.0  # into soft clipping


_STRUCK = Family(attack=(0.001, 0.006), decay=(0.8, 4.0), slope=(0.8, 1.9), release=(0.05, 0.3), noise=0.06)
_BELL = Family(attack=(0.001, 0.003), decay=(2.0, 8.0), slope=(1.0, 2.5), release=(0.1, 0.5), noise=0.05)
_ORGAN = Family(attack=(0.005, 0.03), decay=(0.0, 0.05), slope=(0.5, 1.5), noise=0.03, vibrato=0.1)
_PLUCKED = Family(attack=(0.001, 0.006), decay=(1.5, 6.0), slope=(0.6, 1.6), release=(0.03, 0.2), noise=0.1)
_BASS = Family(attack=(0.002, 0.012), decay=(0.5, 4.0), slope=(0.9, 2.2), release=(0.02, 0.1), noise=0.08)
_BOWED = Family(attack=(0.04, 0.2), decay=(0.0, 0.3), slope=(0.8, 1.6), release=(0.1, 0.3), noise=0.03, vibrato=0.3)
_BRASS = Family(attack=(0.02, 0.08), decay=(0.0, 0.4), slope=(0.4, 1.2), noise=0.03, vibrato=0.15)
_REED = Family(attack=(0.02, 0.06), decay=(0.0, 0.3), slope=(0.5, 1.4), noise=0.04, vibrato=0.25)
_PIPE = Family(attack=(0.03, 0.1), decay=(0.0, 0.2), slope=(1.4, 2.6), noise=0.12, vibrato=0.25)
_LEAD = Family(attack=(0.003, 0.03), decay=(0.0, 0.8), slope=(0.7, 1.3), noise=0.0, vibrato=0.2)
_PAD = Family(attack=(0.08, 0.5), decay=(0.0, 0.2), slope=(0.9, 2.0), release=(0.2, 0.7), noise=0.02)
_LOUD_GUITAR = Family(attack=(0.002, 0.008), decay=(0.3, 1.2), slope=(0.6, 1.1), noise=0.05, drive=6.0)
# One for each eight General MIDI programs.
FAMILIES = (
    _STRUCK, _BELL, _ORGAN, _PLUCKED, _BASS, _BOWED, _PAD, _BRASS,
    _REED, _PIPE, _LEAD, _PAD, _PAD, _PLUCKED, _BELL, _BELL,
)  # fmt: skip
LOUD_GUITARS = (29, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One instrument: what its notes share."""

    weights: Array  # of the harmonics, before the resonances
    decay: float  # in nepers a second
    damping: float  # what each harmonic decays more than the one below it
    resonances: Array  # rows of: Hz, gain, width in octaves
    attack: float
    release: float
    noise: float
    vibrato: tuple[float, float]  # semitones, Hz
    detune: float  # of a second voice; 0: none
    fm: tuple[float, float]  # index, ratio; index 0: additive
    drive: float


def random_patch(program: int, rng: np.random.Generator) -> Patch:
    """Draws an instrument in the manner of a General MIDI program, 0 to 127."""
    family = _LOUD_GUITAR if program in LOUD_GUITARS else FAMILIES[program // 8]
    n = np.arange(1.0, HARMONICS + 1.0)
    weights: Array = n ** -rng.uniform(*family.slope) * np.exp(rng.normal(0, 0.5, n.size))
    if rng.random() < 0.3:
        weights = weights * np.where(n % 2 == 0, rng.uniform(0.0, 0.4), 1.0)
    if rng.random() < 0.4:  # the place where a string is plucked
        weights = weights * (0.05 + np.abs(np.sin(np.pi * n * rng.uniform(0.08, 0.5))))
    count = int(rng.integers(1, 5))
    resonances = np.stack(
        [np.exp(rng.uniform(np.log(150), np.log(5000), count)), rng.uniform(0.3, 4, count), rng.uniform(0.2, 1, count)],
        axis=1,
    )
    decay = float(rng.uniform(*family.decay))
    return Patch(
        weights=weights,
        decay=decay,
        damping=decay * float(rng.uniform(0, 0.5)),
        resonances=resonances,
        attack=float(rng.uniform(*family.attack)),
        release=float(rng.uniform(*family.release)),
        noise=family.noise * float(rng.uniform(0, 2)),
        vibrato=(family.vibrato * float(rng.uniform(0, 1)), float(rng.uniform(4.5, 6.5))),
        detune=float(rng.uniform(0.001, 0.006)) if rng.random() < 0.3 else 0.0,
        fm=(float(rng.uniform(0.5, 4)), float(rng.choice([0.5, 1, 1, 2, 3, 4, 7]))) if rng.random() < 0.2 else (0, 1),
        drive=family.drive * float(rng.uniform(0.5, 2)) + (float(rng.uniform(0, 2)) if rng.random() < 0.2 else 0.0),
    )


def play_patch(patch: Patch, frequency: float, seconds: float, noise: Array) -> Mono:
    """One note, float32 [samples], a release longer than `seconds`; `noise` feeds the attack's hiss (1 s of it)."""
    t = np.arange(int((seconds + patch.release) * SAMPLE_RATE) + 1) / SAMPLE_RATE
    depth, rate = patch.vibrato
    bend = np.sin(2 * np.pi * rate * t) * np.clip((t - 0.15) / 0.3, 0, 1) * depth * 0.0578 / (2 * np.pi * rate)
    x = _tone(patch, frequency, t, bend)
    if patch.detune:
        x = x + _tone(patch, frequency * (1 + patch.detune), t, bend)
    x = x / max(float(np.abs(x).max()), 1e-9)
    length = min(t.size, noise.size)
    x[:length] += patch.noise * noise[:length] * np.exp(-t[:length] * 40)
    if patch.drive > 0.1:
        x = np.tanh(x * (1 + patch.drive)) / np.tanh(1 + patch.drive)
    out = x * np.clip(t / patch.attack, 0, 1) * np.clip((t[-1] - t) / patch.release, 0, 1)
    sound: Mono = (0.4 * out).astype(np.float32)
    return sound


def _tone(patch: Patch, frequency: float, t: Array, bend: Array) -> Array:
    index, ratio = patch.fm
    if index:
        swing = index * np.exp(-patch.decay * t) * np.sin(2 * np.pi * frequency * ratio * (t + bend))
        out: Array = np.sin(2 * np.pi * frequency * (t + bend) + swing) * np.exp(-patch.decay * 0.5 * t)
        return out
    n = np.arange(1, max(1, min(HARMONICS, int(TOP / frequency))) + 1)
    octaves = np.log2(frequency * n[:, None] / patch.resonances[:, 0])
    colour = 1 + (patch.resonances[:, 1] * np.exp(-((octaves / patch.resonances[:, 2]) ** 2))).sum(axis=1)
    amplitudes = patch.weights[: n.size] * colour
    # A polynomial in one turning, shrinking number: a tenth of the time of as many sines and exponentials.
    turn = np.exp((2j * np.pi * frequency) * (t + bend) - patch.damping * t).astype(np.complex64)
    total = np.zeros_like(turn)
    for amplitude in amplitudes[::-1].astype(np.float32):
        total += amplitude
        total *= turn
    x: Array = total.imag * np.exp(-patch.decay * t)
    return x


def render_patch(program: int, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> Mono:
    """Plays a part with an instrument drawn for it; mono float32 [samples]."""
    patch = random_patch(program, rng)
    noise = sosfilt(
        butter(2, (300, float(rng.uniform(3000, 9000))), "bandpass", fs=SAMPLE_RATE, output="sos"),
        rng.standard_normal(SAMPLE_RATE),
    )
    out = np.zeros(samples, np.float32)
    played: dict[tuple[int, int], Mono] = {}
    for note in notes:
        key = (note.pitch, max(1, round(note.duration * 20)))
        if key not in played:
            played[key] = play_patch(patch, 440 * 2 ** ((note.pitch - 69) / 12), key[1] / 20, noise)
        at = int(note.start * SAMPLE_RATE)
        sound = played[key][: max(0, samples - at)]
        out[at : at + sound.size] += sound * (note.velocity / 127) ** 1.4
    return out
