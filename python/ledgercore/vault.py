"""Keep what must not be on the ledger: payloads, salts, keys and openings, each erasable.

One SQLite file per party, readable by its owner only. An erased item is overwritten in the file
(``secure_delete``) and the write-ahead log is cut. That is a promise about this file: it says
nothing of copies that the disk, a backup or a person has made.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import RLock

import apsw

from ledgercore.disk import exists, make_private
from ledgercore.errors import CorruptError, StoreError

__all__ = ["Vault"]

_APPLICATION_ID = 0x4C475654  # "LGVT"


class Vault:
    """Items of bytes by name; safe to share between threads."""

    def __init__(self, path: str | Path) -> None:
        """Open a vault, or make one where there is none."""
        self._path = str(path)
        self._lock = RLock()
        if not exists(path):
            make_private(path)
        try:
            self._connection = apsw.Connection(self._path)
            self._connection.set_busy_timeout(5_000)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.execute("PRAGMA temp_store=MEMORY")
            self._prepare()
        except apsw.Error as error:
            raise StoreError(f"cannot open vault {path}: {error}") from error

    def _prepare(self) -> None:
        (found,) = self._connection.execute("PRAGMA application_id").fetchall()[0]
        if found == 0:
            with self._connection:
                self._connection.execute(
                    "CREATE TABLE item (name TEXT PRIMARY KEY, value BLOB NOT NULL) "
                    "STRICT, WITHOUT ROWID"
                )
                self._connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        elif found != _APPLICATION_ID:
            raise StoreError(f"{self._path} is not a vault")

    def store(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep items under their names, all durable together on return."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO item VALUES (?,?)", items)
            except apsw.Error as error:
                raise StoreError(f"cannot write vault {self._path}: {error}") from error

    def load(self, name: str) -> bytes | None:
        """An item, if it is there."""
        with self._lock:
            try:
                row = self._connection.execute(
                    "SELECT value FROM item WHERE name = ?", (name,)
                ).fetchone()
            except apsw.CorruptError as error:
                raise CorruptError(f"vault {self._path} is damaged: {error}") from error
            except apsw.Error as error:
                raise StoreError(f"cannot read vault {self._path}: {error}") from error
        if row is None:
            return None
        value = row[0]
        assert isinstance(value, bytes), "the table is strict"
        return value

    def names(self, prefix: str = "") -> list[str]:
        """The names of the items that begin so."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name FROM item WHERE name >= ? AND name < ? ORDER BY name",
                (prefix, prefix + "\U0010ffff"),
            ).fetchall()
        return [str(name) for (name,) in rows]

    def erase(self, names: Iterable[str]) -> int:
        """Overwrite and remove items; how many were there. Durable on return."""
        with self._lock:
            try:
                before = self._connection.total_changes()
                with self._connection:
                    rows = [(name,) for name in names]
                    self._connection.executemany("DELETE FROM item WHERE name = ?", rows)
                count = self._connection.total_changes() - before
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except apsw.Error as error:
                raise StoreError(f"cannot erase in vault {self._path}: {error}") from error
        return count

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
