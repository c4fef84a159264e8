"""Read a ledger from its file, and have another process order what is submitted.

A party on the machine where the ledger or a copy is kept needs no request to read: the file is
there, and every read of it is checked as ever. Its records go to whoever orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from ledgercore.clock import Clock
from ledgercore.ledger.ledger import Ledger
from ledgercore.ledger.writer import Outcome

__all__ = ["LedgerBeside", "Orderer"]


class Orderer(Protocol):
    """Who takes records, and answers when they can be read in the file."""

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        """Each record's index, or the rule it was refused by."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class LedgerBeside(Ledger):
    """A ledger that is open for reading, whose records are submitted elsewhere."""

    _orderer: Orderer

    @classmethod
    def beside(cls, path: str | Path, orderer: Orderer, clock: Clock | None = None) -> Self:
        """Open the file that the orderer answers for, and close the orderer with it."""
        opened = cls.open(path, read_only=True, clock=clock)
        assert isinstance(opened, cls)
        opened._orderer = orderer
        return opened

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        """Each record's index or the rule it was refused by; in this file when it returns."""
        return self._orderer.submit_many(records) if records else []

    def close(self) -> None:
        """Close the file and the orderer."""
        super().close()
        self._orderer.close()
