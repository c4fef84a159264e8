"""Read a member's own copy from its file, and submit through the node that keeps it."""

from __future__ import annotations

from ledgercore.ledger.beside import LedgerBeside

__all__ = ["NodeLedger"]


class NodeLedger(LedgerBeside):
    """A copy that is open for reading, whose records go to its node.

    The orderer is the node's ``BlockingClient``: it answers when the copy has what was submitted.
    """
