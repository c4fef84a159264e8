"""Say what comes often once a minute of a kind, with how often it was left out since.

What others do decides how often something comes; a log that stands on the same disk as the ledger
must not be theirs to fill.
"""

from __future__ import annotations

from ledgercore.clock import Clock

__all__ = ["AGAIN_S", "Seldom"]

AGAIN_S = 60.0
"""Between two lines of one kind."""


class Seldom:
    """What was said last of each kind; kinds are few, and none is of a caller's choice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def due(self, kind: str) -> int | None:
        """How many of a kind were left out since the last line; None where this one is, too."""
        said_s, now_s = self._said_s.get(kind), self._clock.elapsed_s()
        if said_s is not None and now_s < said_s + AGAIN_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._said_s[kind] = now_s
        return self._left_out.pop(kind, 0)
