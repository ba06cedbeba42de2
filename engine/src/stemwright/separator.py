"""The separator: a mix in, stems out.

from stemwright import SeparationOptions, Separator

separator = Separator("htdemucs")
result = separator.separate(mix, sample_rate=44100)      # arrays in and out
done = separator.separate_file("song.mp3", "stems/")     # files in and out, in constant memory
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from stemwright.audio import AudioInfo, InputLimits, InputOptions, Resampler, open_audio, scan
from stemwright.audio.samples import Samples
from stemwright.checkpoints import ModelInfo, OnFetch, find
from stemwright.errors import InputError, OptionError
from stemwright.machine.machine import BackendChoice, Machine
from stemwright.networks import Networks
from stemwright.options import DEFAULT_MODEL, OnProgress, OutputOptions, SeparationOptions, ShouldStop
from stemwright.separation.buffers import blocks_of
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.recipe import Recipe, resolve
from stemwright.separation.report import FidelityReport
from stemwright.separation.run import Run
from stemwright.stems.files import Artifact, StemWriter
from stemwright.stems.paths import output_paths

NO_LIMITS = InputLimits()
WHOLE_INPUT = InputOptions()
OnBlock = Callable[[Samples], None]


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What `Separator.separate` gives."""

    stems: Mapping[str, Samples]  # each [channels, samples]
    sample_rate: int
    report: FidelityReport


@dataclass(frozen=True, kw_only=True)
class FileSeparation:
    """What `Separator.separate_file` and `Separator.separate_to` give."""

    source: Path
    input: AudioInfo  # what the source was
    artifacts: tuple[Artifact, ...]
    report: FidelityReport


