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
from functools import partial

from ledgercore._core import Bracket, OwnLock

ROUNDS = 10_000
TIMES = 3_000
LATEST_S = 4e-4


class TimerError(BaseException):
    """What the timer's handler raises, as Ctrl-C's raises KeyboardInterrupt."""


def told(number: int, frame: object) -> None:
    raise TimerError


Enter = Callable[[], AbstractContextManager[object]]


def many_blocks(enter: Enter) -> None:
    for _ in range(TIMES):
        with enter():
            pass


def a_loop_inside(enter: Enter) -> None:
    times = 20 * TIMES
    with enter():
        while times:
            times -= 1


def left_taken(use: Callable[[], None], give_back: Callable[[], bool]) -> str:
    """How often a block was interrupted, and how often that left what it holds taken."""
    drawn = random.Random(1)  # instants, no secret
    interrupts = left = 0
    for _ in range(ROUNDS):
        try:
            signal.setitimer(signal.ITIMER_REAL, drawn.uniform(1e-5, LATEST_S))
            use()
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

    kinds: list[tuple[str, Enter, AbstractContextManager[object]]] = [
        ("Guard", bracket.guard, bracket),
        ("Bracket", lambda: bracket, bracket),
        ("OwnLock", lambda: lock, lock),
        ("RLock", lambda: raw, raw),
    ]
    print(sys.version.split()[0])
    for use in (many_blocks, a_loop_inside):
        for name, enter, held in kinds:
            left = left_taken(partial(use, enter), gives_back(held))
            print(f"{use.__name__:13} {name:8} left taken by {left}")


if __name__ == "__main__":
    main()
