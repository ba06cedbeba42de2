"""The documents' own local development, line by line: their file of settings, their bucket, their worker, their request.

What stands here is in the two documents, but for what they do not say: the worker's secret, and which private addresses
may be reached. The client knows nothing of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx2
import pytest
from backing import Redis, free_port, listens
from botocore.config import Config
from s3_server import S3Server
from service import COMMAND, environment, until, wav
from track_tree import Received, Receiver

TOKEN = "test-token-for-local-development"
LOCALSTACK = 4566  # its port; rclone stands for it, as it runs without a container
CREATE_BUCKET = """
import boto3
s3 = boto3.client('s3', endpoint_url='http://localhost:4566', aws_access_key_id='test', aws_secret_access_key='test', region_name='us-east-1')
s3.create_bucket(Bucket='test-bucket')
print('Test bucket created successfully')
"""  # noqa: E501  # as it stands there


@pytest.fixture
def localstack(tmp_path: Path) -> Iterator[S3Server]:
    if listens(LOCALSTACK):
        pytest.skip("somebody has LocalStack's port")
    server = S3Server(tmp_path, address=f"127.0.0.1:{LOCALSTACK}", key="test,test")
    try:
        yield server
    finally:
        server.close()


def holds(received: Received) -> bool:
    """Whether a webhook is signed as the documents say: ``HMAC-SHA256(DEMUCSSVC_TOKEN, payload|timestamp)``."""
    stamp = received.headers["x-timestamp"]
    mac = hmac.new(TOKEN.encode(), received.body + b"|" + stamp.encode(), hashlib.sha256).hexdigest()
    return received.headers["x-signature"] == f"sha256={mac}" and abs(time.time() - int(stamp)) < 300


def signed(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    mac = hmac.new(TOKEN.encode(), body + b"|" + stamp.encode(), hashlib.sha256).hexdigest()
    return {"X-Signature": f"sha256={mac}", "X-Timestamp": stamp}


def test_the_local_development_of_the_documents_as_they_describe_it(
    tmp_path: Path, localstack: S3Server, redis: Redis
) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    asked = environment(tmp_path / "state", {})
    del asked["STEMWRIGHT_ENV_FILE"]
    (tmp_path / "state").mkdir()
    made = subprocess.run([sys.executable, "-c", CREATE_BUCKET], env=asked, capture_output=True, text=True, check=True)
    assert made.stdout == "Test bucket created successfully\n"
    s3 = boto3.client(
        "s3",
        endpoint_url="http://localhost:4566",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),  # rclone checks this one only; LocalStack takes both
    )
    s3.put_object(Bucket="test-bucket", Key="mixes/song.wav", Body=wav())
    with Receiver() as receiver:
        theirs = {
            "ENVIRONMENT": "local",
            "DEMUCSSVC_TOKEN": TOKEN,
            "S3_BUCKET": "test-bucket",
            "REDIS_URL": redis.url.replace("127.0.0.1", "localhost"),
            "CUDA_VISIBLE_DEVICES": "0",
            "PORT": str(port),
            "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
        }
        ours = {"STEMWRIGHT_WORKER_SECRET": "w" * 32, "SOURCE_ORIGIN_ALLOWLIST": "http://localhost:4566"}
        ours |= {"STEMWRIGHT_API_URL": url.replace("localhost", "127.0.0.1")}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in (theirs | ours).items()))

        storage = [*COMMAND, "storage", "check"]  # instead of: python3 test_s3_local.py
        tried = subprocess.run(storage, env=asked, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stdout + tried.stderr
        celery = [sys.executable, "-m", "celery", "-A", "stemwright_server.queues", "worker", "--loglevel=info"]
        processes = []
        try:
            for name, command in (("worker", celery), ("serve", [*COMMAND, "serve"])):
                with (tmp_path / f"{name}.log").open("wb") as log:
                    processes.append(subprocess.Popen(command, env=asked, cwd=tmp_path, stdout=log, stderr=log))
            _split(url, s3, receiver)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(60)
        receiver.shutdown()


def _split(url: str, s3: object, receiver: Receiver) -> None:
    """What the product's backend does, and what it gets."""
    http = httpx2.Client(base_url=url, trust_env=False, timeout=30.0)

    def healthy() -> bool:
        try:
            return bool(http.get("/healthz").json() == {"ok": True})
        except httpx2.HTTPError:
            return False

    def queue() -> dict[str, int]:
        return dict(http.get("/queue/status", headers=signed(b"")).json())

    until(healthy, seconds=120.0, what="the service to be healthy")
    until(lambda: queue()["active_workers"] == 2, seconds=240.0, what="Celery's worker and the service's own")
    get = {"Bucket": "test-bucket", "Key": "mixes/song.wav"}
    body = json.dumps(
        {
            "versionId": "6f1c0d2e-0b1f-4c1e-9d53-2f4f6f0a9a11",
            "audioUrl": s3.generate_presigned_url("get_object", Params=get),  # type: ignore[attr-defined]
            "aiModel": "half",
            "webhook": receiver.url,
            "correlationId": "optional-correlation-id",
        }
    ).encode()
    answer = http.post("/split", content=body, headers=signed(body) | {"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (202, ["jobId"])
    (told,) = until(lambda: receiver.received, seconds=240.0, what="the webhook")
    assert holds(told)
    payload = json.loads(told.body)
    assert (payload["versionId"], payload["status"]) == ("6f1c0d2e-0b1f-4c1e-9d53-2f4f6f0a9a11", "completed")
    assert payload["error"] is None
    assert payload["processingTimeMs"] > 0
    assert [stem["name"] for stem in payload["stems"]] == ["Quiet", "Rest"]
    for stem in payload["stems"]:
        bucket, _, key = stem["url"].removeprefix("s3://").partition("/")
        data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()  # type: ignore[attr-defined]
        assert key == f"{payload['versionId']}/{stem['type']}.wav"
        assert (len(data), stem["duration"]) == (stem["size"], 0.5)
        assert stem["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    expected = {"queue_depth": 0, "active_workers": 2, "completed_jobs": 1, "failed_jobs": 0}
    assert queue() == expected
