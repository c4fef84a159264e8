"""Row 17 on nodes: a wrong clock keeps its own member out, harms nobody else, and is named."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from ledgercore.clock import ManualClock, OffsetClock, SystemClock
from ledgercore.errors import UnavailableError, UntrustedError
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.logs import make_log
from ledgercore.node.warrant import Replays, Warrant
from tests.faults.row import reliability_row
from tests.node.running import IMPATIENT, following, running

HOUR_MS = 3_600_000
OFFSETS_MS = (HOUR_MS, -HOUR_MS, 24 * HOUR_MS)


class WrongClock(SystemClock):
    """The machine's, but that its time is off; durations are right."""

    offset_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.offset_ms


def test_a_members_wrong_clock_is_refused_and_its_node_goes_on_when_it_is_right(
    seed: int, tmp_path: Path
) -> None:
    clock = WrongClock()

    async def act() -> None:
        async with running(tmp_path) as there:
            caller = replace(there.caller(1), clock=clock)
            async with (
                following(there, caller, tmp_path) as node,
                there.client(0) as other,
                NodeClient(there.url, "operator", caller, IMPATIENT) as wrong,
                asyncio.timeout(60),
            ):
                records = there.records(4 * len(OFFSETS_MS))
                for at, clock.offset_ms in enumerate(OFFSETS_MS):
                    with pytest.raises(UntrustedError, match="time"):
                        await wrong.checkpoint()
                    some = records[4 * at : 4 * at + 4]
                    assert await other.submit_many(some) == [4 * at + n for n in range(1, 5)]
                    clock.offset_ms = 0
                    await wrong.checkpoint()
                    while node.node.feed.height < there.node.feed.height:
                        await asyncio.sleep(0.05)
                    row.count()
                kept = node.node.ledger
                assert [kept.record(n + 1).encode() for n in range(12)] == records

    with reliability_row(17, "wrong clocks of nodes", seed=seed, want=len(OFFSETS_MS)) as row:
        asyncio.run(act())


@pytest.mark.parametrize("offset_ms", OFFSETS_MS)
def test_nodes_that_began_with_a_wrong_clock_answer_as_soon_as_it_is_right(
    tmp_path: Path, offset_ms: int
) -> None:
    clock = WrongClock()
    clock.offset_ms = offset_ms

    async def act() -> None:
        async with running(tmp_path, clock=clock) as there:
            caller = replace(there.caller(1), clock=clock)
            async with following(there, caller, tmp_path) as node:
                clock.offset_ms = 0
                for each in (there, node):
                    async with each.client(0) as client, asyncio.timeout(5):
                        await client.checkpoint()

    asyncio.run(act())


def test_what_was_signed_before_a_node_began_is_refused_whatever_its_clock_showed() -> None:
    """A restart has forgotten which warrants were taken."""
    clock, now_ms = WrongClock(), SystemClock().now_ms()
    clock.offset_ms = HOUR_MS
    replays = Replays(clock, 30, 100, make_log(io.StringIO()))
    clock.offset_ms = 0

    with pytest.raises(UnavailableError, match=r"node began after the warrant .* sign it anew"):
        replays.take(warrant_of(now_ms - 1_000))
    with pytest.raises(UntrustedError, match="within 30 s of the node's: set the clock, or sign"):
        replays.take(warrant_of(now_ms - 31_000))
    replays.take(warrant_of(SystemClock().now_ms()))


def test_a_clock_that_is_a_little_behind_a_node_that_just_began_is_not_told_to_be_set(
    tmp_path: Path,
) -> None:
    """A follower that starts before its operator: what it signs next is in time."""
    clock, patience = WrongClock(), Patience(attempts=30, longest_wait_s=0.5)
    clock.offset_ms = -2_000

    async def act() -> None:
        async with running(tmp_path) as there, asyncio.timeout(20):
            caller = replace(there.caller(1), clock=clock)
            async with NodeClient(there.url, "operator", caller, patience) as client:
                assert await client.checkpoint()

    asyncio.run(act())


def warrant_of(time_ms: int, number: int = 0) -> Warrant:
    empty, nonce = bytes(32), number.to_bytes(16, "big")
    return Warrant(1, bytes(16), "tax", empty, empty, "GET", "/", empty, time_ms, nonce)


