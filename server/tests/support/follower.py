"""The real Socket.IO JavaScript client, following a job."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from service import until

WEB = Path(__file__).resolve().parents[3] / "web"  # its node_modules have the client


class Follower:
    """A client that has connected, and everything it was told so far: (event, data)."""

    def __init__(self, url: str, job_id: str, *, token: str = "", transport: str = "", origin: str = "") -> None:
        script = Path(__file__).with_name("follow.mjs")
        command = ["node", str(script), str(WEB), url, job_id, token, transport, origin]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.told: list[tuple[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event, data = json.loads(line)
            self.told.append((event, data))

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def heard(self) -> list[tuple[str, Any]]:
        """What it was told of the job; the answer to its subscription comes after the first of that."""
        return [each for each in self.told if each[0] not in ("connect", "ack")]

    def all(self, name: str) -> list[Any]:
        """The data of every event of a name."""
        return [data for each, data in self.told if each == name]

    def subscribed(self) -> Follower:
        """Wait until the server has answered."""
        until(lambda: "ack" in self.names() or "connect_error" in self.names(), what="an answer to subscribe")
        return self

    def ended(self) -> Follower:
        """Wait until the job has ended for it."""
        assert self.process.wait(120) == 0
        self._thread.join(10)
        return self
