"""Know which member a key speaks for, as of the newest block.

The ledger decides, and nothing else: who may ask is whose key may sign, by the rule of records. A
key that is ROTATED or COMPROMISED asks nothing, nor does one of a member who is suspended or
retired. Answers are kept until the next block, which may change them.
"""

from __future__ import annotations

from collections.abc import Callable

from ledgercore.errors import RefusedError
from ledgercore.rules import View, check_key

__all__ = ["Membership"]

KEYS = 4_096
"""Keys that are remembered until the next block, at most."""


class Membership:
    """Members by their keys; for one thread at a time."""

    def __init__(self, load: Callable[[bytes], bytes | None]) -> None:
        """``load`` gives an object's checked state."""
        self._load = load
        self._known: dict[bytes, str | RefusedError] = {}

    def forget(self) -> None:
        """Look anew from now on: a block has come."""
        self._known.clear()

    def known(self, key: bytes) -> str | None:
        """The member of a key that was looked up since the newest block and may ask."""
        found = self._known.get(key)
        return found if isinstance(found, str) else None

    def member_of(self, key: bytes) -> str:
        """The member that a key speaks for; ``RefusedError`` where it speaks for none."""
        found = self._known.get(key)
        if found is None:
            found = self._look_up(key)
            if len(self._known) >= KEYS:
                self._known.clear()
            self._known[key] = found
        if isinstance(found, RefusedError):
            raise found
        return found

    def _look_up(self, key: bytes) -> str | RefusedError:
        try:
            return check_key(View(self._load), key)
        except RefusedError as refusal:
            return refusal
