"""Publish what is durable in the journal a while later, on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, main_thread
from weakref import WeakMethod

__all__ = ["PUBLISH_AFTER_S", "is_ending", "publish_later"]

PUBLISH_AFTER_S = 0.1
"""Seconds that a record is in the journal before a block is made of it, at most, where the disk
and the machine keep up."""

_LONGEST_S = 5.0
"""Seconds between two tries where it fails, at most."""

_LOOK_S = 0.25
"""Seconds after which it looks whether the program ends."""


def is_ending() -> bool:
    """Whether the program may be ending, and waits for its threads: none may be sure to go on."""
    return not main_thread().is_alive()


def publish_later(publish: WeakMethod[Callable[[], bool]]) -> None:
    """Wait, call it, and come again while it says so; who was dropped meanwhile is left.

    A program that ends waits for this thread, which then does not wait: the core's calls cannot be
    ended with the interpreter.
    """
    wait_s = PUBLISH_AFTER_S
    while True:
        _wait(wait_s)
        call = publish()
        if call is None or not call():
            return
        del call
        wait_s = min(2 * wait_s, _LONGEST_S)


def _wait(left_s: float) -> None:
    while left_s > 0 and not is_ending():
        Event().wait(min(left_s, _LOOK_S))
        left_s -= _LOOK_S
