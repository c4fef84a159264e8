"""Use a ledger from asyncio: every call runs on one thread of its own.

The calls are those of ``Ledger``, in the order in which they were made, and each does what its
namesake promises. A call that is cancelled is carried out all the same, also one that still waited
for its turn: what it appends is there, and sending the same record again is safe.

>>> async with await AsyncLedger.create("audit.ledger", origin="bank.example/audit") as ledger:
...     receipt = await ledger.append(b"an entry")
>>> async with await AsyncLedger.open("audit.ledger") as ledger:
...     receipt = await ledger.append(b"another")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import ParamSpec, TypeVar

from ledgercore._core import Anchor, Block, Receipt, Record, StateProof
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.errors import LedgerError, RefusedError, StoreError, UnavailableError
from ledgercore.keys import Signer
from ledgercore.ledger import Ledger, Receipts, Report, Unpublished
from ledgercore.ledger.intake import check_payload
from ledgercore.ledger.snapshot import SNAPSHOT_BYTES
from ledgercore.proofs import HistoryProof, Promise, StateReceipt
from ledgercore.records import Member, Witness

__all__ = ["AsyncLedger"]

_RECORDS_AT_ONCE = 256

CallP = ParamSpec("CallP")
ResultT = TypeVar("ResultT")


class _Appends:
    """Payloads that are appended in one call, by the first of their callers whose turn comes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = Lock()
        self._payloads: list[bytes] = []
        self._closed = False
        self._outcome: Receipts | BaseException | None = None

    def add(self, payload: bytes) -> int | None:
        """The payload's place; None where no more may be added."""
        with self._lock:
            if self._closed:
                return None
            self._payloads.append(payload)
            return len(self._payloads) - 1

    def close(self) -> None:
        """Take no more payloads."""
        with self._lock:
            self._closed = True

    def receipt(self, place: int) -> Receipt:
        """On the ledger's thread: append them all, if nobody has, and give one's receipt."""
        self.close()
        if self._outcome is None:
            try:
                self._outcome = self._ledger.append_many(self._payloads)
            except BaseException as error:
                # Whatever it is: the payloads may be durable, and are not appended again.
                self._outcome = error
                raise
        if isinstance(self._outcome, LedgerError):
            raise copy(self._outcome)
        if isinstance(self._outcome, BaseException):
            raise StoreError(f"payloads were not appended: {self._outcome!r}") from self._outcome
        return self._outcome[place]


