"""Use the parties of an exchange from asyncio: all their calls run on one thread of their own.

A party, its vault and the ledger that it reads are for one thread. A ``Desk`` has that thread: what
is called through it runs there, in the order of calls, with its namesake's arguments, errors and
promises. A call that is cancelled is carried out all the same; the drafts of a party's last call
are the same records where they are submitted again.

>>> async with Desk(ledger) as desk:
...     (admit,) = await desk.submit(await desk.run(provider.answer, [(intent, request)]))
...     release = await desk.run(provider.release, intent, admit)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar

from ledgercore.errors import UnavailableError
from ledgercore.exchange.signer import LIFETIME_MS, RecordSigner
from ledgercore.exchange.submission import Draft, Submitted, resume, submit
from ledgercore.ledger import Ledger

__all__ = ["Desk"]

CallP = ParamSpec("CallP")
ResultT = TypeVar("ResultT")


class Desk:
    """Where the parties of one ledger work, for one event loop. It closes nothing but itself."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledgercore-desk")

    async def run(
        self, call: Callable[CallP, ResultT], /, *args: CallP.args, **given: CallP.kwargs
    ) -> ResultT:
        """What a method of a provider, consumer, subject, holder or supervisor gives."""
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._thread, partial(call, *args, **given))
        except RuntimeError as error:
            raise UnavailableError("desk is closed: open another") from error
        # Without a shield, what is cancelled before its turn would be dropped.
        return await asyncio.shield(future)

    async def submit(
        self, drafts: Sequence[Draft], *, lifetime_ms: int = LIFETIME_MS
    ) -> list[Submitted]:
        """Sign and order drafts, as ``exchange.submission.submit`` does. Durable on return."""
        return await self.run(submit, self._ledger, drafts, lifetime_ms=lifetime_ms)

    async def resume(self, signers: Iterable[RecordSigner]) -> list[Submitted]:
        """Submit what a crash left, as ``exchange.submission.resume`` does."""
        return await self.run(resume, self._ledger, signers)

    async def close(self) -> None:
        """End when all that was asked is done; again does nothing."""
        await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        )

    async def __aenter__(self) -> Desk:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
