"""The disk begins with a large block's log while the rest is made."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from ledgercore import Ledger, testing, writeback
from ledgercore.store import BUNDLE_RECORDS
from ledgercore.writeback import WriteBack

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")


def descriptors(path: str) -> int:
    """How many descriptors this process has of a file."""
    open_files = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(each) == path for each in open_files)


def test_it_begins_with_large_blocks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(WriteBack, "begin", lambda write_back: begun.append(write_back))
    path = tmp_path / "town.ledger"
    with Ledger.create(path, origin="town.example", members=testing.test_members(2)) as ledger:
        ledger.submit_many(testing.signed_records(ledger, signers=2, count=7 * BUNDLE_RECORDS))
        assert not begun
        ledger.submit_many(testing.signed_records(ledger, signers=2, count=40 * BUNDLE_RECORDS))
        assert len(begun) == 5
        ledger.verify()


@LINUX
def test_its_descriptor_is_given_back(tmp_path: Path) -> None:
    path = os.path.realpath(tmp_path / "file")
    Path(path).write_bytes(bytes(10_000))
    write_back = WriteBack(path)
    write_back.begin()
    write_back.begin()
    assert descriptors(path) == 1
    write_back.close()
    write_back.close()
    assert descriptors(path) == 0


@LINUX
def test_the_system_takes_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call, answers = writeback._sync_file_range, []
    assert call is not None
    monkeypatch.setattr(writeback, "_sync_file_range", lambda *told: answers.append(call(*told)))
    (tmp_path / "file").write_bytes(bytes(10_000))
    write_back = WriteBack(str(tmp_path / "file"))
    write_back.begin()
    write_back.close()
    assert answers == [0]


@LINUX
def test_a_ledger_that_is_dropped_gives_its_descriptors_back(tmp_path: Path) -> None:
    path = tmp_path / "town.ledger"
    ledger = Ledger.create(path, origin="town.example", members=testing.test_members(2))
    ledger.submit_many(testing.signed_records(ledger, signers=2, count=8 * BUNDLE_RECORDS))
    log = os.path.realpath(f"{path}-wal")
    assert descriptors(log) > 1
    del ledger
    gc.collect()
    assert descriptors(log) == descriptors(f"{log} (deleted)") == 0


def test_where_it_cannot_begin_nothing_fails(tmp_path: Path) -> None:
    missing = WriteBack(str(tmp_path / "missing"))
    missing.begin()
    missing.close()
    assert not (tmp_path / "missing").exists()


@LINUX
def test_a_store_whose_system_cannot_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "town.ledger"
    with Ledger.create(path, origin="town.example", members=testing.test_members(2)) as ledger:
        log, opened = os.path.realpath(f"{path}-wal"), []
        open_file = os.open
        monkeypatch.setattr(os, "open", lambda *how: opened.append(how[0]) or open_file(*how))
        with monkeypatch.context() as without:
            without.setattr(writeback, "_sync_file_range", None)
            ledger.submit_many(testing.signed_records(ledger, signers=2, count=20 * BUNDLE_RECORDS))
        assert log not in opened
        ledger.submit_many(testing.signed_records(ledger, signers=2, count=20 * BUNDLE_RECORDS))
        assert opened.count(log) == 1
        monkeypatch.undo()
    with Ledger.open(path) as ledger:
        ledger.verify()
