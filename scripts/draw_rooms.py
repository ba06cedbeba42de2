"""Draws docs/rooms.svg: the rooms of each distribution in their layers, and which distribution uses which.

Layers come from the import-linter contracts, arrows from the imports themselves. Run it after rooms were moved:
`python scripts/draw_rooms.py`.
"""

from __future__ import annotations

import re
import tomllib
from html import escape
from itertools import pairwise
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "rooms.svg"

# A column each, from left to right; the file that holds its layers.
COLUMNS = (
    ("stemwright", "engine", "pyproject.toml"),
    ("stemwright_demucs", "services/demucs", None),
    ("stemwright_worker", "worker", "worker/pyproject.toml"),
    ("stemwright_server", "server", "server/pyproject.toml"),
)
_WIDTH, _GAP, _TOP, _ROW, _BOX = 250, 70, 64, 44, 28  # pixels


def layers(package: str, file: str | None) -> list[list[str]]:
    """The rooms of a package from the top layer to the lowest; one layer of all where no contract says more."""
    if file is not None:
        for contract in tomllib.loads((ROOT / file).read_text())["tool"]["importlinter"]["contracts"]:
            if contract["type"] == "layers" and contract.get("containers") == [package]:
                return [re.split(r"\s*[|:]\s*", layer.strip("() ")) for layer in contract["layers"]]
    folder = next(ROOT.glob(f"*/src/{package}"), None) or next(ROOT.glob(f"*/*/src/{package}"))
    names = sorted(path.stem for path in folder.iterdir() if path.suffix == ".py" and path.stem != "__init__")
    return [[name] for name in names]


def uses() -> list[tuple[str, str]]:
    """Which distribution imports which, both as package names."""
    packages = [package for package, _, _ in COLUMNS]
    graph = grimp.build_graph(*packages, cache_dir=None)
    return [
        (one, other)
        for one in packages
        for other in packages
        if one != other and graph.find_shortest_chains(importer=one, imported=other, as_packages=True)
    ]


def draw() -> str:
    """The picture as SVG."""
    columns = [layers(package, file) for package, _, file in COLUMNS]
    height = _TOP + _ROW * max(map(len, columns)) + 24
    width = _GAP + (_WIDTH + _GAP) * len(columns)
    left = {package: _GAP + (_WIDTH + _GAP) * index for index, (package, _, _) in enumerate(COLUMNS)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 60}" '
        f'viewBox="0 0 {width} {height + 60}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height + 60}" fill="#fff"/>',
    ]
    for (package, title, _), rooms in zip(COLUMNS, columns, strict=True):
        lines += _column(left[package], title, rooms, height)
    for index, (one, other) in enumerate(uses()):
        lines += _arrow(left[one] + _WIDTH / 2, left[other] + _WIDTH / 2, height - 10, index)
    return "\n".join([*lines, "</svg>", ""])


def _column(x: float, title: str, rooms: list[list[str]], height: int) -> list[str]:
    lines = [
        f'<rect x="{x - 10}" y="12" width="{_WIDTH + 20}" height="{height - 22}" rx="8" fill="#f4f4f1" stroke="#bbb"/>',
        f'<text x="{x}" y="36" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for row, layer in enumerate(rooms):
        y, each = _TOP + row * _ROW, (_WIDTH - 6 * (len(layer) - 1)) / len(layer)
        for place, name in enumerate(layer):
            at = x + place * (each + 6)
            lines += [
                f'<rect x="{at:.0f}" y="{y}" width="{each:.0f}" height="{_BOX}" rx="4" fill="#fff" stroke="#888"/>',
                f'<text x="{at + each / 2:.0f}" y="{y + 18}" text-anchor="middle">{escape(name)}</text>',
            ]
    # Imports point down: each layer may use all below it.
    for row, _ in enumerate(pairwise(rooms)):
        y = _TOP + row * _ROW + _BOX
        lines.append(
            f'<line x1="{x + 8}" y1="{y}" x2="{x + 8}" y2="{y + _ROW - _BOX}" stroke="#999" marker-end="url(#head)"/>'
        )
    return lines


def _arrow(start: float, end: float, y: float, index: int) -> list[str]:
    low, shift = y + 14 + 12 * index, 10 * (index - 1)
    path = f"M{start + shift:.0f} {y:.0f} V{low:.0f} H{end + shift - 24:.0f} V{y + 2:.0f}"
    return [f'<path d="{path}" fill="none" stroke="#555" stroke-width="1.5" marker-end="url(#head)"/>']


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(PICTURE.relative_to(ROOT))
