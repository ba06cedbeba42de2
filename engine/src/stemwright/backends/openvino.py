"""HTDemucs on OpenVINO: fast on CPUs without a C++ compiler, and without torch at all once it is converted.

The core is converted once, which takes torch; running it takes OpenVINO and numpy. The transforms around it are those of
`stemwright.models.stft` and `stemwright.models.htdemucs.around`, written in numpy.
"""

from __future__ import annotations

import copy
import importlib.util
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stemwright.backends.machine import threads
from stemwright.models.network import Computation, Facts, Samples

if TYPE_CHECKING:
    from stemwright.models.htdemucs import HTDemucs

_MODEL = "core.xml"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def installed() -> bool:
    """Whether OpenVINO is there; it is not imported for that."""
    return importlib.util.find_spec("openvino") is not None


def convert(network: HTDemucs, folder: Path) -> None:
    """Convert the core of a network, in float32, into ``folder``."""
    import openvino
    import torch

    from stemwright.backends.compiled import CoreModule, example_inputs
    from stemwright.models.layers import GroupNorm

    core = CoreModule(copy.deepcopy(network))
    for module in core.modules():
        if isinstance(module, GroupNorm):
            module.in_two_steps = True  # OpenVINO's own mean over millions of numbers costs 30 dB
    inputs = example_inputs(network)
    with torch.no_grad():
        core(*inputs)  # makes the positions, which become constants
        shapes = [tuple(each.shape) for each in inputs]
        model = openvino.convert_model(core, example_input=inputs, input=shapes)
    openvino.save_model(model, str(folder / _MODEL), compress_to_fp16=False)


class OpenVinoNetwork:
    """A network whose core OpenVINO runs on the CPU."""

    batch = 1
    streams = 1

    def __init__(self, folder: Path, facts: Facts, *, nfft: int, precision: str, notes: tuple[str, ...] = ()) -> None:
        import openvino

        self.facts = facts
        self.notes = notes
        self.computation = Computation(backend="openvino", device="cpu", precision=precision)
        self._nfft = nfft
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads(),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        self._request = openvino.Core().compile_model(str(folder / _MODEL), "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def valid_length(self, length: int) -> int:
        """Always the training segment."""
        return max(length, int(self.facts.segment * self.facts.samplerate))

    def __call__(self, mix: Samples) -> Samples:
        """See `Network`."""
        return np.stack([self._one(each) for each in mix])

    def _one(self, mix: Samples) -> Samples:
        """``[channels, samples]`` to ``[sources, channels, samples]``."""
        length = mix.shape[-1]
        mix = np.pad(mix, ((0, 0), (0, self.valid_length(length) - length)))
        z = spectrogram(mix, self._nfft)
        parts = z.view(np.float32).reshape(*z.shape, 2).transpose(2, 1, 0, 3)  # [bins, frames, channels, 2]
        x, mean, std = _standardised(parts.reshape(1, *parts.shape[:2], -1))
        xt, mean_t, std_t = _standardised(mix.T[None, None])
        y, yt = self._core(x, xt)
        sources, channels = len(self.facts.sources), self.facts.audio_channels
        y = y[0].reshape(*y.shape[1:3], sources, channels, 2) * std + mean
        waves = inverse(_complex(y.transpose(2, 3, 1, 0, 4)), mix.shape[-1])
        direct = (yt[0, 0] * std_t + mean_t).reshape(-1, sources, channels).transpose(1, 2, 0)
        made: Samples = (waves + direct)[..., :length]
        return made

    def _core(self, x: Samples, xt: Samples) -> tuple[Samples, Samples]:
        with self._lock:
            made: Any = self._request.infer([x, xt])
            return made[0], made[1]


def spectrogram(audio: Samples, nfft: int) -> NDArray[np.complex64]:
    """``[channels, samples]`` to ``[channels, frames, nfft // 2]``; samples are more than ``nfft``."""
    hop, length = nfft // 4, audio.shape[-1]
    frames = -(-length // hop)
    border = hop // 2 * 3
    padded = np.pad(audio, ((0, 0), (border, border + frames * hop - length)), mode="reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, nfft, axis=-1)[:, ::hop]
    spectra = np.fft.rfft(pieces * (_hann(nfft) / np.float32(nfft**0.5)), axis=-1)
    return np.ascontiguousarray(spectra[..., :-1], dtype=np.complex64)


def inverse(spectra: NDArray[np.complex64], length: int) -> Samples:
    """``[..., frames, nfft // 2]`` to ``[..., length]`` samples; see `stemwright.models.stft.inverse`."""
    frames, bins = spectra.shape[-2:]
    nfft, hop = 2 * bins, bins // 2
    pieces = np.fft.irfft(spectra, n=nfft, axis=-1)
    pieces *= _hann(nfft) * np.float32(nfft**0.5 / 1.5)
    blocks = pieces.reshape(*spectra.shape[:-1], 4, hop)
    out = np.zeros((*spectra.shape[:-2], frames + 7, hop), dtype=np.float32)
    for quarter in range(4):
        out[..., 2 + quarter : 2 + quarter + frames, :] += blocks[..., quarter, :]
    start = nfft // 2 + hop // 2 * 3
    wave: Samples = out.reshape(*spectra.shape[:-2], -1)[..., start : start + length]
    return wave


def _hann(size: int) -> Samples:
    """The periodic window, as torch makes it."""
    return np.hanning(size + 1)[:-1].astype(np.float32)


def _complex(pairs: Samples) -> NDArray[np.complex64]:
    """``[..., 2]`` of real and imaginary parts as complex numbers."""
    return np.ascontiguousarray(pairs).view(np.complex64)[..., 0]


def _standardised(x: Samples) -> tuple[Samples, np.float32, np.float32]:
    mean, std = np.float32(x.mean(dtype=np.float64)), np.float32(x.std(ddof=1, dtype=np.float64))
    return np.ascontiguousarray((x - mean) / (np.float32(1e-5) + std)), mean, std
