"""How this process keeps freed memory. Needs nothing."""

from __future__ import annotations

import ctypes
import sys

# glibc's mallopt parameters, from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_KEEP_ALL = 2**31 - 1
_GROW_BY = 64 << 20  # bytes
_MADV_HUGEPAGE = 14  # from sys/mman.h
_HUGE_PAGE = 2 << 20  # bytes
_SEGMENT = 1536 << 20  # bytes: what computing a segment takes at most


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the process that separates.

    Every segment allocates and frees the same large tensors. By default glibc gives each of them back to the system, which
    then has to find and clear its pages again: a fifth of the time on some machines. And let the memory of a segment lie in
    huge pages, where the system has any: fewer pages are looked up while the network computes, and those of the first
    segment come hundreds at a time. Elsewhere than on glibc nothing is done.
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
    mallopt(_M_ARENA_MAX, 1)  # one heap for all threads: whichever computes finds the memory that another one freed
    _in_huge_pages(library, _SEGMENT)


def _in_huge_pages(library: ctypes.CDLL, size: int) -> None:
    """Let the heap grow by so many bytes, which take no memory before they are written to, and ask for huge pages there."""
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if (start := library.malloc(size)) is None:  # a limit of this process
        return
    aligned = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    library.madvise(aligned, start + size - aligned, _MADV_HUGEPAGE)
    library.free(start)
