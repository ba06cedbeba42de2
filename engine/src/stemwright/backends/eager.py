"""Networks computed by torch, operation by operation, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from stemwright.backends.graphs import Graphs
from stemwright.errors import DeviceError
from stemwright.models.htdemucs import HTDemucs
from stemwright.models.layers import lower
from stemwright.models.network import Computation, Facts, Samples

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_LARGEST_BATCH = 32  # segments; more gains nothing and delays the first ones
_MEMORY_SHARE = 0.8  # of what is free on a device: the rest is for fragments and for others


def facts_of(module: nn.Module) -> Facts:
    """What a network says of itself in the attributes that Demucs's networks have."""
    return Facts(
        sources=tuple(module.sources),  # type: ignore[arg-type]
        samplerate=int(module.samplerate),  # type: ignore[arg-type]
        audio_channels=int(module.audio_channels),  # type: ignore[arg-type]
        segment=module.segment,  # type: ignore[arg-type]
        fixed_segment=type(module).__name__ == "HTDemucs",
        normalises=bool(getattr(module, "normalises", True)),
    )


def batch_that_fits(free: int, before: int, peak: int) -> int:
    """Segments at once when ``free`` bytes are free and one segment raised the use from ``before`` to ``peak`` bytes."""
    each = max(1, peak - before)
    return max(1, min(_LARGEST_BATCH, int(_MEMORY_SHARE * free / each)))


class EagerNetwork:
    """A torch module on a device. When the device runs out of memory: half the batch, and in the end the CPU."""

    def __init__(
        self,
        module: nn.Module,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        to_cpu: Callable[[], nn.Module] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            module: ready for inference. In 16 bits it is our own HTDemucs, lowered, or runs under autocast.
            notes: what is known beforehand of why it is computed so.
            to_cpu: gives the module in float32 on the CPU again, when a device cannot hold even one segment.
        """
        self.facts = facts_of(module)
        if precision != "fp32" and isinstance(module, HTDemucs):
            lower(module, DTYPES[precision])
        self._autocasts = precision != "fp32" and not isinstance(module, HTDemucs)
        self._module = module.to(device)
        self._device = torch.device(device)
        self._graphs = Graphs(self._on_device) if self._device.type == "cuda" else None
        self._precision = precision
        self._to_cpu = to_cpu
        self._batch: int | None = None if self._device.type == "cuda" else 1
        self._notes = list(notes)
        self._lock = threading.Lock()

    @property
    def computation(self) -> Computation:
        """How it computes now."""
        return Computation(backend="eager", device=str(self._device), precision=self._precision)

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of the batch, the device and the graphs."""
        failed = self._graphs.failed if self._graphs is not None else None
        return (*self._notes, *([f"no CUDA graphs are used: {failed}"] if failed is not None else []))

    @property
    def streams(self) -> int:
        """On a GPU the copies of one batch run beside the computing of the next."""
        return 2 if self._device.type == "cuda" else 1

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
        wanted: Callable[[int], int] = getattr(self._module, "valid_length", lambda given: given)
        return wanted(length)

    def __call__(self, mix: Samples) -> Samples:
        """See `Network`."""
        with contextlib.suppress(torch.OutOfMemoryError):
            return self._computed(mix)
        # Tried again outside of the handler: the error's frames hold the tensors that did not fit.
        if self._graphs is not None:
            self._graphs.forget()
            torch.cuda.empty_cache()
        if len(mix) > 1:
            half = len(mix) // 2
            self._batch = half
            self._note(f"{self._device} ran out of memory: batches of {self._batch}")
            return np.concatenate([self(mix[:half]), self(mix[half:])])
        self._move_to_cpu()
        return self(mix)

    def _computed(self, mix: Samples) -> Samples:
        given = torch.from_numpy(np.ascontiguousarray(mix))
        with torch.inference_mode(), self._autocast():
            if self._graphs is None:
                return self._on_device(given.to(self._device)).cpu().numpy()
            return self._on_own_stream(given, self._graphs)

    def _on_device(self, given: Tensor) -> Tensor:
        made: Tensor = self._module(given).float()
        return made

    def _on_own_stream(self, given: Tensor, compute: Callable[[Tensor], Tensor]) -> Samples:
        """Through pinned memory and on a stream of its own, so that the copies of two calls overlap with computing."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            made = compute(given.pin_memory().to(self._device, non_blocking=True))
            out = torch.empty(made.shape, pin_memory=True)
            out.copy_(made, non_blocking=True)
        stream.synchronize()
        return out.numpy()

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if not self._autocasts:
            return contextlib.nullcontext()
        # A cache of cast weights would be freed between recording and replaying.
        return torch.autocast(self._device.type, DTYPES[self._precision], cache_enabled=False)

    def _measured_batch(self) -> int:
        length = self.valid_length(int(self.facts.segment * self.facts.samplerate))
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        try:
            self._computed(np.zeros((1, self.facts.audio_channels, length), dtype=np.float32))
        except torch.OutOfMemoryError:
            return 1  # the first real call finds the way out
        peak = torch.cuda.max_memory_allocated(self._device)
        torch.cuda.empty_cache()
        return batch_that_fits(torch.cuda.mem_get_info(self._device)[0], before, peak)

    def _move_to_cpu(self) -> None:
        """
        Raises:
            DeviceError: it computes there already.
        """
        with self._lock:
            if self._device.type == "cpu":
                raise DeviceError(
                    "there is not enough memory for one segment: choose a shorter --segment or fewer --jobs",
                    code="out_of_memory",
                )
            self._note(f"{self._device} ran out of memory with one segment: the CPU took over")
            self._module = self._to_cpu() if self._to_cpu is not None else self._module.to("cpu")
            self._device, self._precision, self._batch, self._graphs = torch.device("cpu"), "fp32", 1, None
            self._autocasts = False

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
