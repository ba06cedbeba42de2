"""The rows of the table: what is measured, and what it should reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import measures
from timing import Figure


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    key: str
    what: str
    measure: Callable[[float], Figure]  # of so many seconds of audio
    unit: str = "x"
    bar: float | None = None  # at least this, or at most where less is better
    aim: float | None = None
    more_is_better: bool = True
    wants_quiet: bool = False  # seconds mean nothing while other processes work


ROWS = (
    Row(key="fast", what="`fast` on a CPU with AMX, against demucs", bar=4, aim=6, measure=measures.fast),
    Row(key="exact", what="`exact`, against demucs", bar=1.4, aim=2, measure=measures.exact),
    Row(key="plain", what="`exact` in plain torch (the first song), against demucs", measure=measures.plain),
    Row(
        key="first_song",
        what="the first song of a machine, as users have it: `stemwright split` whole, against demucs's model alone",
        bar=1,
        measure=measures.first_song,
    ),
    Row(
        key="first_song_cost",
        what="the same, over itself with `STEMWRIGHT_WARM=off`",
        bar=1.05,
        aim=1,
        more_is_better=False,
        measure=measures.first_song_cost,
    ),
    Row(key="avx512", what="`auto`, AVX-512 without AMX, against demucs", bar=1.4, aim=2, measure=measures.avx512),
    Row(key="avx2", what="`auto`, oneDNN kept to AVX2, against demucs", bar=1.4, aim=2, measure=measures.avx2),
    Row(
        key="core",
        what="rate of the core, of torch's bf16 product",
        unit="%",
        bar=45,
        aim=75,
        measure=measures.core_rate,
    ),
    Row(
        key="core_fp32", what="rate of the core, of torch's float32 product", unit="%", measure=measures.core_rate_fp32
    ),
    Row(
        key="memory",
        what="growth of peak memory from 1 to 60 minutes",
        unit="MB",
        bar=64,
        aim=16,
        more_is_better=False,
        measure=measures.memory,
    ),
    Row(
        key="memory_of_file",
        what="growth of peak memory from 1 to 5 minutes, file to files",
        unit="MB",
        more_is_better=False,
        measure=measures.memory_of_file,
    ),
    Row(
        key="one_stem",
        what="one stem of a bag of four networks, of all four",
        bar=0.27,
        aim=0.25,
        more_is_better=False,
        measure=measures.one_stem,
    ),
    Row(
        key="whole_job",
        what="file to four mp3 files, over the model alone",
        bar=1.25,
        aim=1.05,
        more_is_better=False,
        measure=measures.whole_job,
    ),
    Row(
        key="start",
        what="process start to the first segment's end",
        unit="s",
        bar=3,
        aim=1.5,
        more_is_better=False,
        wants_quiet=True,
        measure=measures.start,
    ),
    Row(key="v3", what="a network of `mdx_extra`, against demucs", bar=1, measure=measures.v3),
    Row(key="gpu", what="`fast` on a GPU, against demucs on it", bar=8, measure=measures.gpu),
    Row(
        key="gpu_song",
        what="3 minutes of audio on a GPU",
        unit="s",
        bar=0.5,
        more_is_better=False,
        wants_quiet=True,
        measure=measures.gpu_song,
    ),
)
