"""What has to be known of a mix before its first segment is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemwright.audio.samples import Samples


@dataclass(frozen=True, kw_only=True)
class MixStats:
    """Length and loudness of a mix at the model's sample rate."""

    length: int  # samples of each channel
    mean: float  # of the mono mix (the mean of the channels)
    std: float  # of the mono mix, unbiased; 0.0 for a single sample

    @classmethod
    def of(cls, samples: Samples) -> MixStats:
        """Measure an array ``[channels, samples]``; `stemwright.audio.scan` measures a file."""
        mono = samples.mean(axis=0, dtype=np.float64)
        return cls(
            length=samples.shape[-1],
            mean=float(mono.mean()),
            std=float(mono.std(ddof=1)) if mono.size > 1 else 0.0,
        )
