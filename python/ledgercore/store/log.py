"""Move a write-ahead log into the main file beside the writer, so that no block waits for it.

And see that it is there still: what is written to a log that was removed is gone with its writer.

A connection of its own copies what is committed, on a thread of its own: SQLite's passive
checkpoint, which waits for nobody. SQLite begins the log anew when a transaction finds all of it
copied, so a writer without a pause waits once in a while. A crash meanwhile leaves the log, from
which the next opening copies again. So does a full disk, which passes: what was not copied is
copied again from the log, which was flushed before. A flush that failed is not tried again.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import apsw

from ledgercore.disk import exists, file_bytes, identity
from ledgercore.errors import StoreError
from ledgercore.store.sqlite_errors import is_full

__all__ = ["BUSY_MS", "LogMover", "LogWatch", "remove_empty_log"]

BUSY_MS = 5_000
"""How long a connection waits for the lock of another one."""


def remove_empty_log(path: str) -> None:
    """Take away the log and its index that a reader made and nobody wrote to.

    SQLite makes them for whoever reads, and leaves it to the last connection that may write to
    remove them when it closes: so one is opened, under SQLite's locks, and closed. Where others
    are at work, or nothing can be written, they stay. A log that holds blocks is not touched.
    """
    with suppress(StoreError, apsw.Error):  # another may have taken it away meanwhile
        if not exists(f"{path}-wal") or file_bytes(f"{path}-wal") > 0:
            return
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_MS)
            connection.execute("PRAGMA query_only=1")
            connection.execute("PRAGMA schema_version").get  # noqa: B018 - by reading it joins
        finally:
            connection.close()


class LogWatch:
    """Notices when the log that a connection writes to is no longer the one beside its file.

    Its directory was moved, or another program removed it: where ``InUse`` could take no lock, a
    process that closes any descriptor of the file gives its own away. A block that is committed
    while that program copies the log is gone with its writer, and this does not show it: the head
    file does, where the ledger is opened again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._log = f"{path}-wal"
        self._known: tuple[int, int] | None = None

    def begin(self) -> None:
        """Once the connection has read, which opened the log: that is the one to be there."""
        self._known = identity(self._log)

    def check(self) -> None:
        """After a commit, and before anybody is told of it: raise ``StoreError`` where the log that
        was there when the file was opened is not there."""
        found = identity(self._log)
        if self._known is None:
            self._known = found
        elif found != self._known:
            raise StoreError(
                f"log of {self._path} was moved or removed while blocks are written, or another "
                "program removed it as this process opened and closed the file by itself, which "
                "gives its locks away: open the ledger anew, and copy it with backup"
            )


class LogMover:
    """Copies one file's log when it is told to; not for two threads at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pool: ThreadPoolExecutor | None = None
        self._connection: apsw.Connection | None = None
        self._moving: Future[None] | None = None

    def start(self) -> bool:
        """Begin to copy what is committed by now, unless that goes on already, or has failed of
        more than a full disk."""
        if self._moving is not None and not self._moving.done():
            return False
        if not isinstance(self._failure(), apsw.FullError | None):
            return False
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "log")
        self._moving = self._pool.submit(self._move)
        return True

    def wait(self) -> None:
        """Return when nothing is being copied; raise ``apsw.Error`` where copying has failed."""
        if self._moving is not None:
            self._moving.result()  # what has failed stays failed, until it is started anew
            self._moving = None

    def check(self) -> bool:
        """Whether copying has come to its end, without waiting; raises what it has failed of.

        Where the disk was full it copies again and waits, so as to raise only what is so still.
        """
        if self._moving is None or not self._moving.done():
            return False
        if isinstance(self._failure(), apsw.FullError):
            self.start()
        self.wait()
        return True

    def _failure(self) -> BaseException | None:
        """What copying has failed of, waiting for its end."""
        return None if self._moving is None else self._moving.exception()

    def close(self) -> None:
        """Give connection and thread back, whatever copying came to: the log is still there."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._connection is not None:
            self._connection.close()

    def _move(self) -> None:
        if self._connection is None:
            connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READWRITE)
            connection.set_busy_timeout(BUSY_MS)
            # The log is flushed before it is copied, and the main file after that. A connection
            # that has read nothing yet knows of no log, and would copy none.
            connection.execute("PRAGMA synchronous=FULL")
            self._connection = connection
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            return  # another connection is doing it
        except apsw.IOError as error:
            if is_full(error, self._connection):
                raise apsw.FullError("quota is used up") from error
            raise
