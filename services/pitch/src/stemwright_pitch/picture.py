"""The analysis to be looked at: one SVG with sections, chords, beats, notes and the contour over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from stemwright_pitch.analysis import Analysis
from stemwright_pitch.harmony import NO_CHORD
from stemwright_pitch.signals import hz_to_midi

_LEFT, _TOP, _ROW, _KEY = 64, 40, 22, 6  # pixels: margin, head, a row of words, a semitone
_COLOURS = {
    "vocals": "#c2410c",
    "bass": "#1d4ed8",
    "guitar": "#15803d",
    "piano": "#7e22ce",
    "other": "#0f766e",
    "mix": "#475569",
}
_SECTIONS = ("#fde68a", "#bfdbfe", "#bbf7d0", "#fbcfe8", "#ddd6fe", "#fed7aa")
_MOST_NOTES, _MOST_POINTS = 6000, 6000  # more would be drawn over each other


def write(path: Path, analysis: Analysis, title: str) -> None:
    """An SVG file without scripts and without links."""
    path.write_text("\n".join(_lines(analysis, title)) + "\n", encoding="utf-8")


def _lines(analysis: Analysis, title: str) -> Iterator[str]:
    width = float(np.clip(analysis.seconds * 16, 800, 6000))
    scale = width / max(analysis.seconds, 1e-3)
    pitches = [note.pitch for found in analysis.notes.values() for note in found]
    low, high = min(pitches, default=57) - 3, max(pitches, default=69) + 3
    top = _TOP + 2 * _ROW
    height = (high - low + 1) * _KEY
    full_width, full_height = width + _LEFT + 16, top + height + 40

    def x(seconds: float) -> str:
        return f"{_LEFT + seconds * scale:.1f}"

    def y(pitch: float) -> float:
        return top + (high - pitch) * _KEY

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full_width:.0f}" height="{full_height:.0f}" '
        'font-family="sans-serif" font-size="12" fill="#0f172a">'
    )
    yield f'<rect width="{full_width:.0f}" height="{full_height:.0f}" fill="#ffffff"/>'
    yield f'<text x="{_LEFT}" y="22" font-size="15" font-weight="bold">{_plain(_headline(analysis, title))}</text>'
    for section in analysis.sections:
        colour = _SECTIONS[(ord(section.label[0]) - ord("A")) % len(_SECTIONS)]
        yield (
            f'<rect x="{x(section.start)}" y="{_TOP}" width="{(section.end - section.start) * scale:.1f}" height="{_ROW - 4}" '
            f'fill="{colour}"/><text x="{x(section.start + 4 / scale)}" y="{_TOP + 13}">{section.label}</text>'
        )
    free = 0.0  # where the last name of a chord ends
    for chord in analysis.chords:
        at = chord.start * scale
        if chord.name != NO_CHORD and at >= free:
            yield f'<text x="{x(chord.start)}" y="{_TOP + _ROW + 13}" font-size="11">{_plain(_short(chord.name))}</text>'
            free = at + 8 * len(_short(chord.name))
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:
            yield (
                f'<text x="{_LEFT - 34}" y="{y(pitch) + 8:.0f}" font-size="10">C{pitch // 12 - 1}</text>'
                f'<path d="M{_LEFT} {y(pitch) + _KEY:.0f}H{_LEFT + width:.0f}" stroke="#e2e8f0"/>'
            )
    for beat in analysis.pulse.beats:
        stroke = "#94a3b8" if beat.position == 1 else "#e2e8f0"
        yield f'<path d="M{x(beat.time)} {top}V{top + height}" stroke="{stroke}"/>'
    drawn = 0
    for role, found in analysis.notes.items():
        for note in found[: _MOST_NOTES - drawn]:
            length = max((note.end - note.start) * scale, 1.0)
            yield (
                f'<rect x="{x(note.start)}" y="{y(note.pitch)}" width="{length:.1f}" height="{_KEY - 1}" rx="1" '
                f'fill="{_COLOURS.get(role, "#475569")}" fill-opacity="{0.35 + 0.65 * note.confidence:.2f}"/>'
            )
        drawn += len(found[: _MOST_NOTES - drawn])
    yield from _contour(analysis, x, y, low, high)
    at = _LEFT
    for role in analysis.notes:
        yield f'<rect x="{at}" y="{full_height - 24:.0f}" width="10" height="10" fill="{_COLOURS.get(role, "#475569")}"/>'
        yield f'<text x="{at + 14}" y="{full_height - 15:.0f}">{_plain(role)}</text>'
        at += 90
    yield "</svg>"


def _contour(
    analysis: Analysis, x: Callable[[float], str], y: Callable[[float], float], low: int, high: int
) -> Iterator[str]:
    line = analysis.contour
    every = max(1, len(line.hz) // _MOST_POINTS)
    midi, times = hz_to_midi(line.hz)[::every], line.times[::every]
    inside = line.voiced[::every] & (midi >= low) & (midi <= high + 1)
    edges = np.flatnonzero(np.diff(np.pad(inside.astype(np.int8), 1))).reshape(-1, 2)
    pieces = (
        "M" + "L".join(f"{x(times[k])} {y(midi[k]) + _KEY / 2:.1f}" for k in range(begin, end))
        for begin, end in edges
        if end - begin > 1
    )
    if path := "".join(pieces):
        yield f'<path d="{path}" fill="none" stroke="#111827" stroke-width="1"/>'


def _headline(analysis: Analysis, title: str) -> str:
    words = [title]
    if analysis.key is not None:
        words.append(analysis.key.name)
    if analysis.pulse.tempo is not None:
        words.append(f"{analysis.pulse.tempo:.1f} beats a minute, {analysis.pulse.beats_per_bar} in a bar")
    if analysis.loudness is not None and analysis.loudness.integrated is not None:
        words.append(f"{analysis.loudness.integrated:.1f} LUFS")
    return " · ".join(words)


def _short(name: str) -> str:
    """As musicians write it: Eb:min7 is Ebm7."""
    root, quality = name.split(":")
    return root + {"maj": "", "min": "m", "min7": "m7"}.get(quality, quality)


def _plain(words: str) -> str:
    """Fit for XML, whatever a caller calls a file."""
    return escape("".join(sign if sign.isprintable() else " " for sign in words))
