"""A compiled core as the library that it is, called through its own C interface: torch's Python is not imported for that.

Importing torch takes a second or two; loading the library of its operators, which a compiled core is linked to, takes a
third of one. The interface is torch's `torch/csrc/inductor/aoti_runtime/interface.h`, and tensors are made through
`torch/csrc/inductor/aoti_torch/c/shim.h`, which torch keeps stable for compiled networks.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import sys
import threading
import weakref
from pathlib import Path

import numpy as np

from stemwright.models.network import Samples

CORE = "core.so"
KERNELS = "kernels.so"
_OUTPUTS = 2


def load_torch() -> ctypes.CDLL:
    """The library of torch's operators for CPUs.

    Raises:
        OSError: Torch is not installed, or not where its packages put it.
    """
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        raise OSError("torch is not installed")
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return ctypes.CDLL(f"{found.submodule_search_locations[0]}/lib/libtorch_cpu.{suffix}", mode=ctypes.RTLD_GLOBAL)


def load_kernels(folder: Path) -> ctypes.CDLL:
    """Our own kernels, for whatever is loaded after them.

    Raises:
        OSError: Torch or the kernels cannot be loaded.
    """
    load_torch()  # they make tensors
    return ctypes.CDLL(str(folder / KERNELS), mode=ctypes.RTLD_GLOBAL)


class CoreLibrary:
    """What was compiled, ready to be called. Calls from several threads take turns. Its weights go when it does."""

    def __init__(self, folder: Path) -> None:
        """Load what `compiled.build` made.

        Raises:
            OSError: A library cannot be loaded.
            RuntimeError: The core cannot be set up.
        """
        self._torch = load_torch()
        if (folder / KERNELS).exists():
            load_kernels(folder)
        self._core = ctypes.CDLL(str(folder / CORE))
        self._container = ctypes.c_void_p()
        _check(
            self._core.AOTInductorModelContainerCreateWithDevice(
                ctypes.byref(self._container), ctypes.c_size_t(1), b"cpu", None
            ),
            "set up",
        )
        weakref.finalize(self, self._core.AOTInductorModelContainerDelete, self._container).atexit = False
        self._lock = threading.Lock()

    def __call__(self, *inputs: Samples) -> tuple[Samples, Samples]:
        """Arrays without gaps, in the shapes that were compiled.

        Raises:
            RuntimeError: The core failed; it has said why on stderr.
        """
        handles = (ctypes.c_void_p * len(inputs))(*map(self._tensor, inputs))  # the core lets go of them
        made = (ctypes.c_void_p * _OUTPUTS)()
        with self._lock:
            status = self._core.AOTInductorModelContainerRun(
                self._container, handles, ctypes.c_size_t(len(inputs)), made, ctypes.c_size_t(_OUTPUTS), None, None
            )
        _check(status, "run")
        first, second = map(self._array, made)
        return first, second

    def _tensor(self, array: Samples) -> int:
        """A handle of a tensor that looks at an array's numbers."""
        sizes = (ctypes.c_int64 * array.ndim)(*array.shape)
        strides = (ctypes.c_int64 * array.ndim)(*(step // array.itemsize for step in array.strides))
        handle, torch = ctypes.c_void_p(), self._torch
        status = torch.aoti_torch_create_tensor_from_blob(
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_int64(array.ndim),
            sizes,
            strides,
            ctypes.c_int64(0),
            ctypes.c_int32(torch.aoti_torch_dtype_float32()),
            ctypes.c_int32(torch.aoti_torch_device_type_cpu()),
            ctypes.c_int32(0),
            ctypes.byref(handle),
        )
        _check(status, "given its inputs")
        assert handle.value is not None
        return handle.value

    def _array(self, handle: int) -> Samples:
        """The numbers of a tensor, which lives as long as the array does."""
        tensor = ctypes.c_void_p(handle)
        data, sizes, dims = ctypes.c_void_p(), ctypes.POINTER(ctypes.c_int64)(), ctypes.c_int64()
        _check(self._torch.aoti_torch_get_data_ptr(tensor, ctypes.byref(data)), "read")
        _check(self._torch.aoti_torch_get_sizes(tensor, ctypes.byref(sizes)), "read")
        _check(self._torch.aoti_torch_get_dim(tensor, ctypes.byref(dims)), "read")
        shape = tuple(sizes[index] for index in range(dims.value))
        assert data.value is not None
        numbers = (ctypes.c_float * math.prod(shape)).from_address(data.value)
        weakref.finalize(numbers, self._torch.aoti_torch_delete_tensor_object, tensor).atexit = False
        return np.frombuffer(numbers, dtype=np.float32).reshape(shape)


def _check(status: int, doing: str) -> None:
    if status != 0:
        raise RuntimeError(f"the compiled core could not be {doing}")
