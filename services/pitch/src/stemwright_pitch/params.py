"""What can be asked for, as it crosses HTTP, and the options out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stemwright_worker.contract.description import OutputRule

if TYPE_CHECKING:
    from stemwright_pitch.analysis import AnalysisOptions

ROLES = ("mix", "vocals", "drums", "bass", "guitar", "piano", "other")
OUTPUTS = {
    "analysis": OutputRule(
        name="analysis", filename="analysis.json", content_type="application/json", role="analysis", listed_in="outputs"
    ),
    "contour": OutputRule(
        name="contour", filename="contour.json", content_type="application/json", role="contour", listed_in="outputs"
    ),
    "notes": OutputRule(
        name="notes", filename="notes.mid", content_type="audio/midi", role="notes", listed_in="outputs"
    ),
    "jams": OutputRule(
        name="jams", filename="analysis.jams", content_type="application/json", role="analysis", listed_in="outputs"
    ),
    "picture": OutputRule(
        name="picture", filename="picture.svg", content_type="image/svg+xml", role="picture", listed_in="outputs"
    ),
}
LOWEST, HIGHEST = 46.875, 2093.75  # Hz, that the network of the contour knows

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "outputs": {
            "type": ["array", "null"],
            "items": {"enum": list(OUTPUTS)},
            "description": "only these files; null: all",
        },
        "roles": {
            "type": ["array", "null"],
            "items": {"enum": list(ROLES)},
            "description": "what each input is, in their order; null: a stem if its file is named so, or the mix",
        },
        "contour_of": {
            "enum": [None, *ROLES],
            "default": None,
            "description": "the input whose melody is followed; null: the vocals, or what leads without them",
        },
        "lowest_hz": {"type": "number", "minimum": LOWEST, "maximum": HIGHEST, "default": LOWEST},
        "highest_hz": {"type": "number", "minimum": LOWEST, "maximum": HIGHEST, "default": HIGHEST},
        "voiced": {
            "type": "number",
            "minimum": 0.05,
            "maximum": 0.99,
            "default": 0.5,
            "description": "confidence from which a frame of the contour has a pitch",
        },
        "struck": {
            "type": "number",
            "minimum": 0.05,
            "maximum": 0.99,
            "default": 0.5,
            "description": "confidence that a note needs to begin: less finds more notes, and more that are none",
        },
        "beats_per_bar": {
            "type": ["integer", "null"],
            "minimum": 2,
            "maximum": 7,
            "default": None,
            "description": "null: three or four, whichever fits better",
        },
    },
    "additionalProperties": False,
    "allOf": [
        {
            "properties": {"outputs": {"minItems": 1}},
            "errorMessage": "no file was asked for: name at least one, or leave the option out for all",
        },
    ],
}


def analysis_options(params: Mapping[str, Any]) -> AnalysisOptions:
    """The options out of complete params.

    Raises:
        PitchError: the lowest pitch is not far enough under the highest (``bad_params``).
    """
    from stemwright_pitch.analysis import AnalysisOptions
    from stemwright_pitch.errors import PitchError
    from stemwright_pitch.notes import NoteOptions

    lowest, highest = params["lowest_hz"], params["highest_hz"]
    if highest < 1.06 * lowest:
        raise PitchError(
            f"between lowest_hz ({lowest:g}) and highest_hz ({highest:g}) there is no semitone: choose them farther apart",
            "bad_params",
        )
    return AnalysisOptions(
        contour_of=params["contour_of"],
        lowest_hz=lowest,
        highest_hz=highest,
        voiced=params["voiced"],
        notes=NoteOptions(struck=params["struck"]),
        beats_per_bar=params["beats_per_bar"],
    )
