"""Every error this library raises on purpose.

    StemwrightError
    +-- InputError          the given file or array cannot be used
    +-- OptionError         an option, or a combination of options, makes no sense
    +-- ModelError          a model is unknown, cannot be had, or its file is not what it should be
    +-- OutputError         a result cannot be written
    +-- DeviceError         the device is missing or ran out of memory
    +-- MissingExtraError   an optional part is not installed; the message names the command
    +-- Canceled            the caller asked to stop

Each carries ``code``, a stable word for programs, and ``retryable``: whether the same call may succeed
later without any change. The message is one line: what was wrong, with which input, and what to do.
"""

from __future__ import annotations

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The system's error numbers that mean ``disk_full``: no space, no quota, or a file as large as any may be here."""


class StemwrightError(Exception):
    """Root of all errors of this library."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable


class InputError(StemwrightError):
    """The given audio cannot be used."""

    code = "bad_input"


class OptionError(StemwrightError):
    """An option, or a combination of options, makes no sense."""

    code = "bad_option"


class ModelError(StemwrightError):
    """A model is unknown, cannot be had, or its file is not what it should be."""

    code = "model_unavailable"


class OutputError(StemwrightError):
    """A result cannot be written."""

    code = "output_failed"
    retryable = True


class DeviceError(StemwrightError):
    """The device is missing or ran out of memory."""

    code = "device_failed"
    retryable = True


class MissingExtraError(StemwrightError):
    """An optional part is not installed."""

    code = "missing_extra"


class Canceled(StemwrightError):
    """The caller asked to stop."""

    code = "canceled"


def first_line(error: object) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
