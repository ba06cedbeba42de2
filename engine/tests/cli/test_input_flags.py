"""Which sound of a film is separated, and where the stems begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sounds import encode, sound

from stemwright import cli

FIRST, SECOND = sound(44100, 50_000, seed=1), sound(44100, 70_000, seed=2)


def split(path: Path, *flags: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    cli.main(["split", str(path), "-o", str(path.parent / "out"), "-n", "pocket", "--json", "-q", *flags])
    (song,) = json.loads(capsys.readouterr().out)["songs"]
    assert isinstance(song, dict)
    return song


def test_the_first_audio_track_is_separated_or_the_one_that_a_flag_names_and_the_report_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = encode(tmp_path / "film.mp4", FIRST, 44100, codec="aac", muxer="mp4", more_tracks=(SECOND,))
    for flags, samples, number in (((), 50_000, 1), (("--track", "2"), 70_000, 2)):
        song = split(path, *flags, capsys=capsys)
        assert {each["samples"] for each in song["artifacts"]} == {samples}
        assert f"audio track {number} of 2 was read" in song["report"]["notes"]
    assert split(path, "--track", "3", capsys=capsys)["error"]["code"] == "no_audio_stream"


def test_stems_begin_with_the_sound_or_with_the_picture_and_the_report_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = encode(tmp_path / "film.mkv", FIRST, 44100, codec="flac", muxer="matroska", video=True, begins_at=44_100)
    for flags, samples, begin in (((), 50_000, "the sound"), (("--video-clock",), 94_100, "as much silence")):
        song = split(path, *flags, capsys=capsys)
        assert {each["samples"] for each in song["artifacts"]} == {samples}
        assert f"the sound begins 1.000 s after the picture: the stems begin with {begin}" in song["report"]["notes"]


def test_a_track_that_cannot_be_is_said_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["split", str(tmp_path / "film.mp4"), "--track", "0"]) == 2
    assert "audio tracks are counted from 1" in capsys.readouterr().err
