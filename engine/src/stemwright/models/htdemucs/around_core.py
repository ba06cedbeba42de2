"""HTDemucs whose learnt part, its core, is computed without torch's Python: what stands around it, in numpy.

The transforms are those of `stemwright.models.htdemucs.stft` and `stemwright.models.htdemucs.network.around`. Channels
are the first dimension here, one row per frame, so that each of them is transformed where it lies and processors share
them; what the network wants last is turned by the core itself, where that costs nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from stemwright.models.architecture import RunCore
from stemwright.models.network import Computation, Facts, Samples


class CoreNetwork:
    """A network around a core: `core.HTDemucsCore`, compiled or converted."""

    batch = 1  # on a CPU one segment at a time is best
    streams = 1

    def __init__(
        self,
        core: RunCore,
        facts: Facts,
        *,
        nfft: int,
        computation: Computation,
        notes: tuple[str, ...] = (),
        threads: int = 1,
    ) -> None:
        """Stand around a core.

        Args:
            nfft: Samples of a window of the STFT.
            notes: For the report.
            threads: Channels and stems that are transformed at once.
        """
        self.facts = facts
        self.notes = notes
        self.computation = computation
        self._core, self._nfft = core, nfft
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="transforms")

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
        spectra = np.stack(list(self._pool.map(lambda wave: spectrogram(wave, self._nfft), mix)))
        x, mean, std = standardised(spectra.view(np.float32))
        xt, mean_t, std_t = standardised(mix)
        y, yt = self._core(x.reshape(1, *spectra.shape, 2), xt[None])

        def separated(index: int) -> Samples:
            wave = inverse(_complex(y[0, :, 2 * index : 2 * index + 2], mean, std), mix.shape[-1])
            wave += yt[0, index] * std_t + mean_t
            return wave[:length]

        waves = np.stack(list(self._pool.map(separated, range(yt.shape[1]))))
        return waves.reshape(len(self.facts.sources), self.facts.audio_channels, length)


def spectrogram(wave: Samples, nfft: int) -> NDArray[np.complex64]:
    """``[samples]``, more than ``nfft``, to ``[frames, nfft // 2]``."""
    hop = nfft // 4
    frames = -(-len(wave) // hop)
    border = hop // 2 * 3
    padded = np.pad(wave, (border, border + frames * hop - len(wave)), mode="reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, nfft)[::hop]
    return np.fft.rfft(pieces * (_hann(nfft) / np.float32(nfft**0.5)))[:, :-1].astype(np.complex64, copy=False)


def inverse(spectra: NDArray[np.complex64], length: int) -> Samples:
    """``[frames, nfft // 2]`` to ``[length]`` samples; see `stemwright.models.htdemucs.stft.inverse`."""
    frames, bins = spectra.shape
    nfft, hop = 2 * bins, bins // 2
    pieces = np.fft.irfft(spectra, n=nfft)
    pieces *= _hann(nfft) * np.float32(nfft**0.5 / 1.5)
    blocks = pieces.reshape(frames, 4, hop)
    out = np.zeros((frames + 7, hop), dtype=np.float32)
    for quarter in range(4):
        out[2 + quarter : 2 + quarter + frames] += blocks[:, quarter]
    start = nfft // 2 + hop // 2 * 3
    return out.reshape(-1)[start : start + length]


def _hann(size: int) -> Samples:
    """The periodic window, as torch makes it."""
    return np.hanning(size + 1)[:-1].astype(np.float32)


def _complex(planes: Samples, mean: np.float32, std: np.float32) -> NDArray[np.complex64]:
    """``[frames, 2, bins]``, real and imaginary parts to be scaled, to ``[frames, bins]``."""
    made = np.empty((planes.shape[0], planes.shape[2]), dtype=np.complex64)
    for part, plane in ((made.real, planes[:, 0]), (made.imag, planes[:, 1])):
        np.multiply(plane, std, out=part)
        part += mean
    return made


def standardised(x: Samples) -> tuple[Samples, np.float32, np.float32]:
    """``x`` with mean 0 and deviation 1, and both. Sums are in float64; torch's are not: see `network.standardised`."""
    mean = np.float32(x.mean(dtype=np.float64))
    made: Samples = x - mean
    std = np.float32((np.square(made).sum(dtype=np.float64) / (x.size - 1)) ** 0.5)
    made /= np.float32(1e-5) + std
    return made, mean, std
