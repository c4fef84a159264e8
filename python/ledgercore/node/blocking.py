"""Ask a node from threads: the client of ``ledgercore.node.client``, one call at a time.

An event loop runs on a thread of its own, and calls wait for it; any number of threads may call.
The methods are those of ``NodeClient``, and what each verifies stands there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from ledgercore._core import Anchor, OwnLock, Receipt, VerifiedRecord
from ledgercore.errors import UnavailableError
from ledgercore.ledger.writer import Outcome
from ledgercore.node.channel import CLOSED, Caller
from ledgercore.node.client import NodeClient, Patience
from ledgercore.proofs import BrokenPromise, History, Promise, VerifiedState

__all__ = ["BlockingClient"]

ResultT = TypeVar("ResultT")


class BlockingClient:
    """One member's view of one node, for threads."""

    def __init__(
        self, url: str, member: str, caller: Caller, patience: Patience | None = None
    ) -> None:
        self._client = NodeClient(url, member, caller, patience)
        self._lock = OwnLock("client")
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="ledgercore-client", daemon=True)
        self._thread.start()

    @property
    def anchor(self) -> Anchor:
        """Whom this client trusts."""
        return self._client.anchor

    def _run(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        try:
            with self._lock:  # what is given to the loop here, close() finds there
                if self._closed:
                    raise UnavailableError(CLOSED)
                running = asyncio.run_coroutine_threadsafe(call, self._loop)
        except UnavailableError:
            call.close()
            raise
        try:
            return running.result()
        except CancelledError:
            raise UnavailableError(CLOSED) from None

    def submit(self, record: bytes) -> Receipt:
        return self._run(self._client.submit(record))

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        return self._run(self._client.submit_many(records))

    def promise(self, record: bytes) -> Promise:
        return self._run(self._client.promise(record))

    def broken_promise(self, promise: Promise) -> BrokenPromise | None:
        return self._run(self._client.broken_promise(promise))

    def next_position(self, key: bytes) -> tuple[int, bytes]:
        return self._run(self._client.next_position(key))

    def checkpoint(self) -> str:
        return self._run(self._client.checkpoint())

    def receipt(self, index: int) -> tuple[Receipt, VerifiedRecord]:
        return self._run(self._client.receipt(index))

    def receipts(self, begin: int, end: int) -> list[Receipt]:
        return self._run(self._client.receipts(begin, end))

    def find(self, record_id: bytes) -> VerifiedRecord:
        return self._run(self._client.find(record_id))

    def state(self, name: bytes) -> VerifiedState:
        return self._run(self._client.state(name))

    def history(self, name: bytes) -> History:
        return self._run(self._client.history(name))

    def blocks(self, begin: int, end: int) -> list[bytes]:
        return self._run(self._client.blocks(begin, end))

    def events(self) -> Iterator[str]:
        """Each new checkpoint, verified; waits for the next."""
        events = self._client.events()

        async def following() -> str | None:
            return await anext(events, None)

        while (note := self._run(following())) is not None:
            yield note

    def ready(self) -> bool:
        return self._run(self._client.ready())

    def unready(self) -> str | None:
        return self._run(self._client.unready())

    def close(self) -> None:
        """Close every connection; closing again does nothing.

        Calls that other threads wait for end with ``UnavailableError``: what they submitted may be
        ordered, or not. In a forked process it does nothing.
        """
        if self._lock.is_foreign:
            return
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Let go of whoever waits, then close."""
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for each in under_way:
            each.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.close()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
