"""The engine behind the worker's service protocol."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.audio import FORMATS, InputLimits
from stemwright.checkpoints import ModelInfo, catalogue
from stemwright.machine.machine import Machine
from stemwright_demucs import params as parameters
from stemwright_worker.contract.description import (
    FileFormat,
    ModelDescription,
    OutputRule,
    Refusal,
    ServiceDescription,
)
from stemwright_worker.contract.service import PEAKS, PLAIN_NAME
from stemwright_worker.service import ProducedFile, Progress, RunRequest, RunResult

if TYPE_CHECKING:
    from stemwright.options import Progress as EngineProgress
    from stemwright.separator import Separator

PEAKS_FILE = "peaks.json"  # the waveforms of all stems
DEFAULT = "default"  # a task may say so instead of naming a model
_FORMATS = {name: FileFormat(extension=form.extension, content_type=form.mime) for name, form in FORMATS.items()}


class Demucs:
    """Every model that the engine finds."""

    name = "demucs"

    def describe(self) -> ServiceDescription:
        """Every model, whether its weights are on this machine yet or not.

        A model of the user's own whose name has spaces or the like is left out: names become parts of URLs.

        Raises:
            ModelError: DEMUCS_MODELS_PATH is no folder.
        """
        return ServiceDescription(
            name=self.name,
            version=version("stemwright-demucs"),
            models=tuple(_described(model) for model in catalogue() if PLAIN_NAME.fullmatch(model.name)),
            stages=("separating", "encoding"),
        )

    def prepare(self, device: str) -> None:
        """Import torch and what else takes its time, before the first task comes."""
        import stemwright.backends.eager
        import stemwright.separator  # noqa: F401
        from stemwright.machine.allocator import keep_freed_memory

        keep_freed_memory()

    def load(self, model: str, device: str) -> LoadedDemucs:
        """Load a model's weights; they are fetched first when they are not on this machine.

        Raises:
            ModelError: there is no such model, or its weights cannot be had.
        """
        from stemwright.separator import Separator

        return LoadedDemucs(Separator(_default() if model == DEFAULT else model, device=device))


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
        on_progress(Progress(done=0, total=0, stage="loading"))
        recipe = self._separator.recipe(parameters.separation_options(request.params))
        self._separator.load(recipe)
        on_progress(Progress(done=0, total=0, stage="separating"))  # else the first segment would count as loading
        done = self._separator.separate_file(
            request.inputs[0].path,
            request.workdir,
            recipe,
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


def _described(model: ModelInfo) -> ModelDescription:
    files = [found.path for member in model.members if (found := model.source.cached(model, member)) is not None]
    here = len(files) == len(model.members)
    return ModelDescription(
        name=model.name,
        description=model.description,
        licence=model.licence,
        params=parameters.schema(model.sources),
        outputs=output_rules(model.sources),
        formats=_FORMATS,
        default=model.name == _default(),
        revision=_fingerprint(model),
        refusal=_refusal(model),
        weights_here=here,
        weights_bytes=(model.size or sum(map(_size, files))) if here else model.size,
    )


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return (
        sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) if path.is_dir() else path.stat().st_size
    )


def output_rules(sources: Sequence[str]) -> tuple[OutputRule, ...]:
    """The outputs that the engine's `choose_outputs` gives for a model with these stems, and the waveforms."""

    def stem(name: str, when: Mapping[str, tuple[Any, ...]], listed_in: str = "") -> OutputRule:
        return OutputRule(name=name, filename=f"{name}.{{extension}}", when=when, listed_in=listed_in)

    return (
        *(stem(name, {"two_stems": (None, name)}, "stems") for name in sources),
        *(stem(f"no_{name}", {"two_stems": (name,), "other_method": ("add",)}) for name in sources),
        *(stem(f"minus_{name}", {"two_stems": (name,), "other_method": ("minus",)}) for name in sources),
        OutputRule(
            name=PEAKS_FILE,
            filename=PEAKS_FILE,
            content_type="application/json",
            role=PEAKS,
            when={"peaks": (True,)},
        ),
    )


def _fingerprint(model: ModelInfo) -> str:
    """Which weights these are: hashes of files of the user's own, signatures of those that are fetched and checked."""
    cache, parts = Machine.here().cache, []
    for member in model.members:
        if member.path is not None and member.path.is_file():
            parts.append(cache.hash_of(member.path, "sha256"))
        else:
            parts.append(member.signature)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _refusal(model: ModelInfo) -> Refusal | None:
    """In production, weights that are not free are used only by somebody who says that they may."""
    production = os.environ.get("ENVIRONMENT", "local") in {"production", "prod"}
    accepted = os.environ.get("DEMUCS_WEIGHTS_LICENCE_ACCEPTED", "").lower() in {"1", "true", "yes"}
    if model.restricted and production and not accepted:
        return Refusal(
            code="licence_not_accepted",
            message=f"the weights of {model.name} are not free for every use ({model.licence}): "
            "set DEMUCS_WEIGHTS_LICENCE_ACCEPTED=true if you may use them, or choose pocket",
        )
    return None
