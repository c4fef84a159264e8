"""What a node does while its copy takes blocks that have come."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Ledger, Replica, SigningKey, UnavailableError
from ledgercore.clock import ManualClock, SystemClock
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import DiskFullError
from ledgercore.ledger.received import Received
from ledgercore.node import following as following_module
from ledgercore.node.following import Following
from ledgercore.node.joining import _catch_up
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.sync import Ask, Follower, Request, Response, Source, Take
from ledgercore.sync.messages import ask_blocks, encode_frames, split_frames

HEIGHT = 8
KEY = SigningKey(bytes(32))


class Peer:
    """A channel to a peer that answers from a ledger, or lies."""

    def __init__(self, ledger: Ledger, *, lies: bool = False) -> None:
        self.member = "peer"
        self._source, self._lies = Source(ledger), lies

    async def send(self, request: Request) -> Response:
        if self._lies:
            return Response(200, b"\xff")
        return self._source.answer(request)

    async def events(self, request: Request) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    async def close(self) -> None: ...


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "a.ledger", origin="a.example", key=KEY) as ledger:
        for number in range(HEIGHT):
            ledger.append(b"payload %d" % number)
        yield ledger


@asynccontextmanager
async def followed(
    ledger: Ledger, tmp_path: Path, clock: ManualClock, peer: Any = None
) -> AsyncIterator[Following]:
    """A task that is not begun, its node and its copy."""
    path = tmp_path / "b.ledger"
    copy = Replica.create(path, ledger.trust_anchor, next(ledger.blocks()))
    with Ledger.open(path, read_only=True) as reader:
        node = Node("member", reader, make_log(io.StringIO(), member="member"), clock=clock)
        task = Following(node, copy, [peer or Peer(ledger)], SeededEntropy(1))
        yield task
        await task.stop()


@pytest.mark.parametrize(("block_s", "told"), [(0.0, 1), (0.25, 2), (1.0, HEIGHT)])
def test_everybody_is_told_once_a_second_and_when_all_is_taken(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_s: float, told: int
) -> None:
    """And not of each block: whoever is told looks at the ledger, and may ask for it."""
    clock, take, heights = ManualClock(1_800_000_000_000), Replica.take, list[int]()

    def taking(self: Replica, expected: Future[Received]) -> int:
        clock.advance(int(block_s * 1000))
        return take(self, expected)

    monkeypatch.setattr(Replica, "take", taking)

    async def act() -> None:
        async with followed(ledger, tmp_path, clock) as task, asyncio.timeout(200):
            node, announce = task._node, task._node.announce

            async def announced() -> None:
                heights.append(node.ledger.height)
                await announce()

            monkeypatch.setattr(node, "announce", announced)
            task.start()
            while node.feed.height < HEIGHT:
                await asyncio.sleep(0.01)

    asyncio.run(act())

    assert len(heights) == told and heights[-1] == HEIGHT


def test_a_full_disk_leaves_no_requests_under_way_at_a_slow_peer(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt asks for the blocks again, sooner than what was asked for before is given up."""
    attempts, full, slow = [0], [True], [True]
    take = Replica.take

    def taking(self: Replica, expected: Future[Received]) -> int:
        attempts[0] += 1
        if full[0]:
            raise DiskFullError("disk is full: free space, then go on")
        return take(self, expected)

    class SlowPeer(Peer):
        under_way = 0

        async def send(self, request: Request) -> Response:
            answer = await super().send(request)
            if request.kind != "blocks" or not slow[0]:
                return answer
            if request == ask_blocks(1, HEIGHT + 1):  # the first block comes, and no more
                return Response(200, encode_frames(split_frames(answer.body, HEIGHT)[:1], 1 << 30))
            self.under_way += 1
            try:
                return await asyncio.Event().wait() and answer
            finally:
                self.under_way -= 1

    monkeypatch.setattr(Replica, "take", taking)
    monkeypatch.setattr(following_module, "RETRY_S", 0.01)

    async def act() -> None:
        peer: Any = SlowPeer(ledger)
        clock = ManualClock(1_800_000_000_000)
        async with followed(ledger, tmp_path, clock, peer) as task, asyncio.timeout(20):
            task.start()
            while attempts[0] < 10:
                await asyncio.sleep(0.01)
                assert peer.under_way <= 1
            full[0] = slow[0] = False
            while task._node.feed.height < HEIGHT:
                await asyncio.sleep(0.01)
            assert not peer.under_way

    asyncio.run(act())


