"""Prepares backends while nothing is separated, so that no song pays for the next one.

    python -m stemwright.backends.background CHECKPOINT

is a small process that outlives the command which started it. It waits until no process of this cache separates, has
`prepare` run by a child, and ends that child when a separation begins: what was built is kept, the rest is taken up again
later. Compilers and networks take gigabytes and every core there is; beside a song they would cost it more than a low
priority can give back. Needs no torch.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stemwright.backends.candidate import Candidate, find_candidate
from stemwright.backends.prepare import attempts, attempts_name
from stemwright.checkpoints.checkpoint import CheckpointFile
from stemwright.errors import OutputError
from stemwright.machine.machine import Machine

_ATTEMPTS = 3
_LOWEST_PRIORITY = 19
_LOG = "warm.log"
_LOOK = 0.5  # seconds between two looks at whether somebody separates
_QUIET = 5.0  # seconds without a separation after which none is expected: the next song of a batch begins sooner
_WAIT = 24 * 3600.0  # seconds after which a machine that is never quiet is left alone; the next song asks again


def start_in_background(network: Candidate, *, start: Callable[..., object] = subprocess.Popen) -> str:
    """Start this module as a process that outlives ours; returns what the report says of it.

    Args:
        start: Takes a command and settings as `subprocess.Popen` does.
    """
    cache = network.machine.cache
    if attempts(network) >= _ATTEMPTS:
        return f"preparing faster backends failed {_ATTEMPTS} times (see {_LOG} in the cache): plain torch computes"
    try:
        cache.prepare()
        with (cache.root / _LOG).open("ab") as log:
            start(
                [sys.executable, "-P", "-m", "stemwright.backends.background", str(network.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "STEMWRIGHT_CACHE": str(cache.root.absolute())},
            )
    except OutputError as error:
        return f"no backend can be prepared: {error}"
    except OSError as error:
        return f"no backend can be prepared: the cache cannot be written ({error.strerror})"
    return (
        "faster backends are being prepared while nothing is separated, and later songs use the best of them; "
        "to have them before many songs: stemwright models warm"
    )


def prepare_when_quiet(
    network: Candidate, command: Sequence[str], *, quiet: float = _QUIET, wait: float = _WAIT
) -> int | None:
    """Run ``command``, which prepares this network, while nobody separates; one network at a time.

    Args:
        quiet: Seconds without a separation before it is started.
        wait: Seconds to go on waiting and trying.

    Returns:
        Its exit status; None: the machine was never quiet long enough.
    """
    cache = network.machine.cache
    with cache.alone("background"):
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if not _is_quiet(cache.is_separating, quiet, end):
                continue
            before = attempts(network)
            child = subprocess.Popen(command, process_group=0)
            while child.poll() is None and not cache.is_separating():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_LOOK)
            if child.poll() is not None:
                return child.returncode
            os.killpg(child.pid, signal.SIGKILL)  # with the compilers that it started
            child.wait()
            cache.write_note(attempts_name(network), before)  # it did not fail
    return None


def _is_quiet(is_separating: Callable[[], bool], seconds: float, end: float) -> bool:
    """Wait until nobody separates any more for so long, or somebody begins again, or the end."""
    while is_separating() and time.monotonic() < end:
        time.sleep(_LOOK)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_separating():
            return False
        time.sleep(min(_LOOK, seconds))
    return not is_separating()


def give_way() -> None:
    """Give this process, the leader of a session of its own, and its children the lowest priority there is.

    Linux may schedule sessions as groups (autogroup): the nice value of a process then counts among its own session
    only, where there is nobody else, and the group has one of its own.
    """
    if hasattr(os, "nice"):
        os.nice(_LOWEST_PRIORITY)
    with contextlib.suppress(OSError):  # another system, or one without such groups
        Path("/proc/self/autogroup").write_text(str(_LOWEST_PRIORITY))


def main(words: Sequence[str], machine: Machine) -> None:
    """Prepare one checkpoint while nothing is separated.

    Args:
        words: The path of a checkpoint.

    Raises:
        ModelError: It cannot be read.
        OSError: The cache cannot be written.
    """
    give_way()
    checkpoint = CheckpointFile(path=Path(words[0]))
    network = find_candidate(checkpoint, checkpoint.checked_sha256(), machine)
    if network is None:
        return
    if prepare_when_quiet(network, [sys.executable, "-P", "-m", "stemwright.backends.prepare", *words]) is None:
        print(f"{words[0]}: nothing was prepared, since something was separated all the time")


if __name__ == "__main__":
    main(sys.argv[1:], Machine.here())
