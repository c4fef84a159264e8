"""Rows 15 and 16: a full disk passes without loss, and a failing one stops the writer."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from ledgercore import CorruptError, DiskFullError, Ledger, LedgerError, SigningKey

from tests.faults.row import reliability_row
from tests.faults.vfs import FailingVFS

KEY = SigningKey(bytes([9]) * 32)
PAYLOADS = [b"payload %d " % number * 30 for number in range(600)]


def calls_of_one_block(directory: Path) -> dict[str, int]:
    """How often appending one block of the payloads reads, writes and flushes."""
    vfs = FailingVFS("counting", apsw.IOError)
    path = directory / "count.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    with Ledger.open(path, key=KEY, vfs="counting") as ledger:
        ledger.append(b"first")
        before = dict(vfs.calls)
        ledger.append_many(PAYLOADS)
        made = {name: vfs.calls[name] - before[name] for name in before}
    vfs.unregister()
    return made


def test_a_full_disk_is_refused_and_passes(tmp_path: Path) -> None:
    writes = calls_of_one_block(tmp_path)["write"]
    vfs = FailingVFS("full", apsw.FullError)
    path = tmp_path / "full.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    with (
        reliability_row(15, "disk full", seed=0, want=writes) as row,
        Ledger.open(path, key=KEY, vfs="full") as ledger,
    ):
        ledger.append(b"first")
        for index in range(writes):
            size = ledger.size
            vfs.fail("write", index)
            with pytest.raises(DiskFullError, match="free space"):
                ledger.append_many(PAYLOADS)
            assert ledger.size == size
            receipt = ledger.receipt(1)
            receipt.verify(b"first", ledger.trust_anchor)
            vfs.mend()
            row.count()
        ledger.append_many(PAYLOADS)
        ledger.verify()
    vfs.unregister()
    with Ledger.open(path, key=KEY) as ledger:
        assert ledger.size == 2 + len(PAYLOADS)


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_failing_disk_stops_the_writer(tmp_path: Path, operation: str) -> None:
    calls = calls_of_one_block(tmp_path)[operation]
    with reliability_row(16, f"failing {operation}", seed=0, want=calls) as row:
        for index in range(calls):
            name = f"failing-{operation}-{index}"
            path = tmp_path / f"{name}.ledger"
            Ledger.create(path, origin="fault.example/log", key=KEY).close()
            vfs = FailingVFS(name, apsw.IOError)
            with Ledger.open(path, key=KEY, vfs=name) as ledger:
                ledger.append(b"first")
                vfs.fail(operation, index)
                with pytest.raises(LedgerError, match="cannot use"):
                    ledger.append_many(PAYLOADS)
                vfs.mend()
                with pytest.raises(CorruptError, match="writer has stopped"):
                    ledger.append(b"after a failed flush")
                ledger.receipt(1).verify(b"first", ledger.trust_anchor)
            vfs.unregister()
            with Ledger.open(path, key=KEY) as ledger:
                # The block was never acknowledged: it may be there as a whole, or not at all.
                assert ledger.size in (2, 2 + len(PAYLOADS))
                ledger.verify()
            row.count()


def test_a_failing_read_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "read.ledger"
    with Ledger.create(path, origin="fault.example/log", key=KEY) as ledger:
        ledger.append_many(PAYLOADS)
    with reliability_row(16, "failing read", seed=0, want=20) as row:
        for index in range(40):
            vfs = FailingVFS(f"reading-{index}", apsw.IOError)
            vfs.fail("read", index)
            try:
                with Ledger.open(path, key=KEY, vfs=f"reading-{index}") as ledger:
                    bodies = [record.body for record in ledger.records(1)]
            except LedgerError:
                row.count("refused")
            else:
                assert bodies == PAYLOADS
                row.count("before the failure")
            vfs.unregister()
    assert row.details["refused"] >= 10
