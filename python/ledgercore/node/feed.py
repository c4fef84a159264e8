"""Tell whoever waits that there is a newer checkpoint.

Only the newest is kept: who is slow sees fewer of them, and costs no memory.
"""

from __future__ import annotations

import asyncio

from ledgercore.waiting import deadline

__all__ = ["Feed"]


class Feed:
    """The newest checkpoint, and the newest that is published; for one event loop."""

    def __init__(self) -> None:
        self.note = ""
        self.height = -1
        self.published: str | None = None
        """The newest note that the quorum has cosigned, if there is one."""
        self.news = 0
        """How often there was something new."""
        self.closed = False
        self._next = asyncio.Event()

    def publish(self, note: str, height: int, published: str | None) -> bool:
        """Make these the newest; whether one is another than before."""
        if (note, published) == (self.note, self.published):
            return False
        self.note, self.height, self.published = note, height, published
        self.news += 1
        self._wake()
        return True

    def close(self) -> None:
        """Let everybody go."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def newer(self, seen: int, wait_s: float | None = None) -> int:
        """``news``, once it is another than what was seen, or time is up."""
        try:
            async with deadline(wait_s):
                while seen == self.news and not self.closed:
                    await self._next.wait()
        except TimeoutError:
            pass
        return self.news
