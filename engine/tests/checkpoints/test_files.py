"""Checkpoints in both of Demucs's formats load to the same network, and run no code of theirs."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import demucs.states
import pytest
import torch
from packed import save_safetensors, save_th
from small import arguments_of, music, snr_db, tiny_hdemucs, tiny_htdemucs

from stemwright.checkpoints.files import load_network
from stemwright.checkpoints.header import read_header
from stemwright.errors import ModelError

Save = Callable[..., Path]
both_formats = pytest.mark.parametrize("save", [save_th, save_safetensors])


@both_formats
@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_hdemucs])
def test_a_network_computes_what_demucs_computes_from_the_same_file(
    save: Save, make: Callable[[], torch.nn.Module], tmp_path: Path
) -> None:
    peer = make()
    file = save(peer, tmp_path, "abc")
    mix = music(1.5)[None]
    with torch.inference_mode():
        assert snr_db(peer(mix), load_network(file).module(mix)) > 100


@both_formats
def test_half_precision_files_are_loaded_to_float32(save: Save, tmp_path: Path) -> None:
    network = load_network(save(tiny_htdemucs().half(), tmp_path, "abc")).module
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


@both_formats
def test_quantised_weights_are_restored_as_demucs_does(save: Save, tmp_path: Path) -> None:
    from diffq import DiffQuantizer

    peer = tiny_hdemucs()
    quantizer = DiffQuantizer(peer, min_size=0.01, group_size=8)
    state = {**quantizer.get_quantized_state(), "__quantized": True}
    network = load_network(save(peer, tmp_path, "abc", state=state)).module
    expected = demucs.states.load_model(  # type: ignore[no-untyped-call]
        {"klass": type(peer), "args": (), "kwargs": arguments_of(peer), "state": state}
    ).eval()
    mix = music(1.5)[None]
    with torch.inference_mode():
        assert snr_db(expected(mix), network(mix)) > 100


def test_loading_a_network_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    """It takes as long to import as the rest of torch."""
    import subprocess
    import sys

    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    code = (
        "import sys, pathlib; from stemwright.checkpoints.files import load_network;"
        "load_network(pathlib.Path(sys.argv[1])); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


@both_formats
def test_the_header_is_read_without_torch(save: Save, tmp_path: Path) -> None:
    import subprocess
    import sys

    file = save(tiny_htdemucs(), tmp_path, "abc")
    code = (
        "import sys, pathlib; from stemwright.checkpoints.header import read_header;"
        "print(*read_header(pathlib.Path(sys.argv[1])).sources); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["drums", "bass", "other", "vocals"]


class Attack:
    """A pickle that creates a file when it is loaded the ordinary way."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("inside", ["klass", "state", "kwargs"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(inside: str, tmp_path: Path) -> None:
    peer = tiny_htdemucs()
    content = {"klass": type(peer), "args": (), "kwargs": {"sources": ["a"]}, "state": {}}
    content[inside] = Attack(tmp_path / "run")
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (file := tmp_path / "abc.th").write_bytes(buffer.getvalue())
    for read in (read_header, load_network):
        with pytest.raises(ModelError, match="is refused") as caught:
            read(file)
        assert caught.value.code == "model_forbidden"
    assert not (tmp_path / "run").exists()


def test_a_class_outside_the_allowlist_is_refused(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc", klass="subprocess.Popen")
    with pytest.raises(ModelError, match=r"names the class 'subprocess.Popen'") as caught:
        load_network(file)
    assert caught.value.code == "model_forbidden"


@both_formats
def test_a_damaged_file_is_said_to_be_damaged(save: Save, tmp_path: Path) -> None:
    file = save(tiny_htdemucs(), tmp_path, "abc")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match="damaged") as caught:
        load_network(file)
    assert caught.value.code == "model_corrupt"


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\xff" * 100, pickle.dumps({"klass": 1}), b"\x10\x00\x00\x00\x00\x00\x00\x00[1,2,3,4,5,6,7]"],
)
@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_what_is_no_checkpoint_is_said_not_to_be_one(content: bytes, suffix: str, tmp_path: Path) -> None:
    (file := tmp_path / f"abc{suffix}").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_network(file)
    assert caught.value.code in {"model_corrupt", "model_forbidden"}


def test_a_zip_without_a_checkpoint_is_said_to_be_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "abc.th", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="damaged"):
        read_header(tmp_path / "abc.th")


def test_tensors_that_do_not_fit_the_arguments_are_a_clear_error(tmp_path: Path) -> None:
    peer = tiny_htdemucs()
    arguments_of(peer)["channels"] = 16
    file = save_safetensors(peer, tmp_path, "abc")
    with pytest.raises(ModelError, match="does not fit its own description"):
        load_network(file)


def test_arguments_that_ask_for_absurd_sizes_cost_no_memory(tmp_path: Path) -> None:
    peer = tiny_htdemucs()
    arguments_of(peer)["bottom_channels"] = 1 << 24
    with pytest.raises(ModelError, match="does not fit"):
        load_network(save_safetensors(peer, tmp_path, "abc"))
