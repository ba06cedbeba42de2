"""Writes checkpoints and bags in Demucs's own formats."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from inputs import made_with
from inputs import save_safetensors as save_safetensors


def save_th(network: torch.nn.Module, folder: Path, signature: str, *, state: Mapping[str, Any] | None = None) -> Path:
    """As `demucs.states.serialize_model` and `save_with_checksum` do."""
    args, kwargs = made_with(network)
    content = {
        "klass": type(network),
        "args": args,
        "kwargs": kwargs,
        "state": state if state is not None else dict(network.state_dict()),
        "training_args": {"seed": 42, "optim": {"lr": 3e-4}},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    file = folder / f"{signature}-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.th"
    file.write_bytes(buffer.getvalue())
    return file


def save_bag(folder: Path, name: str, signatures: Sequence[str], **fields: Any) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"models": list(signatures), **fields}))
    return file
