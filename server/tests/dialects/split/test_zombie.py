"""Bar 6 where it matters most: the caller's own fixed URL, which every attempt can write to."""

from __future__ import annotations

import os
import signal
import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from chaos import record
from origin import body, serving, status
from service import running, until, wav
from track_tree import TOKEN, Backend, Receiver

STEM = "/put/quiet.wav"
SIZE = 16_000_000  # bytes of a stem: more than the kernel takes in for a reader that does not read


class Halfway:
    """Holds the first PUT once its head has come, until told; the others pass."""

    def __init__(self) -> None:
        self.reached, self.go_on = Event(), Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(300.0)


@pytest.mark.chaos
def test_a_worker_stopped_in_mid_put_and_resumed_past_its_lease_cannot_overwrite_the_winner(tmp_path: Path) -> None:
    halfway = Halfway()
    with Receiver() as receiver, serving() as store:
        store.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        store.answers["/a.wav"] = body(wav(SIZE / 16000))
        urls = {stem: f"{store.url}/put/{stem}.wav" for stem in ("quiet", "rest")}
        for stem in urls:
            store.answers[f"/put/{stem}.wav"] = status(200)
        store.before[STEM] = halfway
        settings = {
            "DEMUCSSVC_TOKEN": TOKEN,
            "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
            "SOURCE_ORIGIN_ALLOWLIST": store.url,
            "STEMWRIGHT_WORKERS": "2",
            "STEMWRIGHT_LEASE_SECONDS": "8",
            "STEMWRIGHT_HEARTBEAT_SECONDS": "1",
        }
        with running(tmp_path / "data", settings) as service:
            asked: dict[str, Any] = {
                "versionId": "v1",
                "audioUrl": f"{store.url}/a.wav",
                "aiModel": "half",
                "webhook": receiver.url,
            }
            job_id = Backend(service.url).split(uploadUrls=urls, **asked).json()["jobId"]
            until(halfway.reached.is_set, seconds=120.0, what="the first PUT")
            claims = [line for line in service.logged() if line["event"] == "claimed"]
            started = {line["worker"]: line["pid"] for line in service.logged() if line["event"] == "worker_started"}
            zombie, worker = started[claims[0]["worker"]], claims[0]["worker"]
            os.kill(zombie, signal.SIGSTOP)
            try:
                (told,) = until(lambda: receiver.of(job_id), seconds=240.0, what="the other worker to win")
            finally:
                os.kill(zombie, signal.SIGCONT)
            assert told.json()["status"] == "completed"
            won = store.kept[STEM]
            assert len(won) > SIZE / 2
            halfway.go_on.set()
            until(lambda: store.cut_off == [STEM], seconds=120.0, what="the PUT of the zombie to break off")

            def gave_up() -> bool:
                mine = [line for line in service.logged() if line["event"] == "attempt_stopped"]
                return any(line["reason"] == "lease lost" and line["attempt"] == 1 for line in mine)

            until(gave_up, seconds=120.0, what="the zombie to give up")
            assert store.kept[STEM] is won
            assert (
                len([path for path, _ in store.asked if path.startswith("/put/")]) == 2
            )  # whole ones, all the winner's
            assert worker != next(line["worker"] for line in service.logged() if line.get("attempt") == 2)
            record("6, a caller's own URL", stopped_in="a PUT", whole_puts=2, cut_off=len(store.cut_off), webhooks=1)
        receiver.shutdown()
