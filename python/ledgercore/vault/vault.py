"""Keep what must not be on the ledger: payloads, salts, keys and openings, each erasable.

One SQLite file per party, readable by its owner only, in which every item is sealed under a data
key of its own (``ledgercore.vault.cipher``, docs/spec/vault.md). To erase an item its row is
overwritten in the file (``secure_delete``) and the write-ahead log is cut: without the wrapped data
key what is sealed cannot be opened again. That is a promise about this file: it says nothing of
copies that the disk, a backup or a person has made. To reach backups as well, change the vault's
key after erasing and destroy the old one.

A write that fails, but for a full disk or a busy file, stops the vault: a flush that failed once
may succeed the next time without what it lost, so only opening it anew, from what the disk has, may
write again. The log is moved into the file before a transaction, not by SQLite after a commit,
which would keep a failed flush to itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import apsw

from ledgercore._core import Bracket, Guard, OwnLock
from ledgercore.arguments import described, typed_methods
from ledgercore.disk import exists, file_bytes, make_private
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import (
    PASSING,
    BusyError,
    CorruptError,
    DiskFullError,
    LimitError,
    RollbackError,
    StoreError,
    UntrustedError,
)
from ledgercore.keyfile import load_vault_key, store_vault_key
from ledgercore.locks import InUse
from ledgercore.passphrase import KEY_BYTES
from ledgercore.store.sqlite_errors import is_full
from ledgercore.vault.cipher import ID_BYTES, Cipher, SealedItem
from ledgercore.wording import type_in_words

__all__ = ["NAME_BYTES", "VALUE_BYTES", "WRAPS", "Vault"]

NAME_BYTES = 512
"""Bytes of an item's name at most."""
VALUE_BYTES = 1 << 29
"""Bytes of an item's value at most: SQLite takes no row of a thousand million."""
WRAPS = 1 << 32
"""Data keys that one vault's key wraps at most: their nonces are random."""

