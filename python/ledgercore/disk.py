"""Read and write the small files beside a ledger.

This, ``ledgercore.locks`` and ``ledgercore.writeback`` alone open files directly.

The ledger's records live in SQLite (``ledgercore.store``). Here are key files, which only their
owner may read; the journal, in which records are durable before their block; and the head file,
which remembers the newest checkpoint outside SQLite.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from ledgercore.errors import (
    DiskFullError,
    LimitError,
    StoreError,
    UnavailableError,
)

__all__ = [
    "URL",
    "HeadFile",
    "Holder",
    "JournalFile",
    "append_to",
    "check_directory",
    "check_file",
    "check_one_name",
    "check_writable",
    "core_count",
    "disk_full",
    "exists",
    "file_bytes",
    "flush",
    "identity",
    "in_the_way",
    "is_empty",
    "make_directory",
    "make_private",
    "open_lines",
    "process_id",
    "read_bytes",
    "read_private",
    "read_start",
    "remove",
    "rename",
    "reserve",
    "resolve",
    "unwritten",
    "write_new",
]

URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|postgres(?:ql)?:)")
"""How a URL begins, also a server's that lacks slashes: nobody takes it for a path, as errors name
paths and it may hold a password."""

FILE_BYTES = 1024 * 1024
"""What a file that is read whole holds at most, where its reader knows no limit of its own."""

_SLOT_BYTES = 16 * 1024
_READ_BYTES = 1024 * 1024


_MARK_OFFSET = 2 * _SLOT_BYTES
_MARK_BYTES = 12
"""A sequence of eight bytes, big endian, and their CRC-32."""
_HEAD_BYTES = _MARK_OFFSET + _MARK_BYTES

_ROOM_PIECE_BYTES = 64 * 1024
"""Linux keeps in one piece what was written at once, and passes over all of it in each later write
there, however short: to the log's many short writes a piece of megabytes is twice the work."""


process_id = os.getpid
"""The number of this process."""


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def unwritten(doing: str, path: str | Path, error: OSError, remedy: str = "") -> StoreError:
    """What is said where nothing of a file was written, which passes where there was no space."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return StoreError(f"cannot {doing} {path}: {error.strerror}{remedy}")


def disk_full(path: str | Path) -> DiskFullError:
    """What is said where there is no space for a file."""
    return DiskFullError(f"disk of {path} is full, or its quota: free space, then go on")


def exists(path: str | Path) -> bool:
    """Whether something is there."""
    try:
        return Path(path).exists()
    except OSError as error:  # a name that is too long, or a directory that is closed
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def is_empty(path: str | Path) -> bool:
    """Whether a directory holds nothing, or nothing is there."""
    try:
        return next(Path(path).iterdir(), None) is None
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def resolve(path: str | Path) -> Path:
    """The path of the file itself, whatever links lead to it: one file, one lock."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise StoreError(f"cannot follow {path}: {error}") from error


def make_directory(path: str | Path) -> None:
    """Make a directory and its parents."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten("make", path, error) from error


def check_directory(path: str | Path) -> None:
    """Refuse a new file whose directory is not there, by the name that its user gave."""
    parent = Path(path).parent
    there = exists(parent)
    if not there or not parent.is_dir():
        what = "is not a directory" if there else "does not exist"
        raise StoreError(f"cannot make {path}: {parent} {what}: make it, or choose another place")


def check_writable(path: str | Path) -> None:
    """Refuse a new file that cannot be written, by making it and removing it again.

    A crash between the two leaves it empty.
    """
    write_new(path, b"")
    remove(path)


def identity(path: str) -> tuple[int, int] | None:
    """Which file has a name: its device and number there; None where nothing has it."""
    try:
        found = os.stat(path)  # noqa: PTH116 - each block asks, and a Path takes four times as long
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    return found.st_dev, found.st_ino


def check_one_name(path: str | Path) -> None:
    """Refuse a file that has several names: what stands beside each would not be shared."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path} is a directory, want a file: name a ledger in it")
    _check_regular(path, found)
    if found.st_nlink > 1:
        raise StoreError(
            f"{path} has {found.st_nlink} names (hard links), which would not share its lock and "
            "its log: remove all but one, or copy the file"
        )


