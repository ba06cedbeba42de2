"""The parent's side of the decoding process: start it, read its records, end it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from stemwright.audio.info import shown
from stemwright.audio.reading import decode_child, decoding
from stemwright.audio.reading.plan import Plan
from stemwright.audio.reading.sniff import Kind
from stemwright.errors import InputError, MissingExtraError

_CPU_BASE = 120
_CPU_PER_MEGABYTE = 30
_RECORD_LIMIT = 1 << 28
_PIPE = 1 << 20
_SCRIPT = Path(decode_child.__file__)
# What a Python may need to find its own libraries; nothing else of the environment is passed on.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT")


class DecodeProcess:
    """One decoding process for one open file; see `decoding` for what it writes."""

    def __init__(
        self,
        file: BinaryIO,
        kind: Kind,
        size: int,
        name: str,
        *,
        plan: Plan,
        track: int | None = None,
        nice: int = 0,
        script: Path = _SCRIPT,
    ) -> None:
        """Start the process; it reads ``file`` from its beginning and holds it open by itself.

        Args:
            file: The input, open for reading.
            kind: What it is.
            size: Its bytes.
            name: What messages call it.
            plan: How it is to be decoded.
            track: Which of its audio tracks, from 1; None for the first that can be decoded.
            nice: By how much the process gives way to others, as `os.nice` has it.
            script: What runs in the process.

        Raises:
            MissingExtraError: PyAV is not installed.
        """
        self._name = name
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # seek() of a buffered file may leave the descriptor where it is
        job = {
            "packages": _packages(),
            "demuxer": kind.demuxer,
            "parts": [asdict(part) for part in plan.parts],
            "codec": plan.codec,
            "track": track,
            "cpu_seconds": _CPU_BASE + _CPU_PER_MEGABYTE * (size >> 20),
            "nice": nice,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), json.dumps(job)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        _widen(self._pipe.fileno())

    @property
    def pid(self) -> int:
        """Process id, for a caller that limits or watches processes."""
        return self._process.pid

    def record(self) -> tuple[bytes, bytearray]:
        """The next record: (kind, body); never ``X``, which is raised.

        Raises:
            InputError: What the process found wrong with the input, or ``decode_failed`` if it died.
        """
        kind, length = decoding.RECORD.unpack(self._read(decoding.RECORD.size))
        if kind not in (b"H", b"B", b"F", b"G", b"E", b"X") or length > _RECORD_LIMIT:
            raise self._died("it wrote nonsense")
        body = self._read(length)
        if kind == b"X":
            error: dict[str, Any] = json.loads(body)
            raise InputError(f"{shown(self._name)} cannot be decoded: {error['detail']}", code=error["code"])
        return kind, body

    def _read(self, length: int) -> bytearray:
        body = bytearray(length)
        view = memoryview(body)
        while view:
            got = self._pipe.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise self._died()
            view = view[got:]
        return body

    def _died(self, how: str | None = None) -> InputError:
        if how is None:
            code = self._process.wait()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return InputError(
            f"{shown(self._name)} cannot be decoded: the decoder ended before its time ({how}); "
            "the file is damaged, or needs more memory or time than a decoder may have",
            code="decode_failed",
        )

    def close(self) -> None:
        """Kill the process and wait until it is gone. May be called again."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()


def _packages() -> str:
    """The folder that PyAV is installed in, found without importing it."""
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        raise MissingExtraError("PyAV is not installed and audio files need it; install it with: pip install av")
    return str(Path(spec.origin).parent.parent)


def _widen(pipe: int) -> None:
    """A pipe of a megabyte where the system has it: fewer switches between the two processes."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (ImportError, AttributeError, OSError):
        return
