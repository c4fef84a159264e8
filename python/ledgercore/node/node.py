"""Run one institution's node: its ledger or its copy, and what is told to whom about it.

A node orders where it is the operator's; every other one keeps a copy that it verified itself,
hands submitted records on to the operator's node, and answers when the copy holds them. Either way
what a node answers stands in its own file.

A node is started before it serves and stopped after. What is asked of the ledger runs on threads of
the node; everything else in one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol, TypeVar

from ledgercore._core import Anchor, Checkpoint, Receipt
from ledgercore.clock import Clock, SystemClock
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import (
    FencedError,
    InconsistentError,
    LedgerError,
    RefusedError,
    SignerAwayError,
    UnavailableError,
)
from ledgercore.ledger import Ledger
from ledgercore.ledger.published import is_published
from ledgercore.node.feed import Feed
from ledgercore.node.limits import Limits
from ledgercore.node.logs import Log
from ledgercore.node.membership import Membership
from ledgercore.node.metrics import Metrics
from ledgercore.node.ordering import Ordering, Promising
from ledgercore.node.own_key import KeyFault
from ledgercore.node.promising import Promises
from ledgercore.node.submission import Ordered
from ledgercore.proofs import Promise
from ledgercore.sync.source import Source
from ledgercore.sync.witness import Witness
from ledgercore.waiting import sleep

__all__ = ["Background", "Connections", "Node", "not_ordered"]

THREADS = 8
"""Calls of the ledger at a time: those that submit share blocks."""

PUBLISHED_S = 5.0
"""How long a receipt or a proof of states is waited for until witnesses have cosigned."""

LOOK_S = 1.0
"""How often a node looks for blocks and cosignatures that others have put into its ledger, and
whether its writer still runs."""

ResultT = TypeVar("ResultT")


class Connections(Protocol):
    """What is open, so that it can be closed when its member may not ask any more."""

    def bound_keys(self) -> set[bytes]:
        """The keys that open connections speak for."""
        ...

    def cut(self, key: bytes) -> int:
        """Close every connection of a key; how many there were."""
        ...


class Background(Protocol):
    """What a node does beside answering."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...


