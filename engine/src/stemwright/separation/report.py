"""The fidelity report: what a separation did, in numbers that can be checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stemwright.audio.samples import SILENT, Samples


@dataclass(frozen=True, kw_only=True)
class StemReport:
    """One stem, measured before any gain."""

    peak: float  # 1 is full scale
    rms_db: float | None  # dB of full scale; None for digital silence
    silent: bool


@dataclass(frozen=True, kw_only=True)
class FidelityReport:
    """What a user may rely on, measured."""

    samples: int  # of the mix and of every stem, at `sample_rate`
    sample_rate: int
    offset: int | None  # samples by which the sum of the stems lags the mix; None when they are not all there
    residual_db: float | None  # energy of (mix - sum of stems) over the mix's; None likewise or for a silent mix
    joint_gain: float  # what every stem was multiplied with; below 1 when one would have clipped
    stems: Mapping[str, StemReport]
    model: str
    weights_sha256: tuple[str, ...]  # of each network's file that was used
    device: str
    precision: str  # a `NumberType`, or several: "fp32 and bf16"
    backend: str  # what computed it: a `Backend`, or several
    notes: tuple[str, ...]  # what a user should know of how the input was read, and how and why it was computed so
    segments: int
    seconds: Mapping[str, float]  # spent in each stage; they overlap
    audio_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


class FidelityMeter:
    """Measures the stems of a mix block by block, for the report."""

    _PROBE = 1 << 17  # samples: about three seconds, the loudest of which is searched for an offset
    _LARGEST_OFFSET = 1 << 13

    def __init__(self, sources: Sequence[str], *, complete: bool) -> None:
        """Begin to measure.

        Args:
            sources: Names of the stems.
            complete: Whether they are all the sources of the model, computed in full, so that their sum is the mix.
        """
        self._sources = tuple(sources)
        self._complete = complete
        self._peak = np.zeros(len(sources))
        self._energy = np.zeros(len(sources))
        self._mix_energy = 0.0
        self._residual_energy = 0.0
        self._samples = 0
        self._channels = 1
        self._probe: tuple[float, Samples, Samples] | None = None

    def add(self, mix: Samples, stems: Samples) -> None:
        """Measure one block: the mix ``[channels, n]`` and its stems ``[sources, channels, n]``, aligned."""
        self._samples += mix.shape[-1]
        self._channels = mix.shape[0]
        self._peak = np.maximum(self._peak, np.abs(stems).max(axis=(1, 2), initial=0.0))
        self._energy += np.square(stems, dtype=np.float64).sum(axis=(1, 2))
        if not self._complete:
            return
        total = stems.sum(axis=0)
        mix_energy = float(np.square(mix, dtype=np.float64).sum())
        self._mix_energy += mix_energy
        self._residual_energy += float(np.square(mix - total, dtype=np.float64).sum())
        loudness = mix_energy / max(1, mix.shape[-1])
        if self._probe is None or loudness > self._probe[0]:
            mono = slice(0, self._PROBE)
            self._probe = (loudness, mix.mean(axis=0)[mono].copy(), total.mean(axis=0)[mono].copy())

    @property
    def peak(self) -> float:
        """The highest value of any stem: ``[0, inf)``, 1 is full scale."""
        return float(self._peak.max(initial=0.0))

    def stems(self) -> dict[str, StemReport]:
        """What was measured of each stem."""
        count = max(1, self._samples * self._channels)
        return {
            name: StemReport(
                peak=float(peak),
                rms_db=10 * math.log10(energy / count) if energy > 0 else None,
                silent=math.sqrt(energy / count) < SILENT,
            )
            for name, peak, energy in zip(self._sources, self._peak, self._energy, strict=True)
        }

    def residual_db(self) -> float | None:
        """Energy of the mix minus the sum of the stems over the mix's, in dB; at least -300.

        None when the stems are not complete, or the mix is silent.
        """
        if not self._complete or self._mix_energy == 0:
            return None
        return 10 * math.log10(max(self._residual_energy / self._mix_energy, 1e-30))

    def offset(self) -> int | None:
        """Lag of the sum of the stems behind the mix, in samples: the peak of the loudest block's cross-correlation.

        None when the stems are not complete, or one of the two is silent.
        """
        if self._probe is None or self._probe[0] == 0 or not np.any(self._probe[2]):
            return None
        _, mix, total = self._probe
        size = 1 << (2 * len(mix) - 1).bit_length()
        spectrum = np.fft.rfft(total, size) * np.conj(np.fft.rfft(mix, size))
        correlation = np.fft.irfft(spectrum, size)
        reach = min(self._LARGEST_OFFSET, len(mix) - 1)
        lags = np.concatenate([correlation[size - reach :], correlation[: reach + 1]]) if reach else correlation[:1]
        return int(np.argmax(lags)) - reach
