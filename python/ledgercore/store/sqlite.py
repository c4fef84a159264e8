"""Keep a ledger in one SQLite file.

WAL and ``synchronous=FULL``: a commit is on disk when it returns, and readers in other processes
go on meanwhile. SQLite does not notice a flipped bit in a row; the ledger does, because it checks
what it reads. The tables are described in docs/spec/storage.md.

A long log is moved into the main file by ``ledgercore.store.log``, beside the writer, not by SQLite
after a commit: SQLite would keep a failed flush to itself. A writer takes the log's room before its
first transaction: to write over zeros takes half the time of making a file longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any

import apsw

from ledgercore._core import Bracket, Guard
from ledgercore.disk import exists, reserve
from ledgercore.errors import CorruptError, LedgerError, StoreError
from ledgercore.locks import InUse
from ledgercore.store.bundles import bundle_rows, with_bundles
from ledgercore.store.changed import split_keys
from ledgercore.store.contract import (
    StoredBlock,
    StoredBundle,
    StoredState,
    StoredTouch,
)
from ledgercore.store.log import BUSY_MS, LogMover, LogWatch, remove_empty_log
from ledgercore.store.sqlite_errors import DAMAGE, SQLITE_ERRORS, translated, translating
from ledgercore.store.sqlite_tables import (
    APPLICATION_ID,
    FORMAT_VERSION,
    PAGE_BYTES,
    SCHEMA,
    make_tables,
)
from ledgercore.store.tables import TABLES
from ledgercore.wording import type_in_words
from ledgercore.writeback import WriteBack

__all__ = ["SqliteStore"]

_CACHE_KIB = 2048
"""Pages kept in memory. Those that a transaction changes beyond them go into the log before it
ends: without its commit behind them they count for nothing."""

_STATES = 1024
"""States that are read at once where all are asked for."""

_LOG_PAGES = 1000
"""Pages in the write-ahead log from which on it is moved into the main file."""

_LONGEST_LOG = 4 * _LOG_PAGES
"""Pages from which on a transaction waits until all of the log is moved, and it begins anew."""

_FEW_PAGES = 300
"""Pages that a transaction waits for where the log is all moved but for them: small blocks without
a pause between would make it longer for ever, and a longer one takes twice the time to write."""

_LARGE_BLOCK = 4_096
"""Records of a block from which on a few fill a log."""

_WRITTEN_AT_ONCE = 8
"""Bundles after which the disk may begin with them: some 1 MiB."""

_FIRST = itemgetter(0)
"""The one value of a row."""

_TEMPORARY = ""
"""What SQLite opens as a database of its own, which is gone when it is closed."""


class SqliteStore:
    """One connection to one file; not for two threads at once, which the ledger sees to.

    With a ``vfs`` of its own the store holds the file for itself: a file system that is written in
    Python, as tests pass it in, shares no memory with other connections.
    """

    def __init__(
        self, path: str | Path, *, read_only: bool = False, vfs: str | None = None
    ) -> None:
        name = str(path)
        self._temporary = name == _TEMPORARY
        self._path = name or "a temporary file (SQLITE_TMPDIR says where)"
        self._read_only = read_only
        self._vfs = vfs
        self._log_pages = self._moving_pages = self._waited_pages = 0
        self._mover = LogMover(self._path) if vfs is None and not self._temporary else None
        self._log = LogWatch(self._path)
        self._write_back = WriteBack(f"{self._path}-wal") if self._mover is not None else None
        self._in_use = InUse(self._path if self._mover is not None else None)
        self._transaction = Bracket(self._begin, self._end)
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        with translating(self._path):
            try:
                self._open(name, flags)
            except apsw.ReadOnlyError:
                # A log cannot be made beside the file. One that was closed well needs none.
                if not read_only or exists(f"{self._path}-wal"):
                    raise
                uri = f"{Path(self._path).absolute().as_uri()}?immutable=1"
                self._open(uri, flags | apsw.SQLITE_OPEN_URI)

    def _open(self, name: str, flags: int) -> None:
        self._connection = apsw.Connection(name, flags=flags, vfs=self._vfs)
        self._name = name
        try:
            if self._temporary:
                make_tables(self._connection)
            if self._vfs is not None:
                self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._configure()
            # For statements that are over when a call returns: a cursor of its own costs each time.
            self._cursor = self._connection.cursor()
            self._check_format()
            self._in_use.lock()
            if self._vfs is None and not self._temporary:
                self._log.begin()
        except BaseException:
            with self._in_use.given_up():
                self._connection.close(True)
            raise

    @classmethod
    def create(cls, path: str | Path, *, vfs: str | None = None) -> SqliteStore:
        """Make an empty store in a new file."""
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        with translating(str(path)):
            connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
            try:
                with translating(str(path), connection):
                    make_tables(connection)
            except BaseException:
                with suppress(*SQLITE_ERRORS):  # what went wrong first is what is told
                    connection.close(True)
                raise
            connection.close()
        return cls(path, vfs=vfs)

    @classmethod
    def temporary(cls) -> SqliteStore:
        """Make an empty store that nothing else opens and that is gone when it is closed.

        Its pages are in memory up to a bound, and then in a file of the system's without a name.
        Nothing in it is durable, and a transaction that has begun cannot be taken back.
        """
        return cls(_TEMPORARY)

    def _configure(self) -> None:
        connection = self._connection
        connection.set_busy_timeout(BUSY_MS)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store=MEMORY")
        if self._temporary:
            connection.execute("PRAGMA journal_mode=OFF")
            return
        connection.execute("PRAGMA synchronous=FULL")
        connection.set_wal_hook(self._count_log_pages)  # in the place of SQLite's own hook

    def _count_log_pages(self, connection: object, database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _shorten_log(self) -> None:
        """Before a transaction: raise what moving the log has failed of; wait where it is longest.

        A file system that is written in Python has one connection, which moves the log itself.
        """
        try:
            if self._mover is not None:
                moved = self._mover.check()
                few = moved and self._log_pages - self._moving_pages <= _FEW_PAGES
                # Where a reader keeps the log from beginning anew, to wait again is in vain.
                grown = not 0 <= self._log_pages - self._waited_pages < _FEW_PAGES
                if self._log_pages >= _LONGEST_LOG or (few and grown):
                    self._waited_pages = self._log_pages
                    self._mover.start()
                    self._mover.wait()
            else:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._log_pages = 0
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def take_room(self, records: int) -> None:
        """Fill a log that holds nothing with zeros, which SQLite takes for the end of a log.

        Where blocks are large it soon is as long as it gets, and each of them would make it longer.
        """
        pages = _LOG_PAGES if records < _LARGE_BLOCK else _LONGEST_LOG + _LOG_PAGES
        if self._vfs is None:
            reserve(f"{self._path}-wal", 32 + pages * (24 + PAGE_BYTES))
            self._log.check()

    def _check_format(self) -> None:
        application_id = self._value("PRAGMA application_id")
        if application_id != APPLICATION_ID:
            raise StoreError(f"{self._path} is not a ledger: name a file that ledgercore init made")
        version = self._value("PRAGMA user_version")
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{self._path} has format {version}, want {FORMAT_VERSION}: "
                "open it with the release that wrote it"
            )
        self._check_schema(self._connection)

    def _check_schema(self, connection: apsw.Connection) -> None:
        with translating(self._path):
            rows = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
        made = {sql for name, sql in rows if not str(name).startswith("sqlite_autoindex_")}
        for statement in made ^ SCHEMA:
            words = " ".join(str(statement).split()[1:3]).partition("(")[0].lower()
            what = f"its schema {'has another' if statement in made else 'lacks its'} {words}"
            raise CorruptError(f"{self._path} is damaged: {what}")

    def _translated(self, error: Exception) -> LedgerError:
        return translated(self._path, error, self._connection)

    def _value(self, statement: str) -> Any:
        try:
            return self._connection.execute(statement).get
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def _run(self, statement: str, bindings: tuple[Any, ...] = ()) -> None:
        try:
            self._cursor.execute(statement, bindings)
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def _run_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        try:
            self._cursor.executemany(statement, rows)
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def _row(self, statement: str, bindings: tuple[Any, ...], *types: type) -> Any:
        """The first row that there is, or None."""
        try:
            rows = self._cursor.execute(statement, bindings).fetchall()
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error
        return self._all_checked(rows, types)[0] if rows else None

    def _rows(self, statement: str, bindings: tuple[Any, ...], *types: type) -> list[Any]:
        try:
            rows = self._cursor.execute(statement, bindings).fetchall()
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error
        return self._all_checked(rows, types)

    def _all_checked(self, rows: list[Any], types: tuple[type, ...]) -> list[Any]:
        """The rows, each as ``_checked``: many column by column."""
        if len(rows) == 1 and tuple(map(type, rows[0])) == types:
            return rows
        for at, want in enumerate(types):
            if set(map(type, map(itemgetter(at), rows))) - {want}:
                return [self._checked(row, types) for row in rows]
        return rows

    def _checked(self, row: tuple[Any, ...], types: tuple[type, ...]) -> Any:
        """The row, if its values still have the types that the tables were declared with."""
        if tuple(map(type, row)) == types:
            return row
        found = ((type(value), want) for value, want in zip(row, types, strict=True))
        got, want = next((got, want) for got, want in found if got is not want)
        raise CorruptError(
            f"{self._path} is damaged: a value is {type_in_words(got)}, want {type_in_words(want)}"
        )

    def transaction(self) -> Guard[None]:
        """Durable as a whole when the block ends; a crash before that leaves nothing of it."""
        return self._transaction.guard()

    def _begin(self, depth: int) -> None:
        if depth:
            raise StoreError(f"{self._path} has a transaction open: end it before another begins")
        self._roll_back()  # what interrupts have left
        if self._log_pages >= _LOG_PAGES:
            self._shorten_log()
        self._run("BEGIN IMMEDIATE")

    def _end(self, depth: int, error: BaseException | None) -> None:
        """Commit, or take back what was not committed."""
        if depth:
            return  # refused: the one around it is open still
        if error is not None:
            self._roll_back()
            return
        self._run("COMMIT")
        if self._mover is not None:
            self._log.check()
        if self._log_pages >= _LOG_PAGES and self._mover is not None:
            with suppress(RuntimeError):  # no thread can be had: after the next block, perhaps
                if self._mover.start():
                    self._moving_pages = self._log_pages

    def _roll_back(self) -> None:
        try:
            # After a failed write SQLite may have rolled back by itself.
            if self._connection.in_transaction:
                self._cursor.execute("ROLLBACK")
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def begin_snapshot(self) -> None:
        self.end_snapshot()  # what interrupts have left
        self._run("BEGIN")

    def end_snapshot(self) -> None:
        if self._transaction.depth:  # it would be taken back
            message = f"{self._path} has a transaction open: end it before a snapshot"
            raise StoreError(message)
        self._roll_back()

    def version(self) -> int:
        return int(self._value("PRAGMA data_version"))

    def add_bundles(
        self, height: int, first_index: int, bundles: Sequence[bytes | memoryview]
    ) -> None:
        rows = bundle_rows(height, first_index, bundles)
        for begin in range(0, len(rows), _WRITTEN_AT_ONCE):
            some = rows[begin : begin + _WRITTEN_AT_ONCE]
            self._run_many("INSERT INTO bundle VALUES (?,?,?)", some)
            if len(some) == _WRITTEN_AT_ONCE and self._write_back is not None:
                self._write_back.begin()

    def add_header(
        self, height: int, first_index: int, header: bytes, note: str, keys: Sequence[bytes] = ()
    ) -> None:
        row = (height, first_index, header, note, b"".join(keys))
        self._run("INSERT INTO block VALUES (?,?,?,?,?)", row)

    def put_note(self, height: int, note: str) -> None:
        self._run("UPDATE block SET note = ? WHERE height = ?", (note, height))

    def add_tiles(self, tiles: Sequence[tuple[int, int, bytes]]) -> None:
        self._run_many("INSERT INTO tile VALUES (?,?,?)", tiles)

    def add_buckets(self, buckets: Sequence[tuple[int, int, int, bytes]]) -> None:
        self._run_many("INSERT INTO bucket VALUES (?,?,?,?)", buckets)

    def remove_run(self, level: int, run: int) -> None:
        self._run("DELETE FROM bucket WHERE level = ? AND run = ?", (level, run))

    def put_states(
        self,
        height: int,
        keys: Sequence[bytes],
        states: Sequence[tuple[bytes, bytes]],
        touches: Mapping[bytes, int],
    ) -> None:
        rows = [
            (key, name, value, height, touches.get(name, 0))
            for key, (name, value) in zip(keys, states, strict=True)
        ]
        rows.sort()  # so that each page is changed once, and not again after it was written
        self._run_many("INSERT OR REPLACE INTO state VALUES (?,?,?,?,?)", rows)

    def add_touches(self, first: int, touches: Sequence[StoredTouch]) -> None:
        rows = [(number, *touch) for number, touch in enumerate(touches, first)]
        self._run_many("INSERT INTO touch VALUES (?,?,?)", rows)

    def height(self) -> int:
        height = self._value("SELECT max(height) FROM block")
        return -1 if height is None else int(height)

    def height_after(self, height: int) -> int:
        row = self._row(
            "SELECT height FROM block WHERE height > ? ORDER BY height LIMIT 1", (height,), int
        )
        return -1 if row is None else int(row[0])

    def block(self, height: int) -> StoredBlock | None:
        block = self.header(height)
        if block is None:
            return None
        rows = self._rows(
            "SELECT first_index, height, records FROM bundle WHERE first_index >= ? AND "
            "first_index < coalesce((SELECT first_index FROM block WHERE height > ? "
            "ORDER BY height LIMIT 1), 1 << 62) ORDER BY first_index",
            (block.first_index, height),
            int,
            int,
            bytes,
        )
        return with_bundles(block, rows)

    def header(self, height: int) -> StoredBlock | None:
        row = self._row(
            "SELECT height, first_index, header, note FROM block WHERE height = ?",
            (height,),
            int,
            int,
            bytes,
            str,
        )
        if row is None:
            return None
        number, first_index, header, note = row
        return StoredBlock(number, first_index, header, note, [])

    def notes(self, begin: int, end: int) -> list[tuple[int, str]]:
        statement = (
            "SELECT height, note FROM block WHERE height >= ? AND height < ? ORDER BY height DESC"
        )
        return self._rows(statement, (begin, end), int, str)

    def bundles_from(self, first_index: int) -> list[bytes]:
        rows = self._rows(
            "SELECT records FROM bundle WHERE first_index >= ? ORDER BY first_index",
            (first_index,),
            bytes,
        )
        return list(map(_FIRST, rows))

    def bundle_of(self, index: int) -> StoredBundle | None:
        row = self._row(
            "SELECT height, first_index, records FROM bundle "
            "WHERE first_index <= ? ORDER BY first_index DESC LIMIT 1",
            (index,),
            int,
            int,
            bytes,
        )
        return None if row is None else StoredBundle(*row)

    def tile(self, level: int, index: int) -> bytes | None:
        return self._blob(
            "SELECT hashes FROM tile WHERE level = ? AND position = ?", (level, index)
        )

    def tiles_of(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        return self._blobs(
            "SELECT (SELECT hashes FROM tile WHERE level = ? AND position = ?)", places
        )

    def bucket(self, level: int, run: int, bucket: int) -> bytes | None:
        return self._blob(
            "SELECT entries FROM bucket WHERE level = ? AND run = ? AND position = ?",
            (level, run, bucket),
        )

    def buckets(self, level: int, run: int, begin: int, end: int) -> list[bytes]:
        rows = self._rows(
            "SELECT entries FROM bucket WHERE level = ? AND run = ? AND position >= ? "
            "AND position < ? ORDER BY position",
            (level, run, begin, end),
            bytes,
        )
        return list(map(_FIRST, rows))

    def states_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        statement = "SELECT key, name, value FROM state WHERE key = ?"
        rows = self._many_rows(statement, list(zip(keys)))
        checked = self._all_checked(rows, (bytes, bytes, bytes))
        found = {key: (name, value) for key, name, value in checked}
        return list(map(found.get, keys))

    def states_in(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        statement = "SELECT name, value FROM state WHERE key BETWEEN ? AND ?"
        return self._all_checked(self._many_rows(statement, ranges), (bytes, bytes))

    def state(self, key: bytes) -> bytes | None:
        return self._blob("SELECT value FROM state WHERE key = ?", (key,))

    def changed_keys(self, begin: int, end: int) -> list[bytes]:
        statement = "SELECT keys FROM block WHERE height >= ? AND height < ?"
        rows = self._rows(statement, (begin, end), bytes)
        return split_keys(keys for (keys,) in rows)

    def states(self) -> Iterator[StoredState]:
        # Each piece is a statement of its own: one that stays open, as where an interrupt's frames
        # are kept, would keep the connection at its moment.
        statement = (
            "SELECT key, name, value, height, touch FROM state WHERE key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while some := self._rows(statement, (last, _STATES), bytes, bytes, bytes, int, int):
            yield from map(StoredState._make, some)
            last = some[-1][0]

    def newest_touches(self, keys: Sequence[bytes]) -> list[int]:
        statement = "SELECT coalesce((SELECT touch FROM state WHERE key = ?), 0)"
        rows = self._many_rows(statement, [(key,) for key in keys])
        return [touch for (touch,) in self._all_checked(rows, (int,))]

    def touch(self, number: int) -> StoredTouch | None:
        row = self._row("SELECT record, previous FROM touch WHERE number = ?", (number,), int, int)
        return None if row is None else StoredTouch(*row)

    def touches_from(self, first: int) -> list[StoredTouch]:
        rows = self._rows(
            "SELECT record, previous FROM touch WHERE number >= ? ORDER BY number",
            (first,),
            int,
            int,
        )
        return list(map(StoredTouch._make, rows))

    def touch_count(self) -> int:
        return int(self._value("SELECT max(number) FROM touch") or 0)

    def _blobs(self, statement: str, bindings: Sequence[tuple[Any, ...]]) -> list[bytes | None]:
        rows = self._many_rows(statement, bindings)
        if set(map(type, map(itemgetter(0), rows))) <= {bytes, NoneType}:
            return [blob for (blob,) in rows]
        return [None if row == (None,) else self._checked(row, (bytes,))[0] for row in rows]

    def _many_rows(self, statement: str, bindings: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One row for each of the bindings."""
        if not bindings:
            return []
        try:
            return self._cursor.executemany(statement, bindings).fetchall()
        except SQLITE_ERRORS as error:
            raise self._translated(error) from error

    def _blob(self, statement: str, bindings: tuple[Any, ...]) -> bytes | None:
        row = self._row(statement, bindings, bytes)
        return None if row is None else row[0]

    def add_rows(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows of a table as another store has them."""
        self._run_many(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def counts(self) -> dict[str, int]:
        return {table: self._value(f"SELECT count(*) FROM {table}") for table in TABLES}

    def check(self) -> None:
        with self._another() as connection, translating(self._path):
            self._check_schema(connection)
            row = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if row != ("ok",):
            found = [
                line
                for line in f"{row[0] if row else row}".splitlines()
                if not line.startswith("***")
            ]
            what = "; ".join(found) or "it holds what no writer wrote"
            raise CorruptError(f"{self._path} is damaged: {what}")

    def backup(self, path: str) -> None:
        with self._another() as source, translating(path):
            target = apsw.Connection(path)
            try:
                with target.backup("main", source, "main") as copy:
                    # All pages in one step are of one moment, and no writer waits for them.
                    try:
                        copy.step(-1)
                    except DAMAGE as error:  # of what is read: the target is new
                        raise translated(self._path, error) from error
                target.execute("PRAGMA journal_mode=WAL")
            finally:
                target.close()

    @contextmanager
    def _another(self) -> Iterator[apsw.Connection]:
        """A connection for long reads, so that others go on; where there can be only one, that."""
        if self._vfs is not None:
            yield self._connection
            return
        with translating(self._path):
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            connection = apsw.Connection(self._name, flags=flags)
        try:
            connection.set_busy_timeout(BUSY_MS)
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        if self._mover is not None:
            self._mover.close()
        if self._write_back is not None:
            self._write_back.close()
        if not self._read_only:
            # Whoever reads on would be the last to close and may not move the log: without this
            # the main file alone would be an older ledger, which audits well.
            with suppress(apsw.Error):  # the log is still there, and read by all who open both
                self._connection.set_busy_timeout(0)
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with self._in_use.given_up(), translating(self._path):
            self._connection.close()
        if self._read_only and self._vfs is None:
            remove_empty_log(self._path)
