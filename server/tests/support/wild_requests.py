"""Requests that an OpenAPI document allows, and those that it does not: what hypothesis makes of an operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from service import wav

_SONGS = (
    *(wav(0.05, seed=seed) for seed in range(12)),
    wav(0.1)[:60],
    b"",
    b"ID3 is no song",
    b"RIFF\x24\x00\x00\x00WAVEfmt ",
)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    _TEXT,
    st.lists(st.integers(), max_size=3),
    st.dictionaries(_TEXT, st.integers(), max_size=3),
)
# What goes into a header of a real client.
_HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a path of the document."""

    method: str
    path: str
    about: Mapping[str, Any] = field(repr=False)
    schemas: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@dataclass(kw_only=True)
class Wild:
    """A request."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, tuple[str, bytes]]] = ()


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All of a document."""
    schemas = document["components"]["schemas"]
    return [
        Operation(method=method, path=path, about=about, schemas=schemas)
        for path, methods in document["paths"].items()
        for method, about in methods.items()
    ]


def requests(operation: Operation, words: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[Wild]:
    """``words``: values worth giving to what has a name, beside those of its schema and any other; ``json:NAME``: in JSON."""

    @st.composite
    def made(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Wild:
        url, query, headers = operation.path, dict[str, str](), dict[str, str]()
        for each in operation.about.get("parameters", ()):
            known = words.get(each["name"], ())
            value = _valued(each.get("schema", {}), operation.schemas, known)
            if each["in"] == "path":
                plain = draw(_path_part(known))
                url = url.replace(f"{{{each['name']}}}", quote(plain, safe=""))
            elif each["in"] == "query" and draw(st.booleans()):
                query[each["name"]] = _as_text(draw(value))
            elif each["in"] == "header" and not each.get("required") and draw(st.booleans()):
                headers[each["name"]] = draw(_HEADER)
        content = operation.about.get("requestBody", {}).get("content", {})
        wild = Wild(method=operation.method.upper(), url=url, query=query, headers=headers)
        if "application/json" in content:
            schema = content["application/json"]["schema"]
            good = words.get(f"body:{operation.path}", ())
            body = draw(_valued(schema, operation.schemas, (), words))
            if good and draw(st.integers(0, 2)):  # mostly one that is understood, with a change or two
                body = draw(st.sampled_from(good)) | (draw(st.sampled_from([{}, {}, body])) if _is_object(body) else {})
                wild.query = draw(st.sampled_from([{}, {}, query]))  # which may say otherwise
            broken = draw(st.integers(0, 9)) == 0
            wild.body = draw(st.binary(max_size=60)) if broken else json.dumps(body).encode()
        if "multipart/form-data" in content:
            properties = content["multipart/form-data"]["schema"]["properties"]
            for name, schema in properties.items():
                if schema.get("format") == "binary" or schema.get("type") == "array":
                    count = draw(st.sampled_from([0, 1, 1, 1, 2]))
                    song = st.tuples(_TEXT.filter(bool), st.sampled_from(_SONGS))
                    wild.files = [(name, draw(song)) for _ in range(count)]
                elif draw(st.integers(0, 3)) == 0:
                    usual = st.sampled_from(words[name]) if name in words else _TEXT
                    wild.fields = {**wild.fields, name: draw(st.one_of(usual, usual, usual, _TEXT, st.just("1")))}
        return wild

    return made()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _path_part(known: Sequence[Any]) -> st.SearchStrategy[str]:
    # A slash would be another path, and of a control character the tests of hostile requests have more to say.
    characters = st.characters(codec="utf-8", exclude_characters="/", exclude_categories=("Cc", "Cs"))
    other = st.text(characters, min_size=1, max_size=40).filter(lambda text: text not in (".", ".."))
    return st.one_of(st.sampled_from(known), st.sampled_from(known), other) if known else other


def _valued(
    schema: Mapping[str, Any],
    schemas: Mapping[str, Any],
    known: Sequence[Any],
    words: Mapping[str, Sequence[Any]] | None = None,
) -> st.SearchStrategy[Any]:
    """Values that the schema allows, known ones, and now and then one that it does not."""
    meant = _meant(schema, schemas, words or {})
    mostly = st.sampled_from(known) if known else meant
    return st.integers(0, 9).flatmap(lambda dice: _ODD if dice == 9 else meant if dice == 8 else mostly)


def _meant(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], words: Mapping[str, Sequence[Any]]
) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _meant(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas, words)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of(*(_meant(each, schemas, words) for each in choices))
    match schema.get("type"):
        case "object" if "properties" in schema:
            needed = set(schema.get("required", ()))
            known = {name: words.get(f"json:{name}", words.get(name, ())) for name in schema["properties"]}
            parts = {name: _valued(part, schemas, known[name], words) for name, part in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: part for name, part in parts.items() if name in needed},
                optional={name: part for name, part in parts.items() if name not in needed},
            )
        case "object":
            return st.dictionaries(_TEXT, _ODD, max_size=3)
        case "array":
            return st.lists(_meant(schema.get("items", {}), schemas, words), max_size=4)
        case "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**40)
            return st.integers(low, high)
        case "number":
            return st.floats(schema.get("minimum", 0.0), schema.get("maximum", 1e6))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return _TEXT


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