def _check_regular(path: str | Path, found: os.stat_result) -> None:
    """Refuse a pipe or a device, which may never end."""
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is a pipe or a device, want a file")


def check_file(path: str | Path) -> None:
    """Refuse what has a file's name and is none: a pipe would be read for ever."""
    if exists(path) and not Path(path).is_file():
        raise StoreError(f"{path} is a directory, a pipe or a device, want a file: move it away")


def read_bytes(path: str | Path, limit_bytes: int = FILE_BYTES, of: str = "a small file") -> bytes:
    """All bytes of a file; of one that passes the limit no more is read than shows it."""
    data = read_start(path, limit_bytes + 1)
    if len(data) > limit_bytes:
        raise LimitError(f"{path} has more than {limit_bytes} bytes, the limit of {of}")
    return data


def read_private(path: str | Path) -> bytes:
    """All bytes of a file that holds a secret: one that others may read or change is refused.

    Its group may read it where the file is another user's, as where an administrator gives it to a
    service: Debian's ``ssl-cert`` is such a group, with ``root`` as owner and mode 640.
    """
    try:
        # Who opens a pipe without O_NONBLOCK waits until somebody writes to it, perhaps for good.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        if Path(path).is_dir():  # which would not be closed
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # Between the two steps is no instruction of Python's, and so no interrupt.
        with io.BufferedReader(next(map(FileIO, map(os.open, (path,), (flags,))))) as file:
            state = os.fstat(file.fileno())
            _check_regular(path, state)
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    own = state.st_uid == os.geteuid()
    mode, allowed = stat.S_IMODE(state.st_mode), stat.S_IRWXU | (0 if own else stat.S_IRGRP)
    if mode & ~allowed & (stat.S_IRWXG | stat.S_IRWXO):
        remedy = f"chmod 600 {path}"
        if not own:
            remedy = f"its owner is another user: chmod 640 {path}, for the group of this service"
        raise UnavailableError(
            f"{path} is a secret that others may read or change (its mode is {mode:03o}): "
            f"{remedy}, and replace the secret if anybody else may have it"
        )
    if len(data) > FILE_BYTES:
        raise LimitError(f"{path} has more than {FILE_BYTES} bytes, the limit of a small file")
    return data


def read_start(path: str | Path, size: int) -> bytes:
    """At most so many bytes from a file's beginning."""
    try:
        with Path(path).open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def file_bytes(path: str | Path) -> int:
    """How many bytes a file has."""
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def flush(file: BinaryIO) -> None:
    """Make what was written to an open file durable; one in memory stays there."""
    try:
        file.flush()
        with suppress(io.UnsupportedOperation):
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot flush a file: {error.strerror}") from error


def in_the_way(path: str | Path) -> StoreError:
    """What is said of something that has the name of a new file."""
    if Path(path).is_dir():
        return StoreError(f"{path} is a directory, want a new file: name one in it")
    if exists(path) and not Path(path).is_file():
        return StoreError(f"{path} is a pipe or a device, want a new file: choose another name")
    return StoreError(f"{path} exists already: choose another name or move it away")


def write_new(path: str | Path, data: bytes, *, owner_only: bool = False) -> None:
    """Write a file that must not exist yet; durable when it returns, and not there if it fails.

    A crash may leave a part of it.
    """
    check_directory(path)
    mode = 0o600 if owner_only else 0o644
    try:
        with io.BufferedWriter(FileIO(path, "x", opener=partial(os.open, mode=mode))) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                _flush_directory(Path(path).parent)
            except BaseException:
                # On a full disk an empty key would be left, which nothing is ever written over.
                with suppress(OSError):
                    Path(path).unlink()
                raise
    except FileExistsError:
        raise in_the_way(path) from None
    except OSError as error:
        raise unwritten("write", path, error) from error


def make_private(path: str | Path) -> None:
    """Make an empty file that only its owner may read."""
    write_new(path, b"", owner_only=True)


