"""GET /status: the word for all jobs of a file."""

from __future__ import annotations

from typing import Any

from studio import Studio


def test_the_status_of_a_file_sums_up_the_last_job_of_each_model(studio: Studio) -> None:
    studio.song()

    def work() -> Any:
        found = studio.http.get("/status/t").json()["work"]
        assert studio.http.get("/songs").json()["songs"][0]["work"] == found
        return found.pop("status"), {state: count for state, count in found.items() if count}

    assert work() == ("none", {})
    studio.process(variation="v")
    assert work() == ("queued", {"queued": 1})
    studio.failed()
    assert work() == ("failed", {"failed": 1})
    studio.process(variation="short")
    studio.done()
    assert work() == ("partly", {"failed": 1, "completed": 1})
    studio.process(variation="v")  # once more: what failed before does not count any more
    studio.claimed()
    assert work() == ("running", {"running": 1, "completed": 1})
