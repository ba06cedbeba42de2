"""Which tags of a song its stems have."""

from __future__ import annotations

from pathlib import Path

import pytest
from sounds import sound

from stemwright.audio import open_writer, probe
from stemwright.cli import main

OF_THE_SONG = {
    "title": "A Title",
    "artist": "One; Another",
    "album_artist": "All",
    "composer": "Who",
    "album": "An Album",
}
OF_THE_MIX = {"replaygain_track_gain": "-7.89 dB", "replaygain_album_peak": "0.98", "r128_track_gain": "-1000"}


@pytest.mark.parametrize("format", ["flac", "m4a", "opus", "mp3"])
def test_what_is_said_of_the_song_is_kept_and_what_is_said_of_the_mix_is_not(tmp_path: Path, format: str) -> None:
    song = tmp_path / "song.flac"
    with open_writer(song, format="flac", sample_rate=44100, channels=2, tags={**OF_THE_SONG, **OF_THE_MIX}) as writer:
        writer.write(sound(44100, 44100))
    assert probe(song).tags["replaygain_track_gain"] == "-7.89 dB"
    words = ["-q", "--model", "pocket", "--device", "cpu", "--format", format, "-o", str(tmp_path / "out")]
    assert main(["split", *words, str(song)]) == 0
    tags = probe(tmp_path / "out" / "song" / f"vocals.{format}").tags
    assert {name: tags.get(name) for name in OF_THE_SONG} == OF_THE_SONG
    assert not [name for name in tags if name.startswith(("replaygain", "r128"))]
