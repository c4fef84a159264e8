"""Have all threads of a process share two heaps, so that its memory does not grow with their work.

glibc gives threads heaps of their own, up to eight a core, and what is freed in one is for its own
threads to use again. Whoever leads a block (``ledgercore.ledger.group``) takes what it needs from
its own, and leaves entries of the state map there, which stay, between batches, which go: so each
heap grows for itself to what one alone would need.

For processes that are the project's own, before they start a thread. A library changes nothing for
its host's process: there the environment says ``MALLOC_ARENA_MAX=2``, which holds here too.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["share_heaps"]

HEAPS = 2
"""As few as do not slow two threads that the interpreter lets run at once."""

_ARENA_MAX = -8
"""Which of its settings glibc's ``mallopt`` is to change."""


def share_heaps() -> bool:
    """Share them from now on; whether that could be said.

    It cannot where the environment says how many there are, nor with another C library than glibc,
    whose allocators differ.
    """
    library = ctypes.CDLL(None)
    if "MALLOC_ARENA_MAX" in os.environ or not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_ARENA_MAX, HEAPS))
