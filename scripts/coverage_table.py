"""Prints what the tests ran of each package that pyproject.toml names, and fails where that is less than it asks for.

Reads the report that ``coverage json`` wrote; ``make coverage`` does all of it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """How much of a package was run."""

    package: str
    statements: int
    statements_run: int
    branches: int  # ways out of a decision
    branches_run: int

    @property
    def statement_percent(self) -> float:
        """Of the statements, those that were run; 0 where there are none, which means that nothing was measured."""
        return 100 * self.statements_run / self.statements if self.statements else 0.0

    @property
    def branch_percent(self) -> float:
        """Of the branches, those that were taken; 100 where nothing is decided."""
        return 100 * self.branches_run / self.branches if self.branches else 100.0


def row(package: str, files: Mapping[str, Any]) -> Row:
    """Add up the files of ``package``, which are those under a folder of its name."""
    folder = f"/{package.replace('.', '/')}/"
    found = [file["summary"] for path, file in files.items() if folder in f"/{path}"]
    return Row(
        package,
        statements=sum(each["num_statements"] for each in found),
        statements_run=sum(each["covered_lines"] for each in found),
        branches=sum(each["num_branches"] for each in found),
        branches_run=sum(each["covered_branches"] for each in found),
    )


def table(rows: Iterable[Row]) -> str:
    """A line for each package."""
    lines = [f"{'package':28} {'statements':>10} {'run':>7} {'branches':>9} {'taken':>7}"]
    for each in rows:
        lines.append(
            f"{each.package:28} {each.statements:10} {each.statement_percent:6.1f}% {each.branches:9} {each.branch_percent:6.1f}%"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a package is below ``fail_under`` in statements or in branches."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    files = json.loads((ROOT / settings["json"]["output"]).read_text())["files"]
    rows = [row(package, files) for package in settings["run"]["source_pkgs"]]
    print(table(rows))
    least = settings["report"]["fail_under"]
    low = [each.package for each in rows if min(each.statement_percent, each.branch_percent) < least]
    if low:
        print(f"below {least}% of the statements or of the branches: {', '.join(low)}", file=sys.stderr)
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
