"""How a ledger's SQLite file begins, and its tables: docs/spec/storage.md has what they hold."""

from __future__ import annotations

from pathlib import Path

import apsw

from ledgercore.store.sqlite_errors import translating

__all__ = [
    "APPLICATION_ID",
    "FORMAT_VERSION",
    "PAGE_BYTES",
    "SCHEMA",
    "is_database",
    "make_tables",
]

_HEADER = b"SQLite format 3\0"

APPLICATION_ID = 0x4C444752  # "LDGR"
FORMAT_VERSION = 2

_TABLES = """
CREATE TABLE block (
    height INTEGER PRIMARY KEY,
    first_index INTEGER NOT NULL,
    header BLOB NOT NULL,
    note TEXT NOT NULL,
    keys BLOB NOT NULL
) STRICT;
CREATE TABLE bundle (
    first_index INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    records BLOB NOT NULL
) STRICT;
CREATE TABLE tile (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, position)
) STRICT;
CREATE TABLE bucket (
    level INTEGER NOT NULL,
    run INTEGER NOT NULL,
    position INTEGER NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (level, run, position)
) STRICT;
CREATE TABLE state (
    key BLOB PRIMARY KEY,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    height INTEGER NOT NULL,
    touch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE touch (
    number INTEGER PRIMARY KEY,
    record INTEGER NOT NULL,
    previous INTEGER NOT NULL
) STRICT;
"""

SCHEMA = {statement.strip() for statement in _TABLES.split(";") if statement.strip()}
"""What the database must say of itself, and nothing else: no trigger, view, index or column."""

PAGE_BYTES = 8192
"""A full tile takes one page and a few bytes, and a block of many records half the calls."""


def make_tables(connection: apsw.Connection) -> None:
    """Make the tables of a ledger in an empty database; whoever calls closes it if this fails."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN")
    connection.execute(_TABLES)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
    connection.execute("COMMIT")


def is_database(path: str | Path) -> bool:
    """Whether a file begins as one of SQLite's; it is read as SQLite reads it.

    A process loses its locks on a file when it closes any descriptor of it (POSIX), but for those
    that SQLite sees to. A writer without them writes on to a log that others take for unused, and
    remove: what it acknowledges from then on is gone with it.
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    with translating(str(path)):
        file = apsw.VFSFile("", str(path), flags)
        try:
            return file.xRead(len(_HEADER), 0) == _HEADER
        finally:
            file.xClose()
