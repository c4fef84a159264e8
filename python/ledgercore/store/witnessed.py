"""Keep the newest checkpoint of each ledger that a witness cosigned.

One small SQLite file with ``synchronous=EXTRA``: what was replaced is on disk when the call
returns. It is compared and replaced in one transaction, and one process alone has the file open: a
lock of SQLite's on the file goes when its process closes any descriptor of that (POSIX), as where a
host copies it, and then two would replace the same note and cosign two histories. So the lock is on
``<path>.lock``, which nobody else opens; a forked process has neither it nor the file. Opening does
not make the file: a witness that lost it retires its key.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from ledgercore._core import Bracket, OwnLock
from ledgercore.disk import check_one_name, exists, resolve
from ledgercore.errors import BusyError, CorruptError, StoreError
from ledgercore.locks import WriterLock
from ledgercore.store.log import BUSY_MS
from ledgercore.store.sqlite_errors import translating

__all__ = ["WitnessStore"]

_APPLICATION_ID = 0x4C475749  # "LGWI"
_TABLES = """
CREATE TABLE cosigned (origin TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE evidence (number INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE) STRICT;
"""
EVIDENCE = 64
"""Pieces of evidence that are kept at most: of one operator, one is enough."""


class WitnessStore:
    """One connection to one file; not for two threads at once, which the witness sees to."""

    def __init__(self, path: str | Path, *, vfs: str | None = None) -> None:
        """Open a file that ``create`` made; ``BusyError`` where it is open already."""
        self._path = str(path)
        self._lock: WriterLock | None = None
        self._own = OwnLock("witness's store")
        self._transaction = Bracket(self._begin, self._end)
        if not exists(path):
            raise StoreError(
                f"{path} does not exist: a witness that lost what it cosigned must retire its key"
            )
        if vfs is None:  # what tests pass in shares no file with other processes
            check_one_name(path)
            self._lock = _alone(path)
        try:
            self._open(vfs)
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise

    def _open(self, vfs: str | None) -> None:
        with translating(self._path):
            self._connection = apsw.Connection(
                self._path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs
            )
            self._connection.set_busy_timeout(BUSY_MS)
            self._connection.execute("PRAGMA synchronous=EXTRA")
            found = self._connection.execute("PRAGMA application_id").fetchone()
        if found != (_APPLICATION_ID,):
            self.close()
            raise StoreError(f"{self._path} is not a witness's file")

    @classmethod
    def create(cls, path: str | Path, *, vfs: str | None = None) -> WitnessStore:
        """Make the file of a witness that has cosigned nothing; it must not be there."""
        if exists(path):
            raise StoreError(f"{path} exists already: open it, or choose another name")
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        with translating(str(path)):
            connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
            try:
                connection.execute("PRAGMA synchronous=EXTRA")
                with connection:
                    connection.execute(_TABLES)
                    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            finally:
                connection.close()
        return cls(path, vfs=vfs)

    def cosigned(self, origin: str) -> str | None:
        """The note that was cosigned last, or nothing."""
        self._own.check()
        with translating(self._path):
            row = self._connection.execute(
                "SELECT note FROM cosigned WHERE origin = ?", (origin,)
            ).fetchone()
        if row is None:
            return None
        if type(row[0]) is not str:
            raise CorruptError(f"what was cosigned of {origin} is damaged")
        return row[0]

    def replace(self, origin: str, old: str | None, note: str) -> None:
        """Put a note in the place of the one that is known; durable when it returns.

        Raises ``BusyError`` where another has taken the place meanwhile.
        """
        self._own.check()
        with translating(self._path, self._connection), self._transaction.guard():
            self._connection.execute(
                "INSERT INTO cosigned VALUES (?1, ?3) ON CONFLICT DO UPDATE SET note = ?3 "
                "WHERE note IS ?2"
                if old is not None
                else "INSERT OR IGNORE INTO cosigned VALUES (?1, ?3)",
                (origin, old, note),
            )
            if self._connection.changes() != 1:
                raise BusyError(f"another checkpoint of {origin} was cosigned meanwhile: ask again")

    def _begin(self, depth: int) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")  # what interrupts have left
        self._connection.execute("BEGIN IMMEDIATE")

    def _end(self, depth: int, error: BaseException | None) -> None:
        """Commit, or take back what was not committed."""
        if error is None:
            self._connection.execute("COMMIT")
        # After a failed write SQLite may have rolled back by itself.
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def add_evidence(self, data: bytes) -> None:
        """Keep evidence against an operator; durable when it returns."""
        self._own.check()
        with translating(self._path, self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO evidence (data) SELECT ?1 "
                "WHERE (SELECT count(*) FROM evidence) < ?2",
                (data, EVIDENCE),
            )

    def evidence(self) -> list[bytes]:
        """Evidence against operators, the oldest first."""
        self._own.check()
        with translating(self._path):
            rows = self._connection.execute("SELECT data FROM evidence ORDER BY number").fetchall()
        found = [data for (data,) in rows if type(data) is bytes]
        if len(found) != len(rows):
            raise CorruptError(f"evidence in {self._path} is damaged: retire the witness's key")
        return found

    def close(self) -> None:
        """Close the file, and let the next process have it; a forked one leaves its parent's."""
        if self._own.is_foreign:
            return
        try:
            with translating(self._path):
                self._connection.close()
        finally:
            if self._lock is not None:
                self._lock.close()


def _alone(path: str | Path) -> WriterLock:
    """The lock of a witness's file, by whatever links it is named."""
    try:
        return WriterLock(f"{resolve(path)}.lock")
    except BusyError:
        raise BusyError(
            f"{path} is open already, in this process or another, want it open once: two that "
            "cosign from it could sign two histories; stop the other one"
        ) from None
