"""The temporary copies of stems on a disk that does not take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import OutputError
from stemwright.options import OutputOptions
from stemwright.stems.files import StemWriter
from stemwright.stems.spool import Spool


def test_a_folder_that_takes_no_file_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder") as caught:
        Spool(tmp_path / "none", 2)
    assert caught.value.code == "not_writable"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
@pytest.mark.parametrize("samples", [100, 100_000], ids=["less than a buffer", "more than a buffer"])
def test_a_full_disk_is_told_even_when_it_shows_at_the_last_moment(
    samples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Path("/dev/full").open("w+b"))  # noqa: SIM115 (closed as the real one is)
    paths = {"s": tmp_path / "new" / "s.wav"}
    options = OutputOptions(normalize=True)
    with (
        pytest.raises(OutputError) as caught,
        StemWriter(paths, options, sample_rate=44100, channels=2, target=None, tags={}) as files,
    ):
        files.write(np.full((1, 2, samples), 0.5, dtype=np.float32))
        files.finish(0.5)
    assert caught.value.code == "disk_full"
    assert list(tmp_path.iterdir()) == []
