"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from stemwright_worker.settings.section import FILE, Names, Section, is_secret, long_enough

__all__ = ["FILE", "Names", "Rate", "Section", "is_secret", "long_enough"]

Rate = Annotated[str, StringConstraints(pattern=r"^([1-9]\d* ?/ ?([1-9]\d* )?(second|minute|hour|day))?$")]
