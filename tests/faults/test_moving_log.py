"""A full disk or a failed flush that the log's mover meets, beside the writer, on a thread of its
own: the first passes, the second does not."""

from __future__ import annotations

from errno import EDQUOT
from pathlib import Path
from typing import Any

import apsw
import pytest

from ledgercore import DiskFullError, Ledger, SigningKey, StoreError
from ledgercore.disk import file_bytes
from ledgercore.store import SqliteStore
from tests.faults.vfs import quota_used_up

BLOCK = [bytes(60_000)] * 3


class FullDisk:
    """What stands in for the mover's connection: its main file cannot grow while it is full."""

    system_errno = EDQUOT

    def __init__(self, path: Path, error: Exception | None = None) -> None:
        self._error = error or apsw.FullError("database or disk is full")
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.execute("PRAGMA synchronous=FULL")  # and so the log is opened, too
        self.full = True
        self.tries = 0

    def wal_checkpoint(self, **arguments: Any) -> tuple[int, int]:
        self.tries += 1
        if self.full:
            raise self._error
        return self._connection.wal_checkpoint(**arguments)

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("error", [None, quota_used_up()])
def test_a_log_that_a_full_disk_kept_from_being_moved_is_moved_when_there_is_space(
    tmp_path: Path, error: Exception | None
) -> None:
    path, key = tmp_path / "full.ledger", SigningKey(bytes(32))
    with Ledger.create(path, origin="a.example/log", key=key) as ledger:
        store = ledger._reader.store
        assert isinstance(store, SqliteStore)
        assert store._mover is not None
        disk = FullDisk(path, error)
        store._mover._connection = disk  # type: ignore[assignment]
        with pytest.raises(DiskFullError, match="free space, then go on"):
            for _ in range(200):
                ledger.append_many(BLOCK)

        size, log = ledger.size, file_bytes(f"{path}-wal")
        for _ in range(3):
            with pytest.raises(DiskFullError, match="free space, then go on"):
                ledger.append(b"refused")
        assert (ledger.size, file_bytes(f"{path}-wal")) == (size, log)
        ledger.receipt(size - 1).verify(BLOCK[0], ledger.trust_anchor)

        disk.full = False
        for _ in range(200):
            ledger.append_many(BLOCK)
        assert file_bytes(f"{path}-wal") < 200 * 180_000, "the log began anew"
        assert disk.tries > 4

    with Ledger.open(path, key=key) as ledger:
        assert ledger.size == size + 200 * len(BLOCK)
        ledger.verify()
        ledger.append(b"goes on")


def test_a_flush_that_failed_while_the_log_was_moved_is_never_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = tmp_path / "flush.ledger", SigningKey(bytes(32))
    with Ledger.create(path, origin="a.example/log", key=key) as ledger:
        store = ledger._reader.store
        assert isinstance(store, SqliteStore)
        assert store._mover is not None
        disk = FullDisk(path)
        store._mover._connection = disk  # type: ignore[assignment]

        def flush(**arguments: object) -> None:
            disk.tries += 1
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)

        with monkeypatch.context() as failing:
            failing.setattr(disk, "wal_checkpoint", flush)
            with pytest.raises(StoreError, match="cannot use"):
                for _ in range(200):
                    ledger.append_many(BLOCK)
        disk.full = False
        size, tries = ledger.size, disk.tries
        for _ in range(3):
            with pytest.raises(StoreError, match="writer has stopped"):
                ledger.append(b"refused")
            with pytest.raises(StoreError, match="cannot use"), store.transaction():
                pass
        assert not store._mover.start()
        assert (ledger.size, disk.tries) == (size, tries)

    with Ledger.open(path, key=key) as ledger:
        assert ledger.size == size
        ledger.verify()
