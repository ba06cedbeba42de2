"""Services that are fast and can be told to misbehave, for tests of what surrounds a service.

``gain`` separates: ``quiet`` is the mix at half gain, ``rest`` is mix minus quiet: they sum to the mix exactly. Params say
how many segments there are, how long each takes, and what goes wrong in which. ``tools`` does what is no separation: its
models take no input, one or two.
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

from stemwright_worker.contract.description import (
    FileFormat,
    InputRule,
    ModelDescription,
    ModelLimits,
    OutputRule,
    ServiceDescription,
)
from stemwright_worker.service import ProducedFile, Progress, RunRequest, RunResult

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
WAV = {"wav": FileFormat(extension="wav", content_type="audio/wav")}


class FastError(Exception):
    def __init__(self, message: str, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


class FastProbe:
    """Knows four formats and decodes wav files only: enough to show what the server does with a probe's answers."""

    def sniff(self, head: bytes) -> str | None:
        heads = (
            (8, b"WAVE", "audio/wav"),
            (0, b"fLaC", "audio/flac"),
            (0, b"ID3", "audio/mpeg"),
            (4, b"ftyp", "audio/mp4"),
        )
        return next((kind for at, magic, kind in heads if head.startswith(magic, at)), None)

    def probe(self, path: Path, *, max_seconds: float | None) -> Mapping[str, Any]:
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
        params, source = request.params, request.inputs[0].path
        rate, channels, samples = _read(source)
        total = params["segments"]
        if ill := os.environ.get("FAST_MODEL_ILL"):
            raise RuntimeError(ill)
        on_progress(Progress(done=0, total=total, stage="separating"))
        for segment in range(total):
            if segment == 1:
                self._misbehave(params, source)
            time.sleep(params["sleep"])
            on_progress(Progress(done=segment + 1, total=total, stage="separating"))
        on_progress(Progress(done=total, total=total, stage="encoding"))
        quiet = samples // 2
        made = {"quiet": quiet, "rest": samples - quiet}
        if params["forget"]:
            del made["rest"]
        files = tuple(_write(request.workdir / name, data, rate, channels) for name, data in made.items())
        seconds = len(samples) / channels / rate
        return RunResult(files=files, report={"sum_db": -120.0}, duration=seconds, sample_rate=rate)

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


def _read(path: Path) -> tuple[int, int, Any]:
    import numpy as np

    with wave.open(str(path)) as source:
        samples = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        return source.getframerate(), source.getnchannels(), samples


def _write(path: Path, samples: Any, rate: int, channels: int) -> ProducedFile:
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

    def describe(self) -> ServiceDescription:
        defaults = DEFAULTS | json.loads(os.environ.get("FAST_MODEL_DEFAULTS", "{}"))
        properties = {name: {"default": value} for name, value in defaults.items()}
        params = {
            "type": "object",
            "properties": properties | {"format": {"enum": ["wav"], "default": "wav"}},
            "additionalProperties": False,
        }
        outputs = tuple(OutputRule(name=name, filename=f"{name}.wav") for name in ("quiet", "rest"))
        models = tuple(
            ModelDescription(
                name=name,
                description=words,
                licence="MIT",
                params=params,
                outputs=outputs,
                formats=WAV,
                default=name == "half",
            )
            for name, words in (("loud", "Not the default."), ("half", "Half."))
        )
        return ServiceDescription(name=self.name, version="0.1", models=models, stages=("separating", "encoding"))

    def prepare(self, device: str) -> None:
        import numpy  # noqa: F401

    def load(self, model: str, device: str) -> Loaded:
        return Loaded()


class Tool:
    """Writes silence, adds up what it is given, or counts its samples."""

    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        import numpy as np

        on_progress(Progress(done=0, total=1, stage="listening"))
        heard = [_read(each.path) for each in request.inputs]
        if request.model == "count":
            path = request.workdir / "text"
            path.write_text(json.dumps({"samples": len(heard[0][2])}))
            return RunResult(files=(ProducedFile(name="text", path=path),))
        if request.model == "silence":
            samples = np.zeros(round(request.params["seconds"] * 8000))
            return RunResult(files=(_write(request.workdir / "sound", samples, 8000, 1),))
        (rate, channels, first), (_, _, second) = heard
        return RunResult(files=(_write(request.workdir / "sum", first + second, rate, channels),))


class Tools:
    name = "tools"

    def describe(self) -> ServiceDescription:
        seconds = {"type": "number", "minimum": 0.1, "default": 1.0}
        return ServiceDescription(
            name=self.name,
            version="0.1",
            models=(
                ModelDescription(
                    name="silence",
                    description="Nothing to hear.",
                    licence="MIT",
                    kind="generation",
                    params={"type": "object", "properties": {"seconds": seconds}, "additionalProperties": False},
                    inputs=InputRule(least=0, most=0),
                    outputs=(OutputRule(name="sound", filename="sound.wav", content_type="audio/wav", role="sound"),),
                ),
                ModelDescription(
                    name="sum",
                    description="One and one.",
                    licence="MIT",
                    kind="mixing",
                    params={"type": "object", "additionalProperties": False},
                    inputs=InputRule(least=2, most=2),
                    outputs=(OutputRule(name="sum", filename="sum.wav", content_type="audio/wav", role="mix"),),
                ),
                ModelDescription(
                    name="count",
                    description="Its length in words.",
                    licence="MIT",
                    kind="transcription",
                    params={"type": "object", "additionalProperties": False},
                    outputs=(
                        OutputRule(name="text", filename="text.json", content_type="application/json", role="text"),
                    ),
                    limits=ModelLimits(max_seconds=3.0, max_bytes=1_000_000),
                ),
            ),
            stages=("listening",),
        )

    def prepare(self, device: str) -> None:
        pass

    def load(self, model: str, device: str) -> Tool:
        return Tool()


service = Gain()
tools = Tools()
probe = FastProbe()