class AsyncLedger:
    """An open ledger, for one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        """Take over an open ledger: this closes it."""
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._appends = _Appends(ledger)

    def __repr__(self) -> str:
        return f"<asyncio's {self._ledger!r}>"

    @classmethod
    async def create(
        cls,
        path: str | Path,
        *,
        origin: str,
        suite: str = "std",
        members: Sequence[Member] = (),
        witnesses: Sequence[Witness] = (),
        quorum: int = 0,
        key: Signer | None = None,
        passphrase: bytes | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> AsyncLedger:
        """Make a ledger and open it, as ``Ledger.create`` does."""
        made = await asyncio.to_thread(
            Ledger.create,
            path,
            origin=origin,
            suite=suite,
            members=members,
            witnesses=witnesses,
            quorum=quorum,
            key=key,
            passphrase=passphrase,
            clock=clock,
            entropy=entropy,
            vfs=vfs,
        )
        return cls(made)

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        key: Signer | None = None,
        passphrase: bytes | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> AsyncLedger:
        """Open a ledger as ``Ledger.open`` does."""
        opened = await asyncio.to_thread(
            Ledger.open,
            path,
            read_only=read_only,
            key=key,
            passphrase=passphrase,
            clock=clock,
            entropy=entropy,
            vfs=vfs,
        )
        return cls(opened)

    async def _run(
        self, call: Callable[CallP, ResultT], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> ResultT:
        # What is appended after this call must not be written before it.
        self._appends.close()
        return await self._begin(partial(call, *args, **kwargs))

    async def _begin(self, call: Callable[[], ResultT]) -> ResultT:
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._thread, call)
        except RuntimeError as error:
            raise UnavailableError("ledger is closed: open it again") from error
        # Without a shield, what is cancelled before its turn would be dropped.
        return await asyncio.shield(future)

    # Append: durable when the call returns and, but for append_durable, signed.

    async def append(self, payload: bytes) -> Receipt:
        """Appends that follow each other while the ledger is busy share one block."""
        check_payload(payload)
        while (place := self._appends.add(payload)) is None:
            self._appends = _Appends(self._ledger)
        return await self._begin(partial(self._appends.receipt, place))

    async def append_durable(self, payload: bytes) -> int:
        """A flush each, one after the other: ``append`` shares blocks where many wait."""
        return await self._run(self._ledger.append_durable, payload)

    async def publish(self) -> None:
        await self._run(self._ledger.publish)

    async def append_many(self, payloads: Sequence[bytes]) -> Receipts:
        """The receipts are made when they are asked for, on the thread that asks."""
        return await self._run(self._ledger.append_many, payloads)

    async def submit(self, record: bytes) -> Receipt:
        return await self._run(self._ledger.submit, record)

    async def submit_many(self, records: Sequence[bytes]) -> list[int | RefusedError]:
        return await self._run(self._ledger.submit_many, records)

    async def submit_batches(
        self, batches: Iterable[Sequence[bytes]]
    ) -> AsyncIterator[list[int | RefusedError]]:
        """The batches are taken on the ledger's thread."""
        submitted = await self._run(self._ledger.submit_batches, batches)
        while (outcomes := await self._run(next, submitted, None)) is not None:
            yield outcomes

    async def promise(self, record: bytes, within_ms: int) -> Promise:
        return await self._run(self._ledger.promise, record, within_ms)

    async def add_cosignatures(self, note: str) -> str:
        return await self._run(self._ledger.add_cosignatures, note)

    async def next_position(self, key: bytes) -> tuple[int, bytes]:
        return await self._run(self._ledger.next_position, key)

    # Read and prove.

    async def receipt(self, index: int, *, state_of: bytes | None = None) -> Receipt:
        return await self._run(self._ledger.receipt, index, state_of=state_of)

    async def receipts(self, indices: Sequence[int]) -> list[Receipt]:
        return await self._run(self._ledger.receipts, indices)

    async def record(self, index: int) -> Record:
        return await self._run(self._ledger.record, index)

    async def records(self, begin: int = 0, end: int | None = None) -> AsyncIterator[Record]:
        """Records ``[begin, end)`` in order; other calls may run between two of them."""
        records = await self._run(self._ledger.records, begin, end)
        while some := await self._run(list, islice(records, _RECORDS_AT_ONCE)):
            for record in some:
                yield record

    async def blocks(self, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Blocks for a ``Replica``; other calls may run between two of them."""
        blocks = await self._run(self._ledger.blocks, begin, end)
        while (block := await self._run(next, blocks, None)) is not None:
            yield block

    async def snapshot(self, limit_bytes: int = SNAPSHOT_BYTES) -> list[bytes]:
        """The newest moment as items, from which a copy begins, as ``Ledger.snapshot``."""
        return await self._run(self._ledger.snapshot, limit_bytes)

    def __aiter__(self) -> AsyncIterator[Record]:
        return self.records()

    async def find(self, record_id: bytes) -> int | None:
        return await self._run(self._ledger.find, record_id)

    async def state(self, name: bytes) -> bytes | None:
        return await self._run(self._ledger.state, name)

    async def states(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return await self._run(lambda: list(self._ledger.states(prefix)))

    async def prove_state(self, name: bytes) -> StateProof:
        return await self._run(self._ledger.prove_state, name)

    async def state_receipt(self, name: bytes) -> StateReceipt:
        return await self._run(self._ledger.state_receipt, name)

    async def history(self, name: bytes) -> list[tuple[int, Record]]:
        return await self._run(self._ledger.history, name)

    async def prove_history(self, name: bytes, *, height: int | None = None) -> HistoryProof:
        return await self._run(self._ledger.prove_history, name, height=height)

    async def prove_records(self, indices: Sequence[int]) -> list[bytes]:
        return await self._run(self._ledger.prove_records, indices)

    async def prove_consistency(
        self, first_size: int, second_size: int | None = None
    ) -> list[bytes]:
        return await self._run(self._ledger.prove_consistency, first_size, second_size)

    async def block(self, height: int) -> Block:
        return await self._run(self._ledger.block, height)

    async def note(self, height: int) -> str:
        return await self._run(self._ledger.note, height)

    async def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        return await self._run(lambda: self._ledger.checkpoint)

    async def published(self) -> str | None:
        """The newest checkpoint that the quorum of witnesses has cosigned."""
        return await self._run(lambda: self._ledger.published)

    async def size(self) -> int:
        """How many records there are."""
        return await self._run(lambda: self._ledger.size)

    @property
    def trust_anchor(self) -> Anchor:
        """What a verifier must be given to check this ledger's receipts."""
        return self._ledger.trust_anchor

    async def unpublished(self) -> Unpublished:
        return await self._run(self._ledger.unpublished)

    # Keep.

    async def verify(self, progress: Callable[[int, int], None] | None = None) -> Report:
        """Verify everything; ``progress`` is called on the ledger's thread."""
        return await self._run(self._ledger.verify, progress)

    async def verify_since(self, note: str) -> None:
        await self._run(self._ledger.verify_since, note)

    async def backup(self, path: str | Path) -> Report:
        return await self._run(self._ledger.backup, path)

    async def close(self) -> None:
        """Close the ledger when all that was asked of it is done; again does nothing."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(None, self._finish))

    def _finish(self) -> None:
        try:
            self._thread.shutdown()
        finally:
            self._ledger.close()

    async def __aenter__(self) -> AsyncLedger:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
