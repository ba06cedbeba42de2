"""The framewise SDR of museval (BSSEval v4), a second at a time.

``museval.metrics.bss_eval(..., framewise_filters=False, bsseval_sources_version=False)`` takes an estimate
apart into the true stem, spatial error, interference and artifacts, by projecting it with 512-tap filters
onto the references. Artifacts are what is left over, so the three errors always add up to
``estimate - reference`` whatever the filters are: they shape ISR, SIR and SAR, and cancel in the SDR, which
is ``10 log10(|s|^2 / |s - e|^2)`` over the frame. That is what is computed here, with no filters; the tests
hold it against museval itself.

From museval too: frames of one second that do not overlap, an incomplete last one dropped (a signal shorter
than a frame is one frame); a frame in which any reference or any estimate is silent counts for no stem, where
silent means that the sum of the channels is zero throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright.evaluation.metrics import Energies, Signal, energies

FRAME_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class StemFrames:
    """One stem, measured frame by frame and as a whole."""

    sdr: NDArray[np.float64]  # [frames], dB
    reference_silent: NDArray[np.bool_]  # [frames]
    estimate_silent: NDArray[np.bool_]  # [frames]
    whole: Energies  # over all samples, an incomplete last frame included


@dataclass(frozen=True, kw_only=True)
class StemScore:
    """The figures of one stem of one song, in dB. NaN where a figure is undefined (a silent stem)."""

    sdr: float  # museval's: median over the frames that count
    si_sdr: float  # over the whole song
    usdr: float  # over the whole song
    frames: int  # how many counted


def measure_stem(pairs: Iterable[tuple[Signal, Signal]], frame: int) -> StemFrames:
    """Measure one stem from its reference and estimate, given as pairs of ``[channels, samples]`` blocks.

    Every block but the last holds exactly ``frame`` samples.

    Raises:
        InputError: A pair differs in shape.
    """
    whole = Energies()
    sdr: list[float] = []
    silent: list[tuple[bool, bool]] = []
    for index, (reference, estimate) in enumerate(pairs):
        part = energies(reference, estimate)
        whole += part
        if reference.shape[-1] == frame or index == 0:
            sdr.append(part.sdr())
            silent.append((_is_silent(reference), _is_silent(estimate)))
    flags = np.array(silent, dtype=np.bool_).reshape(-1, 2)
    return StemFrames(sdr=np.array(sdr), reference_silent=flags[:, 0], estimate_silent=flags[:, 1], whole=whole)


def score(stems: Mapping[str, StemFrames]) -> dict[str, StemScore]:
    """The figures of the stems of one song, all of one length.

    museval refuses a song in which a reference or an estimate is silent from start to end. Here only the SDR
    of that stem is undefined, and the frames are counted by the other stems.
    """
    heard = [s for s in stems.values() if not s.reference_silent.all() and not s.estimate_silent.all()]
    silent = [s.reference_silent | s.estimate_silent for s in heard]
    counts = ~np.any(silent, axis=0) if silent else np.zeros(0, dtype=np.bool_)
    return {
        name: StemScore(
            sdr=median(stem.sdr[counts]) if any(stem is s for s in heard) else math.nan,
            si_sdr=stem.whole.si_sdr(),
            usdr=stem.whole.usdr(),
            frames=int(counts.sum()) if any(stem is s for s in heard) else 0,
        )
        for name, stem in stems.items()
    }


def framewise_sdr(references: Signal, estimates: Signal, frame: int) -> NDArray[np.float64]:
    """The SDR of museval, of every stem and frame, in dB, from arrays ``[stems, channels, samples]``.

    Returns:
        ``[stems, frames]``, NaN in frames where a reference or an estimate is silent.

    Raises:
        InputError: The shapes differ.
    """
    starts = range(0, references.shape[-1], frame)
    stems = [
        measure_stem(((r[:, i : i + frame], e[:, i : i + frame]) for i in starts), frame)
        for r, e in zip(references, estimates, strict=True)
    ]
    silent = np.any([s.reference_silent | s.estimate_silent for s in stems], axis=0)
    return np.where(silent, np.nan, np.array([s.sdr for s in stems]))


def median(values: Iterable[float]) -> float:
    """The median of the values that are defined; NaN when none is."""
    defined = [value for value in values if not math.isnan(value)]
    return float(np.median(defined)) if defined else math.nan


def _is_silent(block: Signal) -> bool:
    return not block.astype(np.float64).sum(axis=0).any()
