"""A singer: espeak-ng says each syllable once, WORLD takes it apart, and the parts are put onto the melody."""

import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyworld
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from .score import SAMPLE_RATE, Note

FRAME = 0.005  # seconds between WORLD's frames
RATE = 22050  # what espeak-ng speaks at
Array = npt.NDArray[np.float64]

# espeak-ng voices: a language or accent, and a variant that sets the speaker.
SPEAKERS = (
    "en-us+m3",
    "en-us+f2",
    "en-gb+m7",
    "en-gb+f4",
    "en-us+f5",
    "en-us+m1",
    "it+f3",
    "es+m2",
    "en-gb-scotland+m4",
    "sv+f1",
    "en-us+klatt2",
    "nl+m6",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Syllable:
    """WORLD's parts of a spoken syllable: `voiced` [frames], `envelope` and `aperiodicity` [frames, bins]; where its vowel is."""

    voiced: npt.NDArray[np.bool_]
    envelope: Array
    aperiodicity: Array
    vowel: tuple[int, int]


@lru_cache(maxsize=4096)
def say(speaker: str, text: str) -> Syllable:
    """Speaks one syllable and takes it apart. Raises FileNotFoundError when espeak-ng is not installed."""
    command = ["espeak-ng", "-v", speaker, "-s", "130", "--stdout", text]
    spoken = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    x, rate = soundfile.read(io.BytesIO(spoken), dtype="float64")
    loud = np.flatnonzero(np.abs(x) > 0.01)
    x = x[max(0, loud[0] - 200) : loud[-1] + 400] if loud.size else np.zeros(rate // 4)
    x = np.ascontiguousarray(x + 1e-6 * np.sin(np.arange(x.size)))
    f0, times = pyworld.dio(x, rate, f0_floor=60, f0_ceil=500, frame_period=FRAME * 1000)
    f0 = pyworld.stonemask(x, f0, times, rate)
    envelope = pyworld.cheaptrick(x, f0, times, rate)
    aperiodicity = pyworld.d4c(x, f0, times, rate)
    voiced = f0 > 0
    power = envelope.sum(axis=1) * voiced
    strong = np.flatnonzero(power > 0.25 * power.max()) if voiced.any() else np.arange(len(f0))
    first, last = int(strong[0]), int(strong[-1]) + 1
    third = max(1, (last - first) // 4)
    return Syllable(
        voiced=voiced,
        envelope=envelope,
        aperiodicity=aperiodicity,
        vowel=(first + third, max(first + third + 1, last - third)),
    )


def sing(speaker: int, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Sings the notes' syllables, one voice, mono float32 [samples] at 44.1 kHz."""
    frames = int(samples / SAMPLE_RATE / FRAME) + 2
    name = SPEAKERS[(speaker - 1) % len(SPEAKERS)]
    bins = say(name, "ah").envelope.shape[1]
    envelope = np.full((frames, bins), 1e-12)
    aperiodicity = np.ones((frames, bins))
    pitch = np.zeros(frames)
    formant = float(rng.uniform(0.88, 1.16))
    rate, depth, scoop = rng.uniform(4.8, 6.4), rng.uniform(0.1, 0.6), rng.uniform(0.3, 2.0)
    ordered = sorted(notes, key=lambda n: n.start)
    for i, note in enumerate(ordered):
        start = int(note.start / FRAME)
        end = min(frames, int((note.start + note.duration) / FRAME))
        if i + 1 < len(ordered):
            end = min(end, int(ordered[i + 1].start / FRAME))
        if end - start < 6:
            continue
        syllable = say(name, note.syllable or "ah")
        source = _stretch(syllable, end - start)
        loudness = (note.velocity / 100) ** 2 * _fade(end - start)
        envelope[start:end] = _shift_formants(syllable.envelope[source], formant) * loudness[:, None]
        aperiodicity[start:end] = syllable.aperiodicity[source]
        pitch[start:end] = _curve(note.pitch, end - start, rate, depth, scoop, rng) * syllable.voiced[source]
    sung = pyworld.synthesize(pitch, envelope, np.clip(aperiodicity, 1e-3, 1), RATE, FRAME * 1000)
    full = soxr.resample(sung, RATE, SAMPLE_RATE)
    full = np.pad(full, (0, max(0, samples - full.size)))[:samples]
    return _add_air(full, rng)


def _stretch(syllable: Syllable, length: int) -> npt.NDArray[np.int64]:
    """For each frame to sing, the spoken frame it takes: consonants keep their time, the vowel is held."""
    first, last = syllable.vowel
    total = len(syllable.voiced)
    head, tail = np.arange(first), np.arange(last, total)
    if len(head) > length // 2:
        head = head[-(length // 2) :]
    if len(tail) > length // 3:
        tail = tail[: length // 3]
    middle = np.linspace(first, last - 1, max(0, length - len(head) - len(tail))).round().astype(np.int64)
    return np.concatenate([head, middle, tail])


def _fade(length: int) -> Array:
    out = np.ones(length)
    edge = min(4, length // 3)
    out[:edge] = np.linspace(0.1, 1, edge)
    out[-edge:] = np.linspace(1, 0.05, edge)
    return out


def _shift_formants(envelope: Array, ratio: float) -> Array:
    """Moves the formants of [frames, bins] by `ratio`: another head, another singer."""
    bins = envelope.shape[1]
    source = np.minimum(np.arange(bins) / ratio, bins - 1.001)
    low = source.astype(int)
    share = source - low
    shifted: Array = envelope[:, low] * (1 - share) + envelope[:, low + 1] * share
    return shifted


def _curve(pitch: int, length: int, rate: float, depth: float, scoop: float, rng: np.random.Generator) -> Array:
    """The pitch of a sung note in Hz: a scoop from below, vibrato that sets in late, and a little unsteadiness."""
    t = np.arange(length) * FRAME
    vibrato = depth * np.sin(2 * np.pi * rate * t + rng.uniform(0, 6)) * np.clip((t - 0.2) / 0.3, 0, 1)
    wander = np.cumsum(rng.normal(0, 0.012, length))
    semitones = pitch - scoop * np.exp(-t / 0.035) + vibrato + wander - wander.mean()
    hertz: Array = 440 * 2 ** ((semitones - 69) / 12)
    return hertz


def _add_air(x: Array, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """espeak-ng has nothing above 11 kHz: breath above it follows the loudness of what is just below."""
    below = sosfilt(butter(2, (5000, 10000), "bandpass", fs=SAMPLE_RATE, output="sos"), x)
    follow = sosfilt(butter(1, 60, fs=SAMPLE_RATE, output="sos"), np.abs(below))
    air = sosfilt(butter(4, 10500, "highpass", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(x.size))
    breathed: npt.NDArray[np.float32] = (x + air * np.maximum(follow, 0) * rng.uniform(0.3, 1.2)).astype(np.float32)
    return breathed
