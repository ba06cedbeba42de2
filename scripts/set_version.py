"""Sets the version of every distribution: ``python scripts/set_version.py 0.2.0`` (``make version TO=0.2.0`` does all of it).

The version is the one in ``VERSION``, which every pyproject.toml reads. What a pyproject.toml cannot read from it is written
here: our distributions ask for each other at exactly this version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r'"(stemwright(?:-[a-z]+)?(?:\[[a-z,]+\])?)==[^"]+"')


def pyprojects(root: Path) -> list[Path]:
    """The pyproject.toml of each distribution: those with a ``[project]``."""
    found = [*root.glob("*/pyproject.toml"), *root.glob("services/*/pyproject.toml")]
    return sorted(file for file in found if "\n[project]\n" in file.read_text())


def set_version(root: Path, version: str) -> None:
    """Write ``version`` into VERSION and into what our distributions ask of each other."""
    (root / "VERSION").write_text(f"{version}\n")
    for file in pyprojects(root):
        file.write_text(_PIN.sub(rf'"\1=={version}"', file.read_text()))


def main() -> int:
    """Run the command; 2 after one line that says what was wrong."""
    if len(sys.argv) != 2:
        print("usage: set_version.py VERSION, as in: make version TO=0.2.0", file=sys.stderr)
        return 2
    try:
        version = str(Version(sys.argv[1]))
    except InvalidVersion:
        print(f"not a version: {sys.argv[1]!r}; give one like 0.2.0 (PEP 440)", file=sys.stderr)
        return 2
    set_version(ROOT, version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
