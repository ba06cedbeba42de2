"""What is in the cache is whole, ours, and built once, whatever is killed when."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stemwright.errors import OutputError
from stemwright.machine import hashing
from stemwright.machine.cache import Busy, Cache

BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from stemwright.machine.cache import Cache

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


def test_what_was_not_used_for_a_season_goes_when_something_is_built(tmp_path: Path) -> None:
    cache, long_ago = Cache(tmp_path / "cache"), time.time() - 100 * 24 * 3600
    with cache.building("all"):
        old, used = cache.build("old", write), cache.build("used", write)
        for folder in (old, used):
            os.utime(folder, (long_ago, long_ago))
        assert cache.find("used") == used
        new = cache.build("new", write)
    assert (old.exists(), used.exists(), new.exists()) == (False, True, True)


def test_two_processes_do_not_build_the_same_and_a_killed_one_leaves_no_lock_and_no_half(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    other = subprocess.Popen([sys.executable, "-c", BUILD_SLOWLY, str(cache.root)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
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


def test_a_file_is_hashed_again_only_when_it_was_written_to(tmp_path: Path) -> None:
    hashed: list[Path] = []

    def counted(path: Path, algorithm: str) -> str:
        hashed.append(path)
        return hashing.hash_of(path, algorithm)

    file, now = tmp_path / "weights", Cache(tmp_path / "cache", hash_of=counted)
    file.write_bytes(b"one")
    later = Cache(tmp_path / "cache", hash_of=counted, clock=lambda: time.time() + 60)
    assert [now.hash_of(file, "sha256") for _ in range(2)] == [hashlib.sha256(b"one").hexdigest()] * 2
    assert len(hashed) == 2, "just written: another change might not be seen"
    assert [later.hash_of(file, "sha256") for _ in range(3)] == [hashlib.sha256(b"one").hexdigest()] * 3
    assert len(hashed) == 3
    assert Cache(tmp_path / "cache").hash_of(file, "blake2b") == hashlib.blake2b(b"one").hexdigest()
    stamp = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as if nothing had been written
    assert later.hash_of(file, "sha256") == hashlib.sha256(b"two").hexdigest()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no mode here")
def test_hashes_that_others_may_have_written_are_not_believed(tmp_path: Path) -> None:
    file, cache = tmp_path / "weights", Cache(tmp_path / "cache", clock=lambda: time.time() + 60)
    file.write_bytes(b"one")
    cache.hash_of(file, "sha256")
    (note,) = cache.root.glob("hash-*.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "hash": "forged"}))
    assert cache.hash_of(file, "sha256") == "forged"
    cache.root.chmod(0o777)
    assert cache.hash_of(file, "sha256") == hashlib.sha256(b"one").hexdigest()
