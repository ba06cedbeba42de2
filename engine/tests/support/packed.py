"""Writes checkpoints and bags in Demucs's own formats."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file


def save_th(network: torch.nn.Module, folder: Path, signature: str, *, state: Mapping[str, Any] | None = None) -> Path:
    """As `demucs.states.serialize_model` and `save_with_checksum` do."""
    args, kwargs = network._init_args_kwargs  # type: ignore[misc]
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


def save_safetensors(
    network: torch.nn.Module, folder: Path, signature: str, *, state: Mapping[str, Any] | None = None, **metadata: str
) -> Path:
    """As Demucs's export to the hub does; a nested state is flattened and described in the metadata."""
    args, kwargs = network._init_args_kwargs  # type: ignore[misc]
    described = {
        "klass": f"{type(network).__module__}.{type(network).__name__}",
        "args": json.dumps(_encoded(args)),
        "kwargs": json.dumps(_encoded(kwargs)),
    }
    tensors: dict[str, torch.Tensor] = {}
    if state is None:
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    else:
        described["structure"] = json.dumps(_flattened(state, tensors))
    file = folder / f"{signature}.safetensors"
    save_file(tensors, file, metadata={**described, **metadata})
    return file


def save_bag(folder: Path, name: str, signatures: Sequence[str], **fields: Any) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"models": list(signatures), **fields}))
    return file


def _encoded(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items()}
    return [_encoded(item) for item in value] if isinstance(value, list | tuple) else value


def _flattened(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(node, torch.Tensor):
        tensors[name := f"t{len(tensors)}"] = node.contiguous()
        return {"_tensor": name}
    if isinstance(node, Mapping):
        return {"_dict": [[key, _flattened(item, tensors)] for key, item in node.items()]}
    if isinstance(node, type):
        return {"_class": f"{node.__module__}.{node.__name__}"}
    if isinstance(node, list | tuple):
        return {f"_{type(node).__name__}": [_flattened(item, tensors) for item in node]}
    return node
