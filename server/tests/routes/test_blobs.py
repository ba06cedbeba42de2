"""Files on the local disk, as they are sent."""

import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from loops import in_loop

from stemwright_server.routes.blobs.router import OpenFileResponse


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux opens what was deleted by its descriptor")
@pytest.mark.parametrize("part", [None, slice(1000, 70_000)], ids=["whole", "range"])
def test_a_stem_that_is_deleted_while_it_is_sent_comes_whole(part: slice | None, tmp_path: Path) -> None:
    stem, samples, sent = tmp_path / "stem.wav", bytes(range(256)) * 1000, bytearray()
    stem.write_bytes(samples)

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            stem.unlink()
        else:
            sent.extend(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read")

    headers = [(b"range", f"bytes={part.start}-{part.stop - 1}".encode())] if part else []
    scope = {"type": "http", "method": "GET", "headers": headers, "asgi": {"spec_version": "2.4"}}
    response = OpenFileResponse(stem.open("rb"), media_type="audio/wav", filename=stem.name)
    in_loop(response(scope, receive, send))
    assert sent == samples[part or slice(None)]
