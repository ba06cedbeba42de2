"""Networks computed by torch, operation by operation, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from stemwright.backends.gpu import FULL_FLOAT32, STREAMS, Streams, Turns, batch_that_fits
from stemwright.backends.graphs import Graphs
from stemwright.errors import DeviceError
from stemwright.machine.machine import NumberType
from stemwright.models.architecture import LoadedModule
from stemwright.models.network import Computation, Samples

DTYPES: dict[NumberType, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A module on a device, and how it computes there: replaced as a whole when the CPU takes over."""

    module: nn.Module
    device: torch.device
    precision: NumberType
    graphs: Graphs | None = None
    streams: Streams | None = None  # on a GPU
    lowered: bool = False  # whether it multiplies in 16 bits by itself

    def __call__(self, mix: Samples) -> Samples:
        """``[B, channels, T]`` to ``[B, sources, channels, T']``.

        Raises:
            torch.OutOfMemoryError: The device cannot hold so many segments.
        """
        given = torch.from_numpy(np.ascontiguousarray(mix))
        with torch.inference_mode(), self.arithmetic():
            if self.streams is None:
                return self._compute(given.to(self.device)).cpu().numpy()
            # Through pinned memory and on a stream of its own, so that the copies of two calls overlap with computing.
            with self.streams.one() as stream:
                made = self._compute(given.pin_memory().to(self.device, non_blocking=True))
                out = torch.empty(made.shape, pin_memory=True)
                out.copy_(made, non_blocking=True)
                stream.synchronize()
            return out.numpy()

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """In which precision torch multiplies inside; what was lowered knows it by itself."""
        if self.precision == "fp32":
            return FULL_FLOAT32 if self.device.type == "cuda" else contextlib.nullcontext()
        if self.lowered:
            return contextlib.nullcontext()
        # A cache of cast weights would be freed between recording and replaying.
        return torch.autocast(self.device.type, DTYPES[self.precision], cache_enabled=False)

    def give_memory_back(self) -> None:
        """What was kept to be faster. Nothing may be computed meanwhile."""
        if self.graphs is not None:
            self.graphs.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _compute(self, given: Tensor) -> Tensor:
        return in_float32(self.module, given) if self.graphs is None else self.graphs(given)


def in_float32(module: nn.Module, given: Tensor) -> Tensor:
    """What a module makes, in float32 whatever it computes in."""
    made: Tensor = module(given).float()
    return made


