"""Small files are written whole or not at all, also where the disk is full."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Ledger, SigningKey, disk, locks
from ledgercore.errors import BusyError, StoreError


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file can grow past a size: writing more is cut short, then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def failing(*arguments: object) -> int:
    raise OSError(5, "the disk fails")


def test_a_new_file_is_whole_and_over_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    disk.write_new(path, b"x" * 5000, owner_only=True)

    with pytest.raises(StoreError, match=r"a\.key exists already: choose another name"):
        disk.write_new(path, b"y")
    assert path.read_bytes() == b"x" * 5000
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_interrupt_leaves_no_part_of_a_new_head_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two names: what holds the ledger's note is then under neither."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "rename", interrupt)

    with pytest.raises(KeyboardInterrupt):
        disk.HeadFile(tmp_path / "a.ledger.head", "note")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room_bytes", [0, 100])
def test_a_full_disk_leaves_no_part_of_a_new_file(tmp_path: Path, room_bytes: int) -> None:
    path = tmp_path / "a.key"

    with room_for(room_bytes), pytest.raises(StoreError, match=r"^cannot write .*a\.key: "):
        disk.write_new(path, b"x" * 5000)
    assert not path.exists()
    disk.write_new(path, b"x" * 5000)


def test_a_new_file_that_cannot_be_flushed_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.key"
    monkeypatch.setattr(os, "fsync", failing)

    with pytest.raises(StoreError, match=r"a\.key: the disk fails"):
        disk.write_new(path, b"x")
    assert not path.exists()


def test_room_is_reserved_whole_or_not_at_all(tmp_path: Path) -> None:
    empty, full, held = tmp_path / "empty", tmp_path / "full", tmp_path / "held"
    for path, data in ((empty, b""), (full, b""), (held, b"held")):
        path.write_bytes(data)

    disk.reserve(empty, 5000)
    disk.reserve(held, 5000)
    with room_for(100):
        disk.reserve(full, 5000)
    disk.reserve(tmp_path / "missing", 5000)

    assert empty.read_bytes() == bytes(5000)
    assert (full.read_bytes(), held.read_bytes()) == (b"", b"held")
    assert not (tmp_path / "missing").exists()


def test_room_is_filled_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    write = os.pwrite

    def recorded(descriptor: int, data: bytes, begin: int) -> int:
        written.append((begin, len(data)))
        return write(descriptor, data, begin)

    monkeypatch.setattr(os, "pwrite", recorded)
    path = tmp_path / "a.ledger-wal"
    path.touch()
    disk.reserve(path, 150_000)

    assert written == [(0, 65_536), (65_536, 65_536), (131_072, 18_928)]
    assert path.read_bytes() == bytes(150_000)


@pytest.mark.parametrize("fails", ["fstat", "pwrite", "ftruncate", "open"])
def test_reserving_room_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "a.ledger-wal"
    path.touch()

    with room_for(100), monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", failing)
        patch.setattr(os, fails, failing)
        disk.reserve(path, 5000)


def test_a_lock_is_given_back_whoever_still_has_it_open(tmp_path: Path) -> None:
    """A child process has its parent's descriptor until it comes to forget it."""
    lock = locks.WriterLock(tmp_path / "a.lock")
    inherited = os.dup(lock._file.fileno())
    with pytest.raises(BusyError):
        locks.WriterLock(tmp_path / "a.lock")

    lock.close()
    locks.WriterLock(tmp_path / "a.lock").close()
    os.close(inherited)


def test_what_a_child_forgets_its_parent_still_holds(tmp_path: Path) -> None:
    lock = locks.WriterLock(tmp_path / "a.lock")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(BusyError):
        locks.WriterLock(tmp_path / "a.lock")
    lock.close()


def test_a_head_file_without_room_holds_no_descriptor(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())

    with room_for(0), pytest.raises(StoreError, match=r"^cannot write .*a\.head\.new: "):
        disk.HeadFile(tmp_path / "a.head", "a note")
    assert not (tmp_path / "a.head").exists()
    assert set(Path("/proc/self/fd").iterdir()) <= before


