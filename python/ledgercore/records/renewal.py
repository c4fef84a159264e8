"""Anchor the whole of a former ledger in this one, under this one's suite.

A hash that is sound today may be broken in years. Before it is, every record of a ledger is hashed
anew under another suite, and the root is put where the time is shown (the idea of RFC 4998, hash
tree renewal). Its body begins ``95 c4 10``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledgercore.records.base import Bytes16, Bytes32, Count, RecordBody

__all__ = ["RenewalAnchor"]

Note = Annotated[bytes, Meta(max_length=16 * 1024)]
"""A signed checkpoint, as its operator published it."""


class RenewalAnchor(RecordBody, frozen=True):
    """By a member that has verified the former ledger: the root over its first records, anew.

    ``root`` is of the tree of this network's suite over the same bytes, in the same order.
    """

    KIND: ClassVar[str] = "renewal.anchor"

    former_network: Bytes16
    former_suite: Literal["std", "c2sp"]
    former_size: Count
    former_checkpoint: Note
    root: Bytes32
