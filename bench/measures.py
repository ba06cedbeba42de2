"""How each row of the table is measured. Each function gives a figure and how it came about."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import Figure, NotMeasuredError, Ours, here, ratios_of

if TYPE_CHECKING:
    import torch

    from stemwright import Separator

CHECKPOINTS = Path(tempfile.gettempdir()) / "stemwright-bench"
CORE_FLOP = 309.6e9  # of one segment: convolutions 123.0, linear layers 101.5, attention 85.1 GFLOP
ROUNDS = 3
_WHOLE = 60.0  # of audio: from here on nothing is shortened
JOB_SECONDS = 180.0  # of audio in a whole job
_WARM_SECONDS = 8.0  # of audio that both separate before they are timed: a little more than a segment
_MORE_MINUTES = 5  # of audio that goes from file to files: an hour would take longer than all other rows


def fast(seconds: float) -> Figure:
    """`precision=fast` against the peer, where the CPU has AMX."""
    from stemwright.machine.processor import cpu_flags

    if "amx_bf16" not in cpu_flags():
        raise NotMeasuredError("this CPU has no AMX (amx_bf16 is not among its flags)")
    return _against_peer(seconds, "fast", least_db=40)


def exact(seconds: float) -> Figure:
    """`precision=exact` against the peer."""
    return _against_peer(seconds, "exact", least_db=100)


def plain(seconds: float) -> Figure:
    """Our network in plain torch, as the first song runs, against the peer."""
    os.environ["STEMWRIGHT_BACKEND"] = "eager"
    return _against_peer(seconds, "exact", least_db=100)


def first_song(seconds: float) -> Figure:
    """A wav file to four, by a process with an empty cache and defaults; the peer's model is loaded before."""
    from demucs.apply import apply_model
    from inputs import htdemucs
    from signals import music

    peer, mix = htdemucs(), music(seconds)
    apply_model(peer, mix[None, :, : int(44100 * _WARM_SECONDS)], shifts=0)
    with _song(seconds) as song:
        ratios = ratios_of(here(lambda: apply_model(peer, mix[None], shifts=0)), here(partial(_first_song, song)), 2)
    return ratios.figure(f"{seconds:g} s of audio, start, two passes over the file and writing included")


def first_song_cost(seconds: float) -> Figure:
    """What preparing backends costs the song that asked for it."""
    with _song(seconds) as song:
        _first_song(song, STEMWRIGHT_WARM="off")  # files are in the system's cache then
        ratios = ratios_of(
            here(partial(_first_song, song)), here(partial(_first_song, song, STEMWRIGHT_WARM="off")), ROUNDS
        )
    return ratios.figure(f"{seconds:g} s of audio")


def avx512(seconds: float) -> Figure:
    """The best allowed precision with AVX-512 and no AMX: oneDNN is kept to that where the processor has more."""
    return _limited(seconds, "AVX512_CORE", has="avx512f", more="amx_bf16")


def avx2(seconds: float) -> Figure:
    """The best allowed precision with oneDNN, torch and MKL kept to AVX2."""
    return _limited(seconds, "AVX2", has="avx2", more="avx512f")


def core_rate(_seconds: float) -> Figure:
    """Operations a second of the core, over those of torch's bf16 matrix product in the same run."""
    import torch

    from stemwright.machine.processor import cpu_flags

    if "amx_bf16" not in cpu_flags():
        raise NotMeasuredError("this CPU has no AMX: torch's bf16 matrix product is emulated here and no measure")
    return _core_rate(torch.bfloat16, "fast")


def core_rate_fp32(_seconds: float) -> Figure:
    """The same in float32: no bar is set for it."""
    import torch

    return _core_rate(torch.float32, "exact")


def memory(_seconds: float) -> Figure:
    """Peak memory of a stream of 60 minutes less that of one minute, each in a process of its own."""
    peaks = {minutes: _child("peak_of_stream", str(minutes)) for minutes in (1, 60)}
    note = (
        f"peaks {peaks[1]:.0f} and {peaks[60]:.0f} MB; the stream alone: a network that copies stands for the model, "
        "and nothing is decoded or encoded"
    )
    return Figure(value=peaks[60] - peaks[1], note=note)


def memory_of_file(_seconds: float) -> Figure:
    """The same of a flac file to four flac files with the model that ships, from one minute to a few."""
    peaks = {minutes: _peak_of_file(minutes) for minutes in (1, _MORE_MINUTES)}
    note = f"peaks {peaks[1]:.0f} and {peaks[_MORE_MINUTES]:.0f} MB; `pocket`, its decoder's process added"
    return Figure(value=peaks[_MORE_MINUTES] - peaks[1], note=note)


