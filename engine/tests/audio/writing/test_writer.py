"""A file is there when it is complete, and otherwise not at all."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from sounds import read, sound

from stemwright.audio import FORMATS, open_writer
from stemwright.audio.writing.sink import Claim
from stemwright.errors import OptionError, OutputError

PLAIN: dict[str, Any] = {"sample_rate": 44100, "channels": 2}


@pytest.mark.parametrize("format", FORMATS)
def test_a_closed_file_is_what_it_says(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"stem.{FORMATS[format].extension}"
    writer = open_writer(path, format=format, **PLAIN)
    writer.write(sound(44100, 44_100))
    assert not path.exists()
    written = writer.close()
    content = path.read_bytes()
    assert (written.path, written.samples, written.sample_rate, written.seconds) == (path, 44_100, 44100, 1.0)
    assert (written.size, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert writer.close() == written == writer.written
    writer.abort()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format", FORMATS)
def test_an_aborted_file_leaves_nothing(tmp_path: Path, format: str) -> None:
    writer = open_writer(tmp_path / "stem", format=format, **PLAIN)
    writer.write(sound(44100, 30_000))
    writer.abort()
    writer.abort()
    with pytest.raises(RuntimeError), open_writer(tmp_path / "other", format=format, **PLAIN) as writer:
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for use in (writer.close, lambda: writer.write(sound(44100, 10))):
        with pytest.raises(OutputError) as caught:
            use()
        assert caught.value.code == "closed"


def test_an_earlier_file_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    path = tmp_path / "stem.wav"
    path.write_bytes(b"before")
    (tmp_path / "stem.wav.part").write_bytes(b"left by a crash" * 100_000)
    open_writer(path, format="wav", **PLAIN).abort()
    assert path.read_bytes() == b"before"
    with open_writer(path, format="wav", **PLAIN) as writer:
        writer.write(sound(44100, 100))
    assert read(path).shape == (2, 100)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("format", ["wav", "wav-float", "mp3"])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, format: str, value: float) -> None:
    samples = sound(44100, 1000)
    samples[0, 500] = value
    with pytest.raises(OutputError) as caught, open_writer(tmp_path / "stem", format=format, **PLAIN) as writer:
        writer.write(samples)
    assert caught.value.code == "non_finite_output"
    assert list(tmp_path.iterdir()) == []


def test_no_samples_make_no_file(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "stem", format="wav", **PLAIN)
    writer.write(np.zeros((2, 0), np.float32))
    with pytest.raises(OutputError) as caught:
        writer.close()
    assert caught.value.code == "nothing_written"
    assert list(tmp_path.iterdir()) == []


def test_the_samples_of_the_caller_are_not_changed(tmp_path: Path) -> None:
    loud = sound(44100, 5000) * 4
    before = loud.copy()
    for name in FORMATS:
        with open_writer(tmp_path / name, format=name, **PLAIN) as writer:
            writer.write(loud)
    assert np.array_equal(loud, before)


def test_a_block_of_another_shape_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "stem", format="wav", **PLAIN) as writer:
        for wrong in (np.zeros((1, 10)), np.zeros(10), np.zeros((10, 2))):
            with pytest.raises(OptionError):
                writer.write(wrong.astype(np.float32))
        writer.write(sound(44100, 10))


@pytest.mark.parametrize(
    "choice",
    [
        {"format": "aiff"},
        {"format": "mp3", "sample_rate": 96000},
        {"format": "m4a", "sample_rate": 192000},
        {"format": "mp3", "channels": 6},
        {"format": "wav", "channels": 0},
        {"format": "wav", "sample_rate": 0},
        {"format": "wav", "bitrate": 128_000},
        {"format": "ogg", "bitrate": 128_000},
        {"format": "mp3", "bitrate": 320},
        {"format": "mp3", "vbr_quality": 10},
        {"format": "opus", "vbr_quality": 1},
        {"format": "flac", "preset": 2},
    ],
    ids=str,
)
def test_what_a_format_cannot_do_is_refused_before_anything_is_written(
    tmp_path: Path, choice: dict[str, object]
) -> None:
    with pytest.raises(OptionError):
        open_writer(tmp_path / "stem", **{**PLAIN, **choice})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "stem.wav", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError) as caught:
            open_writer(path, format="wav", **PLAIN)
        assert caught.value.code == "not_writable"
        assert "\n" not in str(caught.value)


class SmallDisk:
    """A file on a disk with so many bytes of room."""

    def __init__(self, file: IO[Any], room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("room", [0, 3000, 20_000])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, room: int
) -> None:
    original = Claim.open
    monkeypatch.setattr(Claim, "open", lambda claim: SmallDisk(original(claim), room))

    def write() -> None:
        with open_writer(tmp_path / "stem", format=format, **PLAIN) as writer:
            for _ in range(4):
                writer.write(sound(44100, 44_100))

    with pytest.raises(OutputError) as caught:
        write()
    assert caught.value.code == "disk_full"
    assert caught.value.retryable
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the system")
def test_a_limit_of_the_system_counts_as_a_full_disk(tmp_path: Path) -> None:
    code = f"""
        import resource, numpy
        from stemwright.audio import open_writer
        from stemwright.errors import OutputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for name in ("wav", "flac", "ogg", "m4a"):
            try:
                with open_writer({str(tmp_path)!r} + "/x", format=name, sample_rate=44100, channels=2) as writer:
                    for _ in range(20):
                        writer.write(numpy.random.default_rng(0).standard_normal((2, 44100)).astype("f4") / 8)
            except OutputError as error:
                print(error.code)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert result.stdout.split() == ["disk_full"] * 4, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wav_keeps_room_to_become_rf64_beyond_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with open_writer(path, format="wav", **PLAIN) as writer:
        writer.write(sound(44100, 100))
    header = path.read_bytes()[:80]
    assert header[12:16] == b"JUNK"
    assert int.from_bytes(header[16:20], "little") == 28
