"""A version that was before this one, run by its own code out of the repository's history."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

FIRST = "495868d"  # the last commit without migrations
_ROOT = Path(__file__).parents[3]


class Released:
    """The server of a commit, unpacked into a folder."""

    def __init__(self, folder: Path, commit: str = FIRST) -> None:
        """Needs the history: in a shallow clone, ``git fetch --unshallow`` brings it."""
        packed = subprocess.run(
            ["git", "-C", str(_ROOT), "archive", commit, "server/src", "server/tests/support", "server/pyproject.toml"],
            check=False,
            capture_output=True,
        )
        if packed.returncode:
            raise AssertionError(
                f"{_ROOT} has no commit {commit}: {packed.stderr.decode().strip()}; git fetch --unshallow brings it"
            )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        self._source = folder / "server" / "src"
        self._support = folder / "server" / "tests" / "support"
        self._describe(folder / "server" / "pyproject.toml")

    def _describe(self, project: Path) -> None:
        """As an installed distribution: its commands are found by it, and not those of the version that is under test."""
        described = tomllib.loads(project.read_text())["project"]
        info = self._source / "stemwright_server.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
        )
        lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
                 for group, entries in described["entry-points"].items()]  # fmt: skip
        (info / "entry_points.txt").write_text("\n".join(lines))

    @property
    def settings(self) -> Mapping[str, str]:
        """For ``service.running``: this version, with its own model for tests."""
        paths = (self._source, self._support / "fast_model", self._support)
        return {"PYTHONPATH": os.pathsep.join(map(str, paths))}

    def run(self, script: str, *arguments: str) -> str:
        """What a Python script prints that imports this version."""
        return self.started(script, *arguments).communicate_checked()

    def started(self, script: str, *arguments: str) -> Running:
        """The same, under way."""
        return Running([sys.executable, "-c", script, *arguments], env=os.environ | dict(self.settings))


class Running(subprocess.Popen[str]):
    """A script under way."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        super().__init__(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def communicate_checked(self) -> str:
        """What it printed. AssertionError if it failed."""
        printed, _ = self.communicate(timeout=120)
        assert self.returncode == 0, printed
        return printed
