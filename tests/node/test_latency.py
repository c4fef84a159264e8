"""A record that is submitted alone waits for no timer and for no acknowledgement on the way."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from ledgercore.sync import Ask, Follower, Take, Wait
from ledgercore.sync import follower as follower_module
from tests.node.running import following, running

POLL_MS = 3_600_000
"""So long that nothing here waits for it."""
RECORDS = 12
ENOUGH_S = 30.0


def test_what_a_node_answers_is_sent_at_once(tmp_path: Path) -> None:
    """A short answer's end is not held back until the caller has acknowledged its beginning."""

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            await client.submit_many(there.records(1))
            for connection in there.server.open._all:
                connected = connection.transport.get_extra_info("socket")
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert len(there.server.open)

    asyncio.run(act())


def test_a_follower_is_told_by_the_event_stream_and_asks_for_blocks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, through a node that would ask by itself in an hour."""
    monkeypatch.setattr(follower_module, "POLL_MS", POLL_MS)
    asked: list[str] = []
    next_ask = Follower.next

    def looked(self: Follower) -> Ask | Take | Wait:
        what = next_ask(self)
        if isinstance(what, Ask):
            asked.append(what.request.kind)
        return what

    async def act() -> None:
        async with running(tmp_path) as there, following(there, there.caller(1), tmp_path) as here:
            records = there.records(RECORDS, signers=1)
            async with here.client() as client, asyncio.timeout(ENOUGH_S):
                monkeypatch.setattr(Follower, "next", looked)
                for record in records:
                    await client.submit(record)

    asyncio.run(act())
    assert asked.count("blocks") == RECORDS
    assert "consistency" not in asked
