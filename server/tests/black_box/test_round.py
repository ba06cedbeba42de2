"""Upload, process, status, stems: the whole round through a real service."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from service import Client, Service, alive, until, wav


def test_a_song_goes_in_and_stems_come_out(service: Service, client: Client, seed: int) -> None:
    song = wav(seed=seed)
    file_id = client.upload(song, "A “song”; rm -rf $HOME 'x'.wav")
    answer = client.process(file_id, variation="half", params={})
    assert answer.json() == {"job_id": answer.json()["job_id"], "status": "queued", "skipped": False}
    job = client.wait(file_id, answer.json()["job_id"], "completed")
    assert [output["type"] for output in job["outputs"]] == ["quiet", "rest"]
    stems = {}
    for output in job["outputs"]:
        stem = client.http.get(output["url"], headers={"Authorization": ""})
        assert stem.status_code == 200
        assert stem.headers["content-type"] == "audio/wav"
        assert f"outputs/{file_id}/gain/" in output["path"]
        assert (output["size"], output["sha256"]) == (len(stem.content), hashlib.sha256(stem.content).hexdigest())
        assert output["duration"] == 0.5
        stems[output["type"]] = stem.content
    import numpy as np

    mix, quiet, rest = (np.frombuffer(data[44:], "<i2") for data in (song, stems["quiet"], stems["rest"]))
    assert np.array_equal(quiet, mix // 2)
    assert np.array_equal(quiet + rest, mix)
    assert job["report"]["sum_db"] == -120.0
    assert set(job["report"]["stage_seconds"]) == {
        "starting",
        "fetching",
        "loading",
        "separating",
        "encoding",
        "uploading",
    }
    assert job["report"]["device"] == "cpu"
    assert job["progress"]["percent"] == 100.0


def test_metadata_lies_beside_the_outputs(service: Service, client: Client, seed: int) -> None:
    song = wav(seed=seed)
    file_id = client.upload(song, "song.wav")
    job_id = client.submit(file_id)
    job = client.wait(file_id, job_id, "completed")
    path = service.data_dir / "blobs" / "outputs" / file_id / "metadata.json"
    until(path.exists, what="metadata.json")
    found = json.loads(path.read_text())
    assert found["original_filename"] == "song.wav"
    assert found["uploaded_by"] == "anonymous"
    assert (found["mime_type"], found["duration"], found["sample_rate"]) == ("audio/wav", 0.5, 8000)
    assert found["sha256"] == hashlib.sha256(song).hexdigest()
    assert job["request_id"] in found["request_ids"]
    assert [step["job_id"] for step in found["processing_steps"]] == [job_id]
    for output in found["processing_steps"][0]["outputs"]:
        assert (service.data_dir / "blobs" / output["path"]).stat().st_size == output["size"]


def test_a_download_can_be_resumed(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    job = client.wait(file_id, client.submit(file_id), "completed")
    url = job["outputs"][0]["url"]
    whole = client.http.get(url).content
    part = client.http.get(url, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"


def test_the_same_work_is_not_done_twice(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    first = client.submit(file_id, segments=3)
    client.wait(file_id, first, "completed")
    again = client.process(file_id, variation="default", params={"segments": 3, "sleep": 0.0}).json()
    assert again == {"job_id": first, "status": "completed", "skipped": True}
    other = client.process(file_id, variation="loud", params={"segments": 3}).json()
    assert other["job_id"] != first
    assert other["skipped"] is False


def test_work_under_way_is_joined(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    first = client.submit(file_id, segments=20, sleep=0.1)
    again = client.process(file_id, params={"segments": 20, "sleep": 0.1}).json()
    assert (again["job_id"], again["skipped"]) == (first, False)
    client.http.post(f"/jobs/{first}/cancel")


def test_a_request_id_is_kept_from_the_request_to_the_job(service: Service, client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    answer = client.process(file_id, headers={"X-Request-ID": "from-the-studio-1"})
    assert answer.headers["X-Request-ID"] == "from-the-studio-1"
    job = client.wait(file_id, answer.json()["job_id"], "completed")
    assert job["request_id"] == "from-the-studio-1"
    lines = [line for line in service.logged() if line.get("request_id") == "from-the-studio-1"]
    assert {"request", "attempt_done"} <= {line["event"] for line in lines}
    forged = client.http.get("/models", headers={"X-Request-ID": 'a"b c'})
    assert forged.headers["X-Request-ID"] != 'a"b c'


def test_models_say_what_can_be_asked_for(client: Client) -> None:
    models = {model["name"]: model for model in client.http.get("/models").json()["models"]}
    half = next(each for each in models["gain"]["variations"] if each["default"])
    assert (half["name"], half["outputs"], half["licence"]) == ("half", ["quiet", "rest"], "MIT")
    assert half["params"]["properties"]["segments"] == {"default": 4}


def test_health_counts_workers_and_jobs(client: Client) -> None:
    health = until(lambda: (found := client.http.get("/health").json())["status"] == "ok" and found, what="a worker")
    assert (health["workers"], health["gpu"]) == (1, False)
    assert set(health["queue"]) == {"queued", "running", "completed", "failed", "canceled"}


def test_the_api_process_holds_no_torch(service: Service, client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    client.wait(file_id, client.submit(file_id), "completed")
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "_sqlite3" in mapped  # what is imported does show
    assert "torch" not in mapped
    assert "numpy" not in mapped


def test_progress_is_told_as_it_happens(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    job_id = client.submit(file_id, segments=8, sleep=0.3)
    events = _events(client, file_id, until_event="completed")
    assert [name for name, _ in events][-1] == "completed"
    assert {name for name, _ in events[:-1]} == {"progress"}
    done = [job["progress"]["segments_done"] for _, job in events]
    assert done == sorted(done)
    assert len(set(done)) >= 3  # not only the first and the last
    assert any(job["progress"]["eta_seconds"] for _, job in events)
    assert events[-1][1]["job_id"] == job_id
    assert len(events[-1][1]["outputs"]) == 2
    # Who comes late, or again, is told how things are now.
    assert [name for name, _ in _events(client, file_id, until_event="completed")] == ["completed"]


@pytest.mark.parametrize(
    ("params", "name"), [({"fail": "not_music"}, "failed"), ({"sleep": 0.3, "segments": 30}, "canceled")]
)
def test_other_ends_are_told_too(client: Client, seed: int, params: dict[str, object], name: str) -> None:
    file_id = client.upload(wav(seed=seed))
    job_id = client.submit(file_id, **params)
    if name == "canceled":
        client.wait(file_id, job_id, "running")
        client.http.post(f"/jobs/{job_id}/cancel")
    assert _events(client, file_id, until_event=name)[-1][1]["status"] == name


def test_two_songs_wait_for_each_other_and_both_get_done(service: Service, client: Client, seed: int) -> None:
    songs = [client.upload(wav(seed=seed + number)) for number in range(3)]
    jobs = [client.submit(song, sleep=0.05) for song in songs]
    for song, job in zip(songs, jobs, strict=True):
        client.wait(song, job, "completed")
    assert alive(service.workers()[0])


def _events(client: Client, file_id: str, *, until_event: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    with client.http.stream("GET", f"/events/{file_id}") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            if line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
            if line == "" and name == until_event:
                return found
    raise AssertionError(f"the stream ended without {until_event}: {found}")
