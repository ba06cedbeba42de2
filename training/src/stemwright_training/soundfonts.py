"""Renders parts with fluidsynth and the sound fonts that Debian packages."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .score import SAMPLE_RATE, Note

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundFont:
    """A sound font, where it comes from and under which licence."""

    name: str
    path: Path
    package: str  # of Debian
    licence: str
    use: str


SOUND_FONTS: dict[str, SoundFont] = {
    "fluid": SoundFont(
        name="FluidR3 GM",
        path=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
        package="fluid-soundfont-gm",
        licence="MIT (Frank Wen and contributors)",
        use="training, held-out songs, example song",
    ),
    "musescore": SoundFont(
        name="MuseScore General HQ",
        path=Path("/usr/share/sounds/sf3/MuseScore_General_Full.sf3"),
        package="musescore-general-soundfont",
        licence="MIT, parts public domain or CC0 (S. Christian Collins and contributors)",
        use="training (a small share)",
    ),
    "timgm": SoundFont(
        name="TimGM6mb",
        path=Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
        package="timgm6mb-soundfont",
        licence="GPL-2 (Tim Brechbill)",
        use="held-out songs only: nothing that ships was trained on it or contains it",
    ),
}

TICKS = 1000  # MIDI ticks in a second: a quarter note at 60 a minute


def midi_file(tracks: Sequence[tuple[int, int, float, Sequence[Note]]]) -> bytes:
    """A standard MIDI file. Each track: channel, program, pan from -1 to 1, notes."""
    body = b""
    for channel, program, pan, notes in tracks:
        events = [(0, bytes([0xC0 | channel, program])), (0, bytes([0xB0 | channel, 10, round(64 + 63 * pan)]))]
        for note in notes:
            on = round(note.start * TICKS)
            off = max(on + 1, round((note.start + note.duration) * TICKS))
            events.append((on, bytes([0x90 | channel, note.pitch & 127, note.velocity])))
            events.append((off, bytes([0x80 | channel, note.pitch & 127, 0])))
        events.sort(key=lambda event: (event[0], event[1][0] & 0x10))
        data, now = b"", 0
        for tick, message in events:
            data += _variable_length(tick - now) + message
            now = tick
        body += _track(data)
    tempo = _track(b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big"))
    header = b"MThd" + (6).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(2, "big") for n in (1, len(tracks) + 1, TICKS)) + tempo + body


def _track(data: bytes) -> bytes:
    data += b"\x00\xff\x2f\x00"
    return b"MTrk" + len(data).to_bytes(4, "big") + data


def _variable_length(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def render_notes(font: str, instrument: str, notes: Sequence[Note], samples: int) -> Audio:
    """Plays one instrument ("gm:<program>" or "kit:<program>"), dry, as float32 [2, samples].

    Raises FileNotFoundError when fluidsynth or the font is not installed, and CalledProcessError when rendering fails.
    """
    kind, program = instrument.split(":")
    channel = 9 if kind == "kit" else 0
    sound_font = SOUND_FONTS[font]
    if not sound_font.path.exists():
        raise FileNotFoundError(f"{sound_font.path} is missing: apt-get install {sound_font.package}")
    with tempfile.TemporaryDirectory() as folder:
        score, raw = Path(folder, "score.mid"), Path(folder, "out.raw")
        score.write_bytes(midi_file([(channel, int(program), 0.0, notes)]))
        options = ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.polyphony=96"]
        command = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE), *options]
        command += ["-T", "raw", "-O", "float", "-F", os.fspath(raw), os.fspath(sound_font.path), os.fspath(score)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        played = np.fromfile(raw, dtype=np.float32).reshape(-1, 2).T
    out = np.zeros((2, samples), np.float32)
    length = min(samples, played.shape[1])
    out[:, :length] = played[:, :length]
    return out
