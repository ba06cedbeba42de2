"""What an engineer does to sounds: equalise, compress, saturate, pan, put in a room, and bring to level.

Audio is float32 [2, samples] at 44.1 kHz; no function changes its argument.
"""

import io
from functools import lru_cache

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from .score import SAMPLE_RATE

Audio = npt.NDArray[np.float32]


def loudness(x: Audio, seconds: float = 0.05) -> float:
    """The root mean square of what sounds: blocks of `seconds` more than 40 dB below the loudest are left out."""
    block = min(int(seconds * SAMPLE_RATE), max(1, x.shape[1]))
    usable = x[:, : x.shape[1] // block * block].reshape(x.shape[0], -1, block)
    powers = (usable.astype(np.float64) ** 2).mean(axis=(0, 2))
    loud = powers[powers > 1e-4 * max(powers.max(initial=0.0), 1e-12)]
    return float(np.sqrt(loud.mean())) if loud.size else 0.0


def to_level(x: Audio, decibels: float, seconds: float = 0.05) -> Audio:
    """Brings the loudness, over blocks of `seconds`, to `decibels` below full scale; silence stays silence."""
    now = loudness(x, seconds)
    return x if now < 1e-7 else (x * (10 ** (decibels / 20) / now)).astype(np.float32)


def pan(x: Audio, position: float) -> Audio:
    """Balances a stereo sound between left (-1) and right (1), at constant power."""
    angle = (position + 1) * np.pi / 4
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(np.sqrt(2))
    return x * gains


def widen(x: Audio, width: float) -> Audio:
    """Scales the side signal: 0 is mono, 1 is unchanged."""
    middle, side = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2 * width
    return np.stack([middle + side, middle - side]).astype(np.float32)


def peak_filter(x: Audio, hertz: float, gain_db: float, q: float) -> Audio:
    """A bell of the Audio EQ Cookbook (Robert Bristow-Johnson)."""
    a = 10 ** (gain_db / 40)
    w = 2 * np.pi * hertz / SAMPLE_RATE
    alpha = np.sin(w) / (2 * q)
    b0, b1, b2 = 1 + alpha * a, -2 * np.cos(w), 1 - alpha * a
    a0, a1, a2 = 1 + alpha / a, -2 * np.cos(w), 1 - alpha / a
    out: Audio = lfilter([b0 / a0, b1 / a0, b2 / a0], [1, a1 / a0, a2 / a0], x).astype(np.float32)
    return out


def pass_filter(x: Audio, kind: str, hertz: float) -> Audio:
    """A second-order high-pass ("highpass") or low-pass ("lowpass")."""
    out: Audio = sosfilt(butter(2, hertz, kind, fs=SAMPLE_RATE, output="sos"), x).astype(np.float32)
    return out


def compression_gain(x: Audio, threshold_db: float, ratio: float, release: float = 0.12) -> npt.NDArray[np.float64]:
    """The gain [samples] of a compressor that hears both channels; it is applied by multiplying."""
    hop = 64
    power = (x.astype(np.float64) ** 2).mean(axis=0)
    blocks = np.pad(power, (0, -power.size % hop)).reshape(-1, hop).mean(axis=1)
    pole = np.exp(-hop / (release * SAMPLE_RATE))
    level = 10 * np.log10(np.maximum(lfilter([1 - pole], [1, -pole], blocks), 1e-9))
    gain_db = np.minimum(0.0, (threshold_db - level) * (1 - 1 / ratio))
    gain: npt.NDArray[np.float64] = 10 ** (gain_db / 20)
    return np.interp(np.arange(power.size), np.arange(gain_db.size) * hop, gain)


def compress(x: Audio, threshold_db: float, ratio: float) -> Audio:
    """Compresses by `ratio` above the threshold (dB below full scale)."""
    return (x * compression_gain(x, threshold_db, ratio)).astype(np.float32)


def saturate(x: Audio, drive: float) -> Audio:
    """Soft clipping; `drive` is the gain before it, taken back after it."""
    clipped: Audio = np.tanh(x * np.float32(drive)) / np.float32(drive)
    return clipped


@lru_cache(maxsize=16)
def room(seed: int, seconds: float) -> Audio:
    """A stereo room: noise that decays by 60 dB in `seconds`, high frequencies faster."""
    rng = np.random.default_rng([77, seed])
    n = int(seconds * SAMPLE_RATE)
    noise = rng.standard_normal((2, n)) * 10 ** (-3 * np.arange(n) / n)
    dark: npt.NDArray[np.float64] = sosfilt(butter(1, rng.uniform(2500, 7000), fs=SAMPLE_RATE, output="sos"), noise)
    delayed = np.pad(dark, ((0, 0), (int(rng.uniform(0.002, 0.03) * SAMPLE_RATE), 0)))
    impulse: Audio = (delayed / np.sqrt((delayed**2).sum(axis=1, keepdims=True))).astype(np.float32)
    return impulse


def reverberate(x: Audio, share: float, impulse: Audio) -> Audio:
    """Adds the sound of a room, `share` as loud as the dry sound."""
    if share <= 0.01:
        return x
    wet: Audio = oaconvolve(x, impulse, axes=1)[:, : x.shape[1]]
    return (x + share * wet).astype(np.float32)


def random_chain(x: Audio, rng: np.random.Generator) -> Audio:
    """An engineer's usual chain on one stem: two bells, perhaps compression and saturation. The level is kept."""
    before = loudness(x)
    if before < 1e-7:
        return x
    x = to_level(x, -18)
    for _ in range(2):
        x = peak_filter(
            x,
            float(np.exp(rng.uniform(np.log(80), np.log(9000)))),
            float(rng.uniform(-5, 5)),
            float(rng.uniform(0.5, 1.5)),
        )
    if rng.random() < 0.5:
        x = compress(x, float(rng.uniform(-28, -18)), float(rng.uniform(1.5, 5)))
    if rng.random() < 0.35:
        x = saturate(x, float(rng.uniform(1, 5)))
    return (x * (before / max(loudness(x), 1e-9))).astype(np.float32)


def through_mp3(x: Audio, kilobits: int) -> Audio:
    """The same sound after a round trip through mp3, aligned (libmp3lame's delay is taken out) and of the same length."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp3") as target:
        stream = target.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="stereo", bit_rate=kilobits * 1000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.clip(x, -1, 1)), format="fltp", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            target.mux(packet)
    data.seek(0)
    with av.open(data, "r") as source:
        blocks = [frame.to_ndarray() for frame in source.decode(audio=0)]
    back = np.concatenate(blocks, axis=1).astype(np.float32)
    return np.pad(back, ((0, 0), (0, max(0, x.shape[1] - back.shape[1]))))[:, : x.shape[1]]


def through_rate(x: Audio, rate: int) -> Audio:
    """The same sound after a stay at another sample rate: what lies above its Nyquist frequency is gone."""
    down = soxr.resample(x.T, SAMPLE_RATE, rate)
    back: Audio = soxr.resample(down, rate, SAMPLE_RATE).T.astype(np.float32)
    return np.pad(back, ((0, 0), (0, max(0, x.shape[1] - back.shape[1]))))[:, : x.shape[1]]


def write_flac(path: str, x: npt.NDArray[np.int16]) -> None:
    """Writes int16 [2, samples] as a 16-bit flac."""
    soundfile.write(path, x.T, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)
