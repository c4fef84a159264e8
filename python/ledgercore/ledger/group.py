"""Let those who wait for the writer share one block: many callers, one flush.

A caller leaves what it wants written in the queue. Where nobody leads it leads: it writes what is
first in the queue, its own and others', until its own is served, tells them, and calls the next
one. Nobody waits for others to come: a caller that is alone leads at once.

An interrupt (``KeyboardInterrupt``) may end a leader between any two steps, so no step has to
happen. Whoever leads holds one raw lock, by ``with``, which no interrupt leaves locked. What it
writes is named in one assignment before it is begun: whoever leads next finds it there, and says
to those without an answer that theirs may be durable. Whoever waits looks again by itself after a
while, so it may miss its call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TypeVar

from ledgercore._core import Receipt, VerifiedBatch
from ledgercore.errors import LedgerError, RefusedError, StoreError

__all__ = ["Group", "Outcome", "Waiting"]

LOOK_AGAIN_S = 0.25
"""Seconds after which one that waits looks whether it missed its call."""

Result = TypeVar("Result")

Outcome = int | RefusedError
"""The index that a record has, or why it was refused."""


@dataclass(eq=False, slots=True)
class Waiting:
    """What one caller wants written: payloads to be signed, or records that are signed already.

    They are ``count``, and take ``weight`` bytes in a block, at most. One that wants its receipt
    gets it with the block, together with others'. One whose payloads need only be ``durable`` waits
    for no block, where all that share its turn are such. One with ``work`` of its own shares its
    turn with nobody.
    """

    count: int
    weight: int
    payloads: Sequence[bytes] = ()
    batch: VerifiedBatch | None = None
    work: Callable[[], None] | None = None
    wants_receipt: bool = False
    durable: bool = False
    receipt: Receipt | None = None
    outcomes: list[Outcome] | None = None
    error: BaseException | None = None
    served: bool = False
    called: Lock | None = None


class Group:
    """The queue of those who wait, and the lock of the one who leads."""

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
        self._leading = Lock()
        self._queue: deque[Waiting] = deque()  # each call of it is one step, and needs no lock
        self._begun: Sequence[Waiting] = ()

    def write(self, waiting: Waiting) -> list[Outcome]:
        """Have it written, alone or with others: its outcomes, or what its block failed of.

        Raises ``StoreError`` where the leader was interrupted, and it may be durable.
        """
        try:
            self._queue.append(waiting)
            if self._leading.locked():
                self._wait(waiting)
            if not waiting.served:
                with self._leading:
                    self._lead(waiting)
        except BaseException:
            self._remove(waiting)  # what no leader has begun is not written
            raise
        finally:
            if self._queue:
                self._call_next()
        if waiting.error is not None:
            raise waiting.error
        return waiting.outcomes or []

    def alone(self, work: Callable[[], Result]) -> Result:
        """Do some work that writes, with nothing of others between; a leader calls it."""
        results: list[Result] = []
        self.write(Waiting(0, 0, work=lambda: results.append(work())))
        return results[0]

    def _wait(self, waiting: Waiting) -> None:
        """Wait until this one is served, or nobody leads.

        Nobody waits at the lock of the leader but by chance: those who came back first would take
        it, and one that is served already would wait on.
        """
        called = Lock()
        called.acquire()
        waiting.called = called
        # Who leads looks at the queue after it has unlocked: it calls, or is seen to be gone.
        while not waiting.served and self._leading.locked():
            called.acquire(timeout=LOOK_AGAIN_S)

    def _lead(self, waiting: Waiting) -> None:
        """Serve the first in the queue until this one is served."""
        if self._begun:
            self._finish()  # a leader was interrupted
        while not waiting.served:
            self._serve_some(self._first())

    def _first(self) -> Sequence[Waiting]:
        """Those at the front, as far as one block holds them."""
        if len(self._queue) == 1:
            return (self._queue[0],)  # the leader's own, which nobody else takes out
        first, *others = self._queue.copy()
        if not others or first.work is not None:
            return (first,)
        some, records, size = [first], first.count, first.weight
        for waiting in others:
            records += waiting.count
            size += waiting.weight
            over = records > self._limit_records or size > self._limit_bytes
            if over or waiting.work is not None:
                break
            some.append(waiting)
        return some

    def _serve_some(self, some: Sequence[Waiting]) -> None:
        self._begun = some  # interrupted before it, they are as they were; after it, in doubt
        try:
            if some[0].work is not None:
                some[0].work()
                some[0].outcomes = []
                return
            outcomes = self._serve(some)
            at = 0
            for waiting in some:
                waiting.outcomes = outcomes[at : at + waiting.count]
                at += waiting.count
        except LedgerError as error:
            for waiting in some:
                waiting.error = _twin(error)
        except Exception as error:  # noqa: BLE001  # an interrupt is its thread's own
            for waiting in some[1:]:
                waiting.error = _in_doubt(repr(error))
                waiting.error.__cause__ = error
            some[0].error = error
        finally:
            self._finish()

    def _finish(self) -> None:
        """Tell those whose block was begun, and take them out; done twice, it does no more."""
        for waiting in self._begun:
            if waiting.outcomes is None and waiting.error is None:
                waiting.error = _in_doubt("the thread that wrote them was interrupted")
            waiting.served = True
            self._remove(waiting)
            self._call(waiting)
        self._begun = ()

    def _remove(self, waiting: Waiting) -> None:
        with suppress(ValueError):  # it is out already
            self._queue.remove(waiting)

    def _call_next(self) -> None:
        for waiting in islice(self._queue.copy(), 1):
            self._call(waiting)

    def _call(self, waiting: Waiting) -> None:
        if waiting.called is not None:
            with suppress(RuntimeError):  # it was called already
                waiting.called.release()


def _in_doubt(why: str) -> StoreError:
    return StoreError(
        f"records may be durable, or not: {why}; look for them on the ledger before you send them "
        "again"
    )


def _twin(error: LedgerError) -> LedgerError:
    """The same error for one more thread, which adds its own calls to it."""
    twin = copy(error)
    twin.__cause__ = error
    return twin
