"""Wait in an event loop: the only place that asks it for time to pass.

What has no event loop, such as a machine without I/O, takes a ``Clock`` instead and is told the
time.
"""

from __future__ import annotations

import asyncio

__all__ = ["deadline", "sleep"]


async def sleep(seconds: float) -> None:
    """Let others run for so long."""
    await asyncio.sleep(seconds)


def deadline(seconds: float | None) -> asyncio.Timeout:
    """``async with deadline(5):`` raises ``TimeoutError`` after that; never with None."""
    return asyncio.timeout(seconds)
