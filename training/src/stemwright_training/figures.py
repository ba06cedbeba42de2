"""Measures a model on held-out songs: SI-SDR of each stem, over whole songs and over clips, through the real engine."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stemwright import Separator
from stemwright.evaluation import si_sdr

from .score import SAMPLE_RATE, STEMS

Audio = npt.NDArray[np.float32]
Separate = Callable[[Audio], Mapping[str, Audio]]
CLIP = 8 * SAMPLE_RATE
WHOLE = -1
QUIETEST = 25.0  # dB below the mix: a clip counts for a stem that is louder than this in it


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFigure:
    """SI-SDR of one stem in one clip of one song, or in the whole song (clip WHOLE)."""

    song: str
    clip: int
    stem: str
    si_sdr: float


def separate_with(folder: Path | None, name: str) -> Separate:
    """The engine's separation with a model in a folder, or with the bundled one."""
    separator = Separator(name, models_path=folder, device="cpu")
    return lambda mix: separator.separate(mix, sample_rate=SAMPLE_RATE).stems


def mix_itself(mix: Audio) -> Mapping[str, Audio]:
    """The baseline that does nothing: the mix as the estimate of every stem."""
    return dict.fromkeys(STEMS, mix)


def measure(song: str, stems: npt.NDArray[np.int16], separate: Separate) -> list[ClipFigure]:
    """Separates the mix of int16 stems [4, 2, samples] and measures each stem, clip by clip."""
    true = stems.astype(np.float32) / 32768
    mix = true.sum(axis=0)
    estimates = separate(mix)
    out = []
    for clip in (WHOLE, *range(mix.shape[1] // CLIP)):
        part = slice(None) if clip == WHOLE else slice(clip * CLIP, (clip + 1) * CLIP)
        floor = float((mix[:, part] ** 2).sum()) * 10 ** (-QUIETEST / 10)
        for i, stem in enumerate(STEMS):
            if float((true[i, :, part] ** 2).sum()) > max(floor, 1e-6):
                value = si_sdr(true[i, :, part], np.asarray(estimates[stem])[:, part])
                out.append(ClipFigure(song=song, clip=clip, stem=stem, si_sdr=value))
    return out


def quartiles(figures: Iterable[ClipFigure], stem: str, *, whole: bool) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of a stem in dB, over whole songs or over clips."""
    values = [figure.si_sdr for figure in figures if figure.stem == stem and (figure.clip == WHOLE) == whole]
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)
