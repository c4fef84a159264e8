"""Promise revocations at the operator's node, and order what was promised.

A promise is answered before its record is ordered, so that who holds a revocation back has signed
that it was there. What stops the node between the two leaves a promise and no record: whoever holds
one, and no receipt, sends the record again, here or to another node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from ledgercore.errors import LedgerError, RefusedError, UnavailableError
from ledgercore.ledger import Ledger
from ledgercore.node.feed import Feed
from ledgercore.node.limits import Limits
from ledgercore.node.logs import Log
from ledgercore.node.metrics import Metrics
from ledgercore.node.ordering import Ordering
from ledgercore.proofs import Promise
from ledgercore.waiting import sleep

__all__ = ["Promises"]

ResultT = TypeVar("ResultT")

AGAIN_S = 1.0
"""After an attempt to order that failed, as where the disk is full."""


class Host(Protocol):
    """The node that promises, as far as that needs it."""

    ledger: Ledger
    limits: Limits
    log: Log
    metrics: Metrics
    feed: Feed
    ordering: Ordering

    async def ask(self, call: Callable[[], ResultT]) -> ResultT:
        """Run a call of the ledger on a thread."""
        ...

    def ended(self, task: asyncio.Task[None]) -> None:
        """Notice how a task ended."""
        ...


class Promises:
    """The operator's node: it signs and orders; any other node's ledger is open for reading."""

    def __init__(self, node: Host) -> None:
        self._node = node
        self._ordering: set[asyncio.Task[None]] = set()

    async def promise(self, record: bytes) -> Promise:
        """Sign a promise and begin to order; where that cannot be, nothing is promised."""
        node, limits = self._node, self._node.limits
        if node.feed.closed:
            raise UnavailableError("node is stopping: ask again, or ask another one")
        if len(self._ordering) >= limits.promises:
            raise UnavailableError(
                f"promised records that wait are {limits.promises}, want less: ask again"
            )
        within_ms = round(1000 * limits.promise_s)
        promise = await node.ask(partial(node.ledger.promise, record, within_ms))
        task = asyncio.create_task(self._order(record))
        task.add_done_callback(self._ordering.discard)
        task.add_done_callback(node.ended)
        self._ordering.add(task)
        return promise

    async def _order(self, record: bytes) -> None:
        """Order a record, again and again until it is, or until the node stops."""
        node = self._node
        waits: type[LedgerError] | None = None
        while True:
            try:
                (outcome,) = (await node.ordering.submit([record])).outcomes
            except LedgerError as error:
                if type(error) is not waits:
                    node.log.error("promised record waits", error=type(error).__name__)
                waits = type(error)
                if node.feed.closed:
                    return
                await sleep(AGAIN_S)
                continue
            refused = isinstance(outcome, RefusedError)
            node.metrics.records.labels("refused" if refused else "accepted").inc()
            if isinstance(outcome, RefusedError):
                # Its signer had another record ordered in its place: it made two of one sequence.
                node.log.warning("promised record is refused", code=outcome.code)
            return

    async def stop(self) -> None:
        """Until what was promised is ordered; what cannot be now is left."""
        await asyncio.gather(*self._ordering, return_exceptions=True)
