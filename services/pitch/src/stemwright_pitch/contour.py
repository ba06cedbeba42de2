"""The melody's pitch, frame by frame: swift-f0's network, and YIN as a second opinion on the octave.

swift-f0 is accurate to a few cents, and now and then an octave off. YIN (de Cheveigné and Kawahara, 2002) looks at the
waveform's own period, so it errs in other places: where it finds the signal far more periodic at another octave of the
network's pitch, and the melody stays nearer to itself there, that octave is taken (`_octaves`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from stemwright_pitch.signals import RATE

if TYPE_CHECKING:
    import onnxruntime

NETWORK_RATE = 16000  # Hz
HOP = 256  # samples at that rate: 16 ms
LOWEST, HIGHEST = 46.875, 2093.75  # Hz, of the network
VOICED = 0.5  # confidence from which a frame has a pitch: the network is calibrated to it
_WINDOW = 1875  # frames of a run: 30 s
_LEFT, _RIGHT = 11, 10  # frames around it that the network's field of view reaches into
_PERIODIC = 0.15  # agreement under which a frame is noise, whatever the network says
_SHORTEST = 3  # frames: what is voiced for less is chance
_QUIET = 1e-3  # peak under which the network answers at random: -60 dB
# Of the network's pitch: it may have taken a partial for it, or for the partial of another.
_FACTORS = np.array([1, 1 / 2, 1 / 3, 2 / 3, 1 / 4, 3 / 4, 1 / 5, 2 / 5, 3 / 5, 3 / 2, 2, 3])
_YIN = 1024  # samples of a frame that are compared with later ones
_LAGS = 360  # samples: down to 44 Hz
_FINE = 320  # samples that are compared to find the period's fraction
_SPAN = 160  # samples: as many periods as fit in are measured together
_BESIDE = np.arange(-4, 5)  # lags around the network's
_BAND = 2500.0  # Hz: partials above it make the dip too narrow for a parabola
_FAR = 35 / 1200  # octaves: a period that is farther from the network's than this is another one


@dataclass(frozen=True, kw_only=True)
class Contour:
    """One value for each frame of `HOP` samples at 16 kHz."""

    hz: NDArray[np.float64]  # pitch; meaningless where it is not voiced
    confidence: NDArray[np.float64]  # 0 to 1
    agreement: NDArray[np.float64]  # 0 to 1: how periodic the waveform is at this pitch
    voiced: NDArray[np.bool_]

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds, of the frames' centres."""
        return np.arange(len(self.hz), dtype=np.float64) * (HOP / NETWORK_RATE)


