"""Carry what is asked on a thread: a transport of ``ledgercore.sync`` over a loop's channels.

What joins or repairs a copy waits for one answer after the other, and runs beside the loop. When
the loop ends, what is under way is cancelled, and the thread with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ledgercore.node.channel import Channel
from ledgercore.sync import Request, Response, Transport

__all__ = ["carrier"]


def carrier(channels: Sequence[Channel]) -> Transport:
    """The transport by these channels of the running loop, for other threads than the loop's."""
    loop, by_member = asyncio.get_running_loop(), {each.member: each for each in channels}

    def carry(peer: str, request: Request) -> Response:
        return asyncio.run_coroutine_threadsafe(by_member[peer].send(request), loop).result()

    return carry
