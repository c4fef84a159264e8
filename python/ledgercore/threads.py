"""Keep what one process opened to its threads, one at a time.

A forked process has none of the threads that may hold a lock when it begins: it would wait for them
for ever. And what SQLite opened must not be used there (https://sqlite.org/howtocorrupt.html,
section 2.6).
"""

from __future__ import annotations

from threading import RLock

from ledgercore.disk import process_id
from ledgercore.errors import UnavailableError

__all__ = ["OwnLock"]


class OwnLock:
    """A lock that a thread may take again, for the process that made it."""

    __slots__ = ("_lock", "_process", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = RLock()
        self._process = process_id()

    @property
    def is_foreign(self) -> bool:
        """Whether another process made it."""
        return process_id() != self._process

    def check(self) -> None:
        """Raise ``UnavailableError`` in any other process."""
        if process_id() != self._process:
            raise self._foreign()

    def acquire(self) -> None:
        """Wait for the other threads of this process; raises as ``check`` does."""
        if process_id() != self._process:
            raise self._foreign()
        self._lock.acquire()

    def _foreign(self) -> UnavailableError:
        return UnavailableError(
            f"{self._what} was opened in process {self._process}: open it anew in this one"
        )

    def release(self) -> None:
        """Let the next thread have it."""
        self._lock.release()

    __enter__ = acquire

    def __exit__(self, *raised: object) -> None:
        self._lock.release()
