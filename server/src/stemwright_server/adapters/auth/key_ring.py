"""The keys of one issuer as they were when they were fetched last, fetched again and again by a thread of their own.

A caller's request looks keys up and waits for nothing, unless its token names a key that is not known: then it may wait for
one fetch, which serves all that wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread

import structlog

from stemwright_server.adapters.auth.key_source import SECONDS, KeysUnavailable
from stemwright_server.adapters.auth.public_keys import PublicKey
from stemwright_worker.errors import Unauthenticated

_LONGEST_WAIT = 2 * SECONDS + 1.0  # of a request for a fetch: of discovery and of the key set
_AGAIN = 30.0  # seconds after a failed fetch
_log = structlog.get_logger(__name__)


class KeyRing:
    """Keys by name. Used by many threads."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Sequence[PublicKey]],
        *,
        every: float,
        hold: float,
        pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``name``: whose keys.

        In seconds, ``every``: from one fetch to the next; ``hold``: how long keys count after the last fetch that
        succeeded; ``pause``: the shortest time between two fetches, however many unknown keys are asked for.
        """
        self.name = name
        self._fetch = fetch
        self._every = every
        self._hold = hold
        self._pause = pause
        self._clock = clock
        self._changed = Condition()
        self._keys: Sequence[PublicKey] = ()
        self._fetched: float | None = None  # when the last good fetch began
        self._began = 0.0  # when the last fetch of all did
        self._rounds = 0  # fetches that are over
        self._fetching = False
        self._failed = False  # the last one did
        self._asked = False
        self._closed = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to fetch. It ends with the process, or by ``close``."""
        with self._changed:
            if self._thread is None:
                self._fetching = True
                self._thread = Thread(target=self._run, name="keys", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Fetch no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def find(self, kid: str) -> PublicKey:
        """The key of this name; "": the only one there is. Waits for nothing.

        Raises:
            Unauthenticated: the issuer has no such key.
            KeysUnavailable: nobody knows, since the issuer does not answer.
        """
        with self._changed:
            if (found := self._known(kid)) is not None:
                return found
            if self._failed or self._fetched is None:
                raise KeysUnavailable(
                    f"The token's key is not known here, and {self.name} does not tell its keys now; try again later."
                )
        if not kid:
            raise Unauthenticated(f"The token has to name its key (kid): {self.name} has several.")
        raise Unauthenticated(f"The token's key is none of {self.name}'s.")

    def is_worth_asking(self, kid: str) -> bool:
        """Whether the key is not known, and a fetch might bring it."""
        with self._changed:
            if self._known(kid) is not None or (not kid and self._keys):
                return False
            return self._fetching or self._clock() - self._began >= self._pause

    def ask(self, kid: str) -> None:
        """Have the keys fetched and wait for that. In a thread, for as long as an issuer may take to answer."""
        with self._changed:
            if not self.is_worth_asking(kid):  # any more: others asked meanwhile
                return
            over = self._rounds + 1
            self._asked = self._asked or not self._fetching  # one that is under way serves us too
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._rounds >= over or self._closed, _LONGEST_WAIT)

    def _known(self, kid: str) -> PublicKey | None:
        if self._fetched is None or self._clock() - self._fetched > self._hold:
            return None
        if not kid:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((each for each in self._keys if each.kid == kid), None)

    def _run(self) -> None:
        while not self._closed:
            self._once()
            with self._changed:
                wait = min(_AGAIN, self._every) if self._failed else self._every
                self._changed.wait_for(self._is_due(self._began + wait), self._began + wait - self._clock())
                if self._asked and not self._closed:  # no sooner than the pause
                    self._changed.wait_for(lambda: self._closed, self._began + self._pause - self._clock())

    def _is_due(self, at: float) -> Callable[[], bool]:
        return lambda: self._closed or self._asked or self._clock() >= at

    def _once(self) -> None:
        with self._changed:
            self._fetching, self._asked, self._began = True, False, self._clock()
            known = {each.kid for each in self._keys}
        keys: Sequence[PublicKey] | None = None
        try:
            keys = self._fetch()
        except KeysUnavailable as error:
            if not self._failed:  # the first of an outage
                _log.warning("keys_not_fetched", issuer=self.name, error=str(error))
        except Exception:  # whatever it was, the next one may succeed, and without this thread no key is ever replaced
            _log.exception("keys_not_fetched", issuer=self.name)
        if keys is not None and (self._failed or {each.kid for each in keys} != known):
            _log.info("keys_fetched", issuer=self.name, kids=[each.kid for each in keys])
        with self._changed:
            if keys is not None:
                self._keys, self._fetched = keys, self._began
            self._failed, self._fetching = keys is None, False
            self._rounds += 1
            self._changed.notify_all()
