"""Writes the locks: the versions in use in this environment, with the hash of every file that the index has of them.

    lock.py                   the repository's: the four files of requirements/
    lock.py services/NAME     the service's own, run by the Python of its environment

uv (https://docs.astral.sh/uv/pip/compile/) resolves them for Linux and every Python that we support: what only one of
those needs is there as well. torch stands aside: the index of PyTorch and that of PyPI have different
builds of it under one version, and which one is right is known where it is installed (install_torch.sh). What torch needs
is locked, but for the CUDA libraries, each of which it asks for in one version exactly.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "stemwright"  # so begin the names of our own projects
TOOLS = {"pip", "setuptools", "wheel"}  # brought by the environment itself, in any version
TORCH = "torch"
EDITABLE = ["editables"]  # hatchling's, for `pip install -e`
PYTHONS = ("3.11", "3.12", "3.13")
PROJECTS = {OURS: "engine", f"{OURS}-worker": "worker", f"{OURS}-server": "server", f"{OURS}-training": "training"}
# Each file adds to those before it.
GROUPS = {
    "lock.txt": (
        ["engine", "worker", "server", "services/demucs"],
        "what the distributions need, and what builds them",
    ),
    "lock-extras.txt": (["server[celery,postgres,redis,s3,tracing,youtube]"], "what their extras need"),
    "lock-openvino.txt": (["engine[openvino]"], "what computes without a GPU and a compiler"),
    "lock-test.txt": ([], "what the tests, the linters and the training need"),
}


def main() -> None:
    """Write the locks that the command line names."""
    if sys.argv[1:]:
        folder = Path(sys.argv[1])
        wanted = [each for line in _lines(folder / "requirements.txt") for each in _asked(line, folder)]
        locked = resolve([*wanted, *torch_needs()])
        if (only_files := folder / "requirements-only-files.txt").exists():
            locked |= resolve(_lines(only_files), "--no-deps")
        write(folder / "requirements.lock", "the environment of this service", locked)
        if (for_tests := folder / "requirements-test.txt").exists():
            more = resolve([*wanted, *_lines(for_tests)])
            more = {name: block for name, block in more.items() if name not in locked}
            write(folder / "requirements-test.lock", "what the tests of this service need besides", more)
        return
    folder = ROOT / "requirements"
    tests = [each for line in _lines(folder / "test.txt") for each in _asked(line, ROOT)]
    groups = {
        name: [each for one in projects for each in _asked(f"-e {one}", ROOT)] for name, (projects, _) in GROUPS.items()
    }
    groups["lock.txt"] += torch_needs()
    groups["lock-test.txt"] = tests
    # All at once, so that one version of each suits everybody.
    whole = resolve([each for group in groups.values() for each in group])
    whole |= resolve(_lines(folder / "test-only-files.txt"), "--no-deps")
    for name, group in groups.items():
        names = resolve(group).keys() if name != "lock-test.txt" else list(whole)
        write(folder / name, GROUPS[name][1], {each: whole.pop(each) for each in names if each in whole})


def resolve(wanted: Iterable[str], *options: str) -> dict[str, str]:
    """The lines of a lock, versions and hashes, by the names of the packages; at the versions of this environment.

    Args:
        wanted: What is asked for, as pip has it.
        options: More of uv's.
    """
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {"in": sorted(set(wanted)), "here": installed(), "without": [f"{TORCH} ; sys_platform == 'never'"]}
        for name, lines in files.items():
            (Path(folder) / name).write_text("\n".join(lines) + "\n")
        for python in PYTHONS:
            command = ["uv", "pip", "compile", "--quiet", "--no-config", "--python-platform", "linux"]
            command += ["--python-version", python, "--generate-hashes", "--no-annotate", "--no-header"]
            command += ["--constraints", "here", "--overrides", "without", *options, "in"]
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
            for block in re.findall(r"^\S+==(?:.*\\\n)*.*\n", done.stdout, re.MULTILINE):
                found.setdefault(block.partition("==")[0], block)
    return found


def installed() -> list[str]:
    """What this environment has, of others."""
    names = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    return [f"{name}=={names[name]}" for name in sorted(names.keys() - TOOLS - {TORCH}) if not name.startswith(OURS)]


def torch_needs() -> list[str]:
    """What torch asks for on every machine, if it is here: its CUDA libraries are not among it."""
    if not _torch():
        return []
    return [each for each in requires(TORCH) or [] if not re.search(r"^(nvidia|cuda|triton)|extra ==", each)]


def write(path: Path, what: str, locked: dict[str, str]) -> None:
    """Write a lock."""
    lines = [
        f"# Written by `make lock` or `make lock-services`: {what}.",
        "# pip install --require-hashes --no-deps -r FILE",
    ]
    if path.name in ("lock.txt", "requirements.lock") and (pin := _torch()):
        lines += [
            "# Then this, without a hash: there are many builds of it under one version (scripts/install_torch.sh).",
            f"# {pin}",
        ]
    path.write_text("\n".join(lines) + "\n" + "".join(locked[name] for name in sorted(locked)))


def _torch() -> str | None:
    try:
        return f"{TORCH}=={version(TORCH).split('+')[0]}"  # a local version such as +cpu is one of the builds
    except PackageNotFoundError:
        return None


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def _asked(line: str, folder: Path) -> list[str]:
    """What a line of a requirements file asks of others: ``-e PATH[EXTRAS]`` is one of our projects."""
    project = re.fullmatch(r"-e\s*([^\[\]]+)(?:\[(.*)\])?", line)
    if project is None:
        return [line]
    return _of_project(folder / project[1], (project[2] or "").split(","))


def _of_project(folder: Path, extras: Iterable[str]) -> list[str]:
    said = tomllib.loads((folder / "pyproject.toml").read_text())
    optional = said["project"].get("optional-dependencies", {})
    asked = [*said["build-system"]["requires"], *EDITABLE, *said["project"].get("dependencies", [])]
    asked += [each for extra in extras if extra for each in optional[extra]]
    found = []
    for each in asked:
        ours = re.match(rf"({OURS}[\w-]*)(?:\[([\w,-]+)\])?", each)
        if ours is None:
            found.append(each)
        elif ours[2]:  # a bare one is installed, and locked, beside
            found += _of_project(ROOT / PROJECTS[ours[1]], ours[2].split(","))
    return found


if __name__ == "__main__":
    main()
