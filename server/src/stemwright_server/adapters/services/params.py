"""Params by the JSON Schema of a model: checked, completed, and spelled in one way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from stemwright_worker.errors import InvalidRequest

_NOTE = "errorMessage"  # an annotation of a schema: what to say to who does not keep to it
_DIGITS = 18
"""Of a whole number; more than that other programs read as a float."""
_DIGITS_RUN = re.compile(r"(?<![\w.\"])-?[0-9]+(?![\w.\"])")
_SHOWN = 100  # characters of a wrong value that are repeated


class ParamsSchema:
    """The params of one model. Its schema is compiled once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises InvalidRequest (code ``bad_description``) for what is no JSON Schema of an object."""
        registry: Registry[Any] = Registry()  # of its own: a schema that refers elsewhere is not fetched
        try:
            Draft202012Validator.check_schema(schema)
            resolver = registry.resolver_with_root(DRAFT202012.create_resource(schema))
            for ref in _references(schema):
                resolver.lookup(ref)
        except SchemaError as error:
            raise InvalidRequest(f"the params are no JSON Schema: {error.message}.", code="bad_description") from error
        except Unresolvable as error:
            raise InvalidRequest(
                f"the params refer to {error.ref!r}, which is not in their JSON Schema; nothing else is looked at.",
                code="bad_description",
            ) from error
        self._schema = schema
        self._properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
        if whole := [name for name, rule in self._properties.items() if isinstance(rule, bool)]:
            raise InvalidRequest(
                f"the param {whole[0]!r} has true or false for a schema: write an object.", code="bad_description"
            )
        self._validator = Draft202012Validator(schema, registry=registry)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All params in the schema's order, defaults filled in, so that equal work has equal params.

        An array whose items are of an enum comes in the enum's order and without repeats; a whole number where an integer
        is meant is one.

        Raises:
            InvalidRequest: a param is unknown or wrong (``bad_params``).
        """
        _check_json(given)
        order = list(given)
        # Not yet what is said across params: those that were not given have no value here.
        alone = [error for error in self._validator.iter_errors(given) if error.absolute_schema_path[0] in _ALONE]
        if alone:
            raise _refusal(min(alone, key=lambda error: _place(error, order)), self._schema)
        values = {name: given.get(name, rule.get("default")) for name, rule in self._properties.items()}
        params = {name: _canonical(value, self._properties[name]) for name, value in values.items()}
        params |= {name: given[name] for name in sorted(set(given) - set(params))}
        for error in self._validator.iter_errors(params):
            if error.path and error.path[0] not in given and error.absolute_schema_path[0] in _ALONE:
                raise InvalidRequest(f"{error.path[0]} is missing: {error.message}", code="bad_params")
            raise _refusal(error, self._schema)
        return params


def _check_json(given: Mapping[str, Any]) -> None:
    """Whether it can be kept and sent on: JSON has no NaN, and stores have neither half characters nor NUL.

    Raises:
        InvalidRequest: it cannot (``bad_params``).
    """
    for name, value in given.items():
        try:
            text = json.dumps([name, value], ensure_ascii=False, allow_nan=False)
            text.encode()
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"the param {_repeated(name)} holds what JSON cannot say: {type(error).__name__}.", code="bad_params"
            ) from error
        if "\\u0000" in text:
            raise InvalidRequest(f"the param {_repeated(name)} holds a NUL character.", code="bad_params")
        if any(len(number) > _DIGITS for number in _DIGITS_RUN.findall(text)):
            raise InvalidRequest(f"the param {_repeated(name)} has more than {_DIGITS} digits.", code="bad_params")


_OF_NAMES = ("additionalProperties", "propertyNames")
_ALONE = ("properties", *_OF_NAMES)


def _place(error: ValidationError, order: Sequence[str]) -> tuple[int, int]:
    """Names that are not known come first, then the params as they were given."""
    if not error.path:
        return -1, 0
    return order.index(str(error.path[0])), len(error.absolute_schema_path)


def _canonical(value: Any, rule: Mapping[str, Any]) -> Any:
    kinds = rule.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if isinstance(value, float) and value.is_integer() and "integer" in kinds and "number" not in kinds:
        return int(value)
    if isinstance(value, list) and isinstance(items := rule.get("items"), Mapping) and "enum" in items:
        return [each for each in items["enum"] if each in value]
    return value


def _refusal(error: ValidationError, schema: Mapping[str, Any]) -> InvalidRequest:
    return InvalidRequest(_words(error, schema), code="bad_params")


def _words(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What was wrong, with which param, and what is meant."""
    path = [str(part) for part in error.path]
    note = _note(error, schema)
    if not path:
        return _of_names(error, schema) if note is None else note
    name, said, meant = path[0], f"{path[0]} is {_repeated(error.instance)}", cast(Any, error.validator_value)
    if note is not None:
        return f"{said}: {note}"
    if len(path) > 1 and error.validator == "enum":
        choices = ", ".join(map(_shown, meant))
        return f"the model has no {name.removesuffix('s')} {_repeated(error.instance)}: it has {choices}"
    match error.validator:
        case "enum":
            return f"{said}: choose one of {', '.join(map(_shown, meant))}"
        case "type":
            return f"{said}: {meant if isinstance(meant, str) else ' or '.join(meant)} is meant"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            rule = cast(Mapping[str, Any], error.schema)
            low = rule.get("minimum", rule.get("exclusiveMinimum", "any"))
            high = rule.get("maximum", rule.get("exclusiveMaximum", "any"))
            return f"{said}: it must lie between {low} and {high}"
    if len(error.message) > 3 * _SHOWN:  # it repeats all that was given
        return f"{said}: {error.validator} is {_repeated(meant)}"
    return f"{name}: {error.message}"


def _of_names(error: ValidationError, schema: Mapping[str, Any]) -> str:
    known = schema.get("properties", {})
    given = cast(Mapping[str, Any], error.instance)
    unknown = [name for name in given if name not in known] if error.validator in _OF_NAMES else []
    if not unknown:
        return str(error.message)
    return f"there is no parameter {_repeated(unknown[0])}: there are {', '.join(known) or 'none'}"


def _note(error: ValidationError, schema: Mapping[str, Any]) -> str | None:
    """The words that the schema itself has for this, the innermost ones."""
    notes = [part[_NOTE] for part in _along(error, schema) if isinstance(part, Mapping) and _NOTE in part]
    return str(notes[-1]) if notes else None


def _along(error: ValidationError, schema: Mapping[str, Any]) -> Iterator[Any]:
    part: Any = schema
    yield part
    for step in error.absolute_schema_path:
        if step == "if":
            continue  # jsonschema writes "if", "then" for a "then" that is beside the "if"
        try:
            part = part[step]
        except (KeyError, IndexError, TypeError):  # the way leads through a $ref, which the path does not name
            part = error.schema
            yield part
            return
        yield part


def _references(part: Any) -> Iterator[str]:
    """Of a schema, everything that it refers to."""
    if isinstance(part, Mapping):
        yield from (part[word] for word in ("$ref", "$dynamicRef") if isinstance(part.get(word), str))
    for each in part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ():
        yield from _references(each)


def _repeated(value: Any) -> str:
    """What was given, so that who gave it knows it again; not all of it if it is long."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