class Node:
    """One member's node, over an open ledger."""

    def __init__(
        self,
        member: str,
        ledger: Ledger,
        log: Log,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Serve a ledger; it orders what is submitted unless ``ordering`` is set to another way."""
        self.member = member
        self.ledger = ledger
        self.log = log
        self.limits = limits or Limits()
        self.clock: Clock = clock or SystemClock()
        self.entropy: Entropy = entropy or SystemEntropy()
        self.metrics = Metrics()
        self.feed = Feed()
        self.source = Source(ledger, self.limits.snapshot_bytes)
        """What copies are answered from; it keeps the snapshot that they join with."""
        self.drawing = asyncio.Lock()
        """Held while a part of the snapshot is answered: one thread at a time waits for it."""
        self.ordering: Ordering = _Writer(self)
        self._promises = Promises(self)
        self.promising: Promising = self._promises
        self.failed = asyncio.Event()
        """Set when the writer, or something beside answering, has ended for good: the node must be
        started anew."""
        self.damaged = False
        """Whether that was of damage, which no start mends."""
        self.fenced = False
        """Whether that was of another writer, which has taken the ledger over."""
        self.fault: Callable[[], str | None] = lambda: None
        """Why what is answered here is not to be relied on, or not the newest, if it is not."""
        self.look_at_key: Callable[[], KeyFault | None] = lambda: None
        """What the ledger has against the key that the node asks others with; it reads."""
        self._key_fault: KeyFault | None = None
        self._unwritten: type[LedgerError] | None = None
        """Why the ledger could not be written when that was tried last."""
        self._tried_s = 0.0
        """When that was."""
        self._away_s: float | None = None
        """Since when the operator's signer is away, if it was when a block was tried last."""
        self._unread = ""
        """Why the ledger could not be read when it was looked at last."""
        self.connections: Connections | None = None
        self.background: list[Background] = []
        self.witness: Witness | None = None
        """What cosigns here, if anything; closed with the node."""
        self.streams = 0
        self._membership = Membership(ledger.state)
        self._threads = ThreadPoolExecutor(THREADS, "ledgercore-node")
        self._looking: asyncio.Task[None] | None = None

    @property
    def anchor(self) -> Anchor:
        """Whom the node trusts."""
        return self.ledger.trust_anchor

    def unready(self) -> str | None:
        """Why what is asked here is better asked elsewhere; None where the node is ready.

        It is told to whoever asks, so that what is of the machine alone stays in the log.
        """
        if self.failed.is_set():
            return "something has ended or stopped for good: see its log, and start the node anew"
        if self._key_fault is not None:
            return f"key is not {self.member}'s, says the ledger: see its log, and change the key"
        late_s = self.clock.elapsed_s() - self._tried_s
        if self._unwritten is not None and late_s <= self.limits.ready_s:
            return "ledger could not be written when that was tried last: see its log"
        return self.fault()

    def ready(self) -> bool:
        """Whether what is asked here is answered from a whole copy, and by whom it should be."""
        return self.unready() is None

    async def start(self) -> None:
        """Begin to look at the ledger."""
        await self.announce()
        self._looking = asyncio.create_task(self._look())
        self._looking.add_done_callback(self.ended)
        for each in self.background:
            each.start()

    async def stop(self) -> None:
        """Let everybody go, and close all that the node has when what is under way has ended."""
        self.feed.close()
        if self._looking is not None:
            self._looking.cancel()
        async with AsyncExitStack() as closing:  # all of it, also where a part fails
            closing.push_async_callback(asyncio.to_thread, self.ledger.close)
            if self.witness is not None:
                closing.push_async_callback(asyncio.to_thread, self.witness.close)
            closing.push_async_callback(asyncio.to_thread, self._threads.shutdown)
            closing.push_async_callback(self._promises.stop)
            for each in reversed(self.background):
                closing.push_async_callback(each.stop)

    def ended(self, task: asyncio.Task[None]) -> None:
        """An error that nobody foresaw ends the node rather than leave it behind in silence."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.log.error("background failed", error=type(error).__name__)
            self.end(error)

    def end(self, error: BaseException) -> None:
        """Have the node ended, as nothing it does mends this error."""
        self.damaged = self.damaged or isinstance(error, InconsistentError)
        self.fenced = self.fenced or isinstance(error, FencedError)
        self.failed.set()

    async def ask(self, call: Callable[[], ResultT]) -> ResultT:
        """Run a call of the ledger on a thread; it is carried out also if nobody waits for it."""
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._threads, call)
        except RuntimeError as error:
            raise UnavailableError("node is stopping: ask again, or ask another one") from error
        # Where nobody waits any more, asyncio would write of an error to the log in its own words.
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(future)

    async def submit(self, records: Sequence[bytes], key: bytes) -> Ordered:
        """Have records of who asks with a key ordered: each is durable here, or has a receipt."""
        try:
            submitted = await self.ordering.submit(records)
        except RefusedError as error:
            # What rules have against records stands in the outcomes.
            if await self._is_own(key):
                raise
            raise not_ordered(error) from error
        accepted = len(submitted.places)
        self.metrics.records.labels("accepted").inc(accepted)
        self.metrics.records.labels("refused").inc(len(submitted.outcomes) - accepted)
        if accepted and not submitted.receipts and not await self.admits(key):
            places = sorted(submitted.places)[-self.limits.receipts_at_once :]
            made = await self._receipts(places)
            if not all(is_published(self.anchor, each.checkpoint) for each in made):
                raise UnavailableError(
                    "records are ordered and end the key that asked, but too few witnesses have "
                    "cosigned them so far: ask any other member's node for their receipts"
                )
            return submitted._replace(receipts={each.index: each for each in made})
        return submitted

    async def promise(self, record: bytes, key: bytes) -> Promise:
        """The operator's promise of a revocation, for who asks with a key."""
        try:
            return await self.promising.promise(record)
        except RefusedError as error:
            if error.record or await self._is_own(key):
                raise
            raise not_ordered(error) from error

    async def _is_own(self, key: bytes) -> bool:
        """Whether it is this node's own member that asks: what whoever orders has against the node
        is so against that one, but no fault of others."""
        return await self.member_of(key) == self.member

    async def receipt(self, index: int) -> Receipt:
        """The receipt of a record; one that was just taken waits a while for the witnesses."""
        return (await self._receipts([index]))[0]

    async def _receipts(self, places: Sequence[int]) -> list[Receipt]:
        """The receipts of these records, once the witnesses have cosigned all, or time is up."""

        def made(late: bool) -> list[Receipt] | None:
            receipts = self.ledger.receipts(places)
            holds = all(is_published(self.anchor, each.checkpoint) for each in receipts)
            return receipts if late or holds else None

        return await self._once_cosigned(made)

    async def prove(self, proof: Callable[[], ResultT]) -> ResultT:
        """A proof from the newest states, once the witnesses have cosigned them.

        Raises ``UnavailableError`` where time is up before: older states are not kept.
        """
        ledger = self.ledger

        def made(late: bool) -> ResultT | None:
            with ledger.moment():
                return proof() if late or ledger.published == ledger.checkpoint else None

        return await self._once_cosigned(made)

    async def _once_cosigned(self, made: Callable[[bool], ResultT | None]) -> ResultT:
        """What is made of the ledger when it is there, or when time is up, which it is told."""
        until_s = self.clock.elapsed_s() + PUBLISHED_S
        while True:
            news, left_s = self.feed.news, until_s - self.clock.elapsed_s()
            found = await self.ask(partial(made, left_s <= 0 or self.feed.closed))
            if found is not None:
                return found
            await self.feed.newer(news, left_s)

    async def member_of(self, key: bytes) -> str:
        """The member that a key speaks for now; ``RefusedError`` where there is none."""
        known = self._membership.known(key)
        if known is None:
            known = await self.ask(partial(self._membership.member_of, key))
        return known

    async def admits(self, key: bytes) -> bool:
        """Whether a key may ask here now, as of the newest block."""
        try:
            await self.member_of(key)
        except RefusedError:
            return False
        return True

    def mind(self, fault: KeyFault | None) -> None:
        """Take what the ledger now has against the node's own key, and say it once."""
        if fault is not None and fault != self._key_fault:
            self.log.warning("own key is not the member's", reason=fault.reason)
        elif fault is None and self._key_fault is not None:
            self.log.info("own key is the member's")
        self._key_fault = fault

    def written(self, error: LedgerError | None) -> None:
        """Take whether the ledger could be written, and say it when that changes."""
        kind = None if error is None else type(error)
        if kind is not self._unwritten and error is not None:
            said = {"error": type(error).__name__, "reason": str(error)}
            self.log.error("ledger cannot be written", **said)
        elif kind is not self._unwritten:
            self.log.info("ledger is written again")
        self._unwritten, self._tried_s = kind, self.clock.elapsed_s()
        self._look_at_writer()
        self._look_at_signer(error)

    def _look_at_signer(self, error: LedgerError | None) -> None:
        """End where the operator's signer stays away: some tokens' libraries find one that was
        pulled out again only in a process that is started anew."""
        if not isinstance(error, SignerAwayError):
            self._away_s = None
        elif self._away_s is None:
            self._away_s = self._tried_s
        elif self._tried_s > self._away_s + self.limits.ready_s and not self.failed.is_set():
            self.log.error("signer stays away", reason=str(error))
            self.end(error)

    def _look_at_writer(self) -> None:
        """End where the writer has stopped for good, whoever asked it: a caller here, the node for
        cosignatures or a promise, or its host."""
        stopped = self.ledger.stopped
        if stopped is not None and not self.failed.is_set():
            said = {"error": type(stopped).__name__, "reason": str(stopped)}
            self.log.error("writer has stopped", **said)
            self.end(stopped)

    async def announce(self) -> None:
        """Tell everybody of the newest checkpoint, and cut off whom the new blocks suspend."""
        ledger = self.ledger
        note, published = await self.ask(lambda: (ledger.checkpoint, ledger.published))
        checkpoint = Checkpoint.parse(note)
        if checkpoint.height < self.feed.height:
            return  # another announcement has come before
        grown = checkpoint.height > self.feed.height
        if not self.feed.publish(note, checkpoint.height, published):
            return
        self.metrics.height.set(checkpoint.height)
        published_height = -1 if published is None else Checkpoint.parse(published).height
        self.metrics.published_height.set(published_height)
        self.metrics.size.set(checkpoint.size)
        if grown:
            self._membership.forget()
            self.mind(await self.ask(self.look_at_key))
            await self._cut_suspended()

    async def _cut_suspended(self) -> None:
        connections = self.connections
        if connections is None:
            return
        for key in connections.bound_keys():
            if not await self.admits(key):
                count = connections.cut(key)
                self.metrics.cut.inc(count)
                self.log.warning("connections cut", key=key.hex()[:16], count=count)

    async def _look(self) -> None:
        """Notice what another process, or a host, has put into the ledger."""
        while True:
            await sleep(LOOK_S)
            self._look_at_writer()
            reason = ""
            try:
                await self.announce()
            except LedgerError as error:
                reason = str(error)
                if reason != self._unread:
                    said = {"error": type(error).__name__, "reason": reason}
                    self.log.error("ledger cannot be read", **said)
            if self._unread and not reason:
                self.log.info("ledger is read again")
            self._unread = reason


class _Writer:
    """Order with the ledger's own writer."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        node = self._node
        try:
            outcomes = await node.ask(partial(node.ledger.submit_many, records))
        except (UnavailableError, InconsistentError) as error:
            if not node.feed.closed:
                node.written(error)
            raise
        node.written(None)
        await node.announce()
        return Ordered(outcomes, {})


def not_ordered(error: LedgerError) -> UnavailableError:
    """What a caller is told where whoever orders has something against this node itself."""
    return UnavailableError(
        f"operator's node does not order for this one: {error}: ask any other member's node"
    )
