"""Rows 15 and 16: a full disk passes without loss, and a failing one stops the writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from errno import EDQUOT, EIO
from pathlib import Path
from typing import Any

import apsw
import pytest

from ledgercore import DiskFullError, Ledger, LedgerError, SigningKey, StoreError
from ledgercore.ledger import commit as commit_module
from ledgercore.store import SqliteStore
from ledgercore.store import sqlite as sqlite_module
from tests.faults.row import reliability_row
from tests.faults.vfs import FailingVFS, quota_used_up

KEY = SigningKey(bytes([9]) * 32)
PAYLOADS = [b"payload %d " % number * 30 for number in range(600)]
ORIGIN = "fault.example/log"


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the log into the main file before each block, and write a block piece by piece before
    it ends, so that these are failed as well."""
    monkeypatch.setattr(sqlite_module, "_LOG_PAGES", 1)
    monkeypatch.setattr(sqlite_module, "_CACHE_KIB", 32)
    monkeypatch.setattr(commit_module, "PIECE_BUNDLES", 1)


@pytest.fixture
def calls(tmp_path: Path) -> dict[str, int]:
    """How often appending one block of the payloads reads, writes and flushes."""
    vfs = FailingVFS("counting", apsw.IOError)
    path = tmp_path / "count.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    with Ledger.open(path, key=KEY, vfs="counting") as ledger:
        ledger.append(b"first")
        before = dict(vfs.calls)
        ledger.append_many(PAYLOADS)
        made = {name: vfs.calls[name] - before[name] for name in before}
    vfs.unregister()
    assert made["write"] > 100
    assert made["sync"] >= 3  # the log before it is moved, the main file after it, the commit
    return made


def test_a_full_disk_is_refused_and_passes(tmp_path: Path, calls: dict[str, int]) -> None:
    vfs = FailingVFS("full", apsw.FullError)
    path = tmp_path / "full.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    with (
        reliability_row(15, "disk full", seed=0, want=calls["write"]) as row,
        Ledger.open(path, key=KEY, vfs="full") as ledger,
    ):
        ledger.append(b"first")
        for index in range(calls["write"]):
            size = ledger.size
            vfs.fail("write", index)
            with pytest.raises(DiskFullError, match="free space"):
                ledger.append_many(PAYLOADS)
            assert ledger.size == size
            ledger.receipt(1).verify(b"first", ledger.trust_anchor)
            assert ledger.record(size - 1).body == b"first"
            ledger.prove_consistency(1)
            vfs.mend()
            ledger.append(b"first")
            row.count()
        ledger.append_many(PAYLOADS)
        ledger.verify()
        size = ledger.size
    vfs.unregister()
    with Ledger.open(path, key=KEY) as ledger:
        assert ledger.size == size


