"""Fetch a copy once, and ask a node how it is: what is done from a command and ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ledgercore._core import Checkpoint
from ledgercore.errors import LedgerError, UnavailableError
from ledgercore.ledger import Replica
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.following import join_copy
from ledgercore.node.opening import open_channels
from ledgercore.node.settings import Settings
from ledgercore.sync import Ask, Follower
from ledgercore.waiting import sleep

__all__ = ["join_network", "node_status"]

ATTEMPTS = 5


async def join_network(settings: Settings, caller: Caller) -> dict[str, Any]:
    """A copy, level with every peer that answers honestly; how far it came, and who did not."""
    if settings.role == "operator":
        raise UnavailableError("node is the operator's, which has the ledger: nothing to join")
    channels = open_channels(settings, caller)
    try:
        copy = await join_copy(Path(settings.ledger), channels, caller, attempts=ATTEMPTS)
        try:
            follower = Follower(
                copy, [each.member for each in channels], caller.clock, caller.entropy
            )
            await _catch_up(follower, copy, {each.member: each for each in channels})
            checkpoint = Checkpoint.parse(copy.checkpoint)
        finally:
            copy.close()
    finally:
        for channel in channels:
            await channel.close()
    return {
        "ledger": settings.ledger,
        "height": checkpoint.height,
        "size": checkpoint.size,
        "refused": sorted({f"{each.peer}: {each.offence}" for each in follower.evidence}),
    }


async def _catch_up(follower: Follower, copy: Replica, channels: dict[str, Channel]) -> None:
    """Until no peer that is still asked has anything new, or none can be reached."""
    silent = 0
    while not follower.level and silent < ATTEMPTS * len(channels):
        what = follower.next()
        if not isinstance(what, Ask):
            await sleep(what.duration_ms / 1000)
            continue
        try:
            answer = await channels[what.peer].send(what.request)
        except LedgerError as error:
            silent += 1
            follower.fail(what, str(error))
        else:
            silent = 0
            await asyncio.to_thread(follower.receive, what, answer)
    if silent and all(each.offence == "unreachable" for each in follower.evidence):
        raise UnavailableError(f"no peer answers any more: the copy is at height {copy.height}")


async def node_status(url: str, member: str, caller: Caller) -> dict[str, Any]:
    """What a node says of itself, its checkpoint verified."""
    async with NodeClient(url, member, caller, Patience(attempts=2, answer_ms=5_000)) as client:
        checkpoint = Checkpoint.parse(await client.checkpoint())
        ready = await client.ready()
    return {
        "member": member,
        "url": url,
        "ready": ready,
        "height": checkpoint.height,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
    }