def test_an_open_file_is_flushed_and_one_in_memory_stays(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"data")
        disk.flush(file)
        assert (tmp_path / "file").read_bytes() == b"data"
    disk.flush(io.BytesIO())
    with Path("/dev/full").open("wb") as full:
        full.write(b"data")
        with pytest.raises(StoreError, match="cannot flush a file"):
            disk.flush(full)
        with contextlib.suppress(OSError):
            full.close()


def test_a_note_that_fills_its_slot_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    head = disk.HeadFile(tmp_path / "a.head", "first")
    notes = ["b" * 16 * 1024, "a" * 16 * 1024]
    head.store(notes[1])
    head.store(notes[0])  # again the first slot
    head.close()

    assert disk.HeadFile.load(tmp_path / "a.head") == notes


def test_a_pipe_in_the_place_of_a_secret_or_a_ledger_is_refused_and_not_waited_for(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)

    with pytest.raises(StoreError, match="is a pipe or a device, want a file"):
        disk.read_private(pipe)
    with pytest.raises(StoreError, match="is a pipe or a device, want a file"):
        disk.check_one_name(pipe)
    for options in ({"read_only": True}, {"key": SigningKey(bytes(32))}):
        with pytest.raises(StoreError, match="is a pipe or a device, want a file"):
            Ledger.open(pipe, **options)  # type: ignore[arg-type]


def test_a_head_file_has_the_room_of_its_mark_from_the_beginning(tmp_path: Path) -> None:
    """A disk that fills up later cannot refuse it, once a record is in the journal."""
    path = tmp_path / "head"
    with contextlib.closing(disk.HeadFile(path, "note")) as head:
        size = path.stat().st_size
        assert disk.HeadFile.load_mark(path) == 0
        for sequence in (1, 2**64 - 1, 3):
            head.mark(sequence)
            assert disk.HeadFile.load_mark(path) == sequence
        assert path.stat().st_size == size
        assert disk.HeadFile.load(path) == ["note", ""]


@pytest.mark.parametrize("torn", [slice(-1), slice(32 * 1024), slice(32 * 1024 + 8)])
def test_a_mark_is_kept_and_a_torn_one_is_none(tmp_path: Path, torn: slice) -> None:
    path = tmp_path / "head"
    with contextlib.closing(disk.HeadFile(path, "note")) as head:
        head.mark(3)
    with contextlib.closing(disk.HeadFile(path, "note")) as head:
        assert disk.HeadFile.load_mark(path) == 3
    path.write_bytes(path.read_bytes()[torn])
    with contextlib.closing(disk.HeadFile(path, "note")) as head:
        assert disk.HeadFile.load_mark(path) == 0


@pytest.mark.parametrize("refused", [os.open, os.pwrite])
def test_a_journal_s_file_is_written_where_the_cache_cannot_be_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., int]
) -> None:
    """Some file systems refuse that when the file is opened, and some when it is written."""

    def refusing(call: Callable[..., int], flags_of: Callable[..., int]) -> Callable[..., int]:
        def checked(*arguments: Any, **options: int) -> int:
            if flags_of(*arguments) & os.O_DIRECT:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return call(*arguments, **options)

        return checked

    if refused is os.open:
        monkeypatch.setattr(os, "open", refusing(os.open, lambda path, flags, *_: flags))
    else:
        of_file = lambda file, *_: fcntl.fcntl(file, fcntl.F_GETFL)  # noqa: E731
        monkeypatch.setattr(os, "pwrite", refusing(os.pwrite, of_file))
    path, page = tmp_path / "journal", bytes(range(256)) * 16
    with closing(disk.JournalFile(path, 4 * len(page))) as made:
        made.write(page, len(page))

    assert path.read_bytes() == bytes(len(page)) + page + bytes(2 * len(page))
