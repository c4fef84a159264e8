"""Say where a demonstration is played: who takes part, and how weeks pass.

Each party is in a process of its own. On one ledger the clock of its writer leaps; on nodes, whose
clocks are the machine's, what is to expire expires within seconds and is waited for.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any, Protocol, cast

from ledgercore.clock import Clock, OffsetClock
from ledgercore.demo.desk_process import DeskProcess
from ledgercore.demo.desks import BANK, ENTERPRISES, REGULATOR, TAX, Agent, Bank, Regulator, Tax
from ledgercore.demo.parties import create_ledger
from ledgercore.entropy import Entropy
from ledgercore.ledger import Ledger
from ledgercore.profiles import Scorecard, Table

__all__ = ["Calendar", "LeapingCalendar", "ProcessStage", "Stage", "WaitingCalendar"]

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

    @property
    def ahead_hours(self) -> int:
        """How far it was set forward so far, and the newest times on the ledger with it."""
        return self._clock.offset_ms // HOUR_MS

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
    """Where the parties act: each at its desk, on ledgers of their own or on one.

    ``ledger`` is the one where records are ordered.
    """

    tax: Tax
    bank: Bank
    agent: Agent
    regulator: Regulator
    ledger: Ledger
    calendar: Calendar

    def step(self, number: int) -> None:
        """Called after each step of a group."""

    def end(self) -> dict[str, Any]:
        """What else there is to tell, when all is done."""
        return {}

    def close(self) -> None:
        """Close everything."""


class ProcessStage(Stage):
    """One ledger, which this process orders, and a process for each party."""

    def __init__(
        self,
        directory: Path,
        table: Table,
        scorecard: Scorecard,
        clock: OffsetClock,
        entropy: Entropy,
    ) -> None:
        self.calendar = self._leaping = LeapingCalendar(clock)
        source = {row.subject: row.values for row in table.rows}
        given = {TAX: (source,), BANK: (scorecard,), ENTERPRISES: (), REGULATOR: ()}
        # The ledger is closed last: the last to close its file moves the log into it.
        self._closing = ExitStack()
        self._closing.callback(self._close_ledger)
        self._desks: dict[str, DeskProcess] = {}
        try:
            for party, things in given.items():
                self._desks[party] = DeskProcess(party, directory, *things)
                self._closing.callback(self._desks[party].close)
            members = [desk.member() for desk in self._desks.values()]
            found = [member for member in members if member is not None]
            self.ledger = create_ledger(directory, found, clock, entropy)
            for desk in self._desks.values():
                desk.join(self.ledger)
        except BaseException:
            self.close()
            raise
        self.tax = cast(Tax, self._desks[TAX])
        self.bank = cast(Bank, self._desks[BANK])
        self.agent = cast(Agent, self._desks[ENTERPRISES])
        self.regulator = cast(Regulator, self._desks[REGULATOR])

    def end(self) -> dict[str, Any]:
        """Which processes took part, and how far the clock was set forward."""
        processes = {party: desk.id for party, desk in self._desks.items()}
        return {"processes": processes, "clock_ahead_hours": self._leaping.ahead_hours}

    def close(self) -> None:
        """End the processes, and close the ledger."""
        self._closing.close()

    def _close_ledger(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
