"""Name what a node asks of whoever orders for it, which may be itself or another node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledgercore.node.submission import Ordered
from ledgercore.proofs import Promise

__all__ = ["Ordering", "Promising"]


class Ordering(Protocol):
    """Whatever brings records in order: the ledger's one writer, or the way to it.

    An engine that several members run can take its place: it decides which records come next and
    when a block ends, and hands each block on with a signed checkpoint. That names neither the
    engine nor a time, so that receipts, proofs and copies stay what they are.
    """

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        """Each record's index or the rule it was refused by; durable in the node's own file.

        Where the records end the key that the node itself asks with, its file may not have them:
        then there are receipts. To submit the same records again gives the same outcomes.
        """
        ...


class Promising(Protocol):
    """Whoever has the operator promise that a revocation will be on the ledger."""

    async def promise(self, record: bytes) -> Promise:
        """The operator's promise; the record is ordered meanwhile."""
        ...
