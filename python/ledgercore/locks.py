"""Keep other processes out of a file, or from what they do to one that nobody uses."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from struct import Struct

from ledgercore.disk import Holder, identity, remove, unwritten
from ledgercore.errors import BusyError, StoreError

__all__ = ["InUse", "WriterLock"]

_FLOCK = Struct("hhqqi4x")
"""Linux's ``struct flock`` of 64 bits: kind, whence, start, length, process."""

_SHARED_BYTES = (0x40000002, 510)
"""Where SQLite's readers lock a file, and how many bytes (its ``os_unix.c``)."""

_MODE_OFFSET = 18
_WAL_MODE = b"\2\2"
"""What a file says there of itself that has a write-ahead log (SQLite's file format, 1.3.3)."""

_TRIES = 16
"""How often a lock is taken whose file its holder removes at that moment."""

_LOCKS: weakref.WeakSet[WriterLock | InUse] = weakref.WeakSet()


def _forget_locks() -> None:
    """A child process must not hold its parent's locks: they are given back with the parent's."""
    for lock in list(_LOCKS):
        lock.forget()


os.register_at_fork(after_in_child=_forget_locks)


class WriterLock(Holder):
    """Keep every other writer out, in this process or another, until closed, dropped or dead.

    Whoever has it may remove its file, and while it may be had nobody else: who opened the file
    before that, and locks it after, sees that it is not there any more, and has no lock.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        try:
            self._take()
        except BaseException:  # whoever keeps the error keeps no lock with it
            self.drop()
            raise

    def _take(self) -> None:
        path = self._path
        for _ in range(_TRIES):
            self._made = not os.path.lexists(path)
            try:
                self._file = FileIO(path, "a+", opener=partial(os.open, mode=0o600))
            except OSError as error:
                remedy = ": a writer needs to write in its directory"
                raise unwritten("open", path, error, remedy) from error
            _LOCKS.add(self)  # a process that is forked from here on has none of it
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BusyError(
                    f"another writer holds {path}: close it, or only read beside it"
                ) from None
            if self._is_there():
                return
            self._file.close()
        raise BusyError(f"{path} is made and removed again and again: close the other writers")

    def _is_there(self) -> bool:
        """Whether the file at the path is the one that is locked."""
        found = os.fstat(self._file.fileno())
        return identity(self._path) == (found.st_dev, found.st_ino)

    def remove(self) -> None:
        """Let the next writer in, and leave no file that was not there before."""
        if self._made and not self._file.closed:
            with suppress(StoreError, OSError):
                if self._is_there():
                    remove(self._path)
        self.close()

    def close(self) -> None:
        """Let the next writer in, also where a child process has not forgotten the lock yet."""
        if not self._file.closed:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Give the file back and leave the lock to the process that took it."""
        self._file.close()


class InUse:
    """Shows other programs that a database of SQLite's is in use, whatever this process closes.

    A process loses its locks on a file when it closes any descriptor of it (POSIX), as where a host
    copies it, and then another program that closes the database takes the log for unused and
    removes it. This is a lock of its own on the bytes that SQLite's readers lock, which belongs to
    one descriptor (``F_OFD_SETLK``, Linux). Where the file system has none there is none.
    """

    def __init__(self, path: str | Path | None) -> None:
        """Open the file, before SQLite does, and lock one that is made. Without one do nothing."""
        self._file: FileIO | None = None
        if path is None:
            return
        try:
            self._file = FileIO(path)
            logged = os.pread(self._file.fileno(), 2, _MODE_OFFSET) == _WAL_MODE
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
        _LOCKS.add(self)
        # Another thread may close the same file at any time. But where it is being made, or what a
        # crash left is to be taken back, SQLite wants the bytes for itself first.
        if logged and not os.path.lexists(f"{path}-journal"):
            self.lock()

    def lock(self) -> None:
        """Lock it, where that was too early: once SQLite has read it nobody has the bytes alone."""
        self._set(fcntl.F_RDLCK)

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """SQLite closes it inside: whoever is last removes the log."""
        self._set(fcntl.F_UNLCK)
        try:
            yield
        finally:
            self.forget()

    def _set(self, kind: int) -> None:
        if self._file is not None:
            lock = _FLOCK.pack(kind, os.SEEK_SET, *_SHARED_BYTES, 0)
            with suppress(OSError, ValueError):  # there is no such lock, or it was given up
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)

    def forget(self) -> None:
        """Give the file back: a child process leaves the lock to its parent, which holds on."""
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        file = getattr(self, "_file", None)  # an interrupt may have come before there was one
        if file is not None:
            file.close()
