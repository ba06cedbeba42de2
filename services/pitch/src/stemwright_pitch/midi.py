"""Notes as a standard MIDI file: a track for each stem, on the beats that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from stemwright_pitch.analysis import Analysis
from stemwright_pitch.beats import Pulse
from stemwright_pitch.notes import Note

TICKS = 480  # a beat
_USUAL = 500_000  # microseconds a beat, where there is none
_SLOWEST = (1 << 24) - 1  # microseconds that a file can say
_PROGRAMS = {"vocals": 53, "bass": 33, "guitar": 25, "piano": 0, "other": 0, "mix": 0}  # General MIDI, from 0
_DRUM_CHANNEL = 9
_NEAR = 0.02  # seconds: a beat that is nearer to the beginning is the beginning


@dataclass(frozen=True, kw_only=True)
class TempoMap:
    """Which tick is when. Beats lie on whole beats of the file, the first one's bar begins with a bar."""

    lengths: tuple[int, ...]  # microseconds of each beat from the file's start; the last goes on for ever
    before: int  # beats before the first that was found

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """When each beat begins, and the last ends."""
        return np.concatenate([[0.0], np.cumsum(self.lengths)]) / 1e6

    def tick(self, seconds: float) -> int:
        """The nearest tick."""
        starts = self.seconds[:-1]
        beat = max(0, int(np.searchsorted(starts, seconds, side="right")) - 1)
        return int(np.rint((beat + (seconds - starts[beat]) * 1e6 / self.lengths[beat]) * TICKS))


def tempo_map(pulse: Pulse) -> TempoMap:
    """One tempo for each beat, as far apart as they were played."""
    times = [beat.time for beat in pulse.beats]
    if len(times) < 2:
        return TempoMap(lengths=(_USUAL,), before=0)
    usual = float(np.median(np.diff(times)))
    before = max(1, round(times[0] / usual)) if times[0] > _NEAR else 0
    edges = np.concatenate([np.linspace(0, times[0], before + 1)[:-1] if before else [], times])
    edges[0] = 0.0
    micro = np.rint(edges * 1e6).astype(int)  # each beat from the rounded one before: no error adds up
    lengths = np.clip(np.diff(micro), 1, _SLOWEST)
    return TempoMap(lengths=(*(int(each) for each in lengths), round(usual * 1e6)), before=before)


def write(path: Path, analysis: Analysis) -> None:
    """A file of type 1: tempi, bars, key and sections on the first track, then a track for each stem that was listened to."""
    time = tempo_map(analysis.pulse)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    file.tracks.append(_conductor(analysis, time))
    channels = [number for number in range(16) if number != _DRUM_CHANNEL]
    for number, (role, found) in enumerate(analysis.notes.items()):
        file.tracks.append(_part(role, found, time, channels[number % len(channels)]))
    file.save(path)


def _conductor(analysis: Analysis, time: TempoMap) -> mido.MidiTrack:
    events: list[tuple[int, mido.MetaMessage]] = []
    previous = None
    for beat, length in enumerate(time.lengths):
        if length != previous:
            events.append((beat * TICKS, mido.MetaMessage("set_tempo", tempo=length)))
        previous = length
    events += _bars(analysis.pulse, time)
    if analysis.key is not None:
        tonic = analysis.key.tonic + ("m" if analysis.key.mode == "minor" else "")
        events.append((0, mido.MetaMessage("key_signature", key=_SPELLED.get(tonic, tonic))))
    events += [
        (time.tick(section.start), mido.MetaMessage("marker", text=f"Section {section.label}"))
        for section in analysis.sections
    ]
    return _track("Tempo", events)


# Minor keys that a signature writes with sharps.
_SPELLED = {"Dbm": "C#m", "Gbm": "F#m", "Abm": "G#m"}


def _bars(pulse: Pulse, time: TempoMap) -> list[tuple[int, mido.MetaMessage]]:
    """The metre; a first bar that is shorter where the music begins in the middle of one."""
    if pulse.beats_per_bar is None:
        return []
    metre = pulse.beats_per_bar
    first = next((number for number, beat in enumerate(pulse.beats) if beat.position == 1), 0)
    short = (time.before + first) % metre
    events = [(0, mido.MetaMessage("time_signature", numerator=short or metre, denominator=4))]
    if short:
        events.append((short * TICKS, mido.MetaMessage("time_signature", numerator=metre, denominator=4)))
    return events


def _part(role: str, found: Sequence[Note], time: TempoMap, channel: int) -> mido.MidiTrack:
    events: list[tuple[int, mido.Message]] = [
        (0, mido.Message("program_change", program=_PROGRAMS.get(role, 0), channel=channel))
    ]
    ends: dict[int, int] = {}
    for note in sorted(found, key=lambda each: (each.pitch, each.start), reverse=True):
        start = time.tick(note.start)
        # A key is let go before it is struck again.
        end = min(max(time.tick(note.end), start + 1), ends.get(note.pitch, 1 << 60))
        ends[note.pitch] = start
        if end <= start:
            continue
        velocity = int(np.clip(round(30 + 97 * note.confidence), 1, 127))
        events.append((start, mido.Message("note_on", note=note.pitch, velocity=velocity, channel=channel)))
        events.append((end, mido.Message("note_off", note=note.pitch, channel=channel)))
    return _track(role, events)


def _track(name: str, events: Sequence[tuple[int, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    """Events at ticks from the beginning, as a track; at one tick, what ends comes before what begins."""
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    for tick, message in sorted(events, key=lambda event: (event[0], event[1].type != "note_off")):
        message.time = tick - now
        now = tick
        track.append(message)
    return track
