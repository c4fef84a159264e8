"""Keep a ledger on a PostgreSQL server.

What the contract promises is the server's, as ``ledgercore.store.session`` has it configured:
a commit is on its disk, and on that of its synchronous standby, when it returns. The tables are
those of the SQLite store, in one schema. The server does not notice a flipped bit in a row, unless
it was made with checksums; the ledger does, because it checks what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from ledgercore._core import Bracket, Guard
from ledgercore.errors import CorruptError, LedgerError, StoreError
from ledgercore.store.address import Address
from ledgercore.store.bundles import bundle_rows, with_bundles
from ledgercore.store.changed import split_keys
from ledgercore.store.contract import (
    StoredBlock,
    StoredBundle,
    StoredState,
    StoredTouch,
)
from ledgercore.store.session import (
    FORMAT_VERSION,
    LOCK_CLASS,
    Session,
    Translated,
    bounded,
    connect,
)
from ledgercore.store.sqlite import SqliteStore
from ledgercore.store.tables import TABLES

__all__ = ["PostgresStore"]

_KEYS = {
    "block": "height",
    "bundle": "first_index",
    "tile": "level, position",
    "bucket": "level, run, position",
    "state": "key",
    "touch": "number",
}

_LEASE = {"format": "bigint", "epoch": "bigint", "transactions": "bigint"}

_STATES_AT_ONCE = 4096
_ROWS_AT_ONCE = 256

_SCHEMA_ROWS = """
SELECT c.relname::text, c.relkind::text, c.relpersistence::text, a.attname::text,
    format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind <> 'i'
"""

_SCHEMA_REST = """
SELECT 'trigger ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL SELECT 'rule ' || rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL SELECT 'policy ' || polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL SELECT 'index ' || i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE i.relnamespace = current_schema()::regnamespace AND NOT (x.indisprimary AND x.indisvalid)
"""

_CHECK_INDEXES = """
SELECT bt_index_check(x.indexrelid, true) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE i.relnamespace = current_schema()::regnamespace
"""

_HAS_AMCHECK = """
SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'bt_index_check' AND pronargs = 2
    AND pg_function_is_visible(oid) AND has_function_privilege(oid, 'EXECUTE'))
"""


def _schema_rows() -> set[tuple[Any, ...]]:
    """What the server must say of the tables' columns, and of nothing else."""
    return {
        (table, "r", "p", column, kind, True)
        for table, columns in {**TABLES, "lease": _LEASE}.items()
        for column, kind in columns.items()
    }


