"""How far an estimate is from its reference, in dB: pure functions on arrays, numpy only.

All of them come from three sums over the samples of all channels, with d = estimate - reference: the
energy of the reference, the energy of d, and the inner product of d with the reference. Sums add up, so a
song of any length is measured a second at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.errors import InputError

Signal = NDArray[np.floating[Any]]

USDR_EPSILON = 1e-7
"""Keeps the utterance SDR finite, with the value of the Music Demixing Challenge 2021."""

_BLOCK = 1 << 18  # samples held in double precision at once


@dataclass(frozen=True, kw_only=True)
class Energies:
    """The three sums from which every figure follows."""

    reference: float = 0.0  # sum of reference^2
    error: float = 0.0  # sum of (estimate - reference)^2
    cross: float = 0.0  # sum of (estimate - reference) * reference

    def __add__(self, other: Energies) -> Energies:
        return Energies(
            reference=self.reference + other.reference,
            error=self.error + other.error,
            cross=self.cross + other.cross,
        )

    def sdr(self) -> float:
        """Plain signal to distortion ratio; see `stemwright.evaluation.frames` for museval's use of it."""
        return _decibels(self.reference, self.error)

    def usdr(self) -> float:
        """Utterance SDR of the Music Demixing Challenge; 0 when both signals are silent, never infinite."""
        return _decibels(self.reference + USDR_EPSILON, self.error + USDR_EPSILON)

    def si_sdr(self) -> float:
        """Scale-invariant SDR; see `si_sdr`."""
        if self.reference == 0:
            return math.nan
        scale = 1 + self.cross / self.reference
        residual = max(self.error - self.cross**2 / self.reference, 0.0)
        if scale == 0:  # also a silent estimate, where the residual is nothing as well
            return -math.inf
        return _decibels(scale**2 * self.reference, residual)


def energies(reference: Signal, estimate: Signal) -> Energies:
    """The sums over two arrays of one shape, ``[channels, samples]``, computed in double precision.

    Raises:
        InputError: The shapes differ.
    """
    if reference.shape != estimate.shape:
        raise InputError(
            f"reference and estimate differ in shape: {reference.shape} and {estimate.shape}; "
            "both must be [channels, samples]",
            code="shape_mismatch",
        )
    total = Energies()
    for start in range(0, reference.shape[-1], _BLOCK):
        true = reference[..., start : start + _BLOCK].astype(np.float64).ravel()
        error = estimate[..., start : start + _BLOCK].astype(np.float64).ravel() - true
        total += Energies(reference=float(true @ true), error=float(error @ error), cross=float(error @ true))
    return total


def si_sdr(reference: Signal, estimate: Signal) -> float:
    """Scale-invariant signal to distortion ratio in dB over a whole signal ``[channels, samples]``.

    ``10 log10(|a s|^2 / |a s - e|^2)`` with ``a = <e, s> / <s, s>`` (Le Roux, Wisdom, Erdogan and Hershey,
    "SDR: half-baked or well done?", ICASSP 2019). One scale serves all channels, so a shifted
    balance between left and right counts as an error. No mean is removed.

    Returns:
        NaN when the reference is silent (nothing to measure against), ``-inf`` when the estimate holds none
        of it, ``inf`` when the estimate is the reference times a number, up to rounding (about 150 dB).

    Raises:
        InputError: The shapes differ.
    """
    return energies(reference, estimate).si_sdr()


def usdr(reference: Signal, estimate: Signal) -> float:
    """Utterance SDR in dB over a whole signal ``[channels, samples]``: no filters, no frames.

    ``10 log10((|s|^2 + 1e-7) / (|s - e|^2 + 1e-7))`` (Mitsufuji et al., "Music Demixing Challenge 2021",
    Frontiers in Signal Processing 2022): the figure of the MDX and SDX challenges.

    Raises:
        InputError: The shapes differ.
    """
    return energies(reference, estimate).usdr()


def _decibels(numerator: float, denominator: float) -> float:
    if numerator == 0:
        return math.nan if denominator == 0 else -math.inf
    return math.inf if denominator == 0 else 10 * math.log10(numerator / denominator)
