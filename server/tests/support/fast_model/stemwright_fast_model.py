"""A model that is fast and can be told to misbehave, for tests of what surrounds a model.

``quiet`` is the mix at half gain, ``rest`` is mix minus quiet: they sum to the mix exactly. Params say how many
segments there are, how long each takes, and what goes wrong in which.
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
import time
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stemwright_worker.service import OutputSpec, ProducedFile, Progress, RunRequest, RunResult, ServiceModel

DEFAULTS: dict[str, Any] = {
    "segments": 4,
    "sleep": 0.0,  # seconds for each segment
    "crash": 0,  # how many attempts end the process at the second segment
    "fail": "",  # code of an error that is no use to retry
    "fail_retryable": 0,  # how many attempts fail with one that is
    "raise": False,  # an exception without a code
    "forget": False,  # announces a file and does not make it
    "format": "wav",
    "normalize": False,
    "deaf": 0.0,  # seconds without a call of on_progress
    "spill": 0,  # bytes written to a temporary file
    "hold": 0,  # seconds without letting any other thread run
}


class FastError(Exception):
    def __init__(self, message: str, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


def probe(path: Path, *, max_seconds: float | None) -> Mapping[str, Any]:
    """Looks at wav files only; enough to show what the server does with a probe's answers."""
    if path.read_bytes()[:4] != b"RIFF":
        return {}
    try:
        with wave.open(str(path)) as file:
            seconds = file.getnframes() / file.getframerate()
            if file.getnframes() == 0:
                raise FastError("There are no samples in it.", "no_samples")
            if max_seconds is not None and seconds > max_seconds:
                raise FastError(f"{seconds:.0f} s are more than the {max_seconds:.0f} s allowed.", "too_long")
            return {"duration": seconds, "sample_rate": file.getframerate()}
    except (wave.Error, EOFError) as error:
        raise FastError(f"{path} is truncated: {error}.", "truncated") from error


class Loaded:
    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        import numpy as np

        params = request.params
        with wave.open(str(request.input)) as source:
            rate, channels, frames = source.getframerate(), source.getnchannels(), source.getnframes()
            samples = np.frombuffer(source.readframes(frames), dtype="<i2")
        total = params["segments"]
        on_progress(Progress(done=0, total=total))
        for segment in range(total):
            if segment == 1:
                self._misbehave(params, request.input)
            time.sleep(params["sleep"])
            on_progress(Progress(done=segment + 1, total=total))
        on_progress(Progress(done=total, total=total, stage="encoding"))
        quiet = samples // 2
        made = {"quiet": quiet, "rest": samples - quiet}
        if params["forget"]:
            del made["rest"]
        files = tuple(self._write(request.workdir / name, data, rate, channels) for name, data in made.items())
        return RunResult(files=files, report={"sum_db": -120.0}, duration=frames / rate, sample_rate=rate)

    def _misbehave(self, params: Mapping[str, Any], source: Path) -> None:
        if params["spill"]:
            with tempfile.NamedTemporaryFile(delete=False) as file:
                file.write(os.urandom(params["spill"]))
        time.sleep(params["deaf"])
        if params["hold"]:
            ctypes.PyDLL(None).sleep(params["hold"])  # unlike CDLL, it keeps the interpreter's lock
        if params["crash"] and _times("crash") < params["crash"]:
            os._exit(9)
        if params["fail"]:
            raise FastError(f"{source} was to fail.", params["fail"])
        if params["fail_retryable"] and _times("fail") < params["fail_retryable"]:
            raise FastError("It may go better next time.", "unlucky", retryable=True)
        if params["raise"]:
            raise ZeroDivisionError("as a fault of its own would")

    def _write(self, path: Path, samples: Any, rate: int, channels: int) -> ProducedFile:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.astype("<i2").tobytes())
        return ProducedFile(name=path.name, path=path, duration=len(samples) / channels / rate)


def _times(what: str) -> int:
    """How often this was asked before: kept in a file, because the process that asks may end."""
    path = Path(os.environ["FAST_MODEL_STATE"]) / what
    before = len(path.read_bytes()) if path.exists() else 0
    with path.open("ab") as file:
        file.write(b".")
    return before


class Gain:
    name = "gain"

    def models(self) -> list[ServiceModel]:
        params = {"type": "object", "properties": {name: {"default": value} for name, value in DEFAULTS.items()}}
        outputs = ("quiet", "rest")
        return [
            ServiceModel(name="loud", description="Not the default.", outputs=outputs, licence="MIT"),
            ServiceModel(name="half", description="Half.", outputs=outputs, licence="MIT", params=params, default=True),
        ]

    def check(self, model: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if model not in ("half", "loud"):
            raise FastError(f"gain has no variation {model!r}; it has: half, loud.", "unknown_variation")
        if unknown := set(params) - set(DEFAULTS):
            raise FastError(f"gain takes no {', '.join(sorted(unknown))}.", "bad_params")
        if params.get("format", "wav") != "wav":
            raise FastError(f"format is {params['format']!r}: gain writes wav only.", "bad_params")
        return DEFAULTS | json.loads(os.environ.get("FAST_MODEL_DEFAULTS", "{}")) | dict(params)

    def outputs(self, model: str, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        return tuple(OutputSpec(name=n, filename=f"{n}.wav", content_type="audio/wav") for n in ("quiet", "rest"))

    def prepare(self, device: str) -> None:
        import numpy  # noqa: F401

    def load(self, model: str, device: str) -> Loaded:
        return Loaded()


service = Gain()
