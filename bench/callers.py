"""The callers of ``status_latency.py``: pollers and uploaders, each kind a process, on plain sockets."""

from __future__ import annotations

import http.client
import io
import json
import random
import sys
import time
import wave
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

RATE = 44100
BOUNDARY = "a-boundary-that-noise-does-not-hold"
PAUSE = 2.0  # seconds between two uploads of one person


def main() -> None:
    """``poll URL JOB N SECONDS`` or ``upload URL N SECONDS``; prints JSON."""
    kind, url, *rest = sys.argv[1:]
    print(json.dumps(poll(url, rest[0], int(rest[1]), float(rest[2])) if kind == "poll" else upload(url, rest)))


def poll(url: str, job_id: str, count: int, seconds: float) -> dict[str, Any]:
    """One call a second by each poller. ``took``: when each was due, and how long after that its answer was whole."""
    took: list[tuple[float, float]] = []
    failed: list[str] = []
    began = time.monotonic()

    def one(offset: float) -> None:
        connection = _connection(url)
        for number in range(int(seconds)):
            due = began + offset + number
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                connection.request("GET", f"/api/status/{job_id}")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failed.append(str(answer.status))
                took.append((due - began, time.monotonic() - due))
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
                connection.close()

    _together([Thread(target=one, args=(number / count,)) for number in range(count)])
    for words in sorted(set(failed)):
        print(words, file=sys.stderr)
    return {"took": took, "failed": len(failed)}


def upload(url: str, words: list[str]) -> dict[str, int]:
    """Songs of 20 seconds, again and again."""
    count, seconds = int(words[0]), float(words[1])
    end = time.monotonic() + seconds
    sent: list[str] = []
    failed: list[str] = []

    def one() -> None:
        while time.monotonic() < end:
            try:
                sent.append(send(url, song(20.0)))
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
            time.sleep(PAUSE)

    _together([Thread(target=one) for _ in range(count)])
    for each in sorted(set(failed)):
        print(each, file=sys.stderr)
    return {"sent": len(sent), "failed": len(failed)}


def send(url: str, data: bytes) -> str:
    """The id of a new job. Raises OSError for an answer that is none."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="noise.wav"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = _connection(url)
    connection.request("POST", "/api/upload", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 202:
        raise OSError(f"{answer.status}: {text[:300]!r}")
    return str(json.loads(text)["job_id"])


def get(url: str, path: str) -> Any:
    """What a GET answers."""
    connection = _connection(url)
    connection.request("GET", path)
    try:
        return json.load(connection.getresponse())
    finally:
        connection.close()


def song(seconds: float, *, rate: int = RATE, channels: int = 2) -> bytes:
    """A wav file of noise, another one each time."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        second = random.randbytes(2 * channels * rate)
        file.writeframes(second * round(seconds))
    return data.getvalue()


def _connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=60.0)


def _together(threads: list[Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