def test_a_warrant_that_was_taken_before_a_clock_was_set_back_stays_taken() -> None:
    """It comes into time once more, when its nonce is long over as time is measured."""
    machine = ManualClock(10 * HOUR_MS)
    clock = OffsetClock(machine)
    replays = Replays(clock, 30, 100, make_log(io.StringIO()))
    captured = warrant_of(10 * HOUR_MS)
    replays.take(captured)
    clock.advance(-HOUR_MS)

    for passed_ms, reason in ((60_001, "set the clock"), (HOUR_MS - 80_000, "was used before")):
        machine.advance(passed_ms)
        with pytest.raises(UntrustedError, match=reason):
            replays.take(captured)
        replays.take(warrant_of(clock.now_ms(), passed_ms))

    machine.advance(HOUR_MS)
    replays.take(warrant_of(clock.now_ms()))
    assert len(replays) == 1  # what is over by both is forgotten


def test_nonces_that_a_clock_which_was_set_back_keeps_shut_nobody_out() -> None:
    machine = ManualClock(10 * HOUR_MS)
    clock, numbers = OffsetClock(machine), count()
    replays = Replays(clock, 30, 10, make_log(io.StringIO()))

    for _ in range(3):
        for _ in range(10):
            replays.take(warrant_of(clock.now_ms(), next(numbers)))
        with pytest.raises(UnavailableError, match="10 requests came within"):
            replays.take(warrant_of(clock.now_ms(), next(numbers)))
        clock.advance(-HOUR_MS)
        machine.advance(60_001)

    replays.take(warrant_of(clock.now_ms(), next(numbers)))
    assert len(replays) == 11  # as many at most, and the newest


def test_nonces_far_ahead_push_none_out_that_are_in_time_sooner() -> None:
    """One member asked as much as it may while the clock was a year ahead, for a minute."""
    machine, log = ManualClock(10 * HOUR_MS), io.StringIO()
    clock, year_ms = OffsetClock(machine), 365 * 24 * HOUR_MS
    replays = Replays(clock, 30, 100, make_log(log))
    clock.advance(year_ms)
    for number in range(100):
        replays.take(warrant_of(clock.now_ms(), 1_000 + number))
    clock.advance(-year_ms)
    machine.advance(61_000)
    victims = [warrant_of(clock.now_ms(), number) for number in range(2)]
    for victim in victims:
        replays.take(victim)

    clock.advance(-10 * 60_000)  # another ten minutes, and they come into time once more
    machine.advance(10 * 60_000)

    for victim in victims:
        with pytest.raises(UntrustedError, match="was used before"):
            replays.take(victim)
    assert len(replays) == 100
    assert log.getvalue().count("nonces are full") == 1


def test_a_nodes_own_time_that_the_operator_refuses_is_not_its_callers_fault(
    tmp_path: Path,
) -> None:
    """Its caller's request is sound, and another member's node would take it."""
    clock = WrongClock()

    async def act() -> None:
        async with running(tmp_path) as there:
            caller = replace(there.caller(1), clock=clock)
            async with following(there, caller, tmp_path) as node, asyncio.timeout(9):
                (record,) = there.records(1)
                async with NodeClient(node.url, "member-1", caller, IMPATIENT) as client:
                    clock.offset_ms = HOUR_MS
                    with pytest.raises(UnavailableError, match="for this one: warrant's time"):
                        await client.submit(record)

    asyncio.run(act())


def test_an_operators_wrong_clock_takes_nothing_back(tmp_path: Path) -> None:
    """Whoever asks is refused until it is right; what was ordered stands, and no time goes back."""
    clock = WrongClock()

    async def act() -> None:
        async with running(tmp_path, clock=clock) as there, there.client(0) as client:
            records = there.records(8)
            assert await client.submit_many(records[:4]) == [1, 2, 3, 4]
            clock.offset_ms = HOUR_MS
            with pytest.raises(UntrustedError, match="time"):
                await client.checkpoint()
            there.node.ledger.append(b"an hour ahead")
            clock.offset_ms = 0
            assert await client.submit_many(records) == [1, 2, 3, 4, 6, 7, 8, 9]
            ledger = there.node.ledger
            times = [ledger.block(height).time_ms for height in range(ledger.height + 1)]
            assert times == sorted(times) and times[-1] >= times[0] + HOUR_MS

    asyncio.run(act())
