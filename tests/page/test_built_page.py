"""The page that is committed: it is what its source builds, it is small, and it needs nobody else's server."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUILT = ROOT / "server" / "src" / "stemwright_server" / "web"
MOST_BYTES = 150_000  # of everything, gzipped


def tool(*command: str) -> None:
    """Run one of the tools of web/node_modules; its words are the test's when it fails."""
    program = WEB / "node_modules" / ".bin" / command[0]
    assert program.exists(), "run scripts/install_web_tools.sh first"
    done = subprocess.run([program, *command[1:]], cwd=WEB, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_what_the_source_builds(tmp_path: Path) -> None:
    tool("vite", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", str(tmp_path / "built"))
    built, committed = files(tmp_path / "built"), files(BUILT)
    assert sorted(built) == sorted(committed), "run make web"
    assert [name for name in built if built[name] != committed[name]] == [], "run make web"


def test_its_types_fit() -> None:
    tool("tsc", "--noEmit")


def test_its_pure_parts_do_what_they_say() -> None:
    tool("vitest", "run", "--no-color")


def test_it_is_small() -> None:
    sizes = {name: len(gzip.compress(data, 9)) for name, data in files(BUILT).items()}
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_it_loads_nothing_from_elsewhere() -> None:
    for name, data in files(BUILT).items():
        text = data.decode()
        assert not re.search(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//""", text), name
    # In full only where a person is told what an address looks like, and in what names XML's vocabularies.
    page = (BUILT / "index.html").read_text()
    assert "<script>" not in page
    assert "style=" not in page
