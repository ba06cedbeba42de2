"""What a listener of an event stream was told, in the ids of its events: it says the last one when it connects again."""

from __future__ import annotations

import re

from stemwright_server.domain.job import Job

_SHORT = 12  # characters of a job's id that tell it from the others of its file
_MOST = 64  # jobs that an id tells of; of those before them the state is told again
_ENDED = "end"
_WORD = re.compile(r"([0-9a-f]{1,12}):(end|[0-9]{1,9})")


class Told:
    """Revisions of jobs that a listener has, the latest told last. An ended job is told of once: nothing comes after it."""

    def __init__(self, last_event_id: str = "") -> None:
        """``last_event_id``: as an event of ours had it; anything else says nothing."""
        words = (_WORD.fullmatch(word) for word in last_event_id[: 32 * _MOST].split(","))
        self._revisions = {word[1]: word[2] for word in words if word is not None}

    def is_news(self, job: Job) -> bool:
        """Whether the listener has yet to be told of the job as it is."""
        had = self._revisions.get(job.id[:_SHORT])
        return had is None or (had != _ENDED and int(had) < job.revision)

    def note(self, job: Job) -> str:
        """The job is told of as it is. The id of that event."""
        self._revisions.pop(job.id[:_SHORT], None)
        self._revisions[job.id[:_SHORT]] = _ENDED if job.state.final else str(job.revision)
        latest = list(self._revisions.items())[-_MOST:]
        return ",".join(f"{identity}:{revision}" for identity, revision in latest)
