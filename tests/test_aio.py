"""A ledger behaves under asyncio as it does without."""

from __future__ import annotations

import asyncio
from inspect import signature
from pathlib import Path
from threading import Event

import pytest

from ledgercore import (
    AsyncLedger,
    InvalidProof,
    Ledger,
    LimitError,
    PassphraseError,
    Receipt,
    RefusedError,
    StoreError,
    UnavailableError,
    testing,
)
from ledgercore.ledger import Report
from ledgercore.ledger.readable import ReadableLedger

ORIGIN = "test.example/log"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN, members=testing.test_members(2)).close()
    return path


def test_every_call_answers_as_the_ledger_does(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as plain:
        records = testing.signed_records(plain, signers=2, count=6, body_bytes=20)

    async def use() -> None:
        async with await AsyncLedger.open(path) as ledger:
            anchor = ledger.trust_anchor
            (await ledger.append(b"one")).verify(b"one", anchor)
            receipts = await ledger.append_many([b"two", b"three"])
            receipts[1].verify(b"three", anchor)
            receipt = await ledger.submit(records[0])
            assert receipt.index == 4
            assert await ledger.submit_many([records[0], records[1]]) == [4, 5]
            with pytest.raises(RefusedError, match="E_SEQUENCE"):
                await ledger.submit(records[5])
            assert [record.body async for record in ledger.records(1, 4)] == [
                b"one",
                b"two",
                b"three",
            ]
            assert len([record async for record in ledger]) == await ledger.size() == 6
            third = await ledger.record(3)
            assert await ledger.find(third.id) == 3
            assert await ledger.receipt(3) == receipts[1]
            assert (await ledger.next_position(third.key))[0] == 4
            assert await ledger.state(b"nothing") is None
            assert (await ledger.prove_state(b"nothing")).value is None
            assert await ledger.prove_records([1, 3])
            assert await ledger.prove_consistency(1)
            with pytest.raises(InvalidProof):
                await ledger.prove_consistency(1, 99)
            assert (await ledger.block(1)).count == 1
            assert await ledger.note(4) == await ledger.checkpoint()
            assert (await ledger.backup(tmp_path / "copy.ledger")).records == 6
            assert (await ledger.verify()).records == 6

    asyncio.run(use())

    with Ledger.open(tmp_path / "copy.ledger", read_only=True) as copy:
        assert copy.size == 6


def test_a_ledger_that_was_made_is_opened_again(tmp_path: Path) -> None:
    path, secret = tmp_path / "made.ledger", b"correct horse"

    async def use() -> None:
        members = testing.test_members(2)
        making = AsyncLedger.create(path, origin=ORIGIN, members=members, passphrase=secret)
        async with await making as ledger:
            (await ledger.append(b"one")).verify(b"one", ledger.trust_anchor)
            with pytest.raises(StoreError, match="exists already: choose another name"):
                await AsyncLedger.create(path, origin=ORIGIN)
        with pytest.raises(PassphraseError):
            await AsyncLedger.open(path)
        async with await AsyncLedger.open(path, passphrase=secret) as ledger:
            assert (await ledger.append(b"two")).index == 2
            assert await ledger.state(b"member/member-1") is not None

    asyncio.run(use())


def test_a_ledger_is_made_on_another_thread_than_the_loop(tmp_path: Path) -> None:
    """The loop goes on while a signer, such as a token, takes its time."""
    reached, let_go = Event(), Event()

    class Slow:
        public_key = testing.signing_key(0).public_key

        def sign(self, message: bytes) -> bytes:
            reached.set()
            assert let_go.wait(60)
            return testing.signing_key(0).sign(message)

    async def use() -> None:
        making = asyncio.create_task(
            AsyncLedger.create(tmp_path / "slow.ledger", origin=ORIGIN, key=Slow())
        )
        assert await asyncio.to_thread(reached.wait, 60)
        let_go.set()
        async with await making as ledger:
            assert await ledger.size() == 1

    asyncio.run(use())


def test_tasks_share_a_ledger_and_the_loop_goes_on(path: Path) -> None:
    async def append(ledger: AsyncLedger, number: int) -> int:
        payload = b"%d" % number
        receipt = await ledger.append(payload)
        receipt.verify(payload, ledger.trust_anchor)
        return receipt.index

    async def use() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with await AsyncLedger.open(path) as ledger:
            ticking = asyncio.create_task(tick())
            indices = await asyncio.gather(*(append(ledger, number) for number in range(40)))
            ticking.cancel()
        assert sorted(indices) == list(range(1, 41))
        assert ticks > 40

    asyncio.run(use())


async def hold(ledger: AsyncLedger) -> tuple[asyncio.Task[Report], Event]:
    """A call that holds the ledger's thread, so that what is asked next waits, until let go."""
    reached, let_go = Event(), Event()

    def wait(done: int, total: int) -> None:
        reached.set()
        assert let_go.wait(60)

    holding = asyncio.create_task(ledger.verify(wait))
    assert await asyncio.to_thread(reached.wait, 60)
    return holding, let_go


def test_a_call_that_is_cancelled_while_it_waits_is_carried_out(path: Path) -> None:
    async def use() -> None:
        async with await AsyncLedger.open(path) as ledger:
            holding, let_go = await hold(ledger)
            call = asyncio.create_task(ledger.append_many([b"x"] * 3))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not holding.done()
            let_go.set()
            assert await ledger.size() == 4

    asyncio.run(use())


def test_a_close_that_is_cancelled_waits_for_what_was_asked_before(path: Path) -> None:
    async def use() -> None:
        ledger = await AsyncLedger.open(path)
        _, let_go = await hold(ledger)
        call = asyncio.create_task(ledger.append(b"x"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(ledger.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        let_go.set()
        assert (await call).index == 1

    asyncio.run(use())
    with Ledger.open(path) as again:
        assert again.size == 2


def test_a_closed_ledger_says_so_and_lets_the_next_writer_in(path: Path) -> None:
    async def use() -> None:
        ledger = await AsyncLedger.open(path)
        await ledger.close()
        await ledger.close()
        for call in (ledger.append(b"late"), ledger.size(), ledger.verify()):
            with pytest.raises(UnavailableError, match=r"^ledger is closed: open it again$"):
                await call

    asyncio.run(use())
    Ledger.open(path).close()


def test_appends_of_many_tasks_share_blocks_in_the_order_of_the_calls(path: Path) -> None:
    async def run() -> None:
        async with await AsyncLedger.open(path) as ledger:
            begin = await ledger.size()
            calls = []
            for number in range(120):
                if number == 60:
                    calls.append(asyncio.ensure_future(ledger.append_many([b"between"])))
                calls.append(asyncio.ensure_future(ledger.append(b"%d" % number)))
            with pytest.raises(LimitError):
                await ledger.append(bytes(70_000))
            done = await asyncio.gather(*calls)
            receipts = [receipt for receipt in done if isinstance(receipt, Receipt)]
            bodies = [record.body async for record in ledger.records(begin)]
            want = [b"%d" % number for number in range(120)]
            assert bodies == [*want[:60], b"between", *want[60:]]
            for receipt, payload in zip(receipts, want, strict=True):
                receipt.verify(payload, ledger.trust_anchor)
            assert (await ledger.record(begin)).body == b"0"
        with Ledger.open(path, read_only=True) as plain:
            assert plain.height < 30, "120 appends shared blocks"

    asyncio.run(run())


def test_payloads_whose_append_broke_are_not_appended_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def break_down(payloads: list[bytes]) -> object:
        calls.append(len(payloads))
        raise ValueError("a broken pipe to somewhere")

    async def use() -> list[object]:
        async with await AsyncLedger.open(path) as ledger:
            busy, go_on = await hold(ledger)
            monkeypatch.setattr(ledger._ledger, "append_many", break_down)
            waiting = [asyncio.ensure_future(ledger.append(b"%d" % at)) for at in range(3)]
            await asyncio.sleep(0)
            go_on.set()
            await busy
            return await asyncio.gather(*waiting, return_exceptions=True)

    first, *others = asyncio.run(use())
    assert calls == [3]
    assert isinstance(first, ValueError)
    assert all(isinstance(error, StoreError) for error in others)


def test_what_a_ledger_can_its_asynchronous_twin_can() -> None:
    """But for facts without a read, and for holding others up."""
    left_out = {"genesis", "height", "moment", "network", "origin", "path", "suite"}
    left_out |= {"now_ms", "stopped", "time_ms"}
    public = {name for name in {**vars(ReadableLedger), **vars(Ledger)} if name[0] != "_"}

    assert public - set(vars(AsyncLedger)) == left_out
    for name in ("create", "open"):
        own, twin = (signature(getattr(each, name)) for each in (AsyncLedger, Ledger))
        assert own.parameters == twin.parameters


def test_states_and_kept_checkpoints_are_there_as_well(path: Path) -> None:
    async def use() -> None:
        async with await AsyncLedger.open(path) as ledger:
            kept = await ledger.checkpoint()
            await ledger.append(b"one")
            await ledger.verify_since(kept)
            assert await ledger.add_cosignatures(kept) == kept
            members = await ledger.states(b"member/")
            name = members[0][0]
            receipt, proof = await ledger.state_receipt(name), await ledger.prove_history(name)
            assert receipt.verify(ledger.trust_anchor) == proof.verify(ledger.trust_anchor).newest
            earlier = await ledger.prove_history(name, height=0)
            assert earlier.verify(ledger.trust_anchor).checkpoint.size == 1
            assert [index for index, _ in await ledger.history(name)] == [0]
        with Ledger.open(path, read_only=True) as plain:
            assert members == list(plain.states(b"member/"))
            assert members

    asyncio.run(use())
