"""The separator: a mix in, stems out.

from stemwright import SeparationOptions, Separator

separator = Separator("htdemucs")
result = separator.separate(mix, sample_rate=44100)      # arrays in and out
done = separator.separate_file("song.mp3", "stems/")     # files in and out, in constant memory
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemwright.audio import AudioInfo, InputLimits, Resampler, ScanResult, open_audio, scan
from stemwright.audio.samples import Samples
from stemwright.checkpoints import ModelInfo, find
from stemwright.checkpoints.sources.hub import OnFetch
from stemwright.errors import InputError
from stemwright.models.bag import Bag
from stemwright.networks import Networks
from stemwright.options import DEFAULT_MODEL, OnProgress, OutputOptions, SeparationOptions, ShouldStop
from stemwright.separation.outputs import Output, choose_outputs, compose, needed_sources
from stemwright.separation.report import FidelityMeter, FidelityReport
from stemwright.separation.stream import MixStats, Stream
from stemwright.stems.files import Artifact, StemFiles
from stemwright.stems.paths import output_paths

NO_LIMITS = InputLimits()

_BLOCK = 1 << 18  # samples of an array that go in at once: what waits to be separated is copied with each block


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What `Separator.separate` gives."""

    stems: Mapping[str, Samples]  # each [channels, samples]
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
        self._networks = Networks(self.info, device=device, on_fetch=on_fetch)

    @property
    def device(self) -> str:
        """Where it computes, as torch names it. Torch is asked what ``auto`` is when that is first needed."""
        return self._networks.device

    @property
    def sources(self) -> tuple[str, ...]:
        """The stems this model knows, in its own order."""
        return self.info.sources

    def load(self, options: SeparationOptions | None = None) -> None:
        """Load what these options need now instead of at the first separation."""
        options = options or SeparationOptions()
        bag = self._networks.bag(options.precision)
        for share in bag.shares(needed_sources(self.sources, choose_outputs(self.sources, options))):
            bag.network(share.index)

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
        bag = self._networks.bag(options.precision)
        rate, channels = _format(bag, needed_sources(self.sources, outputs))
        samples = _as_mix(mix, channels)
        began = time.monotonic()
        if sample_rate != rate:
            resampler = Resampler(sample_rate, rate, channels)
            samples = np.concatenate([resampler.process(samples), resampler.flush()], axis=-1)
        mono = samples.mean(axis=0, dtype=np.float64)
        stats = MixStats(length=samples.shape[-1], mean=float(mono.mean()), std=_deviation(mono))
        timing = {"input": time.monotonic() - began}
        collected: list[Samples] = []
        run = self._run(bag, outputs, options, stats, timing, on_progress, should_stop)
        blocks = (samples[:, start : start + _BLOCK] for start in range(0, samples.shape[-1], _BLOCK))
        for _, made in run.blocks(blocks):
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
        on_block: Callable[[Samples], None] | None = None,
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FileSeparation:
        """Separate a file into files; decoding, separation and encoding run side by side.

        Args:
            path: any audio or video file that can be decoded.
            out: folder to write to; made when missing.
            output: format and names, see `OutputOptions`.
            limits: caps on the input.
            on_block: told all stems block by block, ``[stems, channels, n]`` at the model's rate, before the joint gain.
            track_name: what ``{track}`` stands for in file names; None: the input's name without its extension.

        Raises:
            InputError: the file cannot be used; nothing was written.
            OutputError: a stem cannot be written; what was begun is removed.
            and all that `separate` raises.
        """
        options, output = options or SeparationOptions(), output or OutputOptions()
        source = Path(path)
        outputs = choose_outputs(self.sources, options)
        bag = self._networks.bag(options.precision)
        rate, channels = _format(bag, needed_sources(self.sources, outputs))
        began = time.monotonic()
        found = scan(source, sample_rate=rate, channels=channels, limits=limits)
        timing = {"scan": time.monotonic() - began}
        stats = MixStats(length=found.samples, mean=found.mean, std=_finite(found.std))
        run = self._run(bag, outputs, options, stats, timing, on_progress, should_stop)
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
                if on_block is not None:
                    on_block(made)
            waited = time.monotonic()
            artifacts = files.finish(run.meter_outputs.peak)
            timing["encode_after_model"] = time.monotonic() - waited
        timing["total"] = time.monotonic() - began
        report = run.report(joint_gain=files.gain)
        return FileSeparation(source=source, input=found.info, artifacts=artifacts, report=report)

    def _run(
        self,
        bag: Bag,
        outputs: Sequence[Output],
        options: SeparationOptions,
        stats: MixStats,
        timing: dict[str, float],
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
    ) -> _Run:
        stems = needed_sources(self.sources, outputs)
        stream = Stream(
            bag=bag,
            stems=stems,
            options=options,
            sample_rate=_format(bag, stems)[0],
            stats=stats,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        return _Run(self.info, self._networks, stream, outputs, timing)


class _Run:
    """One separation: aligns the mix with the stems, makes the outputs and measures both."""

    def __init__(
        self,
        info: ModelInfo,
        networks: Networks,
        stream: Stream,
        outputs: Sequence[Output],
        timing: dict[str, float],
    ) -> None:
        self._info, self._networks, self._stream, self._outputs = info, networks, stream, outputs
        self._timing = timing
        complete = all(stream.complete)
        self._meter = FidelityMeter(info.sources, complete=complete)
        self.meter_outputs = FidelityMeter([output.name for output in outputs], complete=False)

    def blocks(self, mix: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
        """Yield the mix ``[channels, n]`` and the outputs ``[outputs, channels, n]``, aligned."""
        held = _Held(mix)
        for sources in self._stream.blocks(held.blocks()):
            original = held.take(sources.shape[-1])
            made = compose(self._outputs, original, sources)
            self._meter.add(original, sources)
            self.meter_outputs.add(original, made)
            yield original, made

    def report(self, *, joint_gain: float) -> FidelityReport:
        stats, rate = self._stream.stats, self._stream.sample_rate
        seconds = {"load": self._networks.take_load_seconds(), **self._timing, "model": self._stream.model_seconds}
        used = self._stream.networks
        computations = list(dict.fromkeys(network.computation for network in used))
        return FidelityReport(
            samples=stats.length,
            sample_rate=rate,
            offset=self._meter.offset(),
            residual_db=self._meter.residual_db(),
            joint_gain=joint_gain,
            stems=self.meter_outputs.stems(),
            model=self._info.name,
            weights_sha256=self._networks.hashes(self._stream.indices),
            device=_joined(each.device for each in computations),
            precision=_joined(each.precision for each in computations),
            backend=_joined(each.backend for each in computations),
            notes=tuple(dict.fromkeys(note for network in used for note in network.notes)),
            segments=self._stream.segments_total,
            seconds={name: round(value, 3) for name, value in seconds.items()},
            audio_seconds=stats.length / rate,
        )


class _Held:
    """Blocks of the mix on their way through the separation, kept until their stems come out."""

    def __init__(self, mix: Iterable[Samples]) -> None:
        self._mix = mix
        self._kept: list[Samples] = []

    def blocks(self) -> Iterator[Samples]:
        for block in self._mix:
            self._kept.append(block)
            yield block

    def take(self, count: int) -> Samples:
        kept = self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept, axis=-1)
        self._kept = [kept[:, count:]]
        return kept[:, :count]


def _format(bag: Bag, stems: Sequence[str]) -> tuple[int, int]:
    """Sample rate and channels of the networks that give these stems."""
    facts = bag.network(bag.shares(stems)[0].index).facts
    return facts.samplerate, facts.audio_channels


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


def _target(found: ScanResult, output: OutputOptions) -> tuple[int, int] | None:
    """Rate and length of the stems when they are to be those of the input; None: the model's."""
    return (found.info.sample_rate, found.native_samples) if output.keep_rate else None


def _deviation(mono: NDArray[np.float64]) -> float:
    return float(mono.std(ddof=1)) if mono.size > 1 else 0.0


def _finite(value: float) -> float:
    """The deviation of a single sample is not a number; nothing deviates there."""
    return value if math.isfinite(value) else 0.0
