"""Say where a demonstration is played: who takes part, and how weeks pass.

On one ledger in one process the clock leaps; on nodes of their own, whose clocks are the machine's,
what is to expire expires within seconds and is waited for.
"""

from __future__ import annotations

from threading import Event
from typing import Any, Protocol

from ledgercore.clock import Clock, OffsetClock
from ledgercore.demo.parties import Parties

__all__ = ["Calendar", "LeapingCalendar", "Stage", "WaitingCalendar"]

HOUR_MS = 3_600_000


class Calendar(Protocol):
    """Time, as a scenario needs it."""

    @property
    def brief_ms(self) -> int:
        """How long the consents live that are to expire."""
        ...

    def now_ms(self) -> int:
        """The time when a group of firms begins."""
        ...

    def let_pass(self) -> None:
        """Have the brief consents expire, and no others."""
        ...


class LeapingCalendar:
    """A clock that is set forward."""

    brief_ms = HOUR_MS

    def __init__(self, clock: OffsetClock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def let_pass(self) -> None:
        self._clock.advance(2 * HOUR_MS)


class WaitingCalendar:
    """The machine's clock, which is waited for."""

    def __init__(self, clock: Clock, brief_ms: int) -> None:
        self.brief_ms = brief_ms
        self._clock = clock
        self._began_ms = clock.now_ms()

    def now_ms(self) -> int:
        self._began_ms = self._clock.now_ms()
        return self._began_ms

    def let_pass(self) -> None:
        pause = Event()
        while self._clock.now_ms() <= self._began_ms + self.brief_ms:
            pause.wait(0.1)


class Stage:
    """One ledger in this process, on which every party acts."""

    def __init__(self, parties: Parties, calendar: Calendar) -> None:
        self.parties = parties
        self.calendar = calendar

    def step(self, number: int) -> None:
        """Called after each step of a group."""

    def end(self) -> dict[str, Any]:
        """What else there is to tell, when all is done."""
        return {}

    def close(self) -> None:
        """Close everything."""
        self.parties.close()
