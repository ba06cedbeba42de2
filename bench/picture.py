"""Results as a picture: for each row how far it is on the way to its bar and its aim."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, SCALE = 900, 30, 420, 200  # pixels; SCALE: length of the bar at the bar's own value
_FULL = 2.2  # of the bar: longer ones are cut off


def draw(results: Mapping[str, Any]) -> str:
    """An SVG. Each row is scaled so that its bar stands at the line; what is right of it has passed."""
    rows = [row for row in results["rows"].values() if row["bar"] is not None]
    height = HEIGHT * (len(rows) + 2)
    machine = results["machine"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(machine["cpu"])}, {machine["threads"]} threads</text>',
        f'<text x="{LEFT + SCALE}" y="20" text-anchor="middle" fill="#555">at least</text>',
    ]
    for index, row in enumerate(rows):
        parts += _line(row, HEIGHT * (index + 1))
    middle = LEFT + SCALE
    parts.append(
        f'<line x1="{middle}" x2="{middle}" y1="{HEIGHT}" y2="{height - 20}" stroke="#555" stroke-dasharray="4"/>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(row: Mapping[str, Any], top: int) -> list[str]:
    label = f'<text x="10" y="{top + 19}">{escape(row["what"].replace("`", ""))}</text>'
    if row["value"] is None:
        return [label, f'<text x="{LEFT}" y="{top + 19}" fill="#999">not measured here</text>']
    reached = row["value"] / row["bar"] if row["more_is_better"] else row["bar"] / max(row["value"], 1e-9)
    colour = "#2a9d8f" if reached >= 1 else "#e76f51"
    length = SCALE * min(max(reached, 0.02), _FULL)
    figure = f"{row['value']:.3g} {row['unit']}"
    return [
        label,
        f'<rect x="{LEFT}" y="{top + 5}" width="{length:.0f}" height="{HEIGHT - 10}" fill="{colour}"/>',
        f'<text x="{LEFT + length + 6:.0f}" y="{top + 19}">{escape(figure)}</text>',
    ]
