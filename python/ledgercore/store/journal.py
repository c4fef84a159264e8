"""Keep records durable, one flush each, until a block holds them.

The file is room that was taken before, so that a flush has nothing to write but the records. An
entry begins with a page of 4 KiB:

    4c444a31 00000006 a57b32fd 62756e646c65   LDJ1, how many bytes, their CRC-32, the bytes

The bytes are those of a bundle: all records that one flush makes durable. What has no room there
goes on in further pages, each behind four zeros: whoever wrote the payload must not write the
beginning of a page, which would be read as an entry's once a shorter one stands before it. Once a
block holds all entries, they are written over from the beginning: what stands behind the newest
entry is older, and tells so by its sequences. Nothing is ever taken on trust: whoever reads
verifies the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from zlib import crc32

import apsw

from ledgercore.disk import JournalFile, check_file, exists, make_private, read_start, write_new
from ledgercore.errors import LimitError, MalformedError, StoreError

__all__ = ["Journal"]

PAGE_BYTES = 4096

ROOM_BYTES = 4 * 1024 * 1024

_REMEDY = "look whose file it is, move it away and keep it, then open the ledger again"

_MAGIC = b"LDJ1"
_FURTHER = bytes(4)
_HEADER_BYTES = 12
_FIRST_BYTES = PAGE_BYTES - _HEADER_BYTES
_FURTHER_BYTES = PAGE_BYTES - len(_FURTHER)


class _File(Protocol):
    def write(self, data: bytes, offset: int) -> None:
        """Write there; durable when it returns."""
        ...

    def close(self) -> None: ...


class _VfsFile:
    """The same in a file system of SQLite's by its name: one for tests, that loses what it may."""

    def __init__(self, path: Path, vfs: str) -> None:
        make_private(path)
        self._path = path
        flags = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_READWRITE
        with self._failing():
            self._file = apsw.VFSFile(vfs, str(path), [flags, 0])

    def write(self, data: bytes, offset: int) -> None:
        with self._failing():
            self._file.xWrite(data, offset)
            self._file.xSync(apsw.SQLITE_SYNC_NORMAL | apsw.SQLITE_SYNC_DATAONLY)

    def close(self) -> None:
        self._file.xClose()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise StoreError(f"cannot write {self._path}: {error}") from error


class Journal:
    """Room for some records; one thread at a time."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        """Make the file. Raises ``DiskFullError`` where there is no room, and leaves no file."""
        self._end = 0
        self._file: _File = JournalFile(path, ROOM_BYTES) if vfs is None else _VfsFile(path, vfs)

    def add(self, bundle: bytes) -> bool:
        """Write one entry, durable when it returns.

        False, with nothing written, where there is no room for it. After an error the entry may be
        there or not, and nothing must be added.
        """
        entry = _entry(bundle)
        end = self._end + len(entry)
        if end > ROOM_BYTES:
            return False
        self._file.write(entry, self._end)
        self._end = end
        return True

    def restart(self) -> None:
        """Write over what is there: a block has it."""
        self._end = 0

    def close(self) -> None:
        """Give the file back; it stays."""
        self._file.close()

    @staticmethod
    def store(path: Path, bundles: Sequence[bytes]) -> None:
        """Write a new file that holds these and no room for more; durable when it returns."""
        write_new(path, b"".join(map(_entry, bundles)), owner_only=True)

    @staticmethod
    def load(path: Path) -> list[bytes]:
        """The bundles of all whole entries, whenever they were written, in the order of pages."""
        return list(_entries(_read(path)))

    @staticmethod
    def check(path: Path) -> None:
        """Raise ``MalformedError`` where a page begins as no writer begins one, nor a torn write.

        Such a file is somebody else's, or damaged: it is nothing to be removed.
        """
        for number, page in enumerate(_pages(_read(path))):
            begin = page[: len(_MAGIC)]
            if any(begin) and not _MAGIC.startswith(begin):
                raise MalformedError(
                    f"{path} is not a ledger's journal, or is damaged: page {number} begins with "
                    f"{begin.hex()}, want {_MAGIC.hex()} or zeros: {_REMEDY}"
                )


def _read(path: Path) -> bytes:
    check_file(path)
    if not exists(path):
        return b""
    data = read_start(path, ROOM_BYTES + 1)
    if len(data) > ROOM_BYTES:
        raise LimitError(
            f"{path} has more than {ROOM_BYTES} bytes, the limit of a journal, and so is none: "
            f"{_REMEDY}"
        )
    return data


def _entry(bundle: bytes) -> bytes:
    header = _MAGIC + len(bundle).to_bytes(4, "big") + crc32(bundle).to_bytes(4, "big")
    pages = [header + bundle[:_FIRST_BYTES]]
    for at in range(_FIRST_BYTES, len(bundle), _FURTHER_BYTES):
        pages.append(_FURTHER + bundle[at : at + _FURTHER_BYTES])
    pages[-1] = pages[-1].ljust(PAGE_BYTES, b"\0")
    return b"".join(pages)


def _pages(data: bytes) -> list[bytes]:
    return [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]


def _entries(data: bytes) -> Iterator[bytes]:
    pages = _pages(data)
    at = 0
    while at < len(pages):
        first, at = pages[at], at + 1
        if not first.startswith(_MAGIC):
            continue
        size, check = int.from_bytes(first[4:8], "big"), first[8:_HEADER_BYTES]
        end = at + max(0, -((_FIRST_BYTES - size) // _FURTHER_BYTES))
        parts = [first[_HEADER_BYTES:], *(page[len(_FURTHER) :] for page in pages[at:end])]
        bundle = b"".join(parts)[:size]
        if len(bundle) == size and crc32(bundle).to_bytes(4, "big") == check:
            yield bundle
            at = end