def one_stem(_seconds: float) -> Figure:
    """The time of one stem of a bag of four networks with one-hot weights, over that of all four stems."""
    from inputs import htdemucs, save
    from signals import music

    from stemwright import SeparationOptions, Separator

    os.environ["STEMWRIGHT_BACKEND"] = "eager"
    folder = CHECKPOINTS / "bag"
    for index in range(4):
        save(htdemucs(seed=index), folder, f"net{index}")
    rows = [[float(row == column) for column in range(4)] for row in range(4)]
    (folder / "ft.yaml").write_text(f"models: [net0, net1, net2, net3]\nweights: {rows}\n")
    separator, mix = Separator("ft", models_path=folder, device="cpu"), music(9).numpy()
    one = SeparationOptions(stems=("vocals",), precision="exact")
    every = SeparationOptions(precision="exact")
    separator.load(every)
    ratios = ratios_of(
        here(lambda: separator.separate(mix, 44100, one)), here(lambda: separator.separate(mix, 44100, every)), 2
    )
    return ratios.figure("9 s of audio, plain torch, networks loaded before")


def whole_job(seconds: float) -> Figure:
    """A wav file to four mp3 files at 320k, over the separation of the same samples alone."""
    from signals import music

    from stemwright import OutputOptions, SeparationOptions
    from stemwright.audio import open_writer

    separator = _separator("exact")
    seconds = JOB_SECONDS if seconds >= _WHOLE else seconds
    mix, options = music(seconds).numpy(), SeparationOptions(precision="exact")
    with tempfile.TemporaryDirectory() as folder:
        with open_writer(Path(folder) / "song.wav", format="wav", sample_rate=44100, channels=2) as writer:
            writer.write(mix)
            writer.close()
        output = OutputOptions(format="mp3", bitrate=320_000)
        song = Path(folder) / "song.wav"
        job = lambda: separator.separate_file(song, folder, options, output)  # noqa: E731
        separator.separate(mix[:, : 44100 * 3], 44100, options)
        ratios = ratios_of(here(job), here(lambda: separator.separate(mix, 44100, options)), 1)
    return ratios.figure(f"{seconds:g} s of audio, mp3 preset 5")


def start(_seconds: float) -> Figure:
    """From the start of a process to the end of its first segment, with everything in the cache."""
    _built("cpu")
    _first_segment()  # compiled Python and the files are in their caches then
    took = [_first_segment() for _ in range(3)]
    return Figure(
        value=statistics.median(took), note="`auto`, median of three processes; one segment of the model is part of it"
    )


def v3(_seconds: float) -> Figure:
    """A network of `mdx_extra` against the peer."""
    from demucs.apply import apply_model
    from inputs import hdemucs, save
    from signals import music

    from stemwright import SeparationOptions, Separator

    network, mix = hdemucs(), music(20)
    save(network, CHECKPOINTS, "v3")
    separator = Separator("v3", models_path=CHECKPOINTS, device="cpu")
    options = SeparationOptions(precision="exact")
    few = mix[:, : int(44100 * _WARM_SECONDS)]
    apply_model(network, few[None], shifts=0)
    separator.separate(few.numpy(), 44100, options)
    ratios = ratios_of(
        here(lambda: apply_model(network, mix[None], shifts=0)),
        here(lambda: separator.separate(mix.numpy(), 44100, options)),
        2,
    )
    return ratios.figure("20 s of audio in segments of 10 s")


def gpu(seconds: float) -> Figure:
    """`precision=fast` against the peer on the same GPU."""
    import torch

    if not torch.cuda.is_available():
        raise NotMeasuredError("there is no GPU here")
    return _against_peer(seconds, "fast", least_db=40, device="cuda")


def gpu_song(_seconds: float) -> Figure:
    """Seconds for a song of three minutes on a GPU, from array to arrays."""
    import torch
    from signals import music

    from stemwright import SeparationOptions

    if not torch.cuda.is_available():
        raise NotMeasuredError("there is no GPU here")
    separator = _separator("fast", "cuda")
    mix, options = music(JOB_SECONDS).numpy(), SeparationOptions(precision="fast")
    separator.separate(mix, 44100, options)
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        report = separator.separate(mix, 44100, options).report
        took.append(time.perf_counter() - began)
    note = f"{report.backend} {report.precision}, median of {ROUNDS} rounds, {torch.cuda.get_device_name()}"
    return Figure(value=statistics.median(took), note=note)


