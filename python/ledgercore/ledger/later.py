"""Publish what is durable in the journal a while later, on a thread of its own."""

from __future__ import annotations

from threading import Event
from typing import Protocol
from weakref import ref

__all__ = ["PUBLISH_AFTER_S", "Publishing", "publish_later"]

PUBLISH_AFTER_S = 0.1
"""Seconds that a record is in the journal before a block is made of it, at most, where the disk
and the machine keep up."""

_LONGEST_S = 5.0
"""Seconds between two tries where it fails, at most."""


class Publishing(Protocol):
    """Who has a journal."""

    def publish_now(self) -> bool:
        """Publish, and say whether to come again."""
        ...


def publish_later(writer: ref[Publishing]) -> None:
    """Wait, publish, and come again until nothing is left; a writer that was dropped stays so."""
    wait_s = PUBLISH_AFTER_S
    while True:
        Event().wait(wait_s)
        if (alive := writer()) is None or not alive.publish_now():
            return
        del alive
        wait_s = min(2 * wait_s, _LONGEST_S)
