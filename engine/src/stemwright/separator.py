"""The separator: a mix in, stems out.

from stemwright import SeparationOptions, Separator

separator = Separator("htdemucs")
result = separator.separate(mix, sample_rate=44100)      # arrays in and out
done = separator.separate_file("song.mp3", "stems/")     # files in and out, in constant memory
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from stemwright.audio import AudioInfo, InputLimits, Resampler, ScanResult, open_audio, scan
from stemwright.checkpoints import Member, ModelInfo, find
from stemwright.checkpoints.hub import OnFetch
from stemwright.device import Computation, choose_computation, choose_device
from stemwright.errors import InputError
from stemwright.models.bag import Bag
from stemwright.options import DEFAULT_MODEL, OnProgress, SeparationOptions, ShouldStop
from stemwright.outputs import Output, choose_outputs, compose, needed_sources
from stemwright.report import FidelityMeter, FidelityReport
from stemwright.stream import Stream, Track
from stemwright.writing import Artifact, OutputOptions, StemFiles, output_paths

NO_LIMITS = InputLimits()


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What `Separator.separate` gives."""

    stems: Mapping[str, NDArray[np.float32]]  # each [channels, samples]
    sample_rate: int
    report: FidelityReport


@dataclass(frozen=True, kw_only=True)
class FileSeparation:
    """What `Separator.separate_file` gives."""

    source: Path
    input: AudioInfo  # what the source was
    artifacts: tuple[Artifact, ...]
    report: FidelityReport


