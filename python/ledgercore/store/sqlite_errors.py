"""Raise SQLite's errors as the library's own, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT

import apsw

from ledgercore.disk import disk_full
from ledgercore.errors import BusyError, CorruptError, LedgerError, StoreError

__all__ = ["DAMAGE", "SQLITE_ERRORS", "is_full", "translated", "translating"]

DAMAGE = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.FormatError,
    apsw.SQLError,  # the statements here are right, so the schema is not
    apsw.ConstraintError,  # a key is taken that no intact table holds
    apsw.MismatchError,
    UnicodeDecodeError,  # a text that is none
)
"""What SQLite raises of a file that is damaged."""

SQLITE_ERRORS = (apsw.Error, UnicodeDecodeError)
"""What SQLite raises."""


def is_full(error: BaseException, connection: apsw.Connection | None) -> bool:
    """Whether nothing could be written for want of space, which passes when there is some.

    SQLite tells a full disk; of a quota that is used up it says that a write failed, and what the
    system said is with the connection. It takes the transaction back after either.
    """
    if isinstance(error, apsw.FullError):
        return True
    failed = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE
    return failed and connection is not None and connection.system_errno == EDQUOT


def translated(
    path: str, error: Exception, connection: apsw.Connection | None = None
) -> LedgerError:
    """SQLite's error as ours, with its remedy; of the connection that raised it, if there is."""
    if is_full(error, connection):
        return disk_full(path)
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:
        # What of a commit was written by then is not sure, so that this does not pass by itself.
        return StoreError(
            f"{path}-shm cannot grow, as where the disk is full, or its quota: free space, then "
            "open or make it anew"
        )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return BusyError(f"{path} is locked by another process: try again")
    if isinstance(error, DAMAGE):
        return CorruptError(f"{path} is damaged: {error}")
    if isinstance(error, apsw.ReadOnlyError):
        return StoreError(
            f"cannot write beside {path}: give write permission there, or copy it elsewhere"
        )
    if isinstance(error, apsw.CantOpenError):
        return StoreError(f"cannot open {path}: {error}")
    return StoreError(f"cannot use {path}: {error}")


@contextmanager
def translating(path: str, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Raise what SQLite raises inside as ours."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise translated(path, error, connection) from error
