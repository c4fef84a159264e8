"""Let those who wait for the writer share one block: many callers, one flush.

A caller leaves what it wants written in the queue. Whoever is first in it leads: it writes its own
and all that wait behind it by then, tells them, and the next one leads. Nobody waits for others to
come: a caller that is alone leads at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from threading import Event, Lock

from ledgercore._core import Receipt, VerifiedBatch
from ledgercore.errors import LedgerError, RefusedError, StoreError

__all__ = ["Group", "Outcome", "Waiting"]

Outcome = int | RefusedError
"""The index that a record has, or why it was refused."""


@dataclass(eq=False, slots=True)
class Waiting:
    """What one caller wants written: payloads to be signed, or records that are signed already.

    They are ``count``, and take ``weight`` bytes in a block, at most. One that is ``alone`` shares
    its turn with nobody. One that wants its receipt gets it with the block, together with others'.
    """

    count: int
    weight: int
    payloads: Sequence[bytes] = ()
    batch: VerifiedBatch | None = None
    alone: bool = False
    wants_receipt: bool = False
    receipt: Receipt | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    served: bool = False
    woken: Event | None = None


class Group:
    """The queue of those who wait; its first one leads."""

    def __init__(
        self,
        limit_records: int,
        limit_bytes: int,
        serve: Callable[[Sequence[Waiting]], list[Outcome]],
    ) -> None:
        """``serve`` writes what some callers want as one block, which holds no more than that."""
        self._limit_records = limit_records
        self._limit_bytes = limit_bytes
        self._serve = serve
        self._lock = Lock()
        self._queue: deque[Waiting] = deque()

    def write(self, waiting: Waiting) -> list[Outcome]:
        """Have it written, alone or with others: its outcomes, or what its block failed of."""
        some = [waiting]
        try:
            self._come(waiting)
            if not waiting.served:
                some = self._first()
                self._serve_some(some)
        finally:
            # Also when interrupted: what no leader has taken is not written, and another leads.
            self._leave(some)
        if waiting.error is not None:
            raise waiting.error
        return waiting.outcomes

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Lead, and write with nothing of others between."""
        waiting = Waiting(0, 0, alone=True)
        try:
            self._come(waiting)
            yield
        finally:
            self._leave([waiting])

    def _come(self, waiting: Waiting) -> None:
        """Wait until this one is served, or leads."""
        with self._lock:
            self._queue.append(waiting)
            if self._queue[0] is waiting:
                return
            woken = waiting.woken = Event()
        woken.wait()

    def _first(self) -> list[Waiting]:
        """The leader, and those behind it as far as one block holds them."""
        with self._lock:
            leader, *others = self._queue
        if not others:
            return [leader]
        some, records, size = [leader], leader.count, leader.weight
        for waiting in others:
            records += waiting.count
            size += waiting.weight
            if waiting.alone or records > self._limit_records or size > self._limit_bytes:
                break
            some.append(waiting)
        return some

    def _leave(self, some: Sequence[Waiting]) -> None:
        """Take out of the queue those that are in it, and wake them and who leads now."""
        with self._lock:
            for waiting in some:
                if waiting in self._queue:
                    self._queue.remove(waiting)
            leader = [self._queue[0]] if self._queue else []
        for waiting in [*some, *leader]:
            if waiting.woken is not None:
                waiting.woken.set()

    def _serve_some(self, some: Sequence[Waiting]) -> None:
        try:
            outcomes = self._serve(some)
            at = 0
            for waiting in some:
                waiting.outcomes = outcomes[at : at + waiting.count]
                at += waiting.count
        except LedgerError as error:
            for waiting in some:
                waiting.error = _twin(error)
        except BaseException as error:
            for waiting in some:
                waiting.error = StoreError(f"block was not written: {error!r}")
            raise
        finally:
            for waiting in some:
                waiting.served = True


def _twin(error: LedgerError) -> LedgerError:
    """The same error for one more thread, which adds its own calls to it."""
    twin = copy(error)
    twin.__cause__ = error
    return twin