class EagerNetwork:
    """A torch module on a device. When the device runs out of memory: half the batch, and in the end the CPU."""

    def __init__(
        self,
        network: LoadedModule,
        *,
        device: str = "cpu",
        precision: NumberType = "fp32",
        to_cpu: Callable[[], LoadedModule] | None = None,
        notes: tuple[str, ...] = (),
        batch: int | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        """Put a network on a device.

        Args:
            network: Ready for inference. In 16 bits it is lowered where its architecture can be, or runs under autocast.
            notes: What is known beforehand of why it is computed so.
            to_cpu: Gives the network in float32 on the CPU again, when a device cannot hold even one segment.
            batch: Segments at once; None: one on a CPU, and on a GPU as many as its free memory holds.
            graphs: Records batches and replays them; None: none on a CPU, and CUDA's on a GPU.
        """
        self.facts = network.facts
        module, lower = network.module, network.architecture.lower
        if lowered := precision != "fp32" and lower is not None:
            lower(module, DTYPES[precision])
        where = torch.device(device)
        on_gpu = where.type == "cuda"
        if on_gpu and graphs is None:
            graphs = Graphs(partial(in_float32, module))
        self._placed = Placed(
            module=module.to(where),
            device=where,
            precision=precision,
            graphs=graphs,
            streams=Streams(where) if on_gpu else None,
            lowered=lowered,
        )
        self._to_cpu = to_cpu
        self._batch = 1 if batch is None and not on_gpu else batch
        self._notes = list(notes)
        self._turns = Turns()
        self._lock = threading.Lock()

    @property
    def computation(self) -> Computation:
        """How it computes now."""
        placed = self._placed
        return Computation(backend="eager", precision=placed.precision, device=str(placed.device))

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of the batch, the device and the graphs."""
        graphs = self._placed.graphs
        failed = graphs.failed if graphs is not None else None
        return (*self._notes, *([f"no CUDA graphs are used: {failed}"] if failed is not None else []))

    @property
    def streams(self) -> int:
        """On a GPU the copies of one batch run beside the computing of the next."""
        return STREAMS if self._placed.streams is not None else 1

    @property
    def batch(self) -> int:
        """Segments at once: on a GPU as many as its free memory holds, measured with one segment."""
        if self._batch is None:
            with self._lock:
                if self._batch is None:
                    self._batch = self._measured_batch()
        return self._batch

    def valid_length(self, length: int) -> int:
        """What the module wants; itself when it does not say."""
        wanted: Callable[[int], int] = getattr(self._placed.module, "valid_length", lambda given: given)
        return wanted(length)

    def __call__(self, mix: Samples) -> Samples:
        """See `Network`.

        Raises:
            DeviceError: There is not enough memory for one segment, on the CPU either.
        """
        placed, batch = self._placed, self._batch or 1
        with contextlib.suppress(torch.OutOfMemoryError), self._turns:
            return placed(self._filled_up(mix, placed))[: len(mix)]
        # Tried again outside of the handler: the error's frames hold the tensors that did not fit.
        self._turns.one_at_a_time()
        with contextlib.suppress(torch.OutOfMemoryError), self._turns:
            placed.give_memory_back()
            return placed(mix)
        self._ask_less_of(placed, batch, len(mix))
        return self._in_pieces(mix)

    def _filled_up(self, mix: Samples, placed: Placed) -> Samples:
        """A song's last batch with silence as long as the others: one recorded graph serves them all."""
        missing = (self._batch or 0) - len(mix)
        if missing <= 0 or placed.graphs is None or placed.graphs.failed is not None:
            return mix
        return np.concatenate([mix, np.zeros((missing, *mix.shape[1:]), dtype=np.float32)])

    def _in_pieces(self, mix: Samples) -> Samples:
        made = []
        while len(mix):
            count = self._batch or 1  # may become smaller on the way
            made.append(self(mix[:count]))
            mix = mix[count:]
        return np.concatenate(made)

    def _measured_batch(self) -> int:
        placed = replace(self._placed, graphs=None)
        length = self.valid_length(int(self.facts.segment * self.facts.samplerate))
        torch.cuda.reset_peak_memory_stats(placed.device)
        before = torch.cuda.memory_allocated(placed.device)
        try:
            placed(np.zeros((1, self.facts.audio_channels, length), dtype=np.float32))
        except torch.OutOfMemoryError:
            return 1  # the first real call finds the way out
        peak = torch.cuda.max_memory_allocated(placed.device)
        torch.cuda.empty_cache()
        return batch_that_fits(torch.cuda.mem_get_info(placed.device)[0], before, peak)

    def _ask_less_of(self, placed: Placed, batch: int, count: int) -> None:
        """Half the batch, or the CPU: once, however many calls found that ``count`` segments do not fit.

        Raises:
            DeviceError: It is one segment on the CPU.
        """
        with self._lock:
            if self._placed is not placed or (self._batch or 1) != batch:
                return  # another call did it
            if (most := max(batch, count)) > 1:
                self._batch = most // 2
                self._note(f"{placed.device} ran out of memory: batches of {self._batch}")
                return
            if placed.device.type == "cpu":
                raise DeviceError(
                    "there is not enough memory for one segment: choose a shorter --segment or fewer --jobs",
                    code="out_of_memory",
                )
            self._note(f"{placed.device} ran out of memory with one segment: the CPU took over")
            module = self._to_cpu().module if self._to_cpu is not None else placed.module.to("cpu")
            self._placed, self._batch = Placed(module=module, device=torch.device("cpu"), precision="fp32"), 1

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
