"""Let those who wait for the writer share one block: many callers, one flush.

A caller leaves what it wants written and waits for its turn. Whoever's turn it is serves all that
wait by then, and those who were served find their outcome when their turn comes. Nobody waits for
others to come: a caller that is alone is served at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from threading import Lock

from ledgercore._core import VerifiedBatch
from ledgercore.errors import LedgerError, RefusedError, StoreError

__all__ = ["Group", "Outcome", "Waiting"]

Outcome = int | RefusedError
"""The index that a record has, or why it was refused."""


@dataclass(eq=False)
class Waiting:
    """What one caller wants written: payloads to be signed, or records that are signed already.

    ``weight`` is how many bytes it takes in a block, at most.
    """

    weight: int
    payloads: Sequence[bytes] = ()
    batch: VerifiedBatch | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    served: bool = False

    def __len__(self) -> int:
        return len(self.payloads) if self.batch is None else len(self.batch)

    def result(self) -> list[Outcome]:
        """The outcomes, in the order of what was given; or raise what the whole block failed of."""
        if self.error is not None:
            raise self.error
        return self.outcomes


class Group:
    """Those who wait, and the turn that one of them has."""

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
        self._waiting: deque[Waiting] = deque()
        self.turn = Lock()

    def write(self, waiting: Waiting) -> list[Outcome]:
        """Have it written, alone or with others; raises what its block failed of."""
        self._waiting.append(waiting)
        try:
            with self.turn:
                while not waiting.served:
                    self._serve_some(self._take())
        except BaseException:
            # Interrupted before its turn came: what nobody waits for is not written.
            with suppress(ValueError):
                self._waiting.remove(waiting)
            raise
        return waiting.result()

    def _take(self) -> list[Waiting]:
        """Those who came first, as far as one block holds them."""
        some = [self._waiting.popleft()]
        records, size = len(some[0]), some[0].weight
        while self._waiting:
            records += len(self._waiting[0])
            size += self._waiting[0].weight
            if records > self._limit_records or size > self._limit_bytes:
                break
            some.append(self._waiting.popleft())
        return some

    def _serve_some(self, some: Sequence[Waiting]) -> None:
        try:
            outcomes = self._serve(some)
            at = 0
            for waiting in some:
                waiting.outcomes = outcomes[at : at + len(waiting)]
                at += len(waiting)
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
