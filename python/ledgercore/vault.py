"""Keep what must not be on the ledger: payloads, salts, keys and openings, each erasable.

One SQLite file per party, readable by its owner only. An erased item is overwritten in the file
(``secure_delete``) and the write-ahead log is cut. That is a promise about this file: it says
nothing of copies that the disk, a backup or a person has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import apsw

from ledgercore.disk import exists, make_private
from ledgercore.errors import BusyError, CorruptError, StoreError

__all__ = ["Vault"]

_APPLICATION_ID = 0x4C475654  # "LGVT"
_WAIT_MS = 5_000


class Vault:
    """Items of bytes by name; safe to share between threads."""

    def __init__(self, path: str | Path) -> None:
        """Open a vault, or make one where there is none."""
        self._path = str(path)
        self._lock = RLock()
        if not exists(path):
            make_private(path)
        with self._translated("open"):
            self._connection = apsw.Connection(self._path)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._connection.set_busy_timeout(_WAIT_MS)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.execute("PRAGMA temp_store=MEMORY")
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
        with self._translated("write"), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO item VALUES (?,?)", items)

    def load(self, name: str) -> bytes | None:
        """An item, if it is there."""
        with self._translated("read"):
            row = self._connection.execute(
                "SELECT value FROM item WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            return None
        value = row[0]
        assert isinstance(value, bytes), "the table is strict"
        return value

    def names(self, prefix: str = "") -> list[str]:
        """The names of the items that begin so."""
        with self._translated("read"):
            rows = self._connection.execute(
                "SELECT name FROM item WHERE name >= ? AND name < ? ORDER BY name",
                (prefix, prefix + "\U0010ffff"),
            ).fetchall()
        return [str(name) for (name,) in rows]

    def erase(self, names: Iterable[str]) -> int:
        """Overwrite and remove items; how many were there. Durable on return.

        Raises ``BusyError`` where the items are removed and the write-ahead log cannot be cut,
        because another connection reads from it: to erase again is safe, and cuts it.
        """
        with self._translated("erase in"):
            before = self._connection.total_changes()
            with self._connection:
                rows = [(name,) for name in names]
                self._connection.executemany("DELETE FROM item WHERE name = ?", rows)
            count = self._connection.total_changes() - before
            cut = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if cut[0][0]:
            raise BusyError(
                f"items of vault {self._path} are removed, but another connection reads it, and "
                "its write-ahead log may still hold them: close that connection and erase again"
            )
        return count

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """One call at a time, with SQLite's errors as ours."""
        with self._lock:
            try:
                yield
            except apsw.CorruptError as error:
                raise CorruptError(f"vault {self._path} is damaged: {error}") from error
            except apsw.BusyError as error:
                raise BusyError(
                    f"cannot {doing} vault {self._path}: another connection holds it: close it "
                    "and try again"
                ) from error
            except apsw.Error as error:
                raise StoreError(f"cannot {doing} vault {self._path}: {error}") from error
