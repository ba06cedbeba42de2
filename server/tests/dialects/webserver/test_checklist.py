"""The testing checklist of the web server's document, line by line."""

from __future__ import annotations

import io
import subprocess
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from follower import Follower
from service import Service, running, until, wav
from webserver import SETTINGS, Uploader

CAP = 50_000
HEADS = {
    "song.mp3": b"ID3\x04" + bytes(5000),
    "song.flac": b"fLaC" + bytes(5000),
    "song.m4a": b"\0\0\0\x20ftypM4A " + bytes(5000),
}


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a low cap and no worker."""
    settings = SETTINGS | {"STEMWRIGHT_WEBSERVER_MAX_FILE_SIZE": str(CAP), "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path_factory.mktemp("idle") / "data", settings) as service:
        yield service


def test_server_starts_without_errors(webserver: Service, uploader: Uploader) -> None:
    assert uploader.http.get("/health").status_code == 200
    assert [line for line in webserver.logged() if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize("name", ["song.wav", *HEADS])
def test_upload_endpoint_accepts_valid_files(idle: Service, name: str, seed: int) -> None:
    answer = Uploader(idle).upload(HEADS.get(name, wav(seed=seed)), name)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"job_id", "status", "created_at"}
    assert answer.json()["status"] == "queued"
    assert answer.json()["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"I am a text that is called .mp3" * 200, "not_audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9000), "not_audio"),
        (b"#EXTM3U\nhttp://169.254.169.254/\n", "not_audio"),
        (b"", "empty"),
        (wav()[:40], "truncated"),
        (wav(0.0), "no_samples"),
    ],
    ids=["text", "png", "playlist", "empty", "truncated", "no-samples"],
)
def test_upload_endpoint_rejects_invalid_files(idle: Service, data: bytes, code: str) -> None:
    before = idle.files()
    answer = Uploader(idle).upload(data, "song.mp3")
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert str(idle.data_dir) not in answer.text
    assert idle.files() == before


def test_upload_endpoint_rejects_oversized_files(idle: Service) -> None:
    before, uploader = idle.files(), Uploader(idle)
    said = uploader.upload(wav(4.0, seed=1))
    assert (said.status_code, said.json()["code"]) == (413, "too_large")
    far = uploader.upload(bytes(CAP * 10))  # refused by its Content-Length alone
    assert (far.status_code, far.json()["code"]) == (413, "too_large")

    def unsaid() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n' + wav(1.0)
        for _ in range(40):
            yield bytes(2000)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    chunked = uploader.http.post("/api/upload", content=unsaid(), headers=headers)
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")
    assert idle.files() == before


def test_processing_starts_automatically_after_upload(uploader: Uploader, seed: int) -> None:
    job = uploader.wait(uploader.job(wav(seed=seed)))
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


def test_socket_io_emits_progress_events_0_to_100(uploader: Uploader, webserver: Service, seed: int) -> None:
    follower = Follower(webserver.url, uploader.job(wav(seed=seed))).ended()
    progress = [event["progress"] for event in follower.all("progress")]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert all(0 <= each <= 100 for each in progress)
    assert "completed" in follower.names()


def test_status_endpoint_returns_correct_state(idle: Service, uploader: Uploader, seed: int) -> None:
    waiting = Uploader(idle)
    first, second = waiting.job(wav(seed=seed)), waiting.job(wav(seed=seed + 1), "b.wav", priority=7)
    assert waiting.status(second)["queue_position"] < waiting.status(first)["queue_position"]
    assert waiting.status(first) | {"status": "queued", "progress": 0, "started_at": None} == waiting.status(first)
    assert waiting.http.post(f"/api/cancel/{first}").json() == {"job_id": first, "status": "canceled"}
    assert waiting.status(first)["status"] == "canceled"
    job_id = uploader.job(wav(seed=seed), "a song.wav")
    done = uploader.wait(job_id)
    assert (done["progress"], done["filename"], done["model"], done["error"]) == (100, "a song.wav", "half", None)
    assert [stem["name"] for stem in done["stems"]] == ["quiet", "rest"]
    assert uploader.http.post(f"/api/cancel/{job_id}").status_code == 409
    assert uploader.http.get("/api/jobs").json()["jobs"][0]["job_id"] == job_id
    for unknown in ("none", "00000000-0000-4000-8000-000000000000"):
        answer = uploader.http.get(f"/api/status/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_download_endpoint_returns_valid_zip(uploader: Uploader, seed: int) -> None:
    job_id = uploader.job(wav(seed=seed))
    uploader.wait(job_id)
    answer = uploader.download(job_id)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="stems_{job_id}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.testzip() is None


def test_zip_contains_all_requested_stems(uploader: Uploader, seed: int) -> None:
    job_id = uploader.job(wav(seed=seed))
    stems = {stem["name"] for stem in uploader.wait(job_id)["stems"]}
    with zipfile.ZipFile(io.BytesIO(uploader.download(job_id).content)) as found:
        assert {name.partition(".")[0] for name in found.namelist()} == stems == {"quiet", "rest"}


@pytest.mark.parametrize(
    "settings",
    [
        {"STEMWRIGHT_WEBSERVER_KEEP_AFTER_DOWNLOAD": "6"},
        {"STEMWRIGHT_WEBSERVER_KEEP_SECONDS": "12", "STEMWRIGHT_WEBSERVER_KEEP_AFTER_DOWNLOAD": "100"},
    ],
    ids=["after_download", "after_timeout"],
)
def test_files_are_cleaned_up(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path / "data", SETTINGS | settings) as service:
        uploader = Uploader(service)
        job_id = uploader.job(wav(seed=1))
        uploader.wait(job_id)
        whole = uploader.download(job_id)
        if "STEMWRIGHT_WEBSERVER_KEEP_SECONDS" not in settings:  # the time of grace: it can be resumed
            assert uploader.download(job_id, {"Range": "bytes=9-"}).content == whole.content[9:]
        assert service.files() != []
        uploader.gone(job_id)
        until(lambda: service.files() == [], what="every file to be removed")
        logged = {line["event"] for line in service.logged()}
        assert {"job_removed", "upload_removed"} <= logged
        assert uploader.http.get("/api/jobs").json() == {"jobs": []}


def test_multiple_concurrent_jobs_work(tmp_path: Path) -> None:
    settings = SETTINGS | {"STEMWRIGHT_WORKERS": "2", "FAST_MODEL_DEFAULTS": '{"segments": 20, "sleep": 0.2}'}
    with running(tmp_path / "data", settings) as service:
        uploader = Uploader(service)
        until(lambda: uploader.http.get("/health").json()["workers"] == 2, what="two workers")
        files = [("audio_file", (f"{seed}.wav", wav(seed=seed))) for seed in range(3)]
        answer = uploader.http.post("/api/batch", files=[*files, ("audio_file", ("x.wav", b"RIFF1234WAVE"))])
        assert answer.status_code == 202, answer.text
        *jobs, refused = answer.json()["jobs"]
        assert [job["filename"] for job in jobs] == ["0.wav", "1.wav", "2.wav"]
        assert (refused["filename"], refused["job_id"], refused["code"]) == ("x.wav", None, "truncated")

        def both() -> bool:
            return [uploader.status(job["job_id"])["status"] for job in jobs].count("processing") == 2

        until(both, what="two jobs to run at once")
        for job in jobs:
            uploader.wait(job["job_id"])


def test_cpu_mode_works(tmp_path: Path) -> None:
    _separates(tmp_path, "cpu")


@pytest.mark.skipif(not Path("/proc/driver/nvidia/gpus").is_dir(), reason="this machine has no GPU")
def test_gpu_mode_works(tmp_path: Path) -> None:
    _separates(tmp_path, "cuda")


def _separates(tmp_path: Path, device: str) -> None:
    """The model that ships, through the whole service, with all defaults but its name."""
    settings = {"STEMWRIGHT_MODELS": "demucs", "STEMWRIGHT_PROBE": "audio", "STEMWRIGHT_DEVICE": device}
    with running(tmp_path / "data", settings) as service:
        uploader = Uploader(service)
        models = {model["name"]: model for model in uploader.http.get("/api/models").json()["models"]}
        assert models["htdemucs_ft"]["default"] is True
        assert models["pocket"]["formats"][0] == "mp3"
        assert set(models["pocket"]["options"]) == {"stems", "two_stems", "shifts", "overlap", "dc_offset"}
        missing = uploader.upload(wav(seed=1), model="nothing")
        assert missing.status_code == 400
        assert "pocket" in missing.json()["error"]
        job = uploader.wait(uploader.job(_tone(), "tone.wav", model="pocket", stems="vocals,drums"), seconds=300)
        assert [stem["name"] for stem in job["stems"]] == ["drums", "vocals"]
        with zipfile.ZipFile(io.BytesIO(uploader.download(job["job_id"]).content)) as found:
            assert sorted(found.namelist()) == ["drums.mp3", "vocals.mp3"]  # and no waveforms
        options = {"two_stems": "vocals", "shifts": "1", "overlap": "0.1", "format": "flac"}
        two = uploader.wait(uploader.job(_tone(), "tone.wav", model="pocket", **options), seconds=300)
        assert ([stem["name"] for stem in two["stems"]], two["format"]) == (["vocals", "no_vocals"], "flac")
        waveform = uploader.http.get(job["stems"][0]["peaks_url"]).json()
        assert set(waveform) == {"sample_rate", "samples_per_peak", "length", "data"}
        assert (waveform["sample_rate"], waveform["length"]) == (44100, 3 * 44100)
        assert len(waveform["data"]) == 2 * -(-waveform["length"] // waveform["samples_per_peak"])
        assert all(-128 <= value <= 127 for value in waveform["data"])
        unknown = uploader.http.get(f"/api/peaks/{job['job_id']}/kazoo")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "no_peaks")


def _tone() -> bytes:
    import math

    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        samples = (round(9000 * math.sin(2 * math.pi * 220 * n / 44100)) for n in range(3 * 44100))
        file.writeframes(b"".join(value.to_bytes(2, "little", signed=True) for value in samples))
    return data.getvalue()


# Beside the list


def test_the_commands_of_the_document_work(webserver: Service, tmp_path: Path, seed: int) -> None:
    (tmp_path / "test.mp3").write_bytes(wav(seed=seed))  # the content counts, not the name

    def curl(*words: str) -> bytes:
        return subprocess.run(["curl", "-sS", "--fail", *words], cwd=tmp_path, check=True, capture_output=True).stdout

    import json

    api = f"{webserver.url}/api"
    job_id = json.loads(curl("-X", "POST", "-F", "audio_file=@test.mp3", f"{api}/upload"))["job_id"]
    until(lambda: json.loads(curl(f"{api}/status/{job_id}"))["status"] == "completed", what="the job")
    curl("-O", f"{api}/download/{job_id}")
    assert zipfile.ZipFile(tmp_path / job_id).namelist() == ["quiet.wav", "rest.wav"]
    whole = (tmp_path / job_id).read_bytes()
    (tmp_path / job_id).write_bytes(whole[:1000])  # a download that was cut off
    curl("-C", "-", "-O", f"{api}/download/{job_id}")
    assert (tmp_path / job_id).read_bytes() == whole


def test_a_large_upload_does_not_cost_its_size_in_memory(tmp_path: Path) -> None:
    settings = SETTINGS | {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_PROBE": "none"}
    with running(tmp_path / "data", settings) as service:
        uploader = Uploader(service)
        uploader.job(wav(seed=1))  # what is imported late is there now
        song = tmp_path / "large.wav"
        with song.open("wb") as file:
            file.write(wav(1.0, seed=2))
            file.truncate(99 << 20)
        process = Path(f"/proc/{service.process.pid}")
        (process / "clear_refs").write_text("5")  # the peak counts from here
        before = _peak(process)
        with song.open("rb") as file:
            answer = uploader.http.post("/api/upload", files={"audio_file": ("large.wav", file)})
        assert answer.status_code == 202, answer.text
        assert _peak(process) - before < 30 << 20


def _peak(process: Path) -> int:
    (line,) = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_an_upload_that_is_broken_off_leaves_nothing(idle: Service) -> None:
    import socket

    before, port = idle.files(), int(idle.url.rpartition(":")[2])
    head = b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 40000\r\n\r\n" + head + wav(1.0)
        )
        until(lambda: idle.files() != before, what="the upload to begin")
    until(lambda: idle.files() == before, what="nothing to be left")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd.wav", "passwd.wav"),
        ("C:\\music\\song.wav", "song.wav"),
        ("ein schönes Lied - 歌.wav", "ein schönes Lied - 歌.wav"),
        ("a\tb.wav", "ab.wav"),
        ("..", ".."),
    ],
)
def test_filenames_are_shown_and_never_paths(idle: Service, given: str, shown: str, seed: int) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="' + given.encode()
    body += b'"\r\n\r\n' + wav(seed=seed) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    uploader = Uploader(idle)
    answer = uploader.http.post("/api/upload", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert uploader.status(answer.json()["job_id"])["filename"] == shown
    assert all(part.isalnum() for path in idle.files() for part in Path(path).parts)


def test_the_history_goes_back_to_any_time_and_one_without_a_zone_is_utc(idle: Service, seed: int) -> None:
    uploader = Uploader(idle)
    first = uploader.job(wav(seed=seed))
    second = uploader.job(wav(seed=seed + 1))

    def found(before: str) -> list[str]:
        answer = uploader.http.get("/api/jobs", params={"before": before})
        assert answer.status_code == 200, answer.text
        return [job["job_id"] for job in answer.json()["jobs"]]

    for long_ago in ("0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00"):
        assert found(long_ago) == []
    created = uploader.status(second)["created_at"]
    assert created.endswith("Z")
    assert found(created)[0] == found(created.removesuffix("Z"))[0] == first


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": "nope"}, "unknown_model"),
        ({"format": "mp3"}, "bad_params"),
        ({"shifts": "many"}, "bad_params"),
        ({"overlap": "nan"}, "bad_params"),
        ({"priority": "10"}, "bad_params"),
        ({"colour": "red"}, "unknown_field"),
        ({"source_url": "https://example.com/a.wav"}, "two_inputs"),
        ({"webhook_url": "https://api.track-tree.com/webhooks/demucs"}, "webhooks_off"),  # nothing to sign it with
    ],
)
def test_a_wrong_option_is_said_and_nothing_is_left(
    idle: Service, fields: dict[str, str], code: str, seed: int
) -> None:
    before = idle.files()
    answer = Uploader(idle).upload(wav(seed=seed), **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert set(answer.json()) >= {"error", "code"}
    assert idle.files() == before


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.wav", "https://10.0.0.1/a.wav", "file:///etc/passwd"])
def test_links_to_where_nobody_should_look_are_refused(idle: Service, url: str) -> None:
    answer = Uploader(idle).http.post("/api/upload", files={"source_url": (None, url)})
    assert (answer.status_code, answer.json()["code"]) == (400, "source_refused"), answer.text


def test_calls_are_limited_and_pages_elsewhere_named(tmp_path: Path) -> None:
    settings = {
        "STEMWRIGHT_WEBSERVER_UPLOAD_RATE": "2/hour",
        "STEMWRIGHT_WORKERS": "0",
        "API_CORS_ORIGINS": "https://studio.example",
    }
    with running(tmp_path / "data", SETTINGS | settings) as service:
        uploader = Uploader(service)
        answers = [uploader.upload(wav(seed=seed)) for seed in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert int(answers[2].headers["Retry-After"]) > 3000
        assert answers[2].json()["code"] == "rate_limited"
        assert uploader.http.get("/api/jobs").status_code == 200  # counted apart
        for origin, allowed in (("https://studio.example", "https://studio.example"), ("https://evil.example", None)):
            answer = uploader.http.get("/api/models", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_json_is_compressed_and_zips_never(uploader: Uploader, seed: int) -> None:
    job_id = uploader.job(wav(seed=seed))
    uploader.wait(job_id)
    assert uploader.http.get("/api/jobs").headers.get("Content-Encoding") == "gzip"
    zipped = uploader.download(job_id, {"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in zipped.headers
    stem = uploader.http.get(uploader.status(job_id)["stems"][0]["url"])
    assert "Content-Encoding" not in stem.headers


def test_the_same_work_asked_for_again_is_done_at_once_and_each_job_goes_alone(webserver: Service, seed: int) -> None:
    uploader = Uploader(webserver)
    first = uploader.job(wav(seed=seed))
    uploader.wait(first)
    again = uploader.upload(wav(seed=seed))
    assert again.json()["status"] == "completed"
    second = again.json()["job_id"]
    assert second != first
    whole = uploader.download(first).content
    assert uploader.http.delete(f"/api/jobs/{first}").status_code == 204
    uploader.gone(first)

    def one_left() -> bool:
        mine = [path for path in webserver.files() if first.replace("-", "") in path]
        return mine == []

    until(one_left, what="the files of the first job to be removed")
    assert uploader.download(second).content == whole
    other = uploader.upload(wav(seed=seed), model="loud")
    assert other.json()["status"] == "queued"
    uploader.wait(other.json()["job_id"])


def test_a_job_of_the_other_apis_is_none_of_this_one(webserver: Service, uploader: Uploader, seed: int) -> None:
    client: Any = webserver.client
    file_id = client.upload(wav(seed=seed))
    job_id = client.submit(file_id)
    client.wait(file_id, job_id, "completed")
    assert uploader.http.get(f"/api/status/{job_id}").status_code == 404
    assert uploader.http.get(f"/api/download/{job_id}").status_code == 404
