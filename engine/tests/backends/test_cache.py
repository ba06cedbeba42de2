"""What is in the cache is whole, ours, and built once, whatever is killed when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemwright.backends.cache import Busy, Cache
from stemwright.errors import OutputError

BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from stemwright.backends.cache import Cache

def make(folder):
    (folder / "core").write_bytes(b"half")
    print("building", flush=True)
    time.sleep(600)

cache = Cache(Path(sys.argv[1]))
with cache.building("all"):
    cache.build("entry", make)
"""


def write(folder: Path) -> None:
    (folder / "core").write_bytes(b"whole")


def built(cache: Cache) -> Path:
    with cache.building("all"):
        return cache.build("entry", write)


def test_what_was_built_is_found_and_not_built_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert cache.find("entry") is None
    folder = built(cache)
    assert (folder / "core").read_bytes() == b"whole"
    with cache.building("all"):
        assert cache.build("entry", lambda _: pytest.fail("built twice")) == folder
    assert cache.find("entry") == folder


@pytest.mark.parametrize("damage", ["changed", "cut", "missing", "no listing"])
def test_a_damaged_entry_is_removed_and_built_again(damage: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    folder = built(cache)
    match damage:
        case "changed":
            (folder / "core").write_bytes(b"whol3")
        case "cut":
            (folder / "core").write_bytes(b"wh")
        case "missing":
            (folder / "core").unlink()
        case "no listing":
            (folder / "contents.json").unlink()
    assert cache.find("entry") is None
    assert not folder.exists()
    assert (built(cache) / "core").read_bytes() == b"whole"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError), cache.building("entry"):
        cache.build("entry", fail)
    assert cache.find("entry") is None
    assert [file.name for file in cache.root.iterdir()] in ([], ["entry.lock"])


def test_two_processes_do_not_build_the_same_and_a_killed_one_leaves_no_lock_and_no_half(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    other = subprocess.Popen([sys.executable, "-c", BUILD_SLOWLY, str(cache.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        with pytest.raises(Busy), cache.building("all"):
            pass
        assert cache.find("entry") is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    assert list(cache.root.glob(".entry.*"))
    (cache.root / ".all.note").write_text("half")
    assert (built(cache) / "core").read_bytes() == b"whole"
    assert {file.name for file in cache.root.iterdir()} - {"all.lock"} == {"entry"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are POSIX")
def test_code_that_others_could_have_put_there_is_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    folder = built(cache)
    folder.chmod(0o777)
    assert cache.find("entry") is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are POSIX")
def test_nothing_is_built_where_it_could_not_be_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(OutputError, match="chmod go-w"), cache.building("all"):
        pytest.fail("it may be built")


def test_a_note_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert cache.note("facts") is None
    cache.write_note("facts", {"seconds": 1.5})
    assert cache.note("facts") == {"seconds": 1.5}
    (cache.root / "facts.json").write_text('{"seconds": 1.')
    assert cache.note("facts") is None
