"""Loads a network from a checkpoint file in one of Demucs's two formats, running no code from it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stemwright.checkpoints.header import Header, read_header
from stemwright.errors import MissingExtraError, ModelError, first_line
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import Architecture, Architectures, LoadedModule
from stemwright.models.registry import ARCHITECTURES

_QUANTIZERS = frozenset({"diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer"})


def load_network(file: Path, architectures: Architectures = ARCHITECTURES) -> LoadedModule:
    """The network of a checkpoint, in float32, ready for inference on the CPU.

    Args:
        file: A `.safetensors` or `.th` file.
        architectures: Those that the file may be one of.

    Raises:
        ModelError: The file is damaged, its hash is not the one in its name, or it asks for what is not allowed.
        MissingExtraError: Its weights are quantised and ``diffq`` is not installed.
    """
    _check_named_hash(file)
    header = read_header(file, architectures)
    state = (
        _safetensors_state(file, header) if file.suffix == ".safetensors" else _th_state(file, architectures.klasses)
    )
    try:
        architecture = architectures.of(header)
        restore = _restored if state.get("__quantized") else _assigned
        module = restore(architecture, header, state)
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"the checkpoint {file} does not fit its own description: {reason}", code="model_corrupt"
        ) from None
    return LoadedModule(module=module.eval().requires_grad_(False), architecture=architecture)


def _check_named_hash(file: Path) -> None:
    """Demucs puts the start of a `.th` file's sha256 into its name."""
    if file.suffix == ".th" and "-" in file.stem:
        expected = file.stem.rsplit("-", 1)[1]
        actual = sha256_of(file)
        if not actual.startswith(expected):
            raise ModelError(
                f"the checkpoint {file} is damaged: its sha256 begins {actual[: len(expected)]}, not {expected}",
                code="model_corrupt",
            )


class _NoInitialValues(TorchFunctionMode):
    """Leaves out what fills parameters with random numbers: without memory, torch imports its whole compiler for that."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _assigned(architecture: Architecture, header: Header, state: dict[str, Any]) -> nn.Module:
    """Built without memory or initial values, then given the tensors of the file."""
    values = {name: value.float() for name, value in state.items()}
    with torch.device("meta"), _NoInitialValues():
        network = architecture.build(header)
    if type(network).load_state_dict is not nn.Module.load_state_dict:  # Demucs v2 renames old tensors on the way
        network = network.to_empty(device="cpu")
        network.load_state_dict(values)
    else:
        network.load_state_dict(values, assign=True)
    return network


def _restored(architecture: Architecture, header: Header, state: dict[str, Any]) -> nn.Module:
    """Quantised weights are unpacked by the library that packed them."""
    try:
        import diffq
    except ImportError:
        raise MissingExtraError(
            "this model's weights are quantised and diffq is not installed: pip install 'stemwright[quantized]'"
        ) from None
    name = state["meta"]["klass"].name
    if name not in _QUANTIZERS:
        raise ValueError(f"the weights are packed by {name}, which is not known here")
    state["meta"]["klass"] = getattr(diffq, name.rsplit(".", 1)[1])
    network = architecture.build(header)
    diffq.restore_quantized_state(network, state)
    return network.float()


def _safetensors_state(file: Path, header: Header) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise ModelError(f"the checkpoint {file} is damaged: {error}; fetch it again", code="model_corrupt") from None
    if header.structure is None:
        return dict(tensors)
    return dict(_unflattened(header.structure, tensors))


class _Klass:
    """A class that a file names, as a name."""

    def __init__(self, name: str) -> None:
        self.name = name


def _unflattened(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Rebuild a nested state from Demucs's description of it (`demucs.hf._unflatten_state`)."""
    if not isinstance(node, dict):
        return node
    kind, value = next(iter(node.items()))
    match kind:
        case "_tensor":
            return tensors[value]
        case "_dict":
            return {key: _unflattened(item, tensors) for key, item in value}
        case "_list":
            return [_unflattened(item, tensors) for item in value]
        case "_tuple":
            return tuple(_unflattened(item, tensors) for item in value)
        case "_class":
            return _Klass(value)
    raise ValueError(f"the description of the state has an unknown part {kind!r}")


def _th_state(file: Path, klasses: Collection[str]) -> dict[str, Any]:
    """The `state` of a `.th` file, through torch's restricted unpickler."""
    stand_ins = [(_Klass(name), name) for name in (*klasses, *_QUANTIZERS)]
    from fractions import Fraction

    try:
        with torch.serialization.safe_globals([*stand_ins, Fraction]):  # type: ignore[list-item]
            package = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle can provoke
        raise ModelError(f"the checkpoint {file} is refused: {first_line(error)}", code="model_forbidden") from None
    return dict(package["state"])
