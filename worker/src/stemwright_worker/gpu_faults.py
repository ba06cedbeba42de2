"""Which errors of a model say that its GPU, or this process's hold on it, is gone. Known by their words: no torch here.

The words are those of the CUDA runtime (CUDA Runtime API, 6.36 "Data types used by CUDA Runtime", cudaError) and of
NVIDIA's driver (XID errors). After most of them every further call of the process fails; a new process may do.
"""

from __future__ import annotations

import re

_LOST = re.compile(
    r"CUDA error|CUDA driver (?:error|initialization)|cudaError|"
    r"CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)|CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|"
    r"No CUDA GPUs are available|fallen off the bus|GPU is lost|device-side assert|uncorrectable ECC|"
    r"HIP error|driver shutting down",
    re.IGNORECASE,
)
# The next song may be shorter; and code that was not built for this GPU never runs on it, in no process.
_OTHER = re.compile(r"out of memory|alloc_failed|no kernel image|invalid device function", re.IGNORECASE)


def is_gpu_lost(error: BaseException) -> bool:
    """Whether an error, or what caused it, is of that kind."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        words = f"{type(each).__name__}: {each}"
        if _LOST.search(words) and not _OTHER.search(words):
            return True
        each = each.__cause__ or each.__context__
    return False