_APPLICATION_ID = 0x4C475654  # "LGVT"
_FORMAT = 1
_WAIT_MS = 5_000
_LOG_PAGES = 1_000
"""Pages in the write-ahead log from which on a transaction moves it into the file first."""
SEALED_ROWS = 1_024
"""Rows that a transaction holds in memory at most before they go into the file."""
_ITEMS = "SELECT slot, version, wrapped, sealed FROM item"
_KEYS = "SELECT slot, version, wrapped, x'' FROM item"
_TABLES = """
CREATE TABLE header (
    vault BLOB NOT NULL, key_check BLOB NOT NULL,
    version INTEGER NOT NULL, since INTEGER NOT NULL, code BLOB NOT NULL
) STRICT;
CREATE TABLE item (
    slot BLOB PRIMARY KEY, version INTEGER NOT NULL,
    wrapped BLOB NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""


@typed_methods
class Vault:
    """Items of bytes by name, sealed at rest; safe to share between threads.

    Names are parts with slashes between them, such as ``exchange/8f3c/payload``.
    """

    def __init__(
        self,
        path: str | Path,
        key: bytes | None = None,
        *,
        passphrase: bytes | None = None,
        at_least: int = 0,
        vfs: str | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Open a vault, or make one where there is none.

        The key is 32 bytes that the host keeps. Without it the key is in ``<path>.key``, made with
        the vault, and sealed there if a passphrase is given: of the two files alone either is
        refused with ``StoreError``. Raises ``UntrustedError`` for another vault's key, and
        ``RollbackError`` where ``version`` is not at least what is given: what a host remembers
        elsewhere shows an older vault that was put in this one's place.
        """
        self._path = str(path)
        self._lock = OwnLock(f"vault {path}")
        self._entropy = entropy or SystemEntropy()
        self._checked: tuple[Any, ...] = (0, 0, b"")
        self._log_pages = 0
        self._stopped: BaseException | None = None
        # Of the transaction that is open: the header that it ends with, that before each of those
        # inside one another, and rows to be inserted. SQLite itself may have rolled it back
        # meanwhile, where the disk was full.
        self._transaction = Bracket(self._begin, self._end, self._lock)
        self._pending: tuple[int, int] | None = None
        self._before: list[tuple[int, int] | None] = []
        self._sealed: list[SealedItem] = []
        key = _find_key(self._path, passphrase, self._entropy) if key is None else key
        if not exists(path):
            make_private(path)
        self._in_use = InUse(path if vfs is None else None)
        with self._translated("open"):
            self._connection = apsw.Connection(self._path, vfs=vfs)
            try:
                self._prepare(key)
                if self.version < at_least:
                    raise RollbackError(
                        f"vault {self._path} has version {self.version}, want at least {at_least}: "
                        "an older one stands in its place"
                    )
                self._in_use.lock()
            except BaseException:
                with self._in_use.given_up():
                    self._connection.close()
                raise

    def _prepare(self, key: bytes) -> None:
        self._connection.set_busy_timeout(_WAIT_MS)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.execute("PRAGMA temp_store=MEMORY")
        self._connection.set_wal_hook(self._count_log_pages)  # in the place of SQLite's own hook
        if self._format() == (0, 0):
            with self.transaction():
                if self._format() == (0, 0):  # nobody else has made it meanwhile
                    self._make(key)
        if self._format() != (_APPLICATION_ID, _FORMAT):
            raise StoreError(f"{self._path} is not a vault of format {_FORMAT}")
        vault, check = self._row("SELECT vault, key_check FROM header", bytes, bytes)
        self._cipher = Cipher(key, vault)
        if not hmac.compare_digest(self._cipher.check, check):
            raise UntrustedError(f"key is not the one of vault {self._path}: give the right one")
        self._header()

    def _count_log_pages(self, connection: object, database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _move_log(self) -> None:
        """Before a transaction: move a long log into the file, as far as nobody reads from it."""
        if self._log_pages >= _LOG_PAGES:
            with suppress(apsw.BusyError):  # another connection is doing it
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._log_pages = 0

    def _format(self) -> tuple[int, int]:
        (application,) = self._row("PRAGMA application_id", int)
        (version,) = self._row("PRAGMA user_version", int)
        return application, version

    def _make(self, key: bytes) -> None:
        vault = self._entropy.bytes(ID_BYTES)
        cipher = Cipher(key, vault)
        self._connection.execute(_TABLES)
        self._connection.execute(
            "INSERT INTO header VALUES (?,?,?,?,?)",
            (vault, cipher.check, 0, 0, cipher.authenticate(0, 0)),
        )
        self._connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version={_FORMAT}")

    @property
    def path(self) -> Path:
        """Where the vault is."""
        return Path(self._path)

    @property
    def version(self) -> int:
        """How many items were ever written; never goes back but with the whole vault."""
        with self._lock, self._translated("read"):
            return self._header()[0]

    def transaction(self) -> Guard[None]:
        """What is stored inside is durable together at the end, or not at all; others wait.

        The header is authenticated once, at the end, however many items are stored. Raises
        ``StoreError``, like all that writes, once a write of this vault has failed.
        """
        return self._transaction.guard()

    def _begin(self, depth: int) -> None:
        with self._writing():
            if depth:
                self._insert()
            else:
                self._take_back(0)  # what interrupts have left
                self._move_log()
            self._before[depth:] = [self._pending]
            self._connection.execute(f"SAVEPOINT inner{depth}" if depth else "BEGIN IMMEDIATE")

    def _end(self, depth: int, error: BaseException | None) -> None:
        if error is not None:
            self._take_back(depth)
            return
        with self._writing():
            self._insert()
            if not depth:
                self._store_header()
            self._connection.execute(f"RELEASE inner{depth}" if depth else "COMMIT")
        if not depth:
            self._pending = None
        del self._before[depth:]

    def _take_back(self, depth: int) -> None:
        """Leave what was stored since a transaction began; it may have ended, or never begun."""
        if depth >= len(self._before):
            return
        self._sealed.clear()
        undo = f"ROLLBACK TO inner{depth}; RELEASE inner{depth}" if depth else "ROLLBACK"
        try:
            if self._connection.in_transaction:
                self._connection.execute(undo)
            self._pending = self._before[depth]
        except apsw.SQLError:
            pass  # none is open by that name: what was stored in it is the outer one's
        except apsw.ConnectionClosedError:
            pass  # nor is anything else
        del self._before[depth:]

    def store(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep items under their names, all durable together on return.

        An item that stood there is replaced, which is not erased: its old data key may stay in the
        write-ahead log until something is. Raises ``LimitError`` for a name or value too long.
        """
        with self._lock:
            if self._transaction.depth:
                with self._writing():
                    self._check_transaction()
                self._seal(items)
            else:
                with self.transaction():
                    self._seal(items)

    def _seal(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Seal items for the transaction that is open: all of them, or none."""
        with self._translated("write"):
            version, since = self._header()
            rows = []
            for name, value in map(_item, items):
                if not 0 < len(name.encode()) <= NAME_BYTES:
                    raise LimitError(f"name has {len(name.encode())} bytes, want 1 to {NAME_BYTES}")
                if len(value) > VALUE_BYTES:
                    got, want = len(value), VALUE_BYTES
                    raise LimitError(f"item {name} has {got} bytes, want at most {want}")
                version += 1
                rows.append(self._cipher.seal(name, version, value, self._entropy))
            if version - since > WRAPS:
                raise LimitError(f"key of vault {self._path} is used up: change it")
            self._sealed += rows
            self._pending = version, since
        if len(self._sealed) >= SEALED_ROWS:
            with self._writing():
                self._insert()

    def _insert(self) -> None:
        """Insert what was sealed since the last time: before anything is read, and at the end."""
        self._check_transaction()
        if self._sealed:
            # Without a savepoint of its own: a full disk may take back the whole transaction, and
            # what is inserted in part is inserted again, or rolled back with the rest.
            self._connection.executemany(
                "INSERT OR REPLACE INTO item VALUES (?,?,?,?)", self._sealed
            )
            self._sealed.clear()

    def _check_transaction(self) -> None:
        """Whoever goes on after a full disk has lost what was stored before, and is told so."""
        if self._transaction.depth and not self._connection.in_transaction:
            raise DiskFullError(
                f"transaction of vault {self._path} was rolled back when the disk was full: free "
                "space and begin it again"
            )

    def _store_header(self) -> None:
        """Count what the transaction that ends has written."""
        if self._pending is not None:
            self._connection.execute(
                "UPDATE header SET version=?, code=?",
                (self._pending[0], self._cipher.authenticate(*self._pending)),
            )

    def load(self, name: str) -> bytes | None:
        """An item, if it is there; raises ``CorruptError`` where it is not what was stored.

        So it does where another connection changed the vault's key: open the vault anew.
        """
        with self._lock, self._translated("read"):
            rows = self._rows(f"{_ITEMS} WHERE slot = ?", self._cipher.slot(name))
            if not rows:
                self._header()  # whose code another connection's change of the key makes another
                return None
            self._check_version(rows[0])
            return self._cipher.open(rows[0], name)

    def names(self, prefix: str = "") -> list[str]:
        """The names of the items that begin so, in order."""
        begin, end = self._cipher.folder(prefix.rpartition("/")[0])
        with self._lock, self._translated("read"):
            rows = self._rows(f"{_KEYS} WHERE slot > ? AND slot < ?", begin, end)
            self._header()  # as in ``load``: under a former key nothing is found
            names = [self._cipher.name(row) for row in rows]
        return sorted(name for name in names if name.startswith(prefix))

    def erase(self, names: Iterable[str]) -> int:
        """Overwrite and remove items; how many were there. Durable on return.

        Raises ``BusyError`` where the items are removed and the write-ahead log cannot be cut,
        because another connection reads from it: to erase again is safe, and cuts it. Raises
        ``StoreError`` inside a transaction, where it cannot be cut, and changes nothing.
        """
        with self._lock:
            self._refuse_inside_transaction("erase in")
            slots = [(self._cipher.slot(_name(name)),) for name in names]
            with self.transaction(), self._writing("erase in"):
                self._header()  # under a former key nothing would be found to erase
                before = self._connection.total_changes()
                self._connection.executemany("DELETE FROM item WHERE slot = ?", slots)
                count = self._connection.total_changes() - before
            self._cut_log()
        return count

    def change_key(self, key: bytes) -> None:
        """Wrap every data key under another vault's key; durable on return.

        Store the new key first and destroy the old one afterwards, with its copies: then nothing
        that was erased here can be opened in an older copy of this file either. After a crash one
        of the two keys opens the vault. Other connections find nothing with the old key, and raise
        ``CorruptError``. Raises ``StoreError`` inside a transaction, like ``erase``.
        """
        with self._lock:
            self._refuse_inside_transaction("change the key of")
            with self.transaction(), self._writing("change the key of"):
                version, _ = self._header()
                (vault,) = self._row("SELECT vault FROM header", bytes)
                cipher = Cipher(key, vault)
                rows = self._rows(_KEYS)
                changes = [
                    (*self._cipher.rewrap(cipher, row, self._entropy), row.slot) for row in rows
                ]
                self._connection.executemany(
                    "UPDATE item SET slot = ?, wrapped = ? WHERE slot = ?", changes
                )
                since = version - len(rows)
                self._connection.execute(
                    "UPDATE header SET key_check=?, since=?, code=?",
                    (cipher.check, since, cipher.authenticate(version, since)),
                )
            self._cipher = cipher
            self._header()
            self._cut_log()

    def close(self) -> None:
        """Close the file; what a parent process opened stays as it is."""
        if self._lock.is_foreign:
            return
        with self._lock, self._in_use.given_up():
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _header(self) -> tuple[int, int]:
        """How often the vault was written, and where its key began."""
        if self._pending is not None:
            return self._pending
        found = self._row("SELECT version, since, code FROM header", int, int, bytes)
        version, since, code = found
        if found != self._checked:
            if not hmac.compare_digest(self._cipher.authenticate(version, since), code):
                raise CorruptError(
                    "its header is not what was stored, unless its key was changed: open it anew"
                )
            self._checked = found
        return version, since

    def _row(self, query: str, *types: type) -> tuple[Any, ...]:
        row = self._connection.execute(query).fetchone()
        if row is None:
            raise CorruptError("its header is missing")
        return _checked(row, types)

    def _rows(self, query: str, *values: bytes) -> list[SealedItem]:
        self._insert()
        rows: Iterable[Any] = self._connection.execute(query, values)
        return [SealedItem(*_checked(row, (bytes, int, bytes, bytes))) for row in rows]

    def _check_version(self, row: SealedItem) -> None:
        """An item that is newer than the header shows that the header is an older one."""
        version = self._checked[0]
        if row.version > version:
            version, _ = self._header()
        if row.version > version:
            raise CorruptError(f"item has version {row.version}, want at most {version}")

    def _refuse_inside_transaction(self, doing: str) -> None:
        """The log is cut after the commit: before it nothing is durable, nor gone from the file."""
        if self._transaction.depth:
            raise StoreError(
                f"cannot {doing} vault {self._path} inside a transaction, since its log is cut "
                "after the commit: end the transaction first"
            )

    def _cut_log(self) -> None:
        with self._writing("cut the log of"):
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        if busy:
            raise BusyError(
                f"items of vault {self._path} are removed, but another connection reads it, and "
                "its write-ahead log may still hold them: close that connection and erase again"
            )

    def _translated(self, doing: str) -> _Translated:
        # While it is being opened there is none yet.
        return _Translated(self._path, doing, getattr(self, "_connection", None))

    def _writing(self, doing: str = "write") -> Bracket[None]:
        """Translate errors, and let nobody write any more after one that does not pass."""
        return Bracket(partial(self._check_running, doing), partial(self._stop_after, doing))

    def _check_running(self, doing: str, depth: int) -> None:
        if self._stopped is not None:
            reason = str(self._stopped) or type(self._stopped).__name__
            raise StoreError(
                f"cannot {doing} vault {self._path}: an earlier write failed "
                f"({reason}): close it and open it again"
            ) from self._stopped

    def _stop_after(self, doing: str, depth: int, error: BaseException | None) -> None:
        if error is None or error is self._stopped:
            return
        ours = _translation(self._path, doing, error, self._connection)
        # What passes has left the vault as it was.
        if not isinstance(ours, (*PASSING, LimitError)):
            self._stopped = self._stopped or ours
        if ours is not error:
            raise ours from error


class _Translated:
    """SQLite's errors as ours."""

    __slots__ = ("_connection", "_doing", "_path")

    def __init__(self, path: str, doing: str, connection: apsw.Connection | None) -> None:
        self._path = path
        self._doing = doing
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            ours = _translation(self._path, self._doing, error, self._connection)
            if ours is not error:
                raise ours from error


def _translation(
    path: str, doing: str, error: BaseException, connection: apsw.Connection | None
) -> BaseException:
    """Our error for one of SQLite's; any other as it is."""
    match error:
        case apsw.CorruptError() | CorruptError() | UnicodeDecodeError():
            return CorruptError(f"vault {path} is damaged: {error}")
        case apsw.BusyError():
            return BusyError(
                f"cannot {doing} vault {path}: another connection holds it: close it and try again"
            )
        case apsw.Error() if is_full(error, connection):
            return DiskFullError(
                f"cannot {doing} vault {path}: the disk is full, or its quota, nothing was "
                "changed: free space and try again"
            )
        case apsw.Error():
            return StoreError(f"cannot {doing} vault {path}: {error}")
    return error


def _checked(row: tuple[Any, ...], types: tuple[type, ...]) -> tuple[Any, ...]:
    """The row, if its values are what the tables say: in a damaged page they may be anything."""
    for value, want in zip(row, types, strict=True):
        if type(value) is not want:
            raise CorruptError(
                f"a value is {type_in_words(type(value))}, want {type_in_words(want)}"
            )
        if isinstance(value, int) and value < 0:
            raise CorruptError(f"a number is {value}, want at least 0")
    return row


def _item(item: object) -> tuple[str, bytes]:
    match item:
        case (str(name), bytes(value)):
            return name, value
    raise TypeError(f"items hold {described(item)}, want (str, bytes)")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names hold {type(name).__name__}, want str")
    return name


def _find_key(path: str, passphrase: bytes | None, entropy: Entropy) -> bytes:
    """The key in the file beside a vault.

    The vault's file is made first, and empty: a crash before its key is made, or before it has its
    tables, leaves what is made on the next time. A key alone is that of a vault that was lost.
    """
    has_key = exists(f"{path}.key")
    if not exists(path):
        if has_key:
            raise StoreError(
                f"{path} does not exist, but its key {path}.key does: restore the vault from a "
                "backup, or move the key away to begin an empty one"
            )
        make_private(path)
    if has_key:
        return load_vault_key(f"{path}.key", passphrase)
    if file_bytes(path):
        raise StoreError(f"{path}.key does not exist: give the vault's key, or restore its file")
    key = entropy.bytes(KEY_BYTES)
    store_vault_key(f"{path}.key", key, passphrase, entropy=entropy)
    return key
