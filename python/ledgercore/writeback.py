"""Have the disk begin with what was written, while the rest is made.

A flush waits until the disk has all of a file. Of a large block most is in its log before the last
record is looked at again, and by then is on disk too, where the system was told to begin. It may do
so at any time, told or not: nothing is durable before the flush, and a crash may leave any of it.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

__all__ = ["WriteBack"]

_WRITE = 2
"""``SYNC_FILE_RANGE_WRITE``: begin with what no write is under way of, and wait for nothing."""

_TO_THE_END = 0
"""What ``sync_file_range`` takes for the number of bytes up to the end."""

_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


class WriteBack:
    """Begins with one file, where the system can (Linux); else its flush does all of it.

    What fails here fails in the flush, which tells: nothing is raised. Its descriptor is a number,
    for a file object that is dropped in a cycle may be looked at before whoever would close it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def begin(self) -> None:
        """Begin with all that was written to it by now."""
        if _sync_file_range is None:
            return
        with suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            _sync_file_range(self._descriptor, 0, _TO_THE_END, _WRITE)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()
