"""Songs for the page, and ears for what it makes of them."""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np

RATE = 44_100
SECONDS = 6


def tones(seconds: int = SECONDS, amplitude: float = 0.4) -> bytes:
    """A stereo wav file of 16 bit: a second of 300 Hz, one of 600 Hz, one of 900 Hz ..."""
    time = np.arange(RATE) / RATE
    mono = np.concatenate([np.sin(2 * math.pi * 300 * (second + 1) * time) for second in range(seconds)])
    return wav(mono * amplitude)


def wav(samples: np.ndarray) -> bytes:
    """A stereo wav file of 16 bit with the same samples, -1 to 1, on both channels."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.repeat((samples * 32767).astype("<i2"), 2).tobytes())
    return data.getvalue()


def heard(path: Path) -> np.ndarray:
    """The samples of an exported mix, ``[2, samples]``, -1 to 1."""
    with wave.open(str(path)) as file:
        assert (file.getsampwidth(), file.getnchannels(), file.getframerate()) == (3, 2, RATE)
        raw = np.frombuffer(file.readframes(file.getnframes()), dtype=np.uint8).reshape(-1, 3)
    padded = np.zeros((len(raw), 4), dtype=np.uint8)
    padded[:, 1:] = raw
    return (padded.view("<i4").reshape(-1, 2).T / 2**31).astype(np.float64)


def pitch(samples: np.ndarray) -> float:
    """The strongest frequency of a piece of a mix, Hz."""
    mono = samples.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.argmax(spectrum) * RATE / len(mono))
