"""Tell which checkpoints of a ledger the quorum of its witnesses has cosigned.

Witnesses are asked for the newest checkpoint alone: where blocks come faster than their answers,
most blocks' own checkpoints are never cosigned. A later one that is covers their records as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledgercore._core import Anchor
from ledgercore.errors import InvalidError, MalformedError
from ledgercore.ledger.tiles import Recent
from ledgercore.store import Store

__all__ = ["Published", "is_published"]

_KNOWN = 1024
_NOTES = 1024
"""Notes that are read at once at most."""
_SIGNATURE = "\n\u2014 "
"""How a signature's line begins (C2SP signed-note)."""
_LOOKED_AT = 1024
"""Blocks below the newest one of the last look that are looked at again where another process may
have put cosignatures. Witnesses cosign what is newest: one that came since is among them."""


def is_published(anchor: Anchor, note: str) -> bool:
    """Whether the anchor trusts a note: the operator signed it, and the quorum has cosigned it."""
    try:
        anchor.verify_checkpoint(note)
    except (InvalidError, MalformedError):
        return False
    return True


class Published:
    """The published checkpoints of one store; for one thread at a time."""

    def __init__(self, store: Store, anchor: Anchor) -> None:
        self._store = store
        self._anchor = anchor
        self._known: Recent[str, bool] = Recent(_KNOWN)
        self._newest = -1
        """The greatest height that was found, and stays published."""
        self._looked = -1
        """The newest block's height at the last look; below 0 there was none yet."""
        self._stale = False
        """Whether another process may have put notes since the last look."""

    def forget(self) -> None:
        """Look again from now on: others may have put notes that were cosigned."""
        self._stale = True

    def tell(self, height: int, note: str) -> None:
        """Know of a note that was put, however far below the newest block."""
        if height > self._newest and self.holds(note):
            self._newest = height

    def holds(self, note: str) -> bool:
        """Whether the quorum has cosigned a note that the operator signed."""
        quorum = self._anchor.quorum
        if not quorum or self._known.get(note):
            return True
        if note.count(_SIGNATURE) <= quorum:
            return False  # the operator's and too few: no signature need be checked
        return is_published(self._anchor, note) and self._known.put(note, True)

    def newest(self, height: int) -> int:
        """The newest published height up to that of the newest block; below 0 there is none."""
        if self._looked == height and not self._stale:
            return self._newest
        # The first look goes as far down as it takes.
        again = _LOOKED_AT if self._stale and self._looked >= 0 else 0
        lowest = max(self._newest, self._looked - again)
        self._newest = next(
            (at for at, note in self._notes(height, lowest) if self.holds(note)), self._newest
        )
        self._looked, self._stale = height, False
        return self._newest

    def _notes(self, height: int, lowest: int) -> Iterator[tuple[int, str]]:
        """Notes from a height down to above the lowest, or to where a copy began.

        Most often the first ones will do; where none does, many are read at once.
        """
        count = 1
        while height > lowest:
            begin = max(height - count, lowest) + 1
            for at, note in self._store.notes(begin, height + 1):
                if at != height:
                    return
                yield at, note
                height -= 1
            if height >= begin:
                return
            count = min(4 * count, _NOTES)
