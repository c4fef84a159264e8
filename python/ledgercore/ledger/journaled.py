"""Keep what the journal holds and no block does yet: durable, and not published.

Only the operator's own plain records are there, numbered on from those in blocks, so that each
has its index before its block is made. A crash leaves them in the journal, and opening the ledger
makes a block of them before anything else is ordered.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ledgercore._core import Batch, VerifiedBatch
from ledgercore.disk import HeadFile, remove
from ledgercore.errors import StoreError
from ledgercore.ledger.intake import BLOCK_RECORDS
from ledgercore.ledger.recovery import Unpublished
from ledgercore.store.journal import Journal

__all__ = ["Journaled"]


class Journaled:
    """Records in the journal; for one thread at a time."""

    def __init__(self, path: Path, left: Unpublished, vfs: str | None, head_file: HeadFile) -> None:
        """Begin with what was left at a journal's path: publish it first.

        A file that blocks have all of is removed; one is made when there is a record for it.
        """
        self._path = path
        self._vfs = vfs
        self._head_file = head_file
        self._journal: Journal | None = None
        self._next_index = self._end_index = 0
        self.position = (0, b"")
        """The sequence of the next record, and the id that it names."""
        self.bundles = Batch.decode([record.encode() for record in left.records]).bundles()
        """The records, as a block stores them."""
        self.fault = left.fault
        """What is wrong with what else was left: to be raised once a block has the records."""
        if not self.bundles and self.fault is None:
            remove(path)

    def begin(self, index: int, position: tuple[int, bytes]) -> None:
        """The next record is the first one here, at this index; one block is to hold them all."""
        self._next_index, self._end_index = index, index + BLOCK_RECORDS
        self.position = position

    def is_ready(self, count: int) -> bool:
        """Whether so many may be added, for which a file is made: nothing of them is written, and
        an interrupt leaves all as it was, but for zeros that the next start removes."""
        if self._next_index + count > self._end_index:
            return False  # the block that is to have them could not
        if self._journal is None:
            with suppress(StoreError):  # there is no room, or no file can be made: a block can be
                self._journal = Journal(self._path, self._vfs)
        return self._journal is not None

    def add(self, batch: Batch | VerifiedBatch) -> int | None:
        """Keep what one bundle holds: its first index, durable. None, with nothing kept, where
        there is no room for it."""
        assert self._journal is not None, "is_ready comes first"
        first, end = self._next_index, self._next_index + len(batch)
        # In one entry, and under one checksum: of a flush that a crash tore nothing must be there
        # behind what is missing, as if it were damaged.
        (bundle,) = batch.bundles()
        if not self._journal.add(bundle):
            return None
        last = batch[len(batch) - 1]
        self._head_file.mark(last.sequence)
        self._next_index = end
        self.position = (last.sequence + 1, last.id)
        self.bundles.append(bundle)
        return first

    def clear(self) -> None:
        """A block has what was here."""
        self.bundles = []
        if self._journal is not None:
            self._journal.restart()
        elif self.fault is None:
            remove(self._path)  # what a crash left

    def close(self, *, keep: bool) -> None:
        """Give the file back; it stays where it holds what no block does, or is to be kept: an
        error leaves open what is there, and the next start looks."""
        journal, self._journal = self._journal, None
        if journal is None:
            return  # or another's by now
        journal.close()
        if not self.bundles and not keep:
            remove(self._path)
