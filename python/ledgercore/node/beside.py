"""Read a member's own copy from its file, and submit through the node that keeps it.

A party that runs on its node's machine needs no request to read: the copy is there, and every read
of it is checked as ever. What it submits goes to its own node, which answers when the copy has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ledgercore.ledger import Ledger
from ledgercore.ledger.writer import Outcome
from ledgercore.node.blocking import BlockingClient

__all__ = ["NodeLedger"]


class NodeLedger(Ledger):
    """A copy that is open for reading, whose records are submitted through its node."""

    _client: BlockingClient

    @classmethod
    def beside(cls, path: str | Path, client: BlockingClient) -> NodeLedger:
        """Open the copy of the node that the client asks, and close the client with it."""
        opened = cls.open(path, read_only=True)
        assert isinstance(opened, NodeLedger)
        opened._client = client
        return opened

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        """Each record's index or the rule it was refused by; in this copy when it returns."""
        return self._client.submit_many(records) if records else []

    def close(self) -> None:
        """Close the file and the client."""
        super().close()
        self._client.close()