class Separator:
    """Takes mixes apart with one model on one device. Networks are loaded when first needed, and kept."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        models_path: str | Path | None = None,
        device: str = "auto",
        on_fetch: OnFetch | None = None,
    ) -> None:
        """
        Args:
            model: a name that ``stemwright models`` lists.
            models_path: a folder of models in Demucs's formats; None: the one that DEMUCS_MODELS_PATH names, if any.
            device: ``auto``, or a name of torch's: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            on_fetch: told in a line what is fetched when a model is not on this machine yet.

        Raises:
            ModelError: there is no such model.
            DeviceError: there is no such device.
        """
        self.info: ModelInfo = find(model, Path(models_path) if models_path is not None else None)
        self.device = choose_device(device)
        self._on_fetch = on_fetch
        self._hashes: dict[int, str] = {}
        self._bag = Bag(
            sources=self.info.sources,
            loaders=[partial(self._load, index, member) for index, member in enumerate(self.info.members)],
            weights=self.info.weights,
            segment=self.info.segment,
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The stems this model knows, in its own order."""
        return self.info.sources

    def load(self, options: SeparationOptions | None = None) -> None:
        """Load what these options need now instead of at the first separation."""
        needed = needed_sources(self.sources, choose_outputs(self.sources, options or SeparationOptions()))
        for share in self._bag.shares(needed):
            self._bag.network(share.index)

    def separate(
        self,
        mix: ArrayLike,
        sample_rate: int,
        options: SeparationOptions | None = None,
        *,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Separation:
        """Separate an array.

        Args:
            mix: ``[channels, samples]`` or ``[samples]``, 1 is full scale; mono or as many channels as the model has.
                It is not changed.
            sample_rate: of ``mix``, in Hz. Another one than the model's is converted; the stems have the model's.
            options: see `SeparationOptions`.
            on_progress: called after each segment.
            should_stop: asked before each segment; true ends the separation.

        Returns:
            The stems, each ``[channels, samples]`` float32, exactly as long as the mix at the model's rate.

        Raises:
            InputError: the array is empty, has values that are not numbers, or channels that do not fit.
            OptionError: the options do not fit the model.
            Canceled: ``should_stop`` said so.
        """
        options = options or SeparationOptions()
        outputs = choose_outputs(self.sources, options)
        rate, channels = self._format(outputs)
        samples = _as_mix(mix, channels)
        began = time.monotonic()
        if sample_rate != rate:
            resampler = Resampler(sample_rate, rate, channels)
            samples = np.concatenate([resampler.process(samples), resampler.flush()], axis=-1)
        mono = samples.mean(axis=0, dtype=np.float64)
        track = Track(length=samples.shape[-1], mean=float(mono.mean()), std=_deviation(mono))
        timing = {"input": time.monotonic() - began}
        collected: list[NDArray[np.float32]] = []
        run = self._run(outputs, options, track, timing, on_progress, should_stop)
        for _, made in run.blocks(iter([samples])):
            collected.append(made)
        stems = np.concatenate(collected, axis=-1)
        timing["total"] = time.monotonic() - began
        return Separation(
            stems={output.name: stems[index] for index, output in enumerate(outputs)},
            sample_rate=rate,
            report=run.report(joint_gain=1.0),
        )

    def separate_file(
        self,
        path: str | Path,
        out: str | Path,
        options: SeparationOptions | None = None,
        output: OutputOptions | None = None,
        *,
        limits: InputLimits = NO_LIMITS,
        track_name: str | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FileSeparation:
        """Separate a file into files; decoding, separation and encoding run side by side.

        Args:
            path: any audio or video file that can be decoded.
            out: folder to write to; made when missing.
            output: format and names, see `OutputOptions`.
            limits: caps on the input.
            track_name: what ``{track}`` stands for in file names; None: the input's name without its extension.

        Raises:
            InputError: the file cannot be used; nothing was written.
            OutputError: a stem cannot be written; what was begun is removed.
            and all that `separate` raises.
        """
        options, output = options or SeparationOptions(), output or OutputOptions()
        source = Path(path)
        outputs = choose_outputs(self.sources, options)
        rate, channels = self._format(outputs)
        began = time.monotonic()
        found = scan(source, sample_rate=rate, channels=channels, limits=limits)
        timing = {"scan": time.monotonic() - began}
        track = Track(length=found.samples, mean=found.mean, std=_finite(found.std))
        run = self._run(outputs, options, track, timing, on_progress, should_stop)
        paths = output_paths(source, Path(out), [each.name for each in outputs], output, track_name)
        with (
            open_audio(source, sample_rate=rate, channels=channels, limits=limits) as mix,
            StemFiles(
                paths,
                output,
                sample_rate=rate,
                channels=channels,
                target=_target(found, output),
                tags=found.info.tags,
            ) as files,
        ):
            for _, made in run.blocks(mix):
                files.write(made)
            waited = time.monotonic()
            artifacts = files.finish(run.meter_outputs.peak)
            timing["encode_after_model"] = time.monotonic() - waited
        timing["total"] = time.monotonic() - began
        report = run.report(joint_gain=files.gain)
        return FileSeparation(source=source, input=found.info, artifacts=artifacts, report=report)

    def _run(
        self,
        outputs: Sequence[Output],
        options: SeparationOptions,
        track: Track,
        timing: dict[str, float],
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
    ) -> _Run:
        rate, _ = self._format(outputs)
        computation = choose_computation(self.device, options.precision)
        began = time.monotonic()
        stream = Stream(
            bag=self._bag,
            stems=needed_sources(self.sources, outputs),
            options=options,
            computation=computation,
            sample_rate=rate,
            track=track,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        timing["load"] = time.monotonic() - began
        return _Run(self, stream, outputs, computation, timing)

    def _format(self, outputs: Sequence[Output]) -> tuple[int, int]:
        """Sample rate and channels of the model."""
        share = self._bag.shares(needed_sources(self.sources, outputs))[0]
        network = self._bag.network(share.index)
        return int(network.samplerate), int(network.audio_channels)  # type: ignore[arg-type]

    def _load(self, index: int, member: Member) -> nn.Module:
        if self.info.origin == "package":
            from stemwright.models import spleeter_package

            network = spleeter_package.load()
            self._hashes[index] = spleeter_package.WEIGHTS_SHA256
            return network
        from stemwright.checkpoints import files, hub

        file = hub.obtain(self.info, member, self._on_fetch)
        self._hashes[index] = files.sha256_of(file)
        hub.check(member, file, self._hashes[index])
        return files.load_network(file)


class _Run:
    """One separation: aligns the mix with the stems, makes the outputs and measures both."""

    def __init__(
        self,
        separator: Separator,
        stream: Stream,
        outputs: Sequence[Output],
        computation: Computation,
        timing: dict[str, float],
    ) -> None:
        self._separator, self._stream, self._outputs = separator, stream, outputs
        self._computation, self._timing = computation, timing
        complete = all(stream.complete)
        self._meter = FidelityMeter(separator.sources, complete=complete)
        self.meter_outputs = FidelityMeter([output.name for output in outputs], complete=False)

    def blocks(self, mix: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield the mix ``[channels, n]`` and the outputs ``[outputs, channels, n]``, aligned."""
        held = _Held(mix)
        for block in self._stream.blocks(held.tensors()):
            sources = block.numpy()
            original = held.take(sources.shape[-1])
            made = compose(self._outputs, original, sources)
            self._meter.add(original, sources)
            self.meter_outputs.add(original, made)
            yield original, made

    def report(self, *, joint_gain: float) -> FidelityReport:
        track, rate = self._stream.track, self._stream.sample_rate
        seconds = {**self._timing, "model": self._stream.model_seconds}
        hashes = self._separator._hashes
        return FidelityReport(
            samples=track.length,
            sample_rate=rate,
            offset=self._meter.offset(),
            residual_db=self._meter.residual_db(),
            joint_gain=joint_gain,
            stems=self.meter_outputs.stems(),
            model=self._separator.info.name,
            weights_sha256=tuple(hashes[index] for index in sorted(hashes)),
            device=str(self._computation.device),
            precision=self._computation.precision,
            segments=self._stream.segments_total,
            seconds={name: round(value, 3) for name, value in seconds.items()},
            audio_seconds=track.length / rate,
        )


class _Held:
    """Blocks of the mix on their way through the separation, kept until their stems come out."""

    def __init__(self, mix: Iterable[NDArray[np.float32]]) -> None:
        self._mix = mix
        self._kept: list[NDArray[np.float32]] = []

    def tensors(self) -> Iterator[Tensor]:
        for block in self._mix:
            self._kept.append(block)
            yield torch.from_numpy(np.ascontiguousarray(block))

    def take(self, count: int) -> NDArray[np.float32]:
        kept = self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept, axis=-1)
        self._kept = [kept[:, count:]]
        return kept[:, :count]


def _as_mix(mix: ArrayLike, channels: int) -> NDArray[np.float32]:
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


def _target(found: ScanResult, output: OutputOptions) -> tuple[int, int] | None:
    """Rate and length of the stems when they are to be those of the input; None: the model's."""
    return (found.info.sample_rate, found.native_samples) if output.keep_rate else None


def _deviation(mono: NDArray[np.float64]) -> float:
    return float(mono.std(ddof=1)) if mono.size > 1 else 0.0


def _finite(value: float) -> float:
    """The deviation of a single sample is not a number; nothing deviates there."""
    return value if math.isfinite(value) else 0.0
