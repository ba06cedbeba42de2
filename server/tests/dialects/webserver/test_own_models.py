"""Models of the operator's own: put into their folder, they can be asked for."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from service import running, until, wav
from webserver import Uploader


def test_a_model_that_is_put_into_the_folder_can_be_asked_for_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    settings = {
        "STEMWRIGHT_MODELS": "demucs",
        "STEMWRIGHT_PROBE": "demucs",
        "DEMUCS_MODELS_PATH": str(folder),
        "STEMWRIGHT_WEBSERVER_FORMAT": "wav",
    }
    with running(tmp_path / "data", settings) as service:
        uploader = Uploader(service)

        def names() -> set[str]:
            return {model["name"] for model in uploader.http.get("/api/models").json()["models"]}

        assert "mine" not in names()
        assets = Path(str(resources.files("stemwright") / "assets"))
        for file in assets.glob("*.safetensors"):
            shutil.copy(file, folder)
        shutil.copy(assets / "pocket.yaml", folder / "mine.yaml")
        (folder / "broken.yaml").write_text("models: [no-such-file]")  # keeps no other from being offered
        until(lambda: "mine" in names(), what="the worker to announce it with its next claim")
        assert "broken" not in names()
        job = uploader.wait(uploader.job(wav(1.0, seed=1, rate=44100), model="mine"), seconds=300)
        assert job["model"] == "mine"
        assert {stem["name"] for stem in job["stems"]} == {"vocals", "drums", "bass", "other"}
        refused = uploader.upload(wav(seed=2), model="broken")
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown_model")
