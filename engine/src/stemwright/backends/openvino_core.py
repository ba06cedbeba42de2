"""Networks on OpenVINO: fast on CPUs without a C++ compiler, and without torch at all once it is converted.

Their core is converted once, which takes torch; running it takes OpenVINO and numpy.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.machine.machine import NumberType
from stemwright.models.network import Samples

if TYPE_CHECKING:
    from stemwright.models.architecture import LoadedModule

_MODEL = "core.xml"
_HINTS: dict[NumberType, str] = {"fp32": "f32", "bf16": "bf16"}


def convert(network: LoadedModule, folder: Path) -> None:
    """Convert the core of a network, in float32, into ``folder``.

    Raises:
        RuntimeError: OpenVINO cannot convert it.
    """
    import openvino
    import torch

    assert network.architecture.core is not None
    core = network.architecture.core.module(network.module)
    core.add_in_steps()  # OpenVINO's own mean over millions of numbers costs 30 dB
    inputs = core.inputs()
    with torch.no_grad():
        core(*inputs)  # makes the positions, which become constants
        shapes = [tuple(each.shape) for each in inputs]
        model = openvino.convert_model(core, example_input=inputs, input=shapes)
    openvino.save_model(model, str(folder / _MODEL), compress_to_fp16=False)


class OpenVinoCore:
    """A core that OpenVINO runs on the CPU. Calls from several threads take turns."""

    def __init__(self, folder: Path, precision: NumberType, *, threads: int) -> None:
        """Load what `convert` made.

        Args:
            folder: Where it is.
            precision: ``fp32`` or ``bf16``.
            threads: Processors to compute on.

        Raises:
            RuntimeError: OpenVINO cannot read it.
        """
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        self._request = openvino.Core().compile_model(str(folder / _MODEL), "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, x: Samples, xt: Samples) -> tuple[Samples, Samples]:
        """See `stemwright.models.architecture.RunCore`."""
        with self._lock:
            made: Any = self._request.infer([x, xt])
            return made[0], made[1]
