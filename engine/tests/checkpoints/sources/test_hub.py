"""Fetching: the hash decides, the caches of Demucs are used, and a hub that is away is a clear error.

The hub is a server of the tests' own that speaks as much of the hub's protocol as a download needs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packed import save_bag, save_safetensors, save_th
from small import tiny_htdemucs

from stemwright import cli
from stemwright.checkpoints import find, manifest
from stemwright.errors import ModelError
from stemwright.separator import Separator


class Hub:
    """Files by path; counts what was fetched."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.declared: dict[str, str] = {}  # a tag other than the true sha256
        self.fetched: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                if not self.path.startswith("/api/"):  # questions that the hub's client asks beside
                    outer.fetched.append(self.path)
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                content = outer.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                content = content or b""
                self.send_header("Content-Length", str(len(content)))
                tag = outer.declared.get(self.path, hashlib.sha256(content).hexdigest())
                self.send_header("ETag", f'"{tag}"')
                self.send_header("X-Linked-Etag", f'"{tag}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def log_message(self, *_args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        made.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(
        "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
        made.url + "/{repo_id}/resolve/{revision}/{filename}",
        raising=False,
    )
    monkeypatch.setattr(manifest, "LEGACY_ROOT", f"{made.url}/legacy/")
    yield made
    made.stop()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (folder := tmp_path / "published").mkdir()
    return save_safetensors(tiny_htdemucs(), folder, "955717e8")


HUB_PATH = "/adefossez/HTDemucs/resolve/main/955717e8.safetensors"


def publish(served: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the small network where htdemucs would be, and pin its hash instead of the real one."""
    served.files[HUB_PATH] = checkpoint.read_bytes()
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    monkeypatch.setitem(manifest.SAFETENSORS_SHA256, "955717e8", digest)
    return digest


def test_a_model_is_fetched_once_checked_and_found_again(
    served: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(served, checkpoint, monkeypatch)
    model = find("htdemucs")
    told: list[str] = []
    file = model.source.obtain(model, model.members[0], told.append).path
    assert file.read_bytes() == checkpoint.read_bytes()
    assert "for research use" in told[0]
    assert "955717e8.safetensors" in told[1]
    assert model.source.obtain(model, model.members[0]).path == file
    assert served.fetched == [HUB_PATH]


def test_a_pull_replaces_a_file_that_was_damaged_since(
    served: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(served, checkpoint, monkeypatch)
    model = find("htdemucs")
    file = model.source.obtain(model, model.members[0]).path
    file.resolve().write_bytes(checkpoint.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelError, match="models pull") as caught:
        Separator("htdemucs", device="cpu").load()
    assert caught.value.code == "model_corrupt"
    assert cli.main(["models", "pull", "htdemucs"]) == 0
    assert "damaged" in capsys.readouterr().err
    assert file.read_bytes() == checkpoint.read_bytes()


def test_a_file_with_another_hash_is_deleted_and_refused(
    served: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(served, checkpoint, monkeypatch)
    served.files[HUB_PATH] += b"\0"
    model = find("htdemucs")
    with pytest.raises(ModelError, match="came with the sha256") as caught:
        model.source.obtain(model, model.members[0])
    assert caught.value.code == "model_corrupt"
    assert model.source.cached(model, model.members[0]) is None


def test_a_file_without_a_pinned_hash_is_checked_against_the_hubs_own(served: Hub, tmp_path: Path) -> None:
    path = "/adefossez/Demucs-mdx_extra/resolve/main/e51eebcc.safetensors"
    served.files[path] = b"whatever"
    served.declared[path] = "1" * 64
    model = find("mdx_extra")
    with pytest.raises(ModelError, match="came with the sha256"):
        model.source.obtain(model, model.members[0])


def test_without_the_hub_the_older_place_is_tried_and_its_hash_checked(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "published").mkdir()
    file = save_th(tiny_htdemucs(), folder, "955717e8")
    monkeypatch.setitem(manifest.LEGACY, "955717e8", f"hybrid_transformer/{file.name}")
    served.files[f"/legacy/hybrid_transformer/{file.name}"] = file.read_bytes()
    model = find("htdemucs")
    fetched = model.source.obtain(model, model.members[0])
    assert fetched.path.read_bytes() == file.read_bytes()
    assert model.source.cached(model, model.members[0]) == fetched
    assert [each.name for each in fetched.path.parent.iterdir()] == [file.name]


def test_a_damaged_file_from_the_older_place_leaves_nothing_behind(served: Hub, tmp_path: Path) -> None:
    served.files[f"/legacy/{manifest.LEGACY['955717e8']}"] = b"not the weights"
    model = find("htdemucs")
    with pytest.raises(ModelError, match="sha256 that begins"):
        model.source.obtain(model, model.members[0])
    assert not [each for each in (tmp_path / "torch").rglob("*") if each.is_file()]


def test_no_way_to_fetch_says_so_and_what_to_do() -> None:
    with pytest.raises(
        ModelError, match=r"cannot be fetched.*stemwright models pull htdemucs.*--models-path"
    ) as caught:
        Separator("htdemucs").load()
    assert caught.value.code == "model_unavailable"


def test_a_changed_file_in_the_cache_is_refused_when_it_is_loaded(
    served: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(served, checkpoint, monkeypatch)
    model = find("htdemucs")
    file = model.source.obtain(model, model.members[0]).path
    file.resolve().write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="is not what was published"):
        Separator("htdemucs").load()


def test_a_bag_may_pin_the_hashes_of_its_networks(tmp_path: Path) -> None:
    (folder := tmp_path / "models").mkdir()
    file = save_safetensors(tiny_htdemucs(), folder, "abc")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    save_bag(folder, "good", ["abc"], sha256={"abc": digest})
    save_bag(folder, "bad", ["abc"], sha256={"abc": "0" * 64})
    Separator("good", models_path=folder, device="cpu").load()
    with pytest.raises(ModelError, match="is not what was published"):
        Separator("bad", models_path=folder, device="cpu").load()
