"""The parameters of a separation as they cross HTTP: one flat JSON object, and the engine's options out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

from stemwright.audio import FORMATS
from stemwright.audio.formats import LEAST_BITRATE, MOST_BITRATE
from stemwright.options import LONGEST_SEGMENT, DcOffset, OutputOptions, SeparationOptions

_SEPARATION: Mapping[str, Mapping[str, Any]] = {
    "two_stems": {"type": ["string", "null"], "description": "this stem, and everything else as no_<stem>"},
    "other_method": {"enum": ["add", "minus", "none"], "default": "add"},
    "shifts": {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
    "seed": {"type": "integer", "default": 0},
    "overlap": {"type": "number", "minimum": 0, "maximum": 0.95, "default": 0.25},
    "segment": {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "maximum": LONGEST_SEGMENT,
        "description": "seconds; null: the model's own",
    },
    "precision": {"enum": ["auto", "exact", "fast"], "default": "auto"},
    "dc_offset": {
        "enum": list(get_args(DcOffset)),
        "default": "auto",
        "description": "of the mix: each stem has all of it, as in Demucs, or its share, so that they sum to the mix; "
        "auto: as the model was trained",
    },
}
_OUTPUT: Mapping[str, Mapping[str, Any]] = {
    "format": {"enum": list(FORMATS), "default": "wav"},
    "bitrate": {
        "type": ["integer", "null"],
        "minimum": LEAST_BITRATE,
        "maximum": MOST_BITRATE,
        "description": "bits per second, where the format has a choice; null: its own",
    },
    "clip_mode": {"enum": ["rescale", "clamp", "none"], "default": "rescale"},
    "normalize": {
        "type": "boolean",
        "default": False,
        "description": "one gain for all stems: the highest peak of any is just under full scale",
    },
    "keep_rate": {"type": "boolean", "default": False},
}
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "peaks": {"type": "boolean", "default": False, "description": "waveforms of the stems as well, to be drawn"},
}


def schema(sources: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of the complete parameters of a model with these stems. A value that is not given is its default."""
    stems = {
        "type": ["array", "null"],
        "items": {"enum": list(sources)},
        "description": "only these stems; null: all",
    }
    return {
        "type": "object",
        "properties": {"stems": stems, **_SEPARATION, **_OUTPUT, **_BESIDE},
        "additionalProperties": False,
        "allOf": [*_stem_conditions(sources), *_bitrate_conditions()],
    }


def separation_options(params: Mapping[str, Any]) -> SeparationOptions:
    """The engine's options out of complete parameters.

    Raises:
        OptionError: they make no sense together; the schema refuses them first.
    """
    names = {field.name for field in fields(SeparationOptions)}
    chosen = {name: value for name, value in params.items() if name in names}
    if chosen["stems"] is not None:
        chosen["stems"] = tuple(chosen["stems"])
    return SeparationOptions(**chosen)


def output_options(params: Mapping[str, Any]) -> OutputOptions:
    """The engine's output options out of complete parameters; files are named by their stems.

    Raises:
        OptionError: they make no sense together; the schema refuses them first.
    """
    return OutputOptions(filename="{stem}.{ext}", **{name: params[name] for name in _OUTPUT})


def _stem_conditions(sources: Sequence[str]) -> list[dict[str, Any]]:
    """What `SeparationOptions` and `choose_outputs` refuse."""
    return [
        {
            "properties": {"stems": {"minItems": 1}},
            "errorMessage": "no stem was asked for: name at least one, or leave the option out for all",
        },
        {
            "properties": {"two_stems": {"enum": [None, *sources]}},
            "errorMessage": f"the model has no such stem: it has {', '.join(sources)}",
        },
        {
            "not": {
                "properties": {"stems": {"type": "array"}, "two_stems": {"type": "string"}},
                "required": ["stems", "two_stems"],
            },
            "errorMessage": "stems and two_stems exclude each other: two_stems gives one stem and everything else",
        },
    ]


def _bitrate_conditions() -> list[dict[str, Any]]:
    """What `check_choices` refuses of each format: a bit rate where there is no choice, or a higher one than it has."""
    having = ", ".join(name for name, form in FORMATS.items() if form.bitrate is not None)
    conditions = []
    for name, form in FORMATS.items():
        if form.bitrate is None:
            rule: dict[str, Any] = {"type": "null"}
            message = f"{name} has no choice of bits a second: {having} have"
        elif form.most_bitrate < MOST_BITRATE:
            rule = {"maximum": form.most_bitrate}
            message = (
                f"{name} cannot be written at so many bits a second: choose {LEAST_BITRATE} to {form.most_bitrate}"
            )
        else:
            continue
        conditions.append(
            {
                "if": {"properties": {"format": {"const": name}}, "required": ["format"]},
                "then": {"properties": {"bitrate": rule}},
                "errorMessage": message,
            }
        )
    return conditions
