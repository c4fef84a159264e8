"""A disk for SQLite whose power can be cut, and which can be full or fail.

Files are real, and nothing is ever flushed: what was not yet synced when the power is cut is kept,
dropped or torn at 512 bytes, each write for itself, as the seed decides. A disk that lies about a
sync is a setting, for control runs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

from ledgercore.testing.simulation import Dice

__all__ = ["Disk"]

SECTOR_BYTES = 512


class _Write(NamedTuple):
    """A write that is not synced: where, what was there, what was written, how long it was."""

    offset: int
    before: bytes
    data: bytes
    size: int


class _File(apsw.VFSFile):
    """One open file, and what was written to it since its last sync."""

    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._pending: list[_Write] = []
        disk.files.append(self)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.check("write")
        data, size = bytes(data), super().xFileSize()
        before = super().xRead(min(len(data), size - offset), offset) if offset < size else b""
        self._pending.append(_Write(offset, before, data, size))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.check("write")
        length = super().xFileSize()
        if size < length:
            before = super().xRead(length - size, size)
            self._pending.append(_Write(size, before, b"", length))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.check("sync")
        if not self._disk.lies:
            self._pending.clear()

    def xClose(self) -> None:  # noqa: N802
        # SQLite syncs before it closes: what is still pending then is taken as kept.
        if self in self._disk.files:
            self._disk.files.remove(self)
        super().xClose()

    def cut(self, dice: Dice) -> None:
        """Leave what a power cut may leave."""
        for write in reversed(self._pending):
            super().xWrite(write.before, write.offset) if write.before else None
            super().xTruncate(write.size)
        for write in self._pending:
            fate = dice.below(3)
            kept = write.data
            if fate == 1:
                kept = kept[: SECTOR_BYTES * dice.below(len(kept) // SECTOR_BYTES + 1)]
            if fate and kept:
                super().xWrite(kept, write.offset)
        self._pending.clear()


class Disk(apsw.VFS):
    """A file system under a name of its own, for the stores of one node."""

    def __init__(self, name: str, dice: Dice, *, lies: bool = False) -> None:
        self.name = name
        self.files: list[_File] = []
        self.lies = lies
        self._dice = dice
        self._failing: type[apsw.Error] | None = None
        self._off = False
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> _File:  # noqa: N802
        self.check("open")
        return _File(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        self.check("write")
        super().xDelete(name, sync)

    def check(self, operation: str) -> None:
        """Raise where the operation cannot be done now."""
        if self._off:
            raise apsw.IOError("power is off")
        if self._failing is not None and operation != "open":
            raise self._failing("made to fail")

    def fill(self) -> None:
        """Have no space from now on."""
        self._failing = apsw.FullError

    def fail(self) -> None:
        """Fail every write and flush from now on."""
        self._failing = apsw.IOError

    def mend(self) -> None:
        """Work again."""
        self._failing = None

    def cut(self) -> None:
        """Cut the power: close what uses the disk, and then call ``restore``."""
        for file in self.files:
            file.cut(self._dice)
        self._off = True

    def restore(self) -> None:
        """Switch the power on again."""
        self.files.clear()
        self._off, self._failing = False, None
