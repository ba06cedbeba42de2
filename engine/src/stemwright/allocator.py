"""How this process keeps freed memory. Needs nothing."""

from __future__ import annotations

import ctypes
import sys

# glibc's mallopt parameters, from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEEP_ALL = 2**31 - 1
_GROW_BY = 64 << 20  # bytes


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the process that separates.

    Every segment allocates and frees the same large tensors. By default glibc gives each of them back to the system, which
    then has to find and clear its pages again: a fifth of the time on some machines. Elsewhere than on glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None or not hasattr(library, "gnu_get_libc_version"):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEEP_ALL)
    mallopt(_M_TOP_PAD, _GROW_BY)