@pytest.mark.parametrize(("number", "passes"), [(EDQUOT, True), (EIO, False)])
def test_a_quota_that_is_used_up_passes_as_a_full_disk_does(
    tmp_path: Path, calls: dict[str, int], number: int, passes: bool
) -> None:
    """SQLite tells both as a write that failed; the other is none that may be tried again."""
    for index in range(0, calls["write"], calls["write"] // 5):
        name = f"quota-{number}-{index}"
        vfs, path = FailingVFS(name, quota_used_up, number), tmp_path / f"{name}.ledger"
        Ledger.create(path, origin=ORIGIN, key=KEY).close()
        with Ledger.open(path, key=KEY, vfs=name) as ledger:
            ledger.append(b"first")
            vfs.fail("write", index)
            with pytest.raises(StoreError) as failed:
                ledger.append_many(PAYLOADS)
            assert isinstance(failed.value, DiskFullError) is passes
            vfs.mend()
            if passes:
                ledger.append_many(PAYLOADS)
                ledger.verify()
            else:
                with pytest.raises(StoreError, match="writer has stopped"):
                    ledger.append(b"after a failed write")
        vfs.unregister()


def failing(tmp_path: Path, operation: str, count: int) -> Iterator[tuple[FailingVFS, Path, str]]:
    """A new ledger and a file system for each call that is to fail."""
    for index in range(count):
        name = f"failing-{operation}-{index}"
        path = tmp_path / f"{name}.ledger"
        Ledger.create(path, origin=ORIGIN, key=KEY).close()
        vfs = FailingVFS(name, apsw.IOError)
        yield vfs, path, name
        vfs.unregister()


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_failing_disk_stops_the_writer(
    tmp_path: Path, calls: dict[str, int], operation: str
) -> None:
    with reliability_row(16, f"failing {operation}", seed=0, want=calls[operation]) as row:
        for index, (vfs, path, name) in enumerate(failing(tmp_path, operation, calls[operation])):
            with Ledger.open(path, key=KEY, vfs=name) as ledger:
                ledger.append(b"first")
                vfs.fail(operation, index)
                with pytest.raises(StoreError, match="cannot use"):
                    ledger.append_many(PAYLOADS)
                assert ledger.size == 2
                vfs.mend()
                with pytest.raises(StoreError, match="writer has stopped"):
                    ledger.append(b"after a failed flush")
                ledger.receipt(1).verify(b"first", ledger.trust_anchor)
            with Ledger.open(path, key=KEY) as ledger:
                # The block was never acknowledged: it may be there as a whole, or not at all.
                assert ledger.size in (2, 2 + len(PAYLOADS))
                ledger.verify()
                ledger.append(b"a new start goes on")
            row.count()


transaction = SqliteStore.transaction


class HiddenErrors:
    """A transaction that ends as if its disk had refused nothing."""

    def __init__(self, store: SqliteStore) -> None:
        self._inner = transaction(store)

    def __enter__(self) -> None:
        self._inner.__enter__()

    def __exit__(self, *error: Any) -> bool:
        with suppress(StoreError):
            self._inner.__exit__(*error)
        return True


@pytest.mark.parametrize(
    ("row", "operation", "error"), [(15, "write", apsw.FullError), (16, "sync", apsw.IOError)]
)
def test_the_control_run_acknowledges_what_is_not_there(
    tmp_path: Path,
    calls: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    row: int,
    operation: str,
    error: type[apsw.Error],
) -> None:
    monkeypatch.setattr(sqlite_module, "_CACHE_KIB", 4096)  # written where errors are hidden
    lost = 0
    tries = range(0, calls[operation], max(1, calls[operation] // 10))
    for index in tries:
        name = f"hidden-{operation}-{index}"
        path = tmp_path / f"{name}.ledger"
        Ledger.create(path, origin=ORIGIN, key=KEY).close()
        vfs = FailingVFS(name, error)
        with Ledger.open(path, key=KEY, vfs=name) as ledger, monkeypatch.context() as patch:
            ledger.append(b"first")
            patch.setattr(SqliteStore, "transaction", lambda store: HiddenErrors(store))
            vfs.fail(operation, index)
            with suppress(StoreError):  # what fails before the transaction is not hidden
                ledger.append_many(PAYLOADS)
            acknowledged = ledger.size
            vfs.mend()
        vfs.unregister()
        try:
            with Ledger.open(path, key=KEY) as ledger:
                lost += ledger.size < acknowledged
        except LedgerError:
            lost += 1

    print(f"\nrow {row}, control that hides errors: {lost} of {len(tries)} lost a block")
    assert lost


def test_a_failing_read_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "read.ledger"
    with Ledger.create(path, origin=ORIGIN, key=KEY) as ledger:
        ledger.append_many(PAYLOADS)

    def read(name: str) -> list[bytes]:
        with Ledger.open(path, key=KEY, vfs=name) as ledger:
            return [record.body for record in ledger.records(1)]

    counting = FailingVFS("counting-reads", apsw.IOError)
    assert read("counting-reads") == PAYLOADS
    counting.unregister()
    reads = counting.calls["read"]
    with reliability_row(16, "failing read", seed=0, want=reads) as row:
        for index in range(reads):
            vfs = FailingVFS(f"reading-{index}", apsw.IOError)
            vfs.fail("read", index)
            with pytest.raises(LedgerError):
                read(f"reading-{index}")
            vfs.unregister()
            row.count()
    with Ledger.open(path, key=KEY) as ledger:
        ledger.verify()
