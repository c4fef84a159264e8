"""Have the disk begin with what was written, while the rest is made.

A flush waits until the disk has all of a file. Of a large block most is in its log before the last
record is looked at again, and by then is on disk too, where the system was told to begin. It may do
so at any time, told or not: nothing is durable before the flush, and a crash may leave any of it.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from io import FileIO

from ledgercore.disk import Holder

__all__ = ["WriteBack"]

_WRITE = 2
"""``SYNC_FILE_RANGE_WRITE``: begin with what no write is under way of, and wait for nothing."""

_TO_THE_END = 0
"""What ``sync_file_range`` takes for the number of bytes up to the end."""

_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


class WriteBack(Holder):
    """Begins with one file, where the system can (Linux); else its flush does all of it.

    What fails here fails in the flush, which tells: nothing is raised.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self) -> None:
        """Begin with all that was written to it by now."""
        if _sync_file_range is None:
            return
        with suppress(OSError):
            if not hasattr(self, "_file"):
                self._file = FileIO(self._path)
            _sync_file_range(self._file.fileno(), 0, _TO_THE_END, _WRITE)

    def close(self) -> None:
        with suppress(OSError):
            self.drop()
