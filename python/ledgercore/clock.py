"""Tell the time: the only place that asks the machine for it.

The ledger's time is milliseconds since 1970. Whoever needs it takes a ``Clock``, so that a test
or a simulator decides what time it is.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "OffsetClock", "SystemClock"]


class Clock(Protocol):
    """Whatever knows the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970; may stand still or go back, which the ledger allows for."""
        ...

    def elapsed_s(self) -> float:
        """Seconds since some fixed moment; never goes back. For durations only."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def elapsed_s(self) -> float:
        return time.perf_counter()


class ManualClock:
    """A clock that moves only when it is told to."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._start_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def elapsed_s(self) -> float:
        return (self._now_ms - self._start_ms) / 1000

    def advance(self, duration_ms: int) -> None:
        """Move the clock; a negative duration sets it back."""
        self._now_ms += duration_ms


class OffsetClock:
    """Another clock, moved by an offset: for runs that must see weeks pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms = 0

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._offset_ms

    def elapsed_s(self) -> float:
        return self._clock.elapsed_s()

    def advance(self, duration_ms: int) -> None:
        """Move the clock on."""
        self._offset_ms += duration_ms

    @property
    def offset_ms(self) -> int:
        """How far it is ahead of the other."""
        return self._offset_ms
