"""Count the locks that an interrupt leaves taken, as ``with`` enters them: what ADR 0023 says.

Run it under the Python in question; ``ledgercore`` must be importable there.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from ledgercore._core import Bracket, OwnLock

ROUNDS = 10_000
LOOP = 3_000
LATEST_S = 4e-4


class TimerError(BaseException):
    """What the timer's handler raises, as Ctrl-C's raises KeyboardInterrupt."""


def told(number: int, frame: object) -> None:
    raise TimerError


def left_taken(block: AbstractContextManager[object], give_back: Callable[[], bool]) -> str:
    """How often a block was interrupted, and how often that left what it holds taken."""
    drawn = random.Random(1)  # instants, no secret
    interrupts = left = 0
    for _ in range(ROUNDS):
        try:
            signal.setitimer(signal.ITIMER_REAL, drawn.uniform(1e-5, LATEST_S))
            for _ in range(LOOP):
                with block:
                    pass
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimerError:
            interrupts += 1
        left += give_back()
    return f"{left} of {interrupts}"


def main() -> None:
    """Print a line a kind of block."""
    signal.signal(signal.SIGALRM, told)
    lock, raw = OwnLock("lock"), threading.RLock()
    bracket = Bracket(lambda depth: None, lambda depth, error: None, OwnLock("bracket"))

    def gives_back(block: AbstractContextManager[object]) -> Callable[[], bool]:
        def give_back() -> bool:
            try:
                block.__exit__(None, None, None)
            except RuntimeError:  # it was not taken
                return False
            return True

        return give_back

    print(sys.version.split()[0])
    for block in (bracket, lock, raw):
        print(f"{type(block).__name__:8} left taken by {left_taken(block, gives_back(block))}")


if __name__ == "__main__":
    main()