class PostgresStore:
    """One session of one server; not for two threads at once, which the ledger sees to."""

    def __init__(self, address: Address, *, read_only: bool = False) -> None:
        """Open a store; to write, take its lease: BusyError while another writer has it."""
        self._address = address
        self._name = address.name
        self._transaction = Bracket(self._begin, self._end)
        with Translated(self._name):
            self._session = Session(address, writes=not read_only)
        try:
            self._check_schema(self._session)
        except BaseException:
            self._session.close()
            raise

    @classmethod
    def create(cls, address: Address) -> PostgresStore:
        """Make an empty store in a schema that has none.

        A store without a block is what a crash left while one was made, and makes room.
        """
        schema = Identifier(address.schema)
        with Translated(address.name):
            connection = connect(address, writes=True)
            try:
                # Whether a standby has it shows when the lease is taken.
                with bounded(connection), connection.transaction():
                    connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
                    connection.execute(
                        "SELECT pg_advisory_xact_lock(%s, oid::bigint::bit(32)::int) "
                        "FROM pg_namespace WHERE nspname = current_schema()",
                        (LOCK_CLASS,),
                    )
                    _make_tables(connection, address)
            finally:
                connection.close()
        return cls(address)

    @staticmethod
    def is_there(address: Address) -> bool:
        """Whether the schema has a store that holds a block."""
        with Translated(address.name):
            connection = connect(address, writes=False)
            try:
                found = connection.execute("SELECT to_regclass('block') IS NOT NULL").fetchone()
                if found != (True,):
                    return False
                held = connection.execute("SELECT EXISTS (SELECT FROM block)").fetchone()
            finally:
                connection.close()
        return held == (True,)

    def _check_schema(self, session: Session) -> None:
        made = set(session.run(_SCHEMA_ROWS))
        for row in made ^ _schema_rows():
            what = f"its schema {'has' if row in made else 'lacks'} {' '.join(map(str, row[:5]))}"
            raise CorruptError(f"{self._name} is damaged: {what}")
        for (what,) in session.run(_SCHEMA_REST):
            raise CorruptError(f"{self._name} is damaged: its schema has {what}: drop it")

    def transaction(self) -> Guard[None]:
        """Durable as a whole when the block ends; a crash before that leaves nothing of it."""
        return self._transaction.guard()

    def _begin(self, depth: int) -> None:
        if depth:
            raise StoreError(f"{self._name} has a transaction open: end it before another begins")
        self._session.rollback()  # what interrupts have left
        self._session.begin()

    def _end(self, depth: int, error: BaseException | None) -> None:
        """Commit, or take back what was not committed."""
        if depth:
            return  # refused: the one around it is open still
        if error is None:
            self._session.commit()
            return
        # Where this fails the session is gone, and with it what was not committed.
        with suppress(LedgerError):
            self._session.rollback()

    def begin_snapshot(self) -> None:
        self.end_snapshot()  # what interrupts have left
        self._session.begin_reading()

    def end_snapshot(self) -> None:
        if self._transaction.depth:  # it would be taken back
            message = f"{self._name} has a transaction open: end it before a snapshot"
            raise StoreError(message)
        self._session.rollback()

    def take_room(self, records: int) -> None:
        """The server sees to that."""

    def version(self) -> int:
        # Behind a broken connection another server may answer: all is looked at anew.
        transactions = self._value("SELECT transactions FROM lease")
        return int(transactions) + (self._session.connections << 64)

    def add_bundles(
        self, height: int, first_index: int, bundles: Sequence[bytes | memoryview]
    ) -> None:
        rows = bundle_rows(height, first_index, bundles)
        self._copy("bundle", rows)

    def add_header(
        self, height: int, first_index: int, header: bytes, note: str, keys: Sequence[bytes] = ()
    ) -> None:
        row = (height, first_index, header, note, b"".join(keys))
        self._run("INSERT INTO block VALUES (%s, %s, %s, %s, %s)", *row)

    def put_note(self, height: int, note: str) -> None:
        self._run("UPDATE block SET note = %s WHERE height = %s", note, height)

    def add_tiles(self, tiles: Sequence[tuple[int, int, bytes]]) -> None:
        self._copy("tile", tiles)

    def add_buckets(self, buckets: Sequence[tuple[int, int, int, bytes]]) -> None:
        self._copy("bucket", buckets)

    def remove_run(self, level: int, run: int) -> None:
        self._run("DELETE FROM bucket WHERE level = %s AND run = %s", level, run)

    def put_states(
        self,
        height: int,
        keys: Sequence[bytes],
        states: Sequence[tuple[bytes, bytes]],
        touches: Mapping[bytes, int],
    ) -> None:
        self._session.run_many(
            "INSERT INTO state VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET "
            "name = excluded.name, value = excluded.value, height = excluded.height, "
            "touch = excluded.touch",
            [
                (key, name, value, height, touches.get(name, 0))
                for key, (name, value) in zip(keys, states, strict=True)
            ],
        )

    def add_touches(self, first: int, touches: Sequence[StoredTouch]) -> None:
        self._copy("touch", [(number, *touch) for number, touch in enumerate(touches, first)])

    def _copy(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        self._session.copy(table, list(TABLES[table].values()), rows)

    def height(self) -> int:
        height = self._value("SELECT max(height) FROM block")
        return -1 if height is None else int(height)

    def height_after(self, height: int) -> int:
        rows = self._run(
            "SELECT height FROM block WHERE height > %s ORDER BY height LIMIT 1", height
        )
        return int(rows[0][0]) if rows else -1

    def block(self, height: int) -> StoredBlock | None:
        block = self.header(height)
        if block is None:
            return None
        rows = self._run(
            "SELECT first_index, height, records FROM bundle WHERE first_index >= %s AND "
            "first_index < coalesce((SELECT first_index FROM block WHERE height > %s "
            "ORDER BY height LIMIT 1), 9223372036854775807) ORDER BY first_index",
            block.first_index,
            height,
        )
        return with_bundles(block, rows)

    def header(self, height: int) -> StoredBlock | None:
        rows = self._run(
            "SELECT height, first_index, header, note FROM block WHERE height = %s", height
        )
        if not rows:
            return None
        number, first_index, header, note = rows[0]
        return StoredBlock(number, first_index, header, note, [])

    def notes(self, begin: int, end: int) -> list[tuple[int, str]]:
        statement = (
            "SELECT height, note FROM block WHERE height >= %s AND height < %s ORDER BY height DESC"
        )
        return [(height, note) for height, note in self._run(statement, begin, end)]

    def bundles_from(self, first_index: int) -> list[bytes]:
        rows = self._run(
            "SELECT records FROM bundle WHERE first_index >= %s ORDER BY first_index", first_index
        )
        return [records for (records,) in rows]

    def bundle_of(self, index: int) -> StoredBundle | None:
        rows = self._run(
            "SELECT height, first_index, records FROM bundle "
            "WHERE first_index <= %s ORDER BY first_index DESC LIMIT 1",
            index,
        )
        return StoredBundle(*rows[0]) if rows else None

    def tile(self, level: int, index: int) -> bytes | None:
        return self._blob(
            "SELECT hashes FROM tile WHERE level = %s AND position = %s", level, index
        )

    def tiles_of(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        rows = self._run(
            "SELECT hashes FROM unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY "
            "AS asked (level, position, at) LEFT JOIN tile USING (level, position) ORDER BY at",
            [level for level, _ in places],
            [index for _, index in places],
        )
        return [hashes for (hashes,) in rows]

    def bucket(self, level: int, run: int, bucket: int) -> bytes | None:
        return self._blob(
            "SELECT entries FROM bucket WHERE level = %s AND run = %s AND position = %s",
            level,
            run,
            bucket,
        )

    def buckets(self, level: int, run: int, begin: int, end: int) -> list[bytes]:
        rows = self._run(
            "SELECT entries FROM bucket WHERE level = %s AND run = %s AND position >= %s "
            "AND position < %s ORDER BY position",
            level,
            run,
            begin,
            end,
        )
        return [entries for (entries,) in rows]

    def states_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        rows = self._run(
            "SELECT name, value FROM unnest(%s::bytea[]) WITH ORDINALITY AS asked (key, at) "
            "LEFT JOIN state USING (key) ORDER BY at",
            list(keys),
        )
        return [None if name is None else (name, value) for name, value in rows]

    def states_in(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        rows = self._run(
            "SELECT name, value FROM unnest(%s::bytea[], %s::bytea[]) AS asked (first, last) "
            "JOIN state ON key BETWEEN first AND last",
            [first for first, _ in ranges],
            [last for _, last in ranges],
        )
        return [(name, value) for name, value in rows]

    def state(self, key: bytes) -> bytes | None:
        return self._blob("SELECT value FROM state WHERE key = %s", key)

    def changed_keys(self, begin: int, end: int) -> list[bytes]:
        statement = "SELECT keys FROM block WHERE height >= %s AND height < %s"
        rows = self._run(statement, begin, end)
        return split_keys(keys for (keys,) in rows)

    def states(self) -> Iterator[StoredState]:
        """In pieces: whoever goes through them holds a snapshot, or is the one writer."""
        least = b""
        while rows := self._run(
            "SELECT key, name, value, height, touch FROM state WHERE key >= %s "
            "ORDER BY key LIMIT %s",
            least,
            _STATES_AT_ONCE,
        ):
            yield from map(StoredState._make, rows)
            least = rows[-1][0] + b"\0"

    def newest_touches(self, keys: Sequence[bytes]) -> list[int]:
        rows = self._run(
            "SELECT coalesce(touch, 0) FROM unnest(%s::bytea[]) WITH ORDINALITY AS asked (key, at)"
            " LEFT JOIN state USING (key) ORDER BY at",
            list(keys),
        )
        return [touch for (touch,) in rows]

    def touch(self, number: int) -> StoredTouch | None:
        rows = self._run("SELECT record, previous FROM touch WHERE number = %s", number)
        return StoredTouch(*rows[0]) if rows else None

    def touches_from(self, first: int) -> list[StoredTouch]:
        rows = self._run(
            "SELECT record, previous FROM touch WHERE number >= %s ORDER BY number", first
        )
        return list(map(StoredTouch._make, rows))

    def touch_count(self) -> int:
        return int(self._value("SELECT max(number) FROM touch") or 0)

    def _run(self, statement: str, *bindings: Any) -> list[tuple[Any, ...]]:
        return self._session.run(statement, bindings)

    def _value(self, statement: str) -> Any:
        return self._run(statement)[0][0]

    def _blob(self, statement: str, *bindings: Any) -> bytes | None:
        rows = self._run(statement, *bindings)
        return rows[0][0] if rows else None

    def counts(self) -> dict[str, int]:
        return {table: self._value(f"SELECT count(*) FROM {table}") for table in TABLES}

    def check(self) -> None:
        """Look at the schema, and at the indexes where the server's amcheck may be used.

        Rows need no look here: an audit reads them all.
        """
        session = Session(self._address, writes=False)
        try:
            self._check_schema(session)
            if session.run(_HAS_AMCHECK) == [(True,)]:
                session.run(_CHECK_INDEXES)
        finally:
            session.close()

    def backup(self, path: str) -> None:
        """Write a copy of one moment as a SQLite file: another store of the same rows."""
        with Translated(self._name):
            source = connect(self._address, writes=False)
            try:
                target = SqliteStore.create(path)
                try:
                    with source.transaction(), target.transaction():
                        source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                        for table, columns in TABLES.items():
                            for rows in _all_rows(source, table, list(columns)):
                                target.add_rows(table, rows)
                finally:
                    target.close()
            finally:
                source.close()

    def close(self) -> None:
        self._session.close()


def _all_rows(
    source: psycopg.Connection[tuple[Any, ...]], table: str, columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    statement = SQL("SELECT {} FROM {} ORDER BY {}").format(
        SQL(", ").join(map(Identifier, columns)),
        Identifier(table),
        SQL(", ").join(map(Identifier, _KEYS[table].split(", "))),
    )
    with source.cursor(f"all_of_{table}", binary=True) as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows


def _make_tables(connection: psycopg.Connection[tuple[Any, ...]], address: Address) -> None:
    found = connection.execute("SELECT to_regclass('block') IS NOT NULL").fetchone()
    if found == (True,):
        blocks = connection.execute("SELECT count(*) FROM block").fetchone()
        if blocks != (0,):
            raise StoreError(
                f"{address.name} has a ledger in schema {address.schema} already: choose another "
                "schema, or drop it"
            )
        for table in (*TABLES, "lease"):
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(table)))
    for table, columns in TABLES.items():
        parts = [
            SQL("{} {} NOT NULL").format(Identifier(column), _TYPES[kind])
            for column, kind in columns.items()
        ]
        key = SQL(", ").join(map(Identifier, _KEYS[table].split(", ")))
        parts.append(SQL("PRIMARY KEY ({})").format(key))
        connection.execute(
            SQL("CREATE TABLE {} ({})").format(Identifier(table), SQL(", ").join(parts))
        )
        for column, kind in columns.items():
            if kind == "bytea":  # hashes and signatures: to compress them would be in vain
                connection.execute(
                    SQL("ALTER TABLE {} ALTER {} SET STORAGE EXTERNAL").format(
                        Identifier(table), Identifier(column)
                    )
                )
    connection.execute(
        "CREATE TABLE lease (format bigint NOT NULL, epoch bigint NOT NULL, "
        "transactions bigint NOT NULL)"
    )
    connection.execute("INSERT INTO lease VALUES (%s, 0, 0)", (FORMAT_VERSION,))


_TYPES = {"bigint": SQL("bigint"), "bytea": SQL("bytea"), "text": SQL("text")}
