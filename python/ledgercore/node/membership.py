"""Know which member a key speaks for, as of the newest block.

The ledger decides, and nothing else: a key is a member's if its state says so, and a member may ask
while its status is ACTIVE. Answers are kept until the next block, which may change them.
"""

from __future__ import annotations

from collections.abc import Callable

from ledgercore.errors import RefusedError
from ledgercore.rules import KeyState, MemberState, key_object, member_object
from ledgercore.rules.view import decode_state

__all__ = ["ACTIVE", "Membership"]

ACTIVE = "ACTIVE"
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
        state = self._load(key_object(key))
        member = "" if state is None else decode_state(state, KeyState).member
        if not member:
            return RefusedError("E_MEMBER", f"key {key.hex()[:16]} is not a member's")
        data = self._load(member_object(member))
        status = "" if data is None else decode_state(data, MemberState).status
        if status != ACTIVE:
            return RefusedError("E_MEMBER", f"member {member} is {status}, want {ACTIVE}")
        return member