class Separator:
    """Takes mixes apart with one model on one device. Networks are loaded when first needed, and kept."""

    def __init__(
        self,
        model: str | ModelInfo = DEFAULT_MODEL,
        *,
        models_path: str | Path | None = None,
        device: str = "auto",
        backend: BackendChoice | None = None,
        machine: Machine | None = None,
        on_fetch: OnFetch | None = None,
    ) -> None:
        """Find the model; nothing is loaded yet.

        Args:
            model: A name that ``stemwright models`` lists, or what `find` or `catalogue` gave.
            models_path: A folder of models in Demucs's formats; None: the one that DEMUCS_MODELS_PATH names, if any.
            device: ``auto``, or a name of torch's: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            backend: What computes HTDemucs on a CPU: ``eager``, ``compiled``, ``openvino``, or ``auto`` for the one that was
                measured fastest; None: as the machine says. Anything else is computed by torch, and so is HTDemucs until
                the backend was built. The report names what computed, and why.
            machine: The processor, what is installed, and the cache; None: this one, as the environment says
                (``STEMWRIGHT_BACKEND``, ``STEMWRIGHT_WARM``, ``STEMWRIGHT_CACHE``).
            on_fetch: Told in a line what is fetched when a model is not on this machine yet.

        Raises:
            ModelError: There is no such model.
            DeviceError: There is no such device.
            OptionError: There is no such backend.
        """
        folder = Path(models_path) if models_path is not None else None
        self.info = model if isinstance(model, ModelInfo) else find(model, folder)
        machine = machine or Machine.here()
        if backend is not None:
            machine = replace(machine, backend=backend, notes=())
        self._networks = Networks(self.info, device=device, machine=machine, on_fetch=on_fetch)
        self._cache = machine.cache

    @property
    def device(self) -> str:
        """Where it computes, as torch names it. Torch is asked what ``auto`` is when that is first needed."""
        return self._networks.device

    @property
    def sources(self) -> tuple[str, ...]:
        """The stems this model knows, in its own order."""
        return self.info.sources

    def recipe(self, options: SeparationOptions | Recipe | None = None) -> Recipe:
        """Resolve options to what a run is. Where options are taken, the recipe may be given instead.

        Args:
            options: What is wanted; None: all stems, as `SeparationOptions` has it. A recipe is returned as it is.

        Raises:
            OptionError: The model has no such stem.
        """
        if isinstance(options, Recipe):
            return options
        options = options or SeparationOptions()
        return resolve(self._networks.bag(options.precision), options)

    def load(self, options: SeparationOptions | Recipe | None = None) -> None:
        """Load what these options need now instead of at the first separation.

        Args:
            options: As for `recipe`.

        Raises:
            ModelError: A network cannot be had or loaded.
            MissingExtraError: A network needs a package that is not installed.
            OptionError: The model has no such stem, or the segment length does not fit it.
        """
        Run(self.recipe(options))  # what it loads, this separator keeps

    def separate(
        self,
        mix: ArrayLike,
        sample_rate: int,
        options: SeparationOptions | Recipe | None = None,
        *,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Separation:
        """Separate an array.

        Args:
            mix: ``[channels, samples]`` or ``[samples]``, 1 is full scale; mono or as many channels as the model has.
                It is not changed.
            sample_rate: Of ``mix``, in Hz. Another one than the model's is converted; the stems have the model's.
            options: What is wanted, see `SeparationOptions`; or the recipe that this separator's `recipe` made of it.
            on_progress: Called after each segment.
            should_stop: Asked before each segment; true ends the separation.

        Returns:
            The stems, each ``[channels, samples]`` float32, exactly as long as the mix at the model's rate.

        Raises:
            InputError: The array is empty, has values that are not numbers, or channels that do not fit.
            OptionError: The options do not fit the model.
            ModelError: A network cannot be had or loaded, or gave values that are not numbers.
            MissingExtraError: A network needs a package that is not installed.
            DeviceError: The device has not enough memory even for one segment.
            Canceled: ``should_stop`` said so.
        """
        recipe = self.recipe(options)
        with self._cache.separating():
            run = Run(recipe, on_progress=on_progress, should_stop=should_stop)
            rate = run.stream.sample_rate
            samples = _as_mix(mix, run.stream.channels)
            began = time.monotonic()
            if sample_rate != rate:
                resampler = Resampler(sample_rate, rate, run.stream.channels)
                samples = np.concatenate([resampler.process(samples), resampler.flush()], axis=-1)
            stats = MixStats.of(samples)
            seconds = {"input": time.monotonic() - began}
            stems = np.concatenate(list(run.blocks(blocks_of(samples), stats)), axis=-1)
            seconds["total"] = time.monotonic() - began
            return Separation(
                stems=dict(zip(recipe.stems, stems, strict=True)),
                sample_rate=rate,
                report=self._report(run, stats, seconds, joint_gain=1.0),
            )

    def separate_file(
        self,
        path: str | Path,
        out: str | Path,
        options: SeparationOptions | Recipe | None = None,
        output: OutputOptions | None = None,
        *,
        limits: InputLimits = NO_LIMITS,
        input: InputOptions = WHOLE_INPUT,
        track_name: str | None = None,
        on_block: OnBlock | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FileSeparation:
        """Separate a file into files below a folder.

        Args:
            path: Any audio or video file that can be decoded.
            out: Folder to write to; made when missing.
            options: What is wanted, see `SeparationOptions`; or the recipe that `recipe` made of it.
            output: Format and names of the files, see `OutputOptions`.
            limits: What the input may cost.
            input: Which audio track of the input, and whether on the clock of its picture.
            track_name: What ``{track}`` stands for in file names; None: the input's name without its extension.
            on_block: As for `separate_to`.
            on_progress: Called after each segment.
            should_stop: Asked before each segment; true ends the separation.

        Returns:
            The files, one for each stem, and the report.

        Raises:
            OptionError: The options do not fit the model, or the pattern of file names leads out of ``out``.
            InputError, OutputError, ModelError, MissingExtraError, DeviceError, Canceled: As `separate_to`.
        """
        recipe, output = self.recipe(options), output or OutputOptions()
        return self.separate_to(
            output_paths(Path(path), Path(out), recipe.stems, output, track_name),
            path,
            recipe,
            output,
            limits=limits,
            input=input,
            on_block=on_block,
            on_progress=on_progress,
            should_stop=should_stop,
        )

    def separate_to(
        self,
        paths: Mapping[str, Path],
        source: str | Path,
        recipe: Recipe,
        output: OutputOptions,
        *,
        limits: InputLimits = NO_LIMITS,
        input: InputOptions = WHOLE_INPUT,
        on_block: OnBlock | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FileSeparation:
        """Separate a file into files of given names: the whole way of a song, from its file to those of its stems.

        Args:
            paths: Where each of the recipe's stems goes; `stemwright.stems.paths.output_paths` makes them of a pattern.
            source: Any audio or video file that can be decoded.
            recipe: What the run is, as `recipe` of this separator gave it.
            output: Format of the files, see `OutputOptions`; its pattern of names has been used for ``paths``.
            limits: What the input may cost.
            input: Which audio track of the input, and whether on the clock of its picture.
            on_block: Given all stems block by block, ``[stems, channels, n]`` at the model's rate, before the joint gain.
            on_progress: Called after each segment.
            should_stop: Asked before each segment; true ends the separation.

        Returns:
            The files, one for each stem, and the report.

        Raises:
            InputError: The file cannot be used; nothing was written.
            OutputError: A stem cannot be written; what was begun is removed.
            OptionError: A stem has no path, or the segment length does not fit the model.
            ModelError: A network cannot be had or loaded, or gave values that are not numbers.
            MissingExtraError: A network needs a package that is not installed.
            DeviceError: The device has not enough memory even for one segment.
            Canceled: ``should_stop`` said so; what was begun is removed.
        """
        source = Path(source)
        if missing := [stem for stem in recipe.stems if stem not in paths]:
            raise OptionError(f"there is no path for {', '.join(missing)}: give one for each stem of the recipe")
        with self._cache.separating():
            # The networks are loaded first: they say at what rate and in how many channels the mix is read.
            run = Run(recipe, on_progress=on_progress, should_stop=should_stop)
            rate, channels = run.stream.sample_rate, run.stream.channels
            # One pass over the whole input: whether it can be decoded to its end, how long it is, and how loud, which the
            # networks want to know before the first segment.
            began = time.monotonic()
            found = scan(source, sample_rate=rate, channels=channels, limits=limits, options=input)
            stats = MixStats(length=found.samples, mean=found.mean, std=found.std)
            seconds = {"scan": time.monotonic() - began}
            # A second pass separates: decoding (a process), the networks (a pool) and encoding (a thread for each stem) run
            # side by side, and each holds a few blocks only.
            with (
                open_audio(source, sample_rate=rate, channels=channels, limits=limits, options=input) as mix,
                StemWriter(
                    {stem: paths[stem] for stem in recipe.stems},
                    output,
                    sample_rate=rate,
                    channels=channels,
                    target=(found.info.sample_rate, found.native_samples) if output.keep_rate else None,
                    tags=found.info.tags,
                    cover=found.info.cover,
                ) as files,
            ):
                for stems in run.blocks(mix, stats):
                    files.write(stems)
                    if on_block is not None:
                        on_block(stems)
                # Only now the highest peak is known, and so whether one gain has to turn all stems down. All files appear
                # under their names, or none.
                waited = time.monotonic()
                artifacts = files.finish(run.outputs_meter.peak)
                seconds["encode_after_model"] = time.monotonic() - waited
            seconds["total"] = time.monotonic() - began
            # What was done, in numbers: how close the stems sum to the mix, what computed them, and how long it took.
            report = self._report(run, stats, seconds, joint_gain=files.gain, notes=found.notes)
            return FileSeparation(source=source, input=found.info, artifacts=artifacts, report=report)

    def _report(
        self, run: Run, stats: MixStats, seconds: Mapping[str, float], *, joint_gain: float, notes: Iterable[str] = ()
    ) -> FidelityReport:
        stream = run.stream
        computations = list(dict.fromkeys(network.computation for network in stream.networks))
        offset = stream.offset_note(stats)
        every = {"load": self._networks.take_load_seconds(), **seconds, "model": stream.model_seconds}
        return FidelityReport(
            samples=stats.length,
            sample_rate=stream.sample_rate,
            offset=run.sources_meter.offset(),
            residual_db=run.sources_meter.residual_db(),
            joint_gain=joint_gain,
            stems=run.outputs_meter.stems(),
            model=self.info.name,
            weights_sha256=self._networks.hashes([share.index for share in run.recipe.shares]),
            device=_joined(each.device for each in computations),
            precision=_joined(each.precision for each in computations),
            backend=_joined(each.backend for each in computations),
            notes=(
                *notes,
                *dict.fromkeys(note for network in stream.networks for note in network.notes),
                *([offset] if offset else []),
            ),
            segments=stream.segments_total,
            seconds={name: round(value, 3) for name, value in every.items()},
            audio_seconds=stats.length / stream.sample_rate,
        )


def _joined(names: Iterable[str]) -> str:
    """The networks of a bag may be computed in different ways: all of them, each once."""
    return " and ".join(dict.fromkeys(names))


def _as_mix(mix: ArrayLike, channels: int) -> Samples:
    """``[channels, samples]`` float32, checked; a copy only where something has to change."""
    samples = np.asarray(mix, dtype=np.float32)
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2:
        raise InputError(f"the mix has the shape {samples.shape}: [channels, samples] is meant", code="bad_shape")
    if samples.shape[-1] == 0:
        raise InputError("the mix has no samples", code="no_samples")
    if not np.isfinite(samples).all():
        raise InputError("the mix has values that are not numbers (NaN or infinity)", code="non_finite")
    if samples.shape[0] == 1:
        return np.repeat(samples, channels, axis=0)
    if samples.shape[0] != channels:
        raise InputError(
            f"the mix has {samples.shape[0]} channels and the model {channels}: give one channel or {channels}",
            code="bad_channels",
        )
    return samples
