"""Tell which checkpoints of a ledger the quorum of its witnesses has cosigned.

Witnesses are asked for the newest checkpoint alone: where blocks come faster than their answers,
most blocks' own checkpoints are never cosigned. A later one that is covers their records as well.
"""

from __future__ import annotations

from ledgercore._core import Anchor
from ledgercore.errors import InvalidError, MalformedError
from ledgercore.ledger.tiles import Recent
from ledgercore.store import Store

__all__ = ["Published"]

_KNOWN = 1024
_SIGNATURE = "\n\u2014 "
"""How a signature's line begins (C2SP signed-note)."""
_LOOKED_AT = 1024
"""Blocks from the newest one down that are looked at again for a cosigned checkpoint. Witnesses
cosign what is newest, so that one that came since the last look is among them."""


class Published:
    """The published checkpoints of one store; for one thread at a time."""

    def __init__(self, store: Store, anchor: Anchor) -> None:
        self._store = store
        self._anchor = anchor
        self._known: Recent[str, bool] = Recent(_KNOWN)
        self._newest = -1
        """The greatest height that was found, and stays published."""
        self._looked = -1
        """The newest block's height at the last look; below 0 it must be looked again."""
        self._all = True
        """Whether there was no look yet, which must go as far down as it takes."""

    def forget(self) -> None:
        """Look again from now on: notes may have been cosigned."""
        self._looked = -1

    def holds(self, note: str) -> bool:
        """Whether the quorum has cosigned a note that the operator signed."""
        quorum = self._anchor.quorum
        if not quorum or self._known.get(note):
            return True
        if note.count(_SIGNATURE) <= quorum:
            return False  # the operator's and too few: no signature need be checked
        try:
            self._anchor.verify_checkpoint(note)
        except (InvalidError, MalformedError):
            return False
        return self._known.put(note, True)

    def newest(self, height: int) -> int:
        """The newest published height up to that of the newest block; below 0 there is none."""
        if self._looked == height:
            return self._newest
        lowest = self._newest if self._all else max(self._newest, height - _LOOKED_AT)
        self._looked, self._all = height, False
        for each in range(height, lowest, -1):
            stored = self._store.header(each)
            if stored is None:
                break  # a copy that began later
            if self.holds(stored.note):
                self._newest = each
                break
        return self._newest
