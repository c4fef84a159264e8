"""Hold one session of a PostgreSQL server, and the writer's lease that hangs on it.

A writer holds an advisory lock, which the server gives back when the session ends, and an epoch, a
number in the table ``lease`` that each new writer raises. Every transaction of a writer changes the
lease's row, and only if the row still says its epoch and its last transaction: so whoever lost the
lease, or talks to a server that lacks what was acknowledged, can never commit again. The change
locks the row, which makes all writers' transactions serial without more isolation.

A session that broke between two calls is made anew, which a writer may do while the lease is as it
left it. One that breaks inside a transaction is an error: what was written is then known only to
whoever opens the store anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from types import TracebackType
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier, Literal

from ledgercore.disk import exists
from ledgercore.errors import (
    BusyError,
    CorruptError,
    DiskFullError,
    FencedError,
    LedgerError,
    MalformedError,
    StoreError,
)
from ledgercore.store.address import Address

__all__ = ["FORMAT_VERSION", "LOCK_CLASS", "Session", "Translated", "bounded", "connect"]

LOCK_CLASS = 0x4C444752  # "LDGR"
"""The first number of the advisory lock; the second is the schema's."""
FORMAT_VERSION = 2

CONNECT_S = 10
CONFIRM_S = 30
"""How long a commit waits for the standby that must confirm it, before the writer stops."""

_SERVER = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
    "server_encoding": ("UTF8",),
}
"""What a server's settings must be, or a crash may take back what was acknowledged."""