def contour(
    samples: NDArray[np.float32],
    network: onnxruntime.InferenceSession,
    step: Callable[[], None],
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    voiced: float = VOICED,
) -> Contour:
    """The contour of mono samples at `RATE`; ``step`` is called after each piece (`pieces`)."""
    audio = soxr.resample(samples, RATE, NETWORK_RATE).astype(np.float32)
    frames = max(1, len(audio) // HOP)
    audio = np.pad(audio, (0, max(0, frames * HOP - len(audio))))
    hz, confidence, periodic = np.zeros(frames), np.zeros(frames), np.zeros((frames, len(_FACTORS)))
    for start in range(0, frames, _WINDOW):
        end = min(start + _WINDOW, frames)
        left = max(0, start - _LEFT)
        piece = audio[left * HOP : (end + _RIGHT) * HOP if end < frames else None]
        pitch, sure = network.run(
            ["pitch", "confidence"],
            {"audio": piece[None], "fmin": np.array(lowest, np.float32), "fmax": np.array(highest, np.float32)},
        )
        here = slice(start - left, end - left)
        hz[start:end], confidence[start:end] = pitch[0, here], sure[0, here]
        periodic[start:end] = _periodicity(audio, start, hz[start:end])
        step()
    confidence[_peaks(audio, frames) < _QUIET] = 0
    sounding = confidence >= voiced
    choice = _octaves(hz, periodic, confidence, sounding)
    hz *= _FACTORS[choice]
    hz = _refined(audio, hz, sounding)
    agreement = np.clip(periodic[np.arange(frames), choice], 0, 1)
    trusted = sounding & (agreement >= _PERIODIC) & (hz >= lowest) & (hz <= highest)
    return Contour(hz=hz, confidence=confidence, agreement=agreement, voiced=_held(trusted))


def _held(voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without runs that are too short."""
    edges = np.flatnonzero(np.diff(np.pad(voiced.astype(np.int8), 1)))
    held = voiced.copy()
    for begin, end in edges.reshape(-1, 2):
        held[begin:end] = end - begin >= _SHORTEST
    return held


def pieces(samples: int) -> int:
    """How many times ``step`` will be called for so many samples at `RATE`."""
    return -(-max(1, samples * NETWORK_RATE // RATE // HOP) // _WINDOW)


def _peaks(audio: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The highest sample of each frame's hop."""
    return np.asarray(np.abs(audio[: frames * HOP].reshape(frames, HOP)).max(axis=1))


def _periodicity(audio: NDArray[np.float32], first: int, hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[frames, factors]``: 1 less YIN's cumulative mean normalised difference at each multiple of the pitch."""
    size = _YIN + _LAGS
    padded = np.pad(
        audio[max(0, first * HOP - size // 2) : (first + len(hz)) * HOP + size], (max(0, size // 2 - first * HOP), size)
    )
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(hz) * HOP : HOP].astype(np.float64)
    return 1 - _at(_differences(frames), NETWORK_RATE / np.maximum(hz[:, None] * _FACTORS, 1))


def _differences(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """YIN's d' for lags 0 to `_LAGS` of each frame."""
    length = 2 << (frames.shape[1] - 1).bit_length()
    spectra = np.fft.rfft(frames, length)
    heads = np.fft.rfft(frames[:, :_YIN], length)
    shared = np.fft.irfft(spectra * heads.conj(), length)[:, : _LAGS + 1]
    energy = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    power = energy[:, _YIN : _YIN + _LAGS + 1] - energy[:, : _LAGS + 1]
    difference = np.maximum(power[:, :1] + power - 2 * shared, 0)
    mean = np.cumsum(difference, axis=1)[:, 1:] / np.arange(1, _LAGS + 1)
    return np.pad(difference[:, 1:] / np.maximum(mean, 1e-12), ((0, 0), (1, 0)), constant_values=1)


def _at(values: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest of the lags beside each, for the true one lies between samples; 1 for a lag that was not looked at."""
    near = np.rint(lags).astype(int)
    rows = np.arange(len(values))[:, None]
    found = np.min([values[rows, np.clip(near + beside, 0, _LAGS)] for beside in (-1, 0, 1)], axis=0)
    return np.where((near >= 2) & (near < _LAGS), found, 1.0)


def _octaves(
    hz: NDArray[np.float64], periodic: NDArray[np.float64], confidence: NDArray[np.float64], sounding: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Which of the factors is right, in each frame: the way of least cost over all of them (Viterbi)."""
    gain = periodic - periodic[:, :1]
    # Twice the period is a period too, so a lower pitch has to be much more periodic, and of two that are the higher one is
    # right. One over the network's is right if it is as periodic, unless the network is sure.
    cost = np.where(_FACTORS < 1, 0.3 - gain - 0.1 * np.log2(_FACTORS), 2 * (confidence[:, None] - 0.65) - 6 * gain)
    cost = np.where(periodic > 0.6, np.maximum(cost, -0.7), 9.0)
    cost[:, 0] = 0
    pitch = np.log2(np.maximum(hz, 1)[:, None] * _FACTORS)
    paths = np.zeros((len(hz), len(_FACTORS)), dtype=np.int64)
    total = cost[0]
    for frame in range(1, len(hz)):
        jump = np.zeros((len(_FACTORS), len(_FACTORS)))
        if sounding[frame] and sounding[frame - 1]:
            jump = np.minimum(np.abs(pitch[frame][None] - pitch[frame - 1][:, None]), 1.0) * 1.5
        ways = total[:, None] + jump
        paths[frame] = ways.argmin(axis=0)
        total = ways.min(axis=0) + (cost[frame] if sounding[frame] else 0)
    choice = np.zeros(len(hz), dtype=np.int64)
    state = int(total.argmin())
    for frame in range(len(hz) - 1, -1, -1):
        choice[frame] = state
        state = int(paths[frame][state])
    return np.where(sounding, choice, 0)


def _refined(audio: NDArray[np.float32], hz: NDArray[np.float64], sounding: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The pitch to fractions of the network's step, by the lag at which several periods lie on each other best.

    Both stretches that are compared lie at the same distance from the frame's centre, so that a glissando is not read late.
    """
    smooth = sosfiltfilt(butter(4, _BAND, fs=NETWORK_RATE, output="sos"), audio).astype(np.float32)
    margin = _FINE // 2 + _LAGS + len(_BESIDE)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(smooth, margin), _FINE)
    refined = hz.copy()
    where = np.flatnonzero(sounding & (hz < _BAND / 2))
    for start in range(0, len(where), _WINDOW):
        some = where[start : start + _WINDOW]
        periods = np.maximum(1, np.floor(_SPAN * hz[some] / NETWORK_RATE))
        lags = np.rint(periods * NETWORK_RATE / hz[some]).astype(int)[:, None] + _BESIDE
        early = some[:, None] * HOP + margin - _FINE // 2 - lags // 2
        early, late = windows[early], windows[early + lags]  # [frames, lags, samples]
        error = np.square(early - late).sum(axis=-1)
        energy = np.square(early).sum(axis=-1) + np.square(late).sum(axis=-1) + 1e-9
        best, fraction, depth = _dip(error / energy)
        found = periods * NETWORK_RATE / (lags[np.arange(len(some)), best] + fraction)
        near = np.abs(np.log2(found / hz[some])) < _FAR
        refined[some] = np.where(near & (depth < 0.25), found, hz[some])
    return refined


def _dip(error: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The lowest inner value of each row, the fraction of a step to the parabola's lowest point, and the value."""
    rows = np.arange(len(error))
    best = error[:, 1:-1].argmin(axis=1) + 1
    left, middle, right = (error[rows, best + side].astype(np.float64) for side in (-1, 0, 1))
    bend = left - 2 * middle + right
    fraction = np.where(bend > 1e-12, 0.5 * (left - right) / np.maximum(bend, 1e-12), 0)
    return best, np.clip(fraction, -0.75, 0.75), middle
