"""Log what goes wrong inside a node, for its operator: whoever asked is not told in detail.

A disk that is full fails every submission, and a log that stands on it must not fill it further: of
one kind of error a line is written once a minute, with the number of those that were left out.
"""

from __future__ import annotations

from ledgercore.clock import Clock
from ledgercore.errors import LedgerError
from ledgercore.node.answers import told_instead
from ledgercore.node.logs import Log

__all__ = ["Faults"]

AGAIN_S = 60.0


class Faults:
    """What is logged of the errors that a node's answers do not tell."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._logged_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def note(self, error: LedgerError, route: str) -> None:
        """Log an error that a route met, unless its answer says all of it."""
        if told_instead(error) is None:
            return
        kind, now_s = type(error).__name__, self._clock.elapsed_s()
        logged_s = self._logged_s.get(kind)
        if logged_s is not None and now_s < logged_s + AGAIN_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._logged_s[kind] = now_s
        left_out = self._left_out.pop(kind, 0)
        self._log.error(
            "fault inside", route=route, error=kind, reason=str(error), left_out=left_out
        )
