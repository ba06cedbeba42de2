"""What the service asks of a file before it is separated."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from small import music

from stemwright.audio import inspection, open_writer
from stemwright.errors import InputError


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = entry_points(group="stemwright.probes", name="audio")
    assert entry.load() is inspection


def test_a_file_is_what_it_decodes_to_or_the_reason_why_it_will_not_do(tmp_path: Path) -> None:
    with open_writer(tmp_path / "song", format="flac", sample_rate=48000, channels=2) as writer:
        writer.write((0.5 * music(2, sample_rate=48000)).numpy())
        writer.close()
    assert inspection.probe(tmp_path / "song", max_seconds=None) == {
        "duration": pytest.approx(2), "sample_rate": 48000, "channels": 2, "codec": "flac"
    }  # fmt: skip
    (tmp_path / "bad").write_bytes(b"RIFF")
    with pytest.raises(InputError):
        inspection.probe(tmp_path / "bad", max_seconds=None)
