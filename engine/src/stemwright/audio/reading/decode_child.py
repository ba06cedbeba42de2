"""The process that decodes: it reads one audio file from its standard input and writes samples to its output.

Untrusted files are decoded here and nowhere else. The process has no file but its input, limits on memory and time,
no environment, and dies with its parent. On Linux it gives up, before it reads a byte, every system call that it does
not need (`system_calls`): even one that an untrusted file has taken over can open no file or socket, start no process
and make no memory executable. Elsewhere a limit on open files stands in the way, which such a process can get around.
It is run as a script in isolated mode (``python -I -S decode_child.py``) so that it starts fast, and imports nothing of
this package but the modules beside it, and no numpy.

What it writes: `decoding`. An output that stops before its end means that the process died.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress
from typing import Any

_MEMORY = 1 << 30


def main(job: dict[str, Any]) -> int:
    """Decode standard input as `job` says.

    packages: the folder that PyAV is installed in.
    demuxer: FFmpeg's name of the one demuxer that may be used.
    parts: the stretches of the file that are decoded one after the other, each as `plan.Part` says.
    codec: FFmpeg's name of the codec where FFmpeg would take another one, or None.
    track: which of the audio tracks, from 1; None for the first that can be decoded.
    nice: by how much this process gives way to others.
    cpu_seconds: seconds of processor time after which the system ends this process.
    """
    _ignore_interrupt()
    os.nice(job["nice"])
    _limit(job["cpu_seconds"])
    sys.path.append(job["packages"])
    import av
    import av.error

    decoding, pictures, values = _beside("decoding"), _beside("picture"), _beside("several_values")
    _import_the_rest()
    die_with_parent()
    forbid_opening()
    try:
        decoding.decode(av, pictures, values, job)
    except decoding.Refused as error:
        decoding.send_json(b"X", {"code": error.code, "detail": str(error)})
    except MemoryError:
        decoding.send_json(b"X", {"code": "decode_failed", "detail": "it needs more memory than a decoder may have"})
    except av.error.FFmpegError as error:
        decoding.send_json(b"X", {"code": "decode_failed", "detail": f"the decoder says: {error.strerror}"})
    except BrokenPipeError:
        return 1
    except Exception as error:  # the boundary of the process: whatever an untrusted file did to the decoder
        decoding.send_json(
            b"X", {"code": "decode_failed", "detail": f"it confuses the decoder ({type(error).__name__})"}
        )
    return 0


def _beside(name: str) -> Any:
    """A module of this folder, which is in no path of an isolated process."""
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 - pathlib costs as much time as the rest of the start
    module = importlib.import_module(name)
    sys.path.pop()
    return module


def _import_the_rest() -> None:
    """Import what is imported only when a file holds it (a kind of stream, text in Latin-1): by then no file can be opened."""
    for name in (
        "encodings.cp1252",
        "encodings.utf_16",
        "encodings.utf_16_be",
        "av.audio.codeccontext",
        "av.audio.stream",
        "av.subtitles.codeccontext",
        "av.subtitles.stream",
        "av.video.codeccontext",
        "av.video.stream",
    ):
        importlib.import_module(name)


def _ignore_interrupt() -> None:
    """Ctrl-C is the parent's to answer; it ends this process as it sees fit."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit(cpu_seconds: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    wanted = {
        "RLIMIT_AS": _MEMORY,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
    }
    for name, limit in wanted.items():
        _set_limit(resource, name, limit)


def _set_limit(resource: Any, name: str, limit: int) -> None:
    kind = getattr(resource, name, None)
    if kind is None:
        return
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    try:
        resource.setrlimit(kind, (limit, limit))
    except (ValueError, OSError):  # a system that knows the name and not the thing (macOS and RLIMIT_AS)
        return


def die_with_parent() -> None:
    """End this process when its output is no longer read, even in the middle of a packet."""
    try:
        from select import poll
    except ImportError:
        return
    import threading

    def watch() -> None:
        watcher = poll()
        watcher.register(1, 0)
        watcher.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def forbid_opening() -> None:
    """From here on no file and no socket can be opened: by the kernel's filter of system calls where it has one.

    Everywhere by a limit on descriptors: the one that is left is for FFmpeg's own copy of 0.
    """
    system_calls = _beside("system_calls")
    with suppress(ImportError):  # not on Windows
        import resource

        _set_limit(resource, "RLIMIT_NOFILE", 4)
    system_calls.only_decode()


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]))
    # Nothing to tidy: the buffers of FFmpeg go with the process, faster than by hand.
    os._exit(code)
