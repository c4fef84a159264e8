"""Tell whoever waits that there is a newer checkpoint.

Only the newest is kept: who is slow sees fewer of them, and costs no memory.
"""

from __future__ import annotations

import asyncio

from ledgercore.waiting import deadline

__all__ = ["Feed"]


class Feed:
    """The newest signed checkpoint; for one event loop."""

    def __init__(self) -> None:
        self.note = ""
        self.height = -1
        self.closed = False
        self._next = asyncio.Event()

    def publish(self, note: str, height: int) -> bool:
        """Make it the newest; whether it is another than the one before."""
        if note == self.note:
            return False
        self.note, self.height = note, height
        self._wake()
        return True

    def close(self) -> None:
        """Let everybody go."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def newer(self, note: str, wait_s: float | None = None) -> str:
        """The newest checkpoint, once it is another than the given one, or time is up."""
        try:
            async with deadline(wait_s):
                while note == self.note and not self.closed:
                    await self._next.wait()
        except TimeoutError:
            pass
        return self.note
