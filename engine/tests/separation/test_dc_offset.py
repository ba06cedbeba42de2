"""A constant in the mix, as bad interfaces record it: in the stems as the model was made, or as is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packed import save_safetensors
from small import music, tiny_htdemucs

from stemwright import OptionError, SeparationOptions, Separator
from stemwright.options import DcOffset

OFFSET = 0.05


@pytest.fixture
def demucs(tmp_path: Path) -> Separator:
    save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    return Separator("abc", models_path=tmp_path, device="cpu", backend="eager")


def summed(separator: Separator, dc_offset: DcOffset, offset: float = OFFSET) -> tuple[float, float, Any]:
    """The constant in the sum of the stems, how far the sum is from the mix, and the report."""
    mix = 0.3 * music(2).numpy()
    mix = (mix - mix.mean(axis=1, keepdims=True) + offset).astype(np.float32)
    done = separator.separate(mix, 44100, SeparationOptions(dc_offset=dc_offset, precision="exact"))
    total = sum(stem.astype(np.float64) for stem in done.stems.values())
    return float(np.mean(total)), float(np.abs(total - mix).max()), done.report


@pytest.mark.parametrize(("dc_offset", "times"), [("auto", 1), ("shared", 1), ("each", 4)])
def test_the_stems_of_pocket_have_it_once_among_them(dc_offset: DcOffset, times: int) -> None:
    mean, difference, report = summed(Separator("pocket", device="cpu"), dc_offset)
    assert mean == pytest.approx(times * OFFSET, abs=1e-4)
    assert (difference < 1e-4) == (times == 1)
    assert any("DC offset of +0.0500" in note for note in report.notes)


def test_the_stems_of_demucs_each_have_it_unless_it_is_shared(demucs: Separator) -> None:
    each, _, report = summed(demucs, "auto")
    shared, _, other = summed(demucs, "shared")
    assert each - shared == pytest.approx(3 * OFFSET, abs=1e-4)
    assert any("each stem has all of it, as Demucs does" in note for note in report.notes)
    assert any("each stem has its share of it" in note for note in other.notes)


def test_what_agrees_with_demucs_is_the_default(demucs: Separator) -> None:
    mix = 0.3 * music(2).numpy() + np.float32(OFFSET)
    auto, each = (
        demucs.separate(mix, 44100, SeparationOptions(dc_offset=asked, precision="exact")).stems
        for asked in ("auto", "each")
    )
    assert all(np.array_equal(auto[name], each[name]) for name in auto)


def test_nothing_is_said_where_there_is_none(demucs: Separator) -> None:
    _, _, report = summed(demucs, "auto", offset=0.0)
    assert not any("DC offset" in note for note in report.notes)


def test_another_word_is_refused() -> None:
    with pytest.raises(OptionError, match="dc_offset is 'none': choose one of auto, each, shared"):
        SeparationOptions(dc_offset="none")  # type: ignore[arg-type]