def rename(source: str | Path, target: str | Path) -> None:
    """Give a file its final name, where no other file has it; durable when it returns.

    A crash leaves it under one of the two names, and never under both. Whoever calls sees to it
    that nobody makes the other file meanwhile.
    """
    if os.path.lexists(target):
        raise in_the_way(target)
    try:
        Path(source).rename(target)
        _flush_directory(Path(target).parent)
    except OSError as error:
        raise StoreError(f"cannot rename {source} to {target}: {error.strerror}") from error


def reserve(path: str | Path, size: int) -> None:
    """Fill an empty file with zeros up to a size, flushed, so that writing there need not grow it.

    A file that holds anything, or is not there, stays as it is; so does one on a full disk. This
    is a help and no promise: it never raises, and whether it did shows in the file's size.
    """
    with suppress(OSError), FileIO(path, "r+") as file:
        descriptor = file.fileno()
        if os.fstat(descriptor).st_size == 0 and not _is_filled(descriptor, size):
            os.ftruncate(descriptor, 0)


def _is_filled(descriptor: int, size: int) -> bool:
    piece = memoryview(bytes(_ROOM_PIECE_BYTES))
    try:
        for begin in range(0, size, _ROOM_PIECE_BYTES):
            zeros = piece[: size - begin]
            if os.pwrite(descriptor, zeros, begin) != len(zeros):
                return False
        os.fdatasync(descriptor)  # now, and not with the first block
    except OSError:
        return False
    return True


def remove(path: str | Path) -> None:
    """Remove a file, if it is there."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}") from error


@contextmanager
def append_to(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write behind what it holds, as a log is; nothing is flushed."""
    try:
        with Path(path).open("ab") as file:
            yield file
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def open_lines(source: str, limit_bytes: int) -> Iterator[Iterator[list[bytes]]]:
    """The lines of a file, or of standard input for ``-``, without their newlines.

    Lines come in lists of those that are at hand together: a list never waits for more input. A
    last line without a newline is a line too. One that passes the limit while its end is not in
    sight comes as far as it was read, and nothing comes after it: memory stays bounded.
    """
    if source == "-":
        yield _read_lines(sys.stdin.fileno(), source, limit_bytes)
        return
    try:
        file = FileIO(source)
    except OSError as error:
        raise StoreError(f"cannot read {source}: {error.strerror}") from error
    with file:
        yield _read_lines(file.fileno(), source, limit_bytes)


def _read_lines(descriptor: int, source: str, limit_bytes: int) -> Iterator[list[bytes]]:
    rest: list[bytes] = []
    while sum(map(len, rest)) <= limit_bytes:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError as error:
            raise StoreError(f"cannot read {source}: {error.strerror}") from error
        if not data:
            break
        lines = data.split(b"\n")
        rest.append(lines[0])
        if len(lines) > 1:
            yield [b"".join(rest), *lines[1:-1]]
            rest = [lines[-1]]
    if last := b"".join(rest):
        yield [last]


def _flush_directory(path: Path) -> None:
    """Make names in a directory durable; an interrupt at one instant leaves it open, for reading.

    Python has no object that owns an open directory.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Holder:
    """Has a file open until it is closed or dropped, wherever an interrupt may drop it."""

    _file: FileIO

    def __del__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Close the file, at whatever point it is."""
        file = getattr(self, "_file", None)  # it may not have been opened
        if file is not None:
            file.close()


def _slot(note: str) -> bytes:
    return (note.encode() + b"\0")[:_SLOT_BYTES]  # a note that fills its slot ends with it


