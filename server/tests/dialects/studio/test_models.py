"""GET /models: who is there to run what."""

from __future__ import annotations

from typing import Any

from studio import Studio


def test_a_model_says_whether_a_worker_is_there_for_it(studio: Studio) -> None:
    def model() -> Any:
        (found,) = studio.http.get("/models").json()["models"]
        return found["workers"], found["paused"]

    assert model() == (0, False)  # it was announced once, and nobody is there
    studio.deps.workers.note("a", device="cpu", services=("m",))
    studio.deps.workers.note("b", device="cpu", services=("other", "m"))
    studio.deps.workers.note("c", device="cpu", services=("other",))
    assert model() == (2, False)
    studio.deps.workers.forget("a")
    studio.deps.workers.pause("m")
    assert model() == (1, True)