def _against_peer(seconds: float, precision: Any, *, least_db: float, device: str = "cpu") -> Figure:
    """Median of the peer's time over ours, measured in turns, each in a process that is set up as its command line's is."""
    import numpy as np
    import torch
    from demucs.apply import apply_model
    from inputs import htdemucs
    from signals import music, snr_db

    _built(device)
    peer, mix = htdemucs(), music(seconds)
    reference = mix.mean(0)
    scaled = (mix - reference.mean()) / (reference.std() + 1e-8)
    made = [torch.empty(0)]

    def theirs() -> None:
        made[0] = (
            apply_model(peer, scaled[None], shifts=0, device=device)[0] * (reference.std() + 1e-8) + reference.mean()
        )

    apply_model(peer, scaled[None, :, : int(44100 * _WARM_SECONDS)], shifts=0, device=device)
    with (
        tempfile.TemporaryDirectory() as folder,
        Ours(mix.numpy(), CHECKPOINTS, precision, device, Path(folder)) as ours,
    ):
        ratios = ratios_of(here(theirs), ours, ROUNDS)
        stems, how = ours.result()
        agreement = snr_db(made[0], torch.from_numpy(np.load(stems)))
    if agreement < least_db:
        raise NotMeasuredError(
            f"the stems agree with the peer's to {agreement:.1f} dB only: {least_db:g} are asked for"
        )
    return ratios.figure(f"{how}, agreement {agreement:.1f} dB, {seconds:g} s of audio")


def _limited(seconds: float, isa: str, *, has: str, more: str) -> Figure:
    from stemwright.machine.processor import cpu_flags

    if has not in cpu_flags():
        raise NotMeasuredError(f"this CPU has no {has}")
    if more in cpu_flags() and os.environ.get("ONEDNN_MAX_CPU_ISA") != isa:
        raise NotMeasuredError(f"run in a process with ONEDNN_MAX_CPU_ISA={isa}")
    return _against_peer(seconds, "auto", least_db=40)


def _core_rate(dtype: torch.dtype, precision: Any) -> Figure:
    import torch

    from stemwright.machine.allocator import keep_freed_memory

    keep_freed_memory()  # as the command line and the workers do
    separator = _separator(precision)
    network = separator._networks.bag(precision).network(0)
    mix = torch.randn(1, 2, 343980).numpy()
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    network(mix)
    ratios = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(5):
            a @ b
        matmul = 5 * 2 * 2048**3 / (time.perf_counter() - began)
        began = time.perf_counter()
        network(mix)
        ratios.append(100 * CORE_FLOP / (time.perf_counter() - began) / matmul)
    how = network.computation
    note = f"{how.backend} {how.precision}, with STFT and inverse STFT"
    return Figure(value=statistics.median(ratios), note=note)


def _separator(precision: Any, device: str = "cpu") -> Separator:
    """Our separator of the released configuration, every backend built and measured before."""
    from stemwright import SeparationOptions, Separator

    _built(device)
    separator = Separator("released", models_path=CHECKPOINTS, device=device)
    separator.load(SeparationOptions(precision=precision))
    return separator


def _built(device: str) -> None:
    """A checkpoint of the released configuration, and every backend for it."""
    from inputs import htdemucs, save

    from stemwright.backends.prepare import prepare
    from stemwright.checkpoints.checkpoint import CheckpointFile
    from stemwright.machine.machine import Machine

    file = save(htdemucs(), CHECKPOINTS, "released")
    if os.environ.get("STEMWRIGHT_BACKEND") != "eager" and device == "cpu":
        say = partial(print, "   ", file=sys.stderr, flush=True)
        prepare(CheckpointFile(path=file), say=say, machine=Machine.here())


@contextmanager
def _song(seconds: float) -> Iterator[Path]:
    """A wav file, in a folder that is removed."""
    from inputs import htdemucs, save
    from signals import music

    from stemwright.audio import open_writer

    save(htdemucs(), CHECKPOINTS, "released")
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        with open_writer(song, format="wav", sample_rate=44100, channels=2) as writer:
            writer.write(music(seconds).numpy())
            writer.close()
        yield song


def _first_song(song: Path, **environment: str) -> None:
    """Separate it as on a machine that has never separated; what that leaves running is ended."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stemwright", "split", str(song), "-o", f"{folder}/stems"]
        command += ["--model", "released", "--models-path", str(CHECKPOINTS), "--device", "cpu"]
        cache = f"{folder}/cache"
        own = {name: value for name, value in os.environ.items() if not name.startswith("STEMWRIGHT_")}
        subprocess.run(command, check=True, capture_output=True, env={**own, "STEMWRIGHT_CACHE": cache, **environment})
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"STEMWRIGHT_CACHE={cache}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)


def _child(*arguments: str) -> float:
    command = [sys.executable, str(Path(__file__).with_name("children.py")), *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _peak_of_file(minutes: int) -> float:
    command = [sys.executable, str(Path(__file__).with_name("memory.py")), "--one", str(minutes)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout)["peak_mb"])


def _first_segment() -> float:
    command = [sys.executable, str(Path(__file__).with_name("children.py")), "first_segment", str(CHECKPOINTS)]
    # Compiled Python is kept, as installed packages have it, whatever this process was told.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        child.stdout.readline()
        took = time.perf_counter() - began
        child.terminate()
    return took
