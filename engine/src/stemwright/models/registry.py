"""The architectures there are, one line for each. Needs no torch."""

from __future__ import annotations

from stemwright.models.architecture import Architectures
from stemwright.models.bandnet.architecture import BANDNET
from stemwright.models.demucs_own import DEMUCS_V2, DEMUCS_V3, HTDEMUCS_VARIANTS
from stemwright.models.htdemucs.architecture import HTDEMUCS
from stemwright.models.spleeter.architecture import SPLEETER

ARCHITECTURES = Architectures(
    HTDEMUCS,
    HTDEMUCS_VARIANTS,  # after our own, which is taken wherever it computes the same
    DEMUCS_V3,
    DEMUCS_V2,
    BANDNET,
    SPLEETER,
)
