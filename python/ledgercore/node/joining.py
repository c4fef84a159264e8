"""Fetch a copy, repair one, and ask a node how it is: what is done from a command and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ledgercore._core import Checkpoint
from ledgercore.disk import exists
from ledgercore.errors import LedgerError, StoreError, UnavailableError
from ledgercore.ledger import Replica
from ledgercore.node.answers import failure_in, refusal_in
from ledgercore.node.carrying import carry_on_thread, run_on_thread, send_patiently
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.following import open_copy
from ledgercore.node.opening import open_channels
from ledgercore.node.settings import Settings
from ledgercore.store import is_there, parse_address, shown
from ledgercore.sync import Follower, Take, Wait, join_copy, rebuild_copy
from ledgercore.waiting import sleep

__all__ = ["join_network", "node_status", "repair_copy"]

ATTEMPTS = 5
"""At a genesis."""

FAILURES = 7
"""In turn, 4 to 8 s apart at the end, after which a peer counts as one that does not answer."""

Tell = Callable[[str, str], None]
"""Told of a peer that gives no answer, or cannot give one now, and why: whoever waits sees why."""

SHOWN = 16
"""Heights that are named of those that came from peers."""


async def join_network(
    settings: Settings,
    caller: Caller,
    *,
    from_genesis: bool = False,
    tell: Tell = lambda peer, reason: None,
) -> dict[str, Any]:
    """A copy, level with every peer that answers honestly; how far it came, and who did not.

    A new one begins at a peer's snapshot, or at the genesis where that is wanted or no peer has a
    snapshot that holds, as none has of a short ledger.
    """
    if settings.role == "operator":
        raise UnavailableError("node is the operator's, which has the ledger: nothing to join")
    channels, passed_over = open_channels(settings, caller), list[str]()
    try:
        copy = None
        there = await run_on_thread(partial(is_there, parse_address(settings.ledger)))
        if not there:
            await run_on_thread(partial(Replica.check_free, settings.ledger))
            if not from_genesis:
                copy = await _from_snapshot(settings.ledger, channels, caller, passed_over, tell)
        if copy is None:
            copy = await open_copy(settings.ledger, channels, caller, attempts=ATTEMPTS, tell=tell)
        try:
            begun = copy.held_from
            follower = Follower(
                copy, [each.member for each in channels], caller.clock, caller.entropy
            )
            await _catch_up(follower, copy, {each.member: each for each in channels}, tell)
            checkpoint = Checkpoint.parse(copy.checkpoint)
        finally:
            copy.close()
    finally:
        for channel in channels:
            await channel.close()
    return {
        "ledger": shown(settings.ledger),
        "height": checkpoint.height,
        "size": checkpoint.size,
        "blocks_from": begun,
        "no_snapshot": passed_over,
        "refused": sorted({f"{each.peer}: {each.offence}" for each in follower.evidence}),
    }


async def _from_snapshot(
    path: str, channels: Sequence[Channel], caller: Caller, reasons: list[str], tell: Tell
) -> Replica | None:
    """A new copy from a peer's snapshot; nothing, and why, where none of them holds."""
    peers = [channel.member for channel in channels]
    entropy = caller.entropy
    join = partial(join_copy, path, caller.anchor, peers, reasons=reasons, entropy=entropy)
    try:
        return await carry_on_thread(channels, join, tell)
    except StoreError:
        raise  # our own disk
    except UnavailableError:
        return None


async def repair_copy(
    settings: Settings,
    caller: Caller,
    *,
    end: int | None = None,
    tell: Tell = lambda peer, reason: None,
) -> dict[str, Any]:
    """Make the ledger or copy of a node that does not run whole again, with blocks of its peers.

    One that passes the audit is left as it is. ``end`` is the height that it had at least, where
    nothing here tells.
    """
    channels = open_channels(settings, caller)
    peers = [channel.member for channel in channels]
    orders, entropy = settings.role == "operator", caller.entropy
    copy = partial(rebuild_copy, settings.ledger, caller.anchor, peers, entropy=entropy)
    rebuild = partial(copy, end=end, orders=orders)
    try:
        done = await carry_on_thread(channels, rebuild, tell)
    finally:
        for channel in channels:
            await channel.close()
    damaged = f"{settings.ledger}.damaged"
    return {
        "ledger": settings.ledger,
        "height": done.height,
        "was_whole": done.whole,
        "fetched": len(done.fetched),
        "first_fetched": done.fetched[:SHOWN],
        "damaged": damaged if exists(damaged) and not done.whole else None,
    }


async def _catch_up(
    follower: Follower,
    copy: Replica,
    channels: dict[str, Channel],
    tell: Tell = lambda peer, reason: None,
) -> None:
    """Until no peer that answers has anything new, nor showed it before.

    Raises ``UnavailableError`` where none answers any more as a node that has blocks does, or none
    is asked any more.
    """
    reasons = dict[str, str]()
    while not follower.caught_up and not follower.stalls_after(FAILURES):
        what = follower.next()
        if isinstance(what, Wait):
            follower.check_asked()
            await sleep(what.duration_ms / 1000)
            continue
        if isinstance(what, Take):
            await asyncio.to_thread(follower.take)
            continue
        try:
            answer = await send_patiently(channels[what.peer], what.request, tell)
            if (refusal := refusal_in(answer)) is not None:
                raise refusal
        except LedgerError as error:
            reasons[what.peer] = str(error)
            follower.fail(what, str(error))
        else:
            if (failure := failure_in(answer)) is not None:
                reasons[what.peer] = str(failure)
            await asyncio.to_thread(follower.receive, what, answer)
        if follower.standing(what.peer).failures:
            tell(what.peer, reasons.get(what.peer, "what it answers does not hold"))
    if not follower.caught_up:
        follower.check_asked()
        silent = [peer for peer in channels if follower.standing(peer).failures]
        told = "; ".join(f"{peer}: {reasons[peer]}" for peer in silent if peer in reasons)
        raise UnavailableError(
            f"no peer gives a newer block: the copy is at height {copy.height}, and block "
            f"{follower.newest} was shown: {told}: call its member, or add the [[peer]] of "
            "another, and join again, which goes on from there"
        )


async def node_status(url: str, member: str, caller: Caller) -> dict[str, Any]:
    """What a node says of itself, its checkpoint verified."""
    patience = Patience(attempts=2, answer_ms=5_000, least_s=0)
    async with NodeClient(url, member, caller, patience) as client:
        checkpoint = Checkpoint.parse(await client.checkpoint())
        reason = await client.unready()
    ready = {"ready": True} if reason is None else {"ready": False, "reason": reason}
    return {
        "member": member,
        "url": url,
        **ready,
        "height": checkpoint.height,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
    }
