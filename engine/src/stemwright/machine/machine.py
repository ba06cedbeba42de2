"""What there is to compute with, and what of it is to be used: one value, made once and passed down.

This is the only module that reads the environment variables it names. Needs no torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from stemwright.errors import OptionError
from stemwright.machine.processor import cpu_flags, cpu_name, version_of

if TYPE_CHECKING:
    from stemwright.machine.cache import Cache

Backend = Literal["eager", "compiled", "openvino"]
BackendChoice = Literal["auto", Backend]
NumberType = Literal["fp32", "bf16", "fp16", "int16"]
Preparation = Literal["background", "off"]

_AMX = frozenset({"amx_tile", "amx_bf16", "avx512bw"})
_NO_LIMIT = ("", "all", "default")  # to oneDNN
_BELOW_AMX = ("default", "avx2")  # to torch, whose "default" is the processor's oldest instructions


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Instructions that libraries are kept to, each in lower case; the empty string is no limit."""

    onednn: str = ""  # ONEDNN_MAX_CPU_ISA
    torch: str = ""  # ATEN_CPU_CAPABILITY
    mkl: str = ""  # MKL_ENABLE_INSTRUCTIONS

    @property
    def allow_amx(self) -> bool:
        """Whether neither oneDNN nor torch is kept from AMX."""
        return (self.onednn in _NO_LIMIT or "amx" in self.onednn) and self.torch not in _BELOW_AMX

    @property
    def only_avx2(self) -> bool:
        """Whether oneDNN or torch is kept to AVX2."""
        return "avx2" in (self.onednn, self.torch)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The processor, what is installed, and what the user chose.

    `Machine.here` finds out. The last four fields are choices; the others are facts, and a machine with other facts than
    this one's is for tests.
    """

    cpu: str  # the processor's name
    flags: frozenset[str]  # what the processor can, as Linux names it; empty where the system does not tell
    limits: Limits
    threads: int  # processors that this process may use
    compiler: str | None  # path of a C++ compiler
    torch: str | None  # version; None: not installed
    openvino: str | None  # version; None: not installed
    may_have_gpu: bool  # false only where it is known, without importing torch, that there is no driver for one
    cache_folder: Path  # what was built for this machine
    backend: BackendChoice = "auto"  # "auto": the one that was measured best
    preparation: Preparation = "background"  # "off": backends are built by `stemwright models warm` alone
    notes: tuple[str, ...] = ()  # for the report: what the environment said that means nothing

    def __post_init__(self) -> None:
        if self.backend not in get_args(BackendChoice):
            raise OptionError(f"backend is {self.backend!r}: choose one of {', '.join(get_args(BackendChoice))}")

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> Machine:
        """This machine, as this process may use it.

        Args:
            environment: Variables to read instead of the process's own: ``STEMWRIGHT_BACKEND``, ``STEMWRIGHT_WARM``,
                ``STEMWRIGHT_CACHE``, ``XDG_CACHE_HOME``, ``OMP_NUM_THREADS``, ``CXX``, ``PATH`` for compilers, and those of
                `Limits`.
        """
        given = os.environ if environment is None else environment
        backend, notes = _backend(given.get("STEMWRIGHT_BACKEND", "auto"))
        return cls(
            cpu=cpu_name(),
            flags=cpu_flags(),
            limits=Limits(
                onednn=given.get("ONEDNN_MAX_CPU_ISA", "").lower(),
                torch=given.get("ATEN_CPU_CAPABILITY", "").lower(),
                mkl=given.get("MKL_ENABLE_INSTRUCTIONS", "").lower(),
            ),
            threads=_threads(given.get("OMP_NUM_THREADS", "")),
            compiler=_compiler(given.get("CXX", ""), given.get("PATH")),
            torch=_installed("torch"),
            openvino=_installed("openvino"),
            may_have_gpu=_may_have_gpu(),
            cache_folder=_cache_folder(given),
            backend=backend,
            preparation="off" if given.get("STEMWRIGHT_WARM") == "off" else "background",
            notes=notes,
        )

    @property
    def cache(self) -> Cache:
        """What is kept between runs."""
        from stemwright.machine.cache import Cache  # its lock would make `stemwright --help` slower

        return Cache(self.cache_folder)

    @property
    def amx(self) -> bool:
        """Whether the processor has what the kernels for AMX need, and nothing is kept from it."""
        return sys.platform == "linux" and self.limits.allow_amx and self.flags >= _AMX


def _backend(named: str) -> tuple[BackendChoice, tuple[str, ...]]:
    """What is chosen, and what to say of a name that means nothing."""
    choices: tuple[BackendChoice, ...] = get_args(BackendChoice)
    for choice in choices:
        if choice == named:
            return choice, ()
    return "auto", (f"STEMWRIGHT_BACKEND is {named!r}, which is none of {', '.join(choices)}: auto is meant",)


def _threads(named: str) -> int:
    if named.isdigit() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compiler(named: str, path: str | None) -> str | None:
    names = (named, "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name, path=path))), None)


def _installed(package: str) -> str | None:
    """The version of a package, which is not imported for that."""
    return version_of(package) if importlib.util.find_spec(package) is not None else None


def _may_have_gpu() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return True
    return Path("/dev/kfd").exists()  # AMD's


def _cache_folder(given: Mapping[str, str]) -> Path:
    """``STEMWRIGHT_CACHE``, or ``stemwright`` in the user's folder for caches."""
    if named := given.get("STEMWRIGHT_CACHE"):
        return Path(named)
    try:
        return Path(given.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stemwright"
    except RuntimeError:  # a user without a home, as containers have them
        return Path(tempfile.gettempdir()) / "stemwright-cache"
