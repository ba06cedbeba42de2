"""Backends are prepared while nobody separates: no song pays for the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from packed import save_safetensors
from small import music, tiny_htdemucs

from stemwright import Machine, Separator
from stemwright.backends.background import prepare_when_quiet
from stemwright.backends.candidate import Candidate, find_candidate
from stemwright.backends.prepare import attempts, attempts_name
from stemwright.checkpoints.checkpoint import CheckpointFile
from stemwright.machine.hashing import sha256_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of the system")


@pytest.fixture
def network(tmp_path: Path) -> Candidate:
    machine = Machine.here({"STEMWRIGHT_CACHE": str(tmp_path / "cache")})
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    made = find_candidate(CheckpointFile(path=file), sha256_of(file), machine)
    assert made is not None
    return made


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def noting(path: Path, *, then: str = "") -> list[str]:
    """A command that writes the process ids of itself and of a child of its own, one run a line, and stays or ends."""
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(path)!r}, 'a').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        f"{then or 'time.sleep(600)'}\n"
    )
    return [sys.executable, "-c", code]


def ends(path: Path) -> list[str]:
    return noting(path, then="child.kill(); sys.exit(7)")


def runs(path: Path) -> list[list[int]]:
    return [list(map(int, line.split())) for line in path.read_text().splitlines()] if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def in_background(work: Callable[[], object]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_it_begins_when_the_last_separation_is_over(network: Candidate, tmp_path: Path) -> None:
    cache, log = network.machine.cache, tmp_path / "runs"
    with cache.separating():
        with cache.separating():
            assert prepare_when_quiet(network, ends(log), quiet=0.01, wait=0.5) is None
        assert prepare_when_quiet(network, ends(log), quiet=0.01, wait=0.5) is None
    assert not runs(log)
    assert prepare_when_quiet(network, ends(log), quiet=0.01) == 7
    assert len(runs(log)) == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_song_that_begins_ends_it_with_its_compilers_and_it_is_taken_up_again(
    network: Candidate, tmp_path: Path
) -> None:
    cache, log = network.machine.cache, tmp_path / "runs"
    cache.write_note(attempts_name(network), 1)
    done = in_background(lambda: prepare_when_quiet(network, noting(log), quiet=0.01, wait=600))
    until(lambda: runs(log), "the preparation to begin")
    pids = runs(log)[0]
    cache.write_note(attempts_name(network), 2)  # as the preparation does when it begins
    with cache.separating():
        until(lambda: not any(map(is_alive, pids)), "the preparation and what it started to end")
        until(lambda: attempts(network) == 1, "the attempt not to count")
    until(lambda: len(runs(log)) == 2, "the preparation to be taken up again")
    for pid in runs(log)[1]:
        os.kill(pid, 9)
    done.join(60)
    assert not done.is_alive()


def test_a_separator_says_that_it_separates(network: Candidate, tmp_path: Path) -> None:
    cache, seen = network.machine.cache, []
    separator = Separator(
        "abc", models_path=network.file.parent, device="cpu", backend="eager", machine=network.machine
    )
    mix = music(1).numpy()
    separator.load()
    assert not cache.is_separating()
    separator.separate(mix, 44100, on_progress=lambda *_: seen.append(cache.is_separating()))
    assert set(seen) == {True}
    assert not cache.is_separating()


def test_a_process_that_is_killed_separates_no_more(network: Candidate) -> None:
    cache = network.machine.cache
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom stemwright.machine.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).separating():\n    print('now', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(cache.root)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert cache.is_separating()
        other.kill()
        other.wait()
    assert not cache.is_separating()


def test_two_networks_take_turns(network: Candidate, tmp_path: Path) -> None:
    log = tmp_path / "runs"
    first = in_background(lambda: prepare_when_quiet(network, noting(log), quiet=0.01))
    until(lambda: runs(log), "the first to begin")
    second = in_background(lambda: prepare_when_quiet(network, ends(log), quiet=0.01))
    second.join(0.5)
    assert len(runs(log)) == 1
    for pid in runs(log)[0]:
        os.kill(pid, 9)
    second.join(60)
    first.join(60)
    assert len(runs(log)) == 2


def test_a_cache_that_cannot_be_written_tells_nobody_and_keeps_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Machine.here({"STEMWRIGHT_CACHE": str(tmp_path / "file" / "cache")}).cache
    with cache.separating():
        assert not cache.is_separating()


def test_it_has_the_lowest_priority_among_all_sessions() -> None:
    code = (
        "import os\nfrom pathlib import Path\nfrom stemwright.backends.background import give_way\n"
        "give_way()\nprint(os.nice(0))\n"
        "group = Path('/proc/self/autogroup')\nprint(group.read_text().split()[-1] if group.exists() else 19)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, start_new_session=True, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["19", "19"]