class HeadFile(Holder):
    """The newest checkpoints that were acknowledged, in two slots written in turn.

    It is written after the commit that it speaks of and before the acknowledgement, and never
    flushed: a killed process leaves it whole, a power cut leaves it older. So it is never ahead of
    an intact ledger, and a ledger that is behind it has lost its tail. A crash while one slot is
    written leaves the other, and one while the file is made leaves ``<path>.new`` at most: the file
    is flushed before it has its name, so that one without any note was damaged or put there.

    Behind the slots stands a *mark*: the sequence of the newest record that the journal
    acknowledged, in the same way.
    """

    def __init__(self, path: str | Path, note: str, newest_slot: int = -1) -> None:
        """Open the file, or make one that holds a note; what one holds that is there stays.

        The slot that holds the newest note is written over last.
        """
        self._path = path
        self._turn = 1 - newest_slot if newest_slot >= 0 else 0
        if not exists(path):
            remove(f"{path}.new")
            try:
                write_new(f"{path}.new", _slot(note).ljust(_HEAD_BYTES, b"\0"))
                rename(f"{path}.new", path)
            except BaseException:
                remove(f"{path}.new")
                raise
            self._turn = 1
        try:
            self._file = FileIO(path, "r+")
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
        try:
            size = os.fstat(self._file.fileno()).st_size
            if size < _HEAD_BYTES:
                # The room is taken now, so that a full disk cannot refuse it after a commit.
                os.pwrite(self._file.fileno(), bytes(_HEAD_BYTES - size), size)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise unwritten("open", path, error) from error
            raise

    def remember(self, note: str) -> None:
        """Store this checkpoint, unless the newest slot has it."""
        if self.load(self._path)[1 - self._turn] != note:
            self.store(note)

    def store(self, note: str) -> None:
        """Remember this checkpoint."""
        data = _slot(note)
        try:
            if os.pwrite(self._file.fileno(), data, self._turn * _SLOT_BYTES) != len(data):
                raise StoreError(f"cannot write {self._path}: only a part of it was written")
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
        self._turn = 1 - self._turn

    def mark(self, sequence: int) -> None:
        """Remember that the operator's record of this sequence is in the journal."""
        number = sequence.to_bytes(8, "big")
        try:
            os.pwrite(self._file.fileno(), number + crc32(number).to_bytes(4, "big"), _MARK_OFFSET)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    @staticmethod
    def load(path: str | Path) -> list[str]:
        """What the slots hold: an empty or a torn one does not verify."""
        if not exists(path):
            return []
        data = read_start(path, 2 * _SLOT_BYTES)
        slots = (data[:_SLOT_BYTES], data[_SLOT_BYTES:])
        return [slot.split(b"\0", 1)[0].decode(errors="replace") for slot in slots]

    @staticmethod
    def load_mark(path: str | Path) -> int:
        """The sequence that was marked; 0 where none was, or it is torn."""
        mark = read_start(path, _HEAD_BYTES)[_MARK_OFFSET:] if exists(path) else b""
        number, check = mark[:8], mark[8:]
        return int.from_bytes(number, "big") if crc32(number).to_bytes(4, "big") == check else 0


class JournalFile(Holder):
    """A new file that is written at offsets, in room that was taken before, past the page cache.

    Each write is durable when it returns (``O_DSYNC``). Where the file system can (``O_DIRECT``) it
    goes from our own buffer to the disk, a tenth sooner than through the page cache.
    """

    def __init__(self, path: str | Path, room_bytes: int) -> None:
        """Raises ``DiskFullError`` where there is not so much room, and leaves no file."""
        self._path = path
        make_private(path)
        try:
            reserve(path, room_bytes)
            if file_bytes(path) != room_bytes:
                raise disk_full(path)
            self._buffer = memoryview(mmap.mmap(-1, room_bytes))  # which begins with a page
            try:
                self._open(os.O_DIRECT)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._open(0)
        except BaseException as error:
            remove(path)
            if isinstance(error, OSError):
                raise unwritten("open", path, error) from error
            raise

    def _open(self, flag: int) -> None:
        """Open it with a flag, and write one page: some file systems refuse it only then."""
        self._file = FileIO(self._path, "r+", opener=partial(_open_with, flag))
        try:
            os.pwrite(self._file.fileno(), self._buffer[: mmap.PAGESIZE], 0)
        except OSError:
            self._file.close()
            raise

    def write(self, data: bytes, offset: int) -> None:
        """Write whole pages, at a page; durable when it returns."""
        piece = self._buffer[: len(data)]
        piece[:] = data
        try:
            written = os.pwrite(self._file.fileno(), piece, offset)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
        if written != len(data):
            raise StoreError(f"cannot write {self._path}: only a part of it was written")

    def close(self) -> None:
        """Give the file back, as it is."""
        self._file.close()


def _open_with(flag: int, path: str, flags: int) -> int:
    return os.open(path, flags | flag | os.O_DSYNC)
