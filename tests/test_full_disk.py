"""A ledger that is made on a full disk leaves what was there, and says what helps."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EDQUOT
from pathlib import Path

import apsw
import pytest

from ledgercore import DiskFullError, Ledger, Replica, SigningKey, StoreError, locks
from ledgercore.errors import BusyError
from tests.cli.command import run
from tests.faults.vfs import FailingVFS, quota_used_up
from tests.small_disk import fill, leave_room, small_disk

KEY = SigningKey(bytes([7]) * 32)
ORIGIN = "full.example/log"
PAGE_BYTES = 4096


def test_a_full_disk_leaves_what_was_there_whatever_room_it_had(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place, 1):
        filler = fill(place)
        (place / "b.ledger.lock").write_bytes(b"")  # of a writer that is away, perhaps
        full, before, pages = filler.stat().st_size, set(place.iterdir()), 0
        while True:
            os.truncate(filler, full - pages * PAGE_BYTES)
            try:
                Ledger.create(place / "a.ledger", origin=ORIGIN).close()
                break
            except StoreError as error:
                assert "free space, then" in str(error)
                assert set(place.iterdir()) == before
            with pytest.raises(StoreError, match="free space, then"):
                Ledger.create(place / "b.ledger", origin=ORIGIN)
            assert set(place.iterdir()) == before
            pages += 1

        assert pages > 30
        with Ledger.open(place / "a.ledger") as ledger:
            assert ledger.verify().records == 1


def test_init_on_a_full_disk_says_what_helps_and_is_typed_again(tmp_path: Path) -> None:
    place, given = tmp_path / "disk", ("--origin", ORIGIN)
    with small_disk(place, 2):
        filler = fill(place)
        for room in (0, 2, 8, 16):
            leave_room(filler, room * PAGE_BYTES)
            done = run("init", place / "a.ledger", *given)
            assert done.returncode == 4
            assert b"full, or its quota: free space, then" in done.stderr
            assert list(place.iterdir()) == [filler]
            filler.unlink()
            filler = fill(place)

        filler.unlink()
        assert run("init", place / "a.ledger", *given).returncode == 0


# A file system that is written in Python raises also where SQLite closes a file that it gives up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("error", "count"), [(apsw.FullError, 1000), (quota_used_up, 4)], ids=["full", "quota"]
)
def test_each_write_that_finds_no_space_leaves_nothing(
    tmp_path: Path, error: Callable[[str], Exception], count: int
) -> None:
    vfs, told = FailingVFS("none", error, EDQUOT), 0
    try:
        while told < count:
            vfs.fail("write", told)
            try:
                Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, vfs="none").close()
                break
            except DiskFullError as full:
                assert str(full).endswith("is full, or its quota: free space, then go on")
            assert list(tmp_path.iterdir()) == []
            told += 1
    finally:
        vfs.unregister()
    assert told == count or told > 10


def test_a_copy_that_finds_no_space_leaves_nothing(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY) as ledger:
        first, anchor = next(ledger.blocks()), ledger.trust_anchor
    vfs, place = FailingVFS("copy", apsw.FullError), tmp_path / "copies"
    place.mkdir()
    try:
        vfs.fail("write", 5)
        with pytest.raises(DiskFullError):
            Replica.create(place / "b.ledger", anchor, first, vfs="copy")
        assert list(place.iterdir()) == []
    finally:
        vfs.unregister()


def test_whoever_opened_a_lock_before_its_file_was_removed_has_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two would write: one under the file that is gone, and one under the next."""
    path, lock, removed = tmp_path / "a.lock", locks.fcntl.flock, []

    def remove_first(*arguments: object) -> None:
        if not removed:
            removed.append(path.unlink())
        lock(*arguments)

    monkeypatch.setattr(locks.fcntl, "flock", remove_first)
    held = locks.WriterLock(path)
    monkeypatch.undo()

    with pytest.raises(BusyError):
        locks.WriterLock(path)
    held.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_s_file_that_another_made_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = locks.WriterLock(path)
    path.unlink()  # as nobody should
    second = locks.WriterLock(path)

    first.remove()

    with pytest.raises(BusyError):
        locks.WriterLock(path)
    second.close()


def test_a_lock_s_file_that_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    locks.WriterLock(path).close()

    locks.WriterLock(path).remove()

    assert path.exists()
    first = locks.WriterLock(path)
    first.close()
    with_lock = locks.WriterLock(path)
    first.remove()  # it has none any more
    with pytest.raises(BusyError):
        locks.WriterLock(path)
    with_lock.close()
