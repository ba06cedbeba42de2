"""Results as a table in Markdown: what `make bench` prints, and what the README quotes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def markdown(results: Mapping[str, Any]) -> str:
    """One line for each row, the machine's name first."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['threads']} threads, {machine['gpu'] or 'no GPU'}; "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "",
        "| what | measured | at least | aim | how |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in results["rows"].values():
        figures = " | ".join(_with_unit(row[name], row["unit"]) for name in ("value", "bar", "aim"))
        lines.append(f"| {row['what']} | {figures} | {row['note']} |")
    return "\n".join(lines)


def quoted_in(readme: str, file: str, results: Mapping[str, Any]) -> str:
    """The README with the figures of this results file in the place where it quotes them, if it does."""
    begin, end = f"<!-- figures of {file} -->", "<!-- end of figures -->"
    return re.sub(
        f"{re.escape(begin)}\n.*?\n{re.escape(end)}",
        lambda _: f"{begin}\n{markdown(results)}\n{end}",
        readme,
        flags=re.DOTALL,
    )


def _with_unit(value: float | None, unit: str) -> str:
    """A bar for growth or a share is one not to be passed; the table's first column says which."""
    if value is None:
        return "-"
    space = "" if unit in ("x", "%") else " "
    return f"{value:.3g}{space}{unit}"
