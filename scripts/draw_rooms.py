"""Draws docs/rooms.svg: the rooms of each distribution in their layers, and which distribution uses which.

Layers and what may not be imported come from the import-linter contracts, the arrows from the imports themselves. Run it
after rooms were moved: ``python scripts/draw_rooms.py``. A test compares the picture with what this draws.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "rooms.svg"
CONTRACTS = ("pyproject.toml", "server/pyproject.toml", "services/demucs/pyproject.toml", "worker/pyproject.toml")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A distribution in the picture."""

    package: str
    folder: str
    about: str


# From left to right.
COLUMNS = (
    Column(package="stemwright", folder="engine", about="numbers: a mix in, stems out"),
    Column(package="stemwright_demucs", folder="services/demucs", about="one family of models"),
    Column(package="stemwright_worker", folder="worker", about="what a service needs to take tasks"),
    Column(package="stemwright_server", folder="server", about="jobs, and HTTP APIs over them"),
)
_WIDTH, _GAP, _TOP, _ROW, _BOX, _LINE = 264, 44, 84, 38, 28, 16  # pixels
_TEXT = 'text-anchor="middle"'


def layers(package: str) -> list[list[str]]:
    """The rooms of a package from the top layer to the lowest.

    Raises:
        ValueError: No contract gives them.
    """
    for contract in _contracts("layers"):
        if contract.get("containers") == [package]:
            return [re.split(r"\s*[|:]\s*", layer.strip("() ")) for layer in contract["layers"]]
    raise ValueError(f"no contract gives the layers of {package}: see CONTRACTS")


def never(package: str) -> list[str]:
    """What is not ours and may not be imported there."""
    names = [
        name
        for contract in _contracts("forbidden")
        if contract["source_modules"] == [package]
        for name in contract["forbidden_modules"]
    ]
    return list(dict.fromkeys(name for name in names if not name.startswith("stemwright")))


def uses() -> list[tuple[int, int]]:
    """Which column imports which."""
    graph = grimp.build_graph(*(each.package for each in COLUMNS), cache_dir=None)
    return [
        (one, other)
        for one, importer in enumerate(COLUMNS)
        for other, imported in enumerate(COLUMNS)
        if one != other
        and graph.find_shortest_chains(importer=importer.package, imported=imported.package, as_packages=True)
    ]


def draw() -> str:
    """The picture, as SVG."""
    rooms = [layers(each.package) for each in COLUMNS]
    refused = [
        wrap("never imports " + ", ".join(names), 40) if (names := never(each.package)) else [] for each in COLUMNS
    ]
    arrows = uses()
    bottom = max(_TOP + _ROW * len(each) + _LINE * len(lines) for each, lines in zip(rooms, refused, strict=True))
    width, height = _GAP + (_WIDTH + _GAP) * len(COLUMNS), bottom + 48 + 14 * len(arrows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for index, (column, layer, names) in enumerate(zip(COLUMNS, rooms, refused, strict=True)):
        lines += _column(_left(index), column, layer, names, bottom)
    for place, (one, other) in enumerate(arrows):
        lines.append(_arrow(one, other, place, [each for each in arrows if each[1] == other], bottom + 20))
    return "\n".join([*lines, "</svg>", ""])


def _contracts(kind: str) -> Iterator[dict[str, Any]]:
    for file in CONTRACTS:
        for contract in tomllib.loads((ROOT / file).read_text())["tool"]["importlinter"]["contracts"]:
            if contract["type"] == kind:
                yield contract


def _left(index: int) -> int:
    return _GAP + (_WIDTH + _GAP) * index


def _column(x: int, column: Column, rooms: list[list[str]], refused: list[str], bottom: int) -> Iterator[str]:
    yield (
        f'<rect x="{x - 10}" y="10" width="{_WIDTH + 20}" height="{bottom + 10}" rx="8" fill="#f4f4f1" stroke="#bbb"/>'
    )
    yield f'<text x="{x}" y="36" font-size="15" font-weight="bold">{escape(column.folder)}</text>'
    yield f'<text x="{x}" y="56" fill="#555">{escape(column.about)}</text>'
    for row, layer in enumerate(rooms):
        y, each = _TOP + row * _ROW, (_WIDTH - 6 * (len(layer) - 1)) / len(layer)
        for place, name in enumerate(layer):
            at = x + place * (each + 6)
            yield f'<rect x="{at:.0f}" y="{y}" width="{each:.0f}" height="{_BOX}" rx="4" fill="#fff" stroke="#888"/>'
            yield f'<text x="{at + each / 2:.0f}" y="{y + 18}" {_TEXT}>{escape(name)}</text>'
        if row + 1 < len(rooms):
            middle = x + _WIDTH / 2
            yield (
                f'<path d="M{middle:.0f} {y + _BOX} v{_ROW - _BOX}" stroke="#555" fill="none" marker-end="url(#head)"/>'
            )
    for row, text in enumerate(refused):
        y = _TOP + _ROW * len(rooms) + 8 + row * _LINE
        yield f'<text x="{x}" y="{y}" fill="#a33">{escape(text)}</text>'


def _arrow(one: int, other: int, place: int, into: list[tuple[int, int]], y: int) -> str:
    start = _left(one) + _WIDTH / 2 + 24 * (1 if other > one else -1)
    end = _left(other) + _WIDTH / 2 + 24 * (into.index((one, other)) - (len(into) - 1) / 2)
    low = y + 14 + 12 * place
    return (
        f'<path d="M{start:.0f} {y} V{low} H{end:.0f} V{y + 1}" fill="none" stroke="#555" stroke-width="1.5" '
        'marker-end="url(#head)"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(PICTURE.relative_to(ROOT))
