"""File systems for SQLite that record every write, or fail at a chosen one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw


class Event(NamedTuple):
    """What was done to a file; ``kind`` is write, truncate, sync, delete or acknowledge."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class RecordingFile(apsw.VFSFile):
    def __init__(self, base: str, name: Any, flags: Any, events: list[Event]) -> None:
        super().__init__(base, name, flags)
        path = name if isinstance(name, str) else name.filename()
        self._name = Path(path).name
        self._events = events

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._events.append(Event("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._events.append(Event("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._events.append(Event("sync", self._name))
        super().xSync(flags)


class RecordingVFS(apsw.VFS):
    """Records what SQLite does to files under a name of its own."""

    def __init__(self, name: str) -> None:
        self.events: list[Event] = []
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> RecordingFile:  # noqa: N802
        return RecordingFile("", name, flags, self.events)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        self.events.append(Event("delete", Path(name).name))
        super().xDelete(name, sync)

    def acknowledge(self, note: str) -> None:
        """Mark that the ledger has told somebody of a checkpoint."""
        self.events.append(Event("acknowledge", "", 0, note.encode()))


class CrashState(NamedTuple):
    """What a power cut may leave: files by name, and the last acknowledged checkpoint, if any."""

    files: dict[str, bytes]
    acknowledged: str


def crash(
    base: dict[str, bytes], events: list[Event], at: int, choose: random.Random
) -> CrashState:
    """One state after a power cut before event ``at``.

    What was written before a file's last sync is there; each later write is there, is not, or is
    torn at 512 bytes, whatever became of the others.
    """
    synced = {event.file: i for i, event in enumerate(events[:at]) if event.kind == "sync"}
    files = {name: bytearray(data) for name, data in base.items()}
    acknowledged = ""
    for i, event in enumerate(events[:at]):
        if event.kind == "acknowledge":
            acknowledged = event.data.decode()
            continue
        if event.kind == "sync":
            continue
        data = event.data
        if i > synced.get(event.file, -1):
            fate = choose.randrange(3)
            if fate == 0:
                continue
            if fate == 1 and event.kind == "write":
                data = data[: 512 * choose.randrange(len(data) // 512 + 1)]
        apply(files, event._replace(data=data))
    return CrashState({name: bytes(data) for name, data in files.items()}, acknowledged)


def apply(files: dict[str, bytearray], event: Event) -> None:
    if event.kind == "delete":
        files.pop(event.file, None)
        return
    data = files.setdefault(event.file, bytearray())
    if event.kind == "truncate":
        del data[event.offset :]
        return
    end = event.offset + len(event.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    data[event.offset : end] = event.data


class FailingFile(apsw.VFSFile):
    def __init__(self, base: str, name: Any, flags: Any, check: Callable[[str], None]) -> None:
        super().__init__(base, name, flags)
        self._check = check

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._check("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._check("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._check("sync")
        super().xSync(flags)


def quota_used_up(said: str = "") -> Exception:
    """What SQLite's own file system raises where a write fails with EDQUOT."""
    return apsw.exception_for(apsw.SQLITE_IOERR_WRITE)


class FailingVFS(apsw.VFS):
    """Fails the chosen call of one operation, and every later one until it is mended.

    ``number`` is the errno that the system is said to have given.
    """

    def __init__(self, name: str, error: Callable[[str], Exception], number: int = 0) -> None:
        self._error = error
        self._number = number
        self._fail_at: dict[str, int] = {}
        self.calls: dict[str, int] = {"read": 0, "write": 0, "sync": 0}
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> FailingFile:  # noqa: N802
        return FailingFile("", name, flags, self._count)

    def fail(self, operation: str, index: int) -> None:
        """Fail the operation's call ``index`` from now on, counting from 0."""
        self._fail_at = {operation: self.calls[operation] + index}

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802
        return self._number, ""

    def mend(self) -> None:
        self._fail_at = {}

    def _count(self, operation: str) -> None:
        call = self.calls[operation]
        self.calls[operation] += 1
        if call >= self._fail_at.get(operation, 1 << 62):
            raise self._error("made to fail")


class CallingFile(apsw.VFSFile):
    def __init__(self, base: str, name: Any, flags: Any, call: Callable[[], None]) -> None:
        super().__init__(base, name, flags)
        self._call = call

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._call()
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._call()
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._call()
        super().xSync(flags)


class CallingVFS(apsw.VFS):
    """Calls a function before each write, truncation or flush of any file."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        self._call = call
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> CallingFile:  # noqa: N802
        return CallingFile("", name, flags, self._call)
