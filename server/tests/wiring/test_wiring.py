"""What is wired at the start."""

from __future__ import annotations

import sys

import pytest
from pydantic import SecretStr

from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.settings import Settings
from stemwright_server.wiring.stores import build_broker
from stemwright_worker.errors import Unavailable


@pytest.mark.parametrize(
    ("url", "missing", "extras"),
    [
        ("redis://127.0.0.1:1/0", "redis", "celery,redis"),
        ("rediss://127.0.0.1:1/0", "celery", "celery,redis"),
        ("amqp://127.0.0.1:1/", "celery", "celery"),
    ],
)
def test_a_broker_without_its_library_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, url: str, missing: str, extras: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(Unavailable, match=rf"pip install 'stemwright-server\[{extras}\]'") as caught:
        build_broker(Settings.model_construct(broker_url=SecretStr(url)), InProcessWakeUps())
    assert caught.value.code == "extra_missing"
