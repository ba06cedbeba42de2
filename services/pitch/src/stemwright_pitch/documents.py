"""What was found out, as JSON: ``analysis.json`` and ``contour.json`` for programs, JAMS for the tools of the field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from stemwright_pitch.analysis import Analysis
from stemwright_pitch.contour import HOP, NETWORK_RATE

FORMAT = 1  # grows when a field changes its meaning
_JAMS = "0.3.4"  # the schema that the file fits


def write_analysis(path: Path, analysis: Analysis) -> None:
    """Key, tempo, beats, chords, sections, tuning and loudness, each with its confidence; null or empty: there is none."""
    _write(path, analysis_document(analysis))


def analysis_document(analysis: Analysis) -> dict[str, Any]:
    """`write_analysis` as a value."""
    pulse = analysis.pulse
    beats = [
        {"time": _seconds(beat.time), "position": beat.position, "confidence": beat.confidence} for beat in pulse.beats
    ]
    key, tuned = analysis.key, analysis.tuning
    return {
        "format": FORMAT,
        "duration": _seconds(analysis.seconds),
        "computed_from": {what: list(roles) for what, roles in analysis.computed_from.items()},
        "key": None if key is None else {"name": key.name, **asdict(key)},
        "tempo": None if pulse.tempo is None else {"bpm": pulse.tempo, "confidence": pulse.tempo_confidence},
        "metre": None
        if pulse.beats_per_bar is None
        else {"beats_per_bar": pulse.beats_per_bar, "confidence": pulse.bar_confidence},
        "beats": beats,
        "downbeats": [
            {"time": _seconds(beat.time), "confidence": round(beat.confidence * pulse.bar_confidence, 3)}
            for beat in pulse.downbeats
        ],
        "chords": [_span(each, name=each.name) for each in analysis.chords],
        "sections": [_span(each, label=each.label) for each in analysis.sections],
        "tuning": None if tuned is None else {"a4_hz": tuned.a4, "cents": tuned.cents, "confidence": tuned.confidence},
        "loudness": None if analysis.loudness is None else asdict(analysis.loudness),
        "loudness_of": {role: asdict(each) for role, each in analysis.loudness_of.items()},
        "notes": {
            role: {
                "count": len(found),
                "lowest": min((note.pitch for note in found), default=None),
                "highest": max((note.pitch for note in found), default=None),
                "confidence": _mean(note.confidence for note in found),
            }
            for role, found in analysis.notes.items()
        },
        "contour": {
            "of": analysis.contour_of,
            "voiced": round(float(analysis.contour.voiced.mean()), 3),
            "confidence": _mean(analysis.contour.confidence[analysis.contour.voiced]),
        },
    }


def write_contour(path: Path, analysis: Analysis) -> None:
    """The pitch of each frame in Hz, null where nobody sings or plays; frame k is at ``k * hop`` seconds."""
    line = analysis.contour
    hz = [round(float(value), 2) if voiced else None for value, voiced in zip(line.hz, line.voiced, strict=True)]
    _write(
        path,
        {
            "format": FORMAT,
            "of": analysis.contour_of,
            "hop": HOP / NETWORK_RATE,
            "hz": hz,
            "confidence": np.round(line.confidence, 3).tolist(),
            "agreement": np.round(line.agreement, 3).tolist(),
        },
    )


def write_jams(path: Path, analysis: Analysis, title: str) -> None:
    """Beats, chords, key, tempo, sections and notes as JAMS (Humphrey and others, ISMIR 2014), which tools of the field read."""
    _write(path, jams_document(analysis, title))


def jams_document(analysis: Analysis, title: str) -> dict[str, Any]:
    """`write_jams` as a value."""
    pulse, whole = analysis.pulse, analysis.seconds
    parts = [
        _annotation("beat", whole, ((beat.time, 0.0, beat.position, beat.confidence) for beat in pulse.beats)),
        _annotation("chord", whole, ((e.start, e.end - e.start, e.name, e.confidence) for e in analysis.chords)),
        _annotation(
            "segment_open", whole, ((e.start, e.end - e.start, e.label, e.confidence) for e in analysis.sections)
        ),
    ]
    if pulse.tempo is not None:
        parts.append(_annotation("tempo", whole, [(0.0, whole, pulse.tempo, pulse.tempo_confidence)]))
    if analysis.key is not None:
        value = f"{analysis.key.tonic}:{analysis.key.mode}"
        parts.append(_annotation("key_mode", whole, [(0.0, whole, value, analysis.key.confidence)]))
    for role, found in analysis.notes.items():
        observations = ((note.start, note.end - note.start, note.pitch, note.confidence) for note in found)
        parts.append(_annotation("note_midi", whole, observations, {"stem": role}))
    metadata = {
        "title": title,
        "artist": "",
        "release": "",
        "duration": whole,
        "jams_version": _JAMS,
        "identifiers": {},
    }
    return {"annotations": parts, "file_metadata": metadata, "sandbox": {}}


def _annotation(
    namespace: str,
    seconds: float,
    data: Iterable[tuple[float, float, Any, float]],
    sandbox: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "data": [
            {"time": _seconds(time), "duration": _seconds(length), "value": value, "confidence": confidence}
            for time, length, value, confidence in data
        ],
        "annotation_metadata": {
            "annotation_tools": "stemwright-pitch",
            "annotation_rules": "",
            "annotator": {},
            "corpus": "",
            "curator": {"name": "", "email": ""},
            "data_source": "program",
            "validation": "",
            "version": "",
        },
        "sandbox": dict(sandbox or {}),
        "time": 0.0,
        "duration": seconds,
    }


def _span(each: Any, **words: str) -> dict[str, Any]:
    return {"start": _seconds(each.start), "end": _seconds(each.end), **words, "confidence": each.confidence}


def _seconds(value: float) -> float:
    """To a tenth of a millisecond."""
    return round(float(value), 4)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(math.fsum(map(float, listed)) / len(listed), 3) if listed else None


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, allow_nan=False, ensure_ascii=False), encoding="utf-8")
