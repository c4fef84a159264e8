"""Know which member a key speaks for, as of the newest block.

The ledger decides, and nothing else: who may ask is whose key may sign, by the rule of records. A
key that is ROTATED or COMPROMISED asks nothing, nor does one of a member who is suspended or
retired. Answers are kept until the next block, which may change them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from threading import Lock

from ledgercore.errors import RefusedError
from ledgercore.rules import View, check_key

__all__ = ["Membership"]

KEYS = 4_096
"""Keys that are remembered until the next block, at most."""


class Membership:
    """Members by their keys; safe to share between threads."""

    def __init__(self, load: Callable[[bytes], bytes | None]) -> None:
        """``load`` gives an object's checked state."""
        self._load = load
        self._known: dict[bytes, str | RefusedError] = {}
        self._lock = Lock()

    def forget(self) -> None:
        """Look anew from now on: a block has come."""
        with self._lock:
            self._known = {}

    def known(self, key: bytes) -> str | None:
        """The member of a key that was looked up since the newest block and may ask."""
        found = self._known.get(key)
        return found if isinstance(found, str) else None

    def member_of(self, key: bytes) -> str:
        """The member that a key speaks for; ``RefusedError`` where it speaks for none."""
        known = self._known
        found = known.get(key)
        if found is None:
            found = self._look_up(key)
            # A block may have come since: then the answer goes with those of before it.
            with self._lock:
                if len(known) >= KEYS:
                    known.clear()
                known[key] = found
        if isinstance(found, RefusedError):
            # Another one each time: one that is raised again and again keeps every caller's frames.
            raise copy(found)
        return found

    def _look_up(self, key: bytes) -> str | RefusedError:
        try:
            return check_key(View(self._load), key)
        except RefusedError as refusal:
            return refusal