_SESSION = (
    # That no standby confirmed a commit is said by a warning alone, which a role's own settings
    # may leave out.
    ("client_min_messages", "warning"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    # A writer whose host is gone lets the next one in after half a minute.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "4"),
    ("tcp_user_timeout", "30s"),
)

_ENDED = (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)
"""Of a connection: no transaction is open, or it is closed."""

_DISK_FULL = "53100"
_NO_RIGHT = "42501"
_READ_ONLY = "25006"
_BUSY = ("40", "53300", "55P03", "57P03")
"""A deadlock, no connection free, a lock that is held, a server that is starting."""
_DAMAGE = ("22", "23", "42", "XX")
"""The statements are right, so what they do not fit is not: values, keys, schema, pages."""


def _translate(name: str, error: BaseException) -> LedgerError | None:
    """Our error for one of the server's, with its remedy."""
    text = " ".join(str(error).split())
    damage = CorruptError(f"{name} is damaged: {text}")
    if isinstance(error, UnicodeDecodeError):
        return damage
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    if state == _DISK_FULL:
        return DiskFullError(f"disk of {name} is full: free space, then go on")
    if state.startswith(_BUSY):
        return BusyError(f"{name} is in use: {text}; try again")
    if state == _NO_RIGHT:
        return StoreError(f"cannot use {name}: {text}; grant the role what it needs")
    if state == _READ_ONLY:
        return StoreError(
            f"{name} is a standby, which takes no blocks: connect to the primary, for one with "
            "target_session_attrs=read-write in the address"
        )
    if state.startswith(_DAMAGE):
        return damage
    return StoreError(f"cannot use {name}: {text}; see that the server runs, then open it anew")


class Translated:
    """Turn the server's errors into ours, each with its remedy."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and (ours := _translate(self._name, error)) is not None:
            raise ours from error


class Session:
    """One connection that is made anew where it broke; a writer's has the lease."""

    def __init__(self, address: Address, *, writes: bool) -> None:
        self._address = address
        self._writes = writes
        self._translated = Translated(address.name)
        self._warnings: list[str] = []
        self._epoch = self._transactions = -1
        self._inside = False
        self.connections = 0
        """How many connections there were: on each the server may be another."""
        self._connect()

    def _connect(self) -> None:
        self._connection = connect(self._address, writes=self._writes)
        self._cursor = self._connection.cursor(binary=True)
        self._connection.add_notice_handler(self._note)
        self.connections += 1
        try:
            self._check_ledger()
            if self._writes and self._epoch < 0:
                self._lock()
                self._take_lease()
            elif self._writes:
                self._check_lease()
                self._lock()
                self._check_lease()  # it may have been taken, and given back, before the lock
        except BaseException:
            self._connection.close()
            raise

    def _note(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def _check_ledger(self) -> None:
        name, cursor = self._address.name, self._cursor
        found = cursor.execute("SELECT to_regclass('lease') IS NOT NULL").fetchone()
        if found != (True,):
            files, remedy = self._address.files, "ledgercore init makes one"
            if files is not None and exists(f"{files}.head"):
                remedy = (
                    f"{files}.head is there, so it was lost, or is elsewhere: name its server, "
                    "database and schema, or restore them"
                )
            raise StoreError(f"{name} has no ledger in schema {self._address.schema}: {remedy}")
        rows = cursor.execute("SELECT format FROM lease").fetchall()
        if [row[0] for row in rows] != [FORMAT_VERSION]:
            got = ", ".join(str(row[0]) for row in rows) or "no"
            raise StoreError(
                f"{name} has format {got}, want {FORMAT_VERSION}: "
                "open it with the release that wrote it"
            )

    def _lock(self) -> None:
        """Take the lock that ends with this session; one that another keeps is busy.

        A writer that was killed just now has it until the server notices, so this waits a little.
        """
        cursor = self._cursor
        cursor.execute("SET lock_timeout TO '1s'")
        try:
            cursor.execute(
                "SELECT pg_advisory_lock(%s, oid::bigint::bit(32)::int) FROM pg_namespace "
                "WHERE nspname = current_schema()",
                (LOCK_CLASS,),
            )
        except psycopg.errors.LockNotAvailable:
            raise BusyError(
                f"another writer holds {self._address.name}: close it, only read beside it, "
                "or end its session on the server (pg_terminate_backend)"
            ) from None
        cursor.execute("SET lock_timeout TO '5s'")

    def _take_lease(self) -> None:
        """Raise the epoch, so that whoever wrote before can no more; durable when it returns."""
        self._warnings.clear()
        with bounded(self._connection):
            row = self._cursor.execute(
                "UPDATE lease SET epoch = epoch + 1, transactions = transactions + 1 "
                "RETURNING epoch, transactions"
            ).fetchone()
        self._check_confirmed()
        assert row is not None  # the format was read from this row
        self._epoch, self._transactions = row

    def _check_lease(self) -> None:
        """Go on after a broken connection, if nothing was written meanwhile, and nothing lost."""
        row = self._cursor.execute("SELECT epoch, transactions FROM lease").fetchone()
        if row != (self._epoch, self._transactions):
            raise self._fenced()

    def _fenced(self) -> FencedError:
        return FencedError(
            f"writer's lease {self._epoch} of {self._address.name} is no longer in force: another "
            "writer has taken over, or the server lost what it had; close the ledger, and open it "
            "again if this host is the one to write"
        )

    def _check_confirmed(self) -> None:
        """A commit that nobody waited for to the end is announced by a warning, and no error."""
        if self._warnings:
            raise StoreError(
                f"{self._address.name} did not confirm a commit: {'; '.join(self._warnings)}; see "
                "that its standby runs and that it is the primary still, then open the ledger anew"
            )

    # Calls.

    def run(self, statement: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a statement gives; integers, bytes and text come as such."""
        with self._translated:
            try:
                cursor = self._execute(statement, bindings)
            except psycopg.OperationalError:
                if self._inside or not self._connection.closed:
                    raise
                self._connect()
                cursor = self._execute(statement, bindings)
            return cursor.fetchall() if cursor.description else []

    def _execute(self, statement: str, bindings: Sequence[Any]) -> psycopg.Cursor[Any]:
        return self._cursor.execute(statement.encode(), bindings, prepare=True)

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, in one go."""
        if rows:
            with self._translated:
                self._cursor.executemany(statement.encode(), rows)

    def copy(self, table: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows in binary."""
        if not rows:
            return
        with self._translated, self._cursor.copy(f"COPY {table} FROM STDIN BINARY".encode()) as to:
            to.set_types(types)
            for row in rows:
                to.write_row(row)

    def begin(self) -> None:
        """Begin to write; FencedError where another has the lease."""
        self._warnings.clear()
        self.run("BEGIN")
        self._inside = True
        rows = self.run(
            "UPDATE lease SET transactions = transactions + 1 WHERE epoch = %s AND "
            "transactions = %s RETURNING current_setting('fsync'), "
            "current_setting('full_page_writes')",
            (self._epoch, self._transactions),
        )
        if not rows:
            raise self._fenced()
        if rows != [("on", "on")]:
            raise StoreError(
                f"{self._address.name} has turned fsync or full_page_writes off: turn it on, check "
                "the ledger with an audit, and open it anew"
            )

    def commit(self) -> None:
        """End what ``begin`` began: durable when it returns, and ``StoreError`` where no standby
        confirms it in time: then the primary has it, and nobody was told."""
        with bounded(self._connection):
            self.run("COMMIT")
        self._inside = False
        if self._cursor.statusmessage != "COMMIT":
            raise StoreError(f"{self._address.name} took the transaction back: open it anew")
        self._check_confirmed()
        self._transactions += 1

    def begin_reading(self) -> None:
        """Begin a snapshot."""
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._inside = True

    def rollback(self) -> None:
        """Take back what was begun, if anything was; a session that broke has done so by itself."""
        self._inside = False
        if self._connection.info.transaction_status not in _ENDED:
            self.run("ROLLBACK")

    def close(self) -> None:
        """End the session; the next writer may come."""
        with suppress(psycopg.Error):  # where it broke it has ended
            self._cursor.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()


@contextmanager
def bounded(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel what the server is asked inside when it takes ``CONFIRM_S``.

    A commit cannot be cancelled but for its wait for a standby, which then ends in a warning.
    """
    timer = Timer(CONFIRM_S, connection.cancel_safe)
    timer.daemon = True
    try:
        timer.start()
        yield
    finally:
        timer.cancel()


def connect(address: Address, *, writes: bool) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection to a server whose settings keep what it says it kept."""
    try:
        conninfo_to_dict(address.server)
    except psycopg.ProgrammingError:
        # libpq shows what it does not take, with the password in it: nothing of that goes on.
        raise MalformedError(
            f"cannot use {address.name}: libpq does not take the address; write what is special "
            "in a name or a password as %XX (RFC 3986, section 2.1)"
        ) from None
    with Translated(address.name):
        connection = psycopg.connect(
            address.server,
            autocommit=True,
            connect_timeout=CONNECT_S,
            fallback_application_name="ledgercore",
        )
        try:
            _check_settings(connection, address.name)
            pinned = [("search_path", address.schema), *_SESSION]
            pinned.append(("default_transaction_read_only", "off" if writes else "on"))
            statements = [
                SQL("SET {} TO {}").format(Identifier(name), Literal(value))
                for name, value in pinned
            ]
            connection.execute(SQL("; ").join(statements))
        except BaseException:
            connection.close()
            raise
    return connection


def _check_settings(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> None:
    for setting, want in _SERVER.items():
        row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        got = "" if row is None else str(row[0])
        if got not in want:
            remedy = f"ALTER SYSTEM SET {setting} = {want[0]}, then SELECT pg_reload_conf()"
            if setting == "server_encoding":
                remedy = "make the database with createdb --template=template0 --encoding=UTF8"
            raise StoreError(f"{name} has {setting} = {got}, want {want[0]}: {remedy}")
        if setting == "synchronous_commit":
            # From here on a change of the server's configuration does not touch this session.
            connection.execute(SQL("SET synchronous_commit TO {}").format(Literal(got)))
