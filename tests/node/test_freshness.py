"""A node that cannot know whether what it answers is the newest is not ready, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledgercore import Replica, testing
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.node import publishing
from ledgercore.node.channel import Channel
from ledgercore.node.following import Following, _Found
from ledgercore.node.freshness import Freshness
from ledgercore.node.publishing import Publishing
from ledgercore.sync import Ask
from ledgercore.sync.messages import Response, ask_checkpoint
from tests.node.running import LaterClock, Running, following, running
from tests.node.test_published import cosign, witnessed
from tests.node.test_relaying import compromised

BOUND_S = 30.0
"""As a node has it that is told no other."""


def test_what_is_missing_counts_from_when_it_was_shown_until_it_is_there() -> None:
    clock = ManualClock(0)
    fresh = Freshness(clock, BOUND_S)

    fresh.see(3, 3)
    clock.advance(60_000)
    assert fresh.missing is None
    fresh.see(3, 5)
    clock.advance(30_000)
    assert fresh.missing is None
    fresh.see(4, 7)  # it has come on, and not to what it lacked
    clock.advance(1)
    assert fresh.missing == 5
    fresh.see(5, 8)  # under load there is always a newer one
    assert fresh.missing is None
    clock.advance(30_001)
    assert fresh.missing == 8
    fresh.see(8, 8)
    assert fresh.missing is None


def test_peers_are_silent_when_none_has_answered_for_the_bound() -> None:
    clock = ManualClock(0)
    fresh = Freshness(clock, BOUND_S)

    clock.advance(30_000)
    assert not fresh.silent
    clock.advance(1)
    assert fresh.silent
    fresh.hear()
    assert not fresh.silent


async def nothing(there: Running) -> None: ...


async def end(there: Running) -> None:
    there.server.stop()


@pytest.mark.parametrize("befalls", [end, nothing])
def test_a_follower_that_no_peer_answers_is_not_ready_after_a_while(
    tmp_path: Path, befalls: Callable[[Running], Awaitable[None]]
) -> None:
    clock = LaterClock()

    async def act() -> None:
        async with running(tmp_path) as there:
            caller = replace(there.caller(1), clock=clock)
            async with following(there, caller, tmp_path) as here, asyncio.timeout(9):
                node = here.node
                while not node.ready():
                    await asyncio.sleep(0.02)
                await befalls(there)
                await asyncio.sleep(0.5)  # what is under way
                assert node.ready()

                clock.more_s += BOUND_S + 1
                assert node.unready() == "no peer has answered for 30 s: its log says why"
                await asyncio.sleep(1.5)

                assert node.ready() is (befalls is nothing)
                figures = node.metrics.exposition().decode()
                assert 'ledgercore_peer_answered_timestamp_seconds{peer="operator"} 1' in figures

    asyncio.run(act())


def test_a_follower_that_every_peer_refuses_is_not_ready_and_waits_for_no_bound(
    tmp_path: Path,
) -> None:
    """The block that ends its key never comes to its copy, which cannot tell by itself."""

    async def act() -> None:
        async with (
            running(tmp_path) as there,
            following(there, there.caller(1), tmp_path) as here,
            asyncio.timeout(9),
        ):
            node = here.node
            while not node.ready():
                await asyncio.sleep(0.02)

            there.node.ledger.submit(compromised(there, testing.signing_key(1), "member-1"))
            await there.node.announce()

            while node.ready():
                await asyncio.sleep(0.02)
            assert node.unready() == "every peer that answers refuses this node: see its log"
            assert '"event": "peer refuses this node"' in here.log.getvalue()

    asyncio.run(act())


def test_one_peer_that_answers_keeps_a_node_ready_that_others_refuse(tmp_path: Path) -> None:
    refused, answered = (Response(status, b"") for status in (403, 200))

    async def act() -> None:
        async with running(tmp_path) as there:
            genesis = next(there.node.ledger.blocks())
            copy = Replica.create(tmp_path / "copy.ledger", there.node.anchor, genesis)
            channels = [Channel(there.url, name, there.caller(0)) for name in ("a", "b", "c")]
            task = Following(there.node, copy, channels, SeededEntropy(1))
            found = _Found(copy.checkpoint, 0, False, 0, True, True, frozenset(), [], [])
            task._look("a", found)

            def hear(peer: str, answer: Response | str) -> str | None:
                task._hear(Ask(peer, ask_checkpoint()), answer)
                return task.fault()

            assert hear("a", "no way") is None
            assert hear("b", refused) is None  # of the third nobody knows yet
            assert hear("c", answered) is None
            assert hear("c", "no way") == "every peer that answers refuses this node: see its log"
            assert hear("a", answered) is None
            assert hear("a", refused) is not None
            assert hear("b", answered) is None
            copy.close()

    asyncio.run(act())


def test_a_copy_that_catches_up_says_how_far_it_is(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            genesis = next(there.node.ledger.blocks())
            copy = Replica.create(tmp_path / "copy.ledger", there.node.anchor, genesis)
            task = Following(there.node, copy, [], SeededEntropy(1))

            def found(height: int, newest: int, answered: bool = True) -> str | None:
                none = (frozenset[str](), [], [])
                shown = _Found(copy.checkpoint, height, True, newest, False, answered, *none)
                task._look("peer", shown)
                return task.fault()

            yet = "copy is not caught up with its peers yet:"
            assert task.fault() == f"{yet} none has answered, and its log says why"
            assert found(0, 0, answered=False) == task.fault()
            assert found(2, 6) == f"{yet} it has block 2, and one has shown block 6"
            assert found(6, 6) == f"{yet} it has block 6, and its log says which do not answer"
            copy.close()

    asyncio.run(act())


def test_a_copy_that_lacks_what_a_peer_has_shown_is_not_ready_after_a_while(
    tmp_path: Path,
) -> None:
    clock = LaterClock()

    async def act() -> None:
        async with running(tmp_path, clock=clock) as there:
            genesis = next(there.node.ledger.blocks())
            copy = Replica.create(tmp_path / "copy.ledger", there.node.anchor, genesis)
            task = Following(there.node, copy, [], SeededEntropy(1))

            def found(height: int, newest: int) -> None:
                none = (frozenset[str](), [], [])
                shown = _Found(copy.checkpoint, height, False, newest, True, True, *none)
                task._look("peer", shown)

            found(3, 6)
            assert task.fault() is None
            clock.more_s += BOUND_S + 1
            found(4, 6)
            want = "copy lacks block 6, which a peer has shown, for 30 s: see its log"
            assert task.fault() == want
            assert "ledgercore_blocks_behind 2.0" in there.node.metrics.exposition().decode()
            found(6, 6)
            assert task.fault() is None
            copy.close()

    asyncio.run(act())


def test_the_operators_node_is_not_ready_while_its_quorum_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, with each witness's reason, and once when it is there again."""
    clock = LaterClock()
    monkeypatch.setattr(publishing, "AGAIN_S", 0.05)

    async def act() -> None:
        async with witnessed(tmp_path) as there, asyncio.timeout(9):
            node = there.node
            node.clock = clock
            await cosign(node)
            task = Publishing(node, {})
            task.start()
            node.fault = task.fault
            node.ledger.submit_many(there.records(1))
            await node.announce()
            await asyncio.sleep(0.3)
            assert node.ready()
            clock.more_s += BOUND_S / 2
            node.ledger.submit_many(there.records(1))  # a newer one does not begin the time anew
            await node.announce()
            await asyncio.sleep(0.3)
            assert node.ready()
            clock.more_s += BOUND_S / 2
            assert node.unready() == "block 1 lacks its quorum of witnesses for 30 s: see its log"
            assert "ledgercore_published_height 0.0" in node.metrics.exposition().decode()

            await cosign(node)
            while not node.ready():
                await asyncio.sleep(0.02)

            await task.stop()
            assert "ledgercore_published_height 2.0" in node.metrics.exposition().decode()
            log = there.log.getvalue()
            assert log.count("quorum is missing") == log.count("quorum is there again") == 1
            assert '"w.example": "no peer of the settings is this witness"' in log

    asyncio.run(act())


def test_a_start_does_not_make_a_node_ready_whose_quorum_was_missing_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: one whose newest block was cosigned is ready from the start."""
    monkeypatch.setattr(publishing, "AGAIN_S", 0.05)

    async def act() -> None:
        async with witnessed(tmp_path) as there, asyncio.timeout(9):
            node = there.node
            for _ in range(2):
                task = Publishing(node, {})
                node.fault = task.fault
                told = "block 0 lacks its quorum of witnesses since before this start: see its log"
                assert node.unready() == told
                task.start()
                await asyncio.sleep(0.2)
                assert node.unready() == told
                await task.stop()

            task = Publishing(node, {})
            node.fault = task.fault
            task.start()
            await cosign(node)
            while not node.ready():
                await asyncio.sleep(0.02)
            await task.stop()
            node.fault = Publishing(node, {}).fault
            assert node.ready()

    asyncio.run(act())
