"""A node whose disk is full answers on, says why, and goes on when there is space."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Checkpoint, Ledger, Replica, UnavailableError
from ledgercore.disk import HeadFile
from ledgercore.errors import BusyError, DiskFullError, LedgerError, StoreError
from tests.node.running import LaterClock, Running, following, running

FULL = "disk of here is full: free space, then go on"


def said(node: Running) -> list[tuple[str, str]]:
    """What the log says of writing, with the reason."""
    lines = map(json.loads, node.log.getvalue().splitlines())
    return [(each["event"], each.get("reason", "")) for each in lines if "writ" in each["event"]]


@pytest.mark.parametrize("kind", [DiskFullError, BusyError])
def test_a_follower_answers_from_its_copy_and_follows_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LedgerError]
) -> None:
    attempts, full, behind = [0], [True], "ledgercore_blocks_behind 2.0"
    take = Replica.take

    def writing(self: Replica, expected: Any) -> int:
        attempts[0] += 1
        if full[0]:
            raise kind(FULL)
        return take(self, expected)

    async def act() -> None:
        async with running(tmp_path) as there, following(there, there.caller(1), tmp_path) as node:
            monkeypatch.setattr(Replica, "take", writing)
            async with there.client() as client, node.client() as asked, asyncio.timeout(20):
                while not node.node.ready():
                    await asyncio.sleep(0.02)
                await client.submit_many(there.records(4))
                while attempts[0] < 2:
                    await asyncio.sleep(0.02)
                assert Checkpoint.parse(await asked.checkpoint()).height == 0
                assert (await asked.receipt(0))[0].index == 0
                assert not node.node.failed.is_set()
                assert said(node) == [("copy cannot be written", FULL)]
                reason = await asked.unready()
                assert reason is not None and "copy could not be written" in reason
                await client.submit_many(there.records(2))
                while behind not in node.node.metrics.exposition().decode():
                    await asyncio.sleep(0.02)

                full[0] = False
                while node.node.feed.height < there.node.feed.height:
                    await asyncio.sleep(0.02)

                assert (await asked.receipt(4))[0].index == 4
                assert said(node)[1:] == [("copy is written again", "")]
                assert await asked.ready()
                assert attempts[0] < 10  # not as fast as blocks can be fetched

    asyncio.run(act())


def test_the_operators_node_logs_that_its_disk_is_full_and_when_it_is_not_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Ledger, records: object) -> None:
        raise DiskFullError(FULL)

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            records = there.records(2)
            with monkeypatch.context() as patched:
                patched.setattr(Ledger, "submit_many", full)
                for _ in range(2):
                    with pytest.raises(UnavailableError):
                        await client.submit_many(records)
                assert (await client.receipt(0))[0].index == 0
                assert said(there) == [("ledger cannot be written", FULL)]
                reason = await client.unready()
                assert reason is not None and "ledger could not be written" in reason
            assert await client.submit_many(records) == [1, 2]
            assert said(there)[1:] == [("ledger is written again", "")]
            assert await client.ready()

    asyncio.run(act())


@pytest.mark.parametrize(("kind", "passes"), [(DiskFullError, True), (StoreError, False)])
def test_the_operators_node_is_not_ready_again_once_its_writer_has_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LedgerError], passes: bool
) -> None:
    clock = LaterClock()

    def fail(self: HeadFile, note: str) -> None:
        raise kind("not written")

    async def act() -> None:
        async with running(tmp_path, clock=clock) as there, there.client() as client:
            with monkeypatch.context() as patched:
                patched.setattr(HeadFile, "store", fail)
                with pytest.raises(UnavailableError):
                    await client.submit_many(there.records(1))
            assert not there.node.ready()
            clock.more_s += 31
            assert there.node.ready() is passes
            assert there.node.failed.is_set() is not passes
            with nullcontext() if passes else pytest.raises(UnavailableError):
                await client.submit_many(there.records(1))
            assert there.node.ready() is passes

    asyncio.run(act())