def test_a_block_that_is_taken_is_no_answer_of_its_peer(ledger: Ledger, tmp_path: Path) -> None:
    """It may have come long ago: all peers can have been silent since."""
    source, clock = Source(ledger), ManualClock(1_800_000_000_000)

    async def act() -> None:
        async with followed(ledger, tmp_path, clock) as task:
            follower = task._follower
            for answer in (source.answer, source.answer, lambda _: source.answer(ask_blocks(1, 3))):
                ask = follower.next()
                assert isinstance(ask, Ask)
                assert task._take(ask, answer(ask.request)).answered
            assert isinstance(follower.next(), Ask)  # it does not answer that
            for coming in (True, False):
                assert isinstance(follower.next(), Take)
                found = task._taken()
                assert found.coming is coming and not found.answered

    asyncio.run(act())


def test_a_peer_that_offends_and_makes_up_for_it_fills_no_memory(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It is never shut out, and each offence may be another one: what is kept is bounded."""
    clock = ManualClock(1_800_000_000_000)

    async def act() -> None:
        async with followed(ledger, tmp_path, clock) as task:
            task._copy.append(ledger.blocks(1))
            follower, offences = task._follower, 0
            for number in range(6 * 100):
                clock.advance(10_000)
                ask = follower.next()
                assert isinstance(ask, Ask)
                note, older = ledger.checkpoint, ledger.note(HEIGHT - 1)
                if number % 6 == 5:
                    note = older + f"— nobody {base64.b64encode(number.to_bytes(8)).decode()}\n"
                found = task._take(ask, Response(200, note.encode()))
                task._look(ask.peer, found)
                offences += not found.answered
            assert offences == 100 and not task._shut_out
            assert len(task._kept) <= len(follower.evidence) < 100

    asyncio.run(act())


def test_a_join_ends_where_every_peer_is_shut_out(ledger: Ledger, tmp_path: Path) -> None:
    clock = ManualClock(1_800_000_000_000)
    channels: Any = {"peer": Peer(ledger, lies=True)}
    first = next(ledger.blocks())
    with closing(Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first)) as copy:
        follower = Follower(copy, channels, clock, SeededEntropy(1))
        follower.standing("peer").score = 99

        async def act() -> None:
            async with asyncio.timeout(20):
                await _catch_up(follower, copy, channels)

        with pytest.raises(
            UnavailableError, match=r"at height 0, .* another \[\[peer\]\]: peer: malformed$"
        ):
            asyncio.run(act())


@pytest.mark.parametrize("status", [0, 404, 503])
def test_a_peer_that_is_down_keeps_no_new_copy_waiting_that_is_level_with_another(
    ledger: Ledger, tmp_path: Path, status: int
) -> None:
    class Down(Peer):
        async def send(self, request: Request) -> Response:
            if not status:
                raise UnavailableError("connection refused")
            return Response(status, b"")

    path = tmp_path / "b.ledger"
    channels: Any = {"peer": Peer(ledger), "down": Down(ledger)}
    with closing(Replica.create(path, ledger.trust_anchor, next(ledger.blocks()))) as copy:
        follower = Follower(copy, channels, SystemClock(), SeededEntropy(1))

        async def act() -> None:
            async with asyncio.timeout(20):
                await _catch_up(follower, copy, channels)

        asyncio.run(act())
        assert copy.height == ledger.height
