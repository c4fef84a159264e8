"""Log what goes wrong inside a node, for its operator: whoever asked is not told in detail.

A disk that is full fails every submission, and a log that stands on it must not fill it further: of
one kind of error a line is written once a minute, with the number of those that were left out.
"""

from __future__ import annotations

from ledgercore.clock import Clock
from ledgercore.errors import LedgerError
from ledgercore.node.answers import told_instead
from ledgercore.node.logs import Log
from ledgercore.node.seldom import Seldom

__all__ = ["Faults"]


class Faults:
    """What is logged of the errors that a node's answers do not tell."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._seldom = Seldom(clock)

    def note(self, error: LedgerError, route: str) -> None:
        """Log an error that a route met, unless its answer says all of it."""
        if told_instead(error) is None:
            return
        kind = type(error).__name__
        left_out = self._seldom.due(kind)
        if left_out is not None:
            self._log.error(
                "fault inside", route=route, error=kind, reason=str(error), left_out=left_out
            )

    def fail(self, error: Exception, route: str) -> None:
        """Log an error of the node's own program that a request met."""
        kind = type(error).__name__
        left_out = self._seldom.due(f"{route}: {kind}")
        if left_out is not None:
            self._log.error("request failed", route=route, error=kind, left_out=left_out)
