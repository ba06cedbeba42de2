"""Training batches: clips of songs, remixed across songs and changed as they go. Batch n of a seed is always the same."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .mixing import peak_filter
from .score import STEMS

Songs = Sequence[npt.NDArray[np.int16]]
BASS = STEMS.index("bass")
OTHER = STEMS.index("other")  # engineers leave the middle to the voice and spread the rest


def make_batch(songs: Songs, size: int, samples: int, seed: int, step: int) -> torch.Tensor:
    """Stems float32 [size, 4, 2, samples], each clip normalised by the deviation of its mono mix, as the engine does."""
    rng = np.random.default_rng([seed, step])
    batch = torch.from_numpy(np.stack([_clip(songs, samples, rng) for _ in range(size)]))
    mono = batch.sum(1).mean(1)
    deviation = mono.std(-1).clamp(min=1e-3)[:, None, None, None]
    # The engine measures the whole track: a quiet or loud moment within it is normal.
    level = torch.from_numpy(np.exp(rng.normal(0, 0.3, size)).astype(np.float32))[:, None, None, None]
    return batch / deviation * level


def _clip(songs: Songs, samples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """One clip [4, 2, samples]: half of them from one song at one moment, half with each stem from anywhere."""
    remix = rng.random() < 0.5
    song = songs[int(rng.integers(len(songs)))]
    at = int(rng.integers(song.shape[2] - samples))
    out = np.zeros((4, 2, samples), np.float32)
    for stem in range(4):
        if remix:
            song, at = _sounding(songs, stem, samples, rng)
        x = song[stem, :, at : at + samples].astype(np.float32) / np.float32(32768)
        out[stem] = _vary(x, stem, rng, remix)
    return out


def _sounding(songs: Songs, stem: int, samples: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int16], int]:
    """A song and a moment in it where the stem sounds, if three tries find one."""
    for _ in range(3):
        song = songs[int(rng.integers(len(songs)))]
        at = int(rng.integers(song.shape[2] - samples))
        if np.abs(song[stem, 0, at : at + samples : 37]).max() > 300:
            break
    return song, at


def _vary(x: npt.NDArray[np.float32], stem: int, rng: np.random.Generator, remix: bool) -> npt.NDArray[np.float32]:
    """Another gain, equaliser, place and polarity, another speed (remixed clips only), or silence; float32 [2, samples]."""
    if rng.random() < 0.04:
        return np.zeros_like(x)
    if remix:
        root_mean_square = float(np.sqrt((x**2).mean()))
        if root_mean_square > 1e-4:
            x = x * (0.1 / root_mean_square)
        if rng.random() < 0.4:
            x = _other_speed(x, 2 ** float(rng.uniform(-3, 3) / 12))
    for _ in range(
        int(rng.integers(3))
    ):  # an instrument never heard is, to a mask, much like a known one with another equaliser
        hertz = float(np.exp(rng.uniform(np.log(50), np.log(3000 if stem == BASS else 9000))))
        x = peak_filter(x, hertz, float(rng.uniform(-9, 9)), float(rng.uniform(0.4, 1.4)))
    if rng.random() < 0.4:
        tilted = x.copy()
        tilted[:, 1:] -= float(rng.uniform(-0.3, 0.3)) * x[:, :-1]
        x = tilted
    if rng.random() < 0.05:
        x = np.tanh(x * float(rng.uniform(2, 10)))
        x = x * np.float32(0.1 / max(float(np.sqrt((x**2).mean())), 1e-3))
    if stem == OTHER and rng.random() < 0.5:
        left = float(rng.uniform(0.5, 1.3))
        x = x * np.array([[left], [np.sqrt(2 - left**2)]], np.float32)
    if rng.random() < 0.5:
        x = x[::-1]
    return x * np.float32(10 ** (rng.normal(0, 3.0 if remix else 2.0) / 20) * rng.choice([-1, 1]))


def _other_speed(x: npt.NDArray[np.float32], ratio: float) -> npt.NDArray[np.float32]:
    """Faster and higher by `ratio`, by straight lines between samples; the length stays: a faster sound begins again."""
    at = np.arange(x.shape[1]) * ratio
    return np.stack([np.interp(at, np.arange(x.shape[1]), channel, period=x.shape[1]) for channel in x]).astype(
        np.float32
    )
