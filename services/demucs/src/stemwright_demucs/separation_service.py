"""The engine behind the worker's model protocol."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.audio import FORMATS, InputLimits
from stemwright.checkpoints import ModelInfo, catalogue, find
from stemwright.errors import ModelError
from stemwright.separation.outputs import choose_outputs
from stemwright_demucs import params as parameters
from stemwright_worker.contract.service import PEAKS, PLAIN_NAME
from stemwright_worker.service import (
    OutputSpec,
    ProducedFile,
    Progress,
    RunRequest,
    RunResult,
    ServiceModel,
)

if TYPE_CHECKING:
    from stemwright.options import Progress as EngineProgress
    from stemwright.separator import Separator

PEAKS_FILE = "peaks.json"  # the waveforms of all stems
DEFAULT = "default"  # a request may say so instead of naming a variation


class Demucs:
    """Every model that the engine finds, each a variation."""

    name = "demucs"

    def models(self) -> Sequence[ServiceModel]:
        """One for each model, whether its weights are on this machine yet or not.

        A model of the user's own whose name has spaces or the like is left out: names become parts of URLs.
        """
        return [
            ServiceModel(
                name=model.name,
                description=model.description,
                outputs=model.sources,
                licence=model.licence,
                params=parameters.schema(model.sources),
                default=model.name == _default(),
            )
            for model in catalogue()
            if PLAIN_NAME.fullmatch(model.name)
        ]

    def check(self, model: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Complete parameters.

        Raises:
            ModelError: there is no such variation, or its licence was not accepted.
            OptionError: a parameter is wrong.
        """
        found = _model(model)
        _check_licence(found)
        complete = parameters.complete(params, found.sources)
        choose_outputs(found.sources, parameters.separation_options(complete))
        # Part of the work's identity: other weights under the same name are other work.
        return {**complete, "weights": _fingerprint(found)}

    def outputs(self, model: str, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        """A file for each stem asked for; and one of their waveforms, if that is wanted."""
        chosen = choose_outputs(_model(model).sources, parameters.separation_options(params))
        kind = FORMATS[params["format"]]
        stems = [
            OutputSpec(name=each.name, filename=f"{each.name}.{kind.extension}", content_type=kind.mime)
            for each in chosen
        ]
        if params["peaks"]:
            stems.append(OutputSpec(name=PEAKS_FILE, filename=PEAKS_FILE, content_type="application/json", role=PEAKS))
        return tuple(stems)

    def prepare(self, device: str) -> None:
        """Import torch and what else takes its time, before the first task comes."""
        import stemwright.backends.eager
        import stemwright.separator  # noqa: F401
        from stemwright.machine.allocator import keep_freed_memory

        keep_freed_memory()

    def load(self, model: str, device: str) -> LoadedDemucs:
        """Load a model's weights; they are fetched first when they are not on this machine."""
        from stemwright.separator import Separator

        return LoadedDemucs(Separator(_model(model).name, device=device))


class LoadedDemucs:
    """A separator that runs tasks."""

    def __init__(self, separator: Separator) -> None:
        self._separator = separator

    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        """Separate the input into files in the workdir."""

        def tell(progress: EngineProgress) -> None:
            # After the last segment the encoders still have some blocks to write, or all of them, at another gain.
            stage = "encoding" if 0 < progress.segments_total == progress.segments_done else "separating"
            on_progress(Progress(done=progress.segments_done, total=progress.segments_total, stage=stage))

        from stemwright_demucs.peaks import PeakCounter

        counter = PeakCounter() if request.params["peaks"] else None
        options = parameters.separation_options(request.params)
        on_progress(Progress(done=0, total=0, stage="loading"))
        self._separator.load(options)
        done = self._separator.separate_file(
            request.input,
            request.workdir,
            options,
            parameters.output_options(request.params),
            limits=InputLimits(max_seconds=request.max_seconds),
            on_block=counter.add if counter is not None else None,
            on_progress=tell,
        )
        files = [
            ProducedFile(name=each.stem, path=each.path, duration=each.seconds, sha256=each.sha256)
            for each in done.artifacts
        ]
        if counter is not None:
            path, stems = request.workdir / PEAKS_FILE, [each.stem for each in done.artifacts]
            counter.write(path, stems, sample_rate=done.report.sample_rate, gain=done.report.joint_gain)
            files.append(ProducedFile(name=PEAKS_FILE, path=path))
        report = done.report.as_dict()
        return RunResult(
            files=tuple(files), report=report, duration=done.report.audio_seconds, sample_rate=done.input.sample_rate
        )


def _default() -> str:
    return os.environ.get("DEMUCS_DEFAULT_MODEL") or "htdemucs"


def _fingerprint(model: ModelInfo) -> str:
    """Which weights these are: hashes of the files that lie here, signatures of those that are fetched and checked."""
    parts = []
    for member in model.members:
        if member.path is not None and member.path.is_file():
            stat = member.path.stat()
            parts.append(_sha256(member.path, stat.st_mtime_ns, stat.st_size))
        else:
            parts.append(member.signature)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=64)
def _sha256(file: Path, _changed: int, _size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _model(name: str) -> ModelInfo:
    try:
        return find(_default() if name == DEFAULT else name)
    except ModelError as error:
        if error.code == "model_unknown":
            raise ModelError(str(error), code="unknown_variation") from None
        raise


def _check_licence(model: ModelInfo) -> None:
    """In production, weights that are not free are used only by somebody who says that they may."""
    production = os.environ.get("ENVIRONMENT", "local") in {"production", "prod"}
    accepted = os.environ.get("DEMUCS_WEIGHTS_LICENCE_ACCEPTED", "").lower() in {"1", "true", "yes"}
    if model.restricted and production and not accepted:
        raise ModelError(
            f"the weights of {model.name} are not free for every use ({model.licence}): "
            "set DEMUCS_WEIGHTS_LICENCE_ACCEPTED=true if you may use them, or choose pocket",
            code="licence_not_accepted",
        )
