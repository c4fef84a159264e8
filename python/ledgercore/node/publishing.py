"""Have the operator's checkpoints cosigned by the witnesses among its peers, each as it comes.

``ledgercore.sync.Publisher`` decides what to ask of whom; here its requests are carried. Records
are durable before: a witness that cannot be reached delays the quorum and nothing else, and is
asked again with the next checkpoint, or after a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from ledgercore._core import Checkpoint
from ledgercore.errors import LedgerError
from ledgercore.ledger.published import is_published
from ledgercore.node.channel import Channel
from ledgercore.node.freshness import Freshness
from ledgercore.node.node import Node
from ledgercore.sync import Ask
from ledgercore.sync.publisher import Publisher
from ledgercore.waiting import sleep

__all__ = ["Publishing"]

AGAIN_S = 5.0
"""After which a checkpoint that lacks its quorum is brought to the witnesses again."""


class Publishing:
    """The task that brings one ledger's checkpoints to its witnesses."""

    def __init__(self, node: Node, channels: Mapping[str, Channel]) -> None:
        """``channels`` by the witnesses' names in the trust anchor."""
        self._node = node
        self._channels = channels
        self._publisher = Publisher(node.ledger)
        self._fresh = Freshness(node.clock, node.limits.ready_s)
        self._begun_without = -1
        """The newest block, where it was not published when this began; below 0 where it was."""
        newest = node.ledger.checkpoint
        if not is_published(node.anchor, newest):
            self._begun_without = Checkpoint.parse(newest).height
            self._fresh.lack(self._begun_without)
        self._reasons: dict[str, str] = {}
        """Why the quorum is missing, as it was logged last; empty where it is not."""
        self._one_answer = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def fault(self) -> str | None:
        """Why what is answered here lags behind what was ordered; None where it does not."""
        missing = self._fresh.missing
        if missing is None:
            return None
        for_s = f"for {self._node.limits.ready_s:g} s"
        if missing == self._begun_without:
            for_s = "since before this start"
        return f"block {missing} lacks its quorum of witnesses {for_s}: see its log"

    def start(self) -> None:
        """Begin with the newest checkpoint."""
        self._task = asyncio.create_task(self._publish())
        self._task.add_done_callback(self._node.ended)

    async def stop(self) -> None:
        """End; what was cosigned is kept."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    async def _publish(self) -> None:
        node, publisher, failed = self._node, self._publisher, ""
        while not node.feed.closed:
            try:
                height = await self._round()
            except LedgerError as error:
                reason = str(error)
                if reason != failed:
                    node.log.error("publishing failed", error=type(error).__name__, reason=reason)
                failed = reason
                await sleep(AGAIN_S)
                continue
            if failed:
                node.log.info("publishing goes on")
                failed = ""
            wait_s = None if publisher.published is not None else AGAIN_S
            await self._next(height, wait_s)

    async def _round(self) -> int:
        """Bring the newest checkpoint to the witnesses; its height."""
        node, publisher = self._node, self._publisher
        note = await node.ask(publisher.begin)
        height = Checkpoint.parse(note).height
        if publisher.published is None:
            before = node.feed.published
            self._fresh.see(-1 if before is None else Checkpoint.parse(before).height, height)
        while publisher.published is None:
            asks = await node.ask(publisher.asks)
            if not asks:
                self._say(publisher.reasons)
                break
            await asyncio.gather(*map(self._ask, asks))
        else:
            self._fresh.see(height, height)
            self._say({})
        await node.announce()
        return height

    def _say(self, reasons: Mapping[str, str]) -> None:
        """Log why the quorum is missing when that changes, and when it is there again."""
        if reasons and reasons != self._reasons:
            self._node.log.warning("quorum is missing", witnesses=reasons)
        elif self._reasons and not reasons:
            self._node.log.info("quorum is there again")
        self._reasons = dict(reasons)

    async def _ask(self, ask: Ask) -> None:
        channel = self._channels.get(ask.peer)
        try:
            if channel is None:
                take = partial(self._publisher.fail, ask, "no peer of the settings is this witness")
            else:
                answer = await channel.send(ask.request)
                take = partial(self._publisher.receive, ask, answer)
        except LedgerError as error:
            take = partial(self._publisher.fail, ask, str(error))
        # The publisher is not for several threads: of two answers at once one could be forgotten.
        async with self._one_answer:
            await self._node.ask(take)

    async def _next(self, height: int, wait_s: float | None) -> None:
        """Until there is a newer block; cosignatures of this one are no news."""
        feed = self._node.feed
        while feed.height <= height and not feed.closed:
            news = feed.news
            if await feed.newer(news, wait_s) == news:
                return
