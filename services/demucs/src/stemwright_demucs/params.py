"""The parameters of a separation as they cross HTTP: one flat JSON object, checked and completed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from stemwright.audio import FORMATS
from stemwright.audio.formats import LEAST_BITRATE, MOST_BITRATE, check_choices
from stemwright.errors import OptionError
from stemwright.options import SeparationOptions

if TYPE_CHECKING:
    from stemwright.options import OutputOptions

_SEPARATION: Mapping[str, Mapping[str, Any]] = {
    "two_stems": {"type": ["string", "null"], "description": "this stem, and everything else as no_<stem>"},
    "other_method": {"enum": ["add", "minus", "none"], "default": "add"},
    "shifts": {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
    "seed": {"type": "integer", "default": 0},
    "overlap": {"type": "number", "minimum": 0, "maximum": 0.95, "default": 0.25},
    "segment": {"type": ["number", "null"], "exclusiveMinimum": 0, "description": "seconds; null: the model's own"},
    "precision": {"enum": ["auto", "exact", "fast"], "default": "auto"},
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
_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


def schema(sources: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of the parameters that a model with these stems takes."""
    stems = {
        "type": ["array", "null"],
        "items": {"enum": list(sources)},
        "description": "only these stems; null: all",
    }
    return {
        "type": "object",
        "properties": {"stems": stems, **_SEPARATION, **_OUTPUT, **_BESIDE},
        "additionalProperties": False,
    }


def complete(given: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    """All parameters, defaults filled in, so that equal work has equal parameters.

    Raises:
        OptionError: one is unknown or has a wrong value (``bad_params``).
    """
    properties = schema(sources)["properties"]
    for name, value in given.items():
        if name not in properties:
            raise _bad(f"there is no parameter {name!r}: there are {', '.join(properties)}")
        _check_value(name, value, properties[name])
    params = {name: given.get(name, rule.get("default")) for name, rule in properties.items()}
    if params["stems"] is not None:
        # The order in which stems are asked for makes no other work.
        params["stems"] = [name for name in sources if name in params["stems"]]
    separation_options(params)  # what only makes no sense together
    try:
        check_choices(FORMATS[params["format"]], bitrate=params["bitrate"])
    except OptionError as error:
        raise _bad(str(error)) from None
    return params


def separation_options(params: Mapping[str, Any]) -> SeparationOptions:
    """The engine's options out of completed parameters."""
    names = {field.name for field in fields(SeparationOptions)}
    chosen = {name: value for name, value in params.items() if name in names}
    if chosen["stems"] is not None:
        chosen["stems"] = tuple(chosen["stems"])
    try:
        return SeparationOptions(**chosen)
    except OptionError as error:
        raise _bad(str(error)) from None


def output_options(params: Mapping[str, Any]) -> OutputOptions:
    """The engine's output options out of completed parameters; files are named by their stems."""
    from stemwright.options import OutputOptions

    return OutputOptions(filename="{stem}.{ext}", **{name: params[name] for name in _OUTPUT})


def _check_value(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    if "enum" in rule and value not in rule["enum"]:
        raise _bad(f"{name} is {value!r}: choose one of {', '.join(rule['enum'])}")
    if "type" not in rule:
        return
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    if not any(_is(value, kind) for kind in kinds):
        raise _bad(f"{name} is {value!r}: {' or '.join(kinds)} is meant")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high, above = rule.get("minimum"), rule.get("maximum"), rule.get("exclusiveMinimum")
        if (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
        ):
            raise _bad(
                f"{name} is {value!r}: it must lie between {low if low is not None else above} and {high or 'any'}"
            )
    if isinstance(value, list):
        for item in value:
            if item not in rule["items"]["enum"]:
                raise _bad(f"the model has no stem {item!r}: it has {', '.join(rule['items']['enum'])}")


def _is(value: Any, kind: str) -> bool:
    if kind == "array":
        return isinstance(value, list)
    matches = isinstance(value, _TYPES[kind])  # type: ignore[arg-type]
    return matches and not (isinstance(value, bool) and kind in {"integer", "number"})


def _bad(message: str) -> OptionError:
    return OptionError(message, code="bad_params")
