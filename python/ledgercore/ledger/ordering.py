"""Say what puts records in order, whoever does it.

Today that is one writer (``ledgercore.ledger.writer``). An engine that several members run can take
its place: it decides which records come next and when a block ends, and hands each block to
``commit_block`` with the way to have its checkpoint signed. What a checkpoint signs names neither
the engine nor a time, so that receipts, proofs and copies stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ledgercore._core import Receipt
from ledgercore.ledger.group import Outcome

__all__ = ["Ordering"]


class Ordering(Protocol):
    """Orders records of one ledger; safe to share between threads.

    Every method returns after its records are durable and under a signed checkpoint. An error says
    what is durable; after one that is neither ``DiskFullError`` nor ``BusyError`` nothing more is
    ordered until the ledger is opened anew.
    """

    def append_one(self, payload: bytes) -> Receipt:
        """Order one payload as a record of the operator."""
        ...

    def append(self, payloads: Sequence[bytes]) -> range:
        """Order payloads as records of the operator, one after the other; their indices."""
        ...

    def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        """Order signed records of any signers: each one's index, or the rule it was refused by.

        A record that is there already has the index that it had.
        """
        ...

    def put_note(self, height: int, note: str) -> None:
        """Keep a block's note with more cosignatures; durable when it returns."""
        ...

    def submit_batches(self, batches: Iterable[Sequence[bytes]]) -> Iterator[list[Outcome]]:
        """Order batch after batch, each as ``submit`` does."""
        ...
