"""Copies of a ledger: equal to it in all that it proves, and closed to whatever does not hold."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from ledgercore import (
    Anchor,
    AsyncLedger,
    Block,
    Checkpoint,
    ForkError,
    InvalidSignature,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    Replica,
    RollbackError,
    SigningKey,
    StoreError,
    UnavailableError,
    UntrustedError,
    testing,
)
from ledgercore._core import Batch, Frontier, Map, sign_checkpoint
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.ledger import replica as replica_module
from ledgercore.ledger.received import Received, receive
from ledgercore.ledger.transfer import (
    TRANSFER_BYTES,
    Transfer,
    _canonical_bytes,
    decode_transfer,
)
from ledgercore.rules import View
from ledgercore.sync import Source, begin_copy
from tests.town import Town

ORIGIN = "copied.example"
KEY = SigningKey(bytes(32))
SIGNERS = 3


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members, clock = testing.test_members(SIGNERS), ManualClock(1_800_000_000_000)
    with Ledger.create(
        tmp_path / "a.ledger", origin=ORIGIN, members=members, key=KEY, clock=clock
    ) as ledger:
        grow(ledger, 4)
        yield ledger


def grow(ledger: Ledger, blocks: int) -> None:
    for number in range(blocks):
        ledger.append_many([b"payload %d" % number] * 3)
        ledger.submit_many(testing.signed_records(ledger, signers=SIGNERS, count=5))


def copied(ledger: Ledger, path: Path) -> Replica:
    first, *rest = ledger.blocks()
    replica = Replica.create(path, ledger.trust_anchor, first)
    replica.append(rest)
    return replica


def content(path: Path) -> tuple[object, ...]:
    with Ledger.open(path, read_only=True) as ledger:
        ledger.verify()
        receipts = [receipt.encode() for receipt in ledger.receipts(range(ledger.size))]
        return (ledger.checkpoint, receipts, [*ledger.states(b"")], [*ledger.blocks()])


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_a_copy_is_the_ledger_in_all_that_it_proves(tmp_path: Path, suite: str) -> None:
    path = tmp_path / "a.ledger"
    members = testing.test_members(SIGNERS)
    with Ledger.create(path, origin=ORIGIN, suite=suite, members=members) as ledger:
        grow(ledger, 3)
        with copied(ledger, tmp_path / "b.ledger") as replica:
            assert replica.checkpoint == ledger.checkpoint
            grow(ledger, 2)
            assert replica.append(ledger.blocks(replica.height + 1)) == ledger.height
            assert replica.append([]) == ledger.height
        assert content(tmp_path / "b.ledger") == content(path)
        grow(ledger, 1)
        with Replica.open(tmp_path / "b.ledger", ledger.trust_anchor) as replica:
            replica.append(ledger.blocks(replica.height + 1))
        assert content(tmp_path / "b.ledger") == content(path)


def test_a_copy_of_whole_exchanges_decides_as_the_ledger_did(tmp_path: Path) -> None:
    town = Town(tmp_path)
    ledger = town.parties.ledger
    intent, request = town.intend(town.consent())
    town.deliver(intent, request)
    town.accept([town.parties.consumer.acknowledge(intent)])
    with copied(ledger, tmp_path / "copy.ledger") as replica:
        assert replica.height == ledger.height
    with Ledger.open(tmp_path / "copy.ledger", read_only=True) as copy:
        copy.verify()
        assert [*copy.states(b"")] == [*ledger.states(b"")]
        name = b"exchange/" + intent
        assert copy.prove_history(name).encode() == ledger.prove_history(name).encode()
    town.parties.close()


def test_a_copy_reads_a_state_once_and_forgets_when_it_knows_many(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = ledger.blocks()
    with Replica.create(tmp_path / "copy.ledger", ledger.trust_anchor, first) as replica:
        asked: list[bytes] = []
        load = replica._reader.state

        def state(name: bytes) -> bytes | None:
            asked.append(name)
            return load(name)

        replica._committed = View(state)
        replica.append(rest)
        assert len(asked) == len(set(asked)) > SIGNERS
        monkeypatch.setattr(replica_module, "REMEMBERED_STATES", 1)
        grow(ledger, 3)
        replica.append(ledger.blocks(replica.height + 1))
        assert len(replica._committed) <= 2 * (SIGNERS + 1) + 1
        assert replica.checkpoint == ledger.checkpoint
    assert content(tmp_path / "copy.ledger") == content(tmp_path / "a.ledger")


def test_blocks_are_taken_from_views_of_an_answer_that_is_let_go(
    ledger: Ledger, tmp_path: Path
) -> None:
    """An answer has several blocks: none of them may keep the bytes of all."""
    first, *rest = ledger.blocks()
    answer = b"".join(rest)
    held, ends = sys.getrefcount(answer), [*accumulate(map(len, rest), initial=0)]
    views = [memoryview(answer)[begin:end] for begin, end in pairwise(ends)]
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        received = receive(views[0], ledger.trust_anchor, SeededEntropy(1))
        replica.append(views)
        views.clear()
        assert replica.checkpoint == ledger.checkpoint
        assert b"".join(received.bundles) == b"".join(received.batch.bundles())
        del received
        assert sys.getrefcount(answer) == held
    assert content(tmp_path / "b.ledger") == content(tmp_path / "a.ledger")


def test_a_block_has_one_form(ledger: Ledger) -> None:
    """Whatever one changed byte makes of a block is its canonical form, or refused."""
    data, encode = next(ledger.blocks(1)), msgspec.msgpack.Encoder().encode
    longer = [
        b"\xdc\x00\x03" + data[1:],
        data[:1] + b"\xc5\x00" + data[2:],
        data + b"\x00",
    ]
    for other in longer:
        with pytest.raises(MalformedError, match=r"canonical form|trailing"):
            decode_transfer(other)
    for at in range(len(data)):
        for value in {data[at] ^ 0x1D, data[at] ^ 1, data[at] + 1 & 0xFF, 0xC4, 0xD9, 0xDC, 0}:
            other = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                transfer, _, _ = decode_transfer(other)
            except LedgerError:
                continue
            assert encode(transfer) == other


def test_the_bundles_of_a_block_are_cut_in_one_way(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin="a.example") as ledger:
        ledger.append_many([b"%d" % number for number in range(300)])
        data = next(ledger.blocks(1))
    header, note, bundles = msgspec.msgpack.decode(data)
    full, rest = map(msgpack.unpackb, bundles)
    ways = [
        [full[:255], full[255:] + rest],
        [full, rest[:1], rest[1:]],
        [full, rest, []],
        [[], full, rest],
    ]
    for way in ways:
        cut = msgspec.msgpack.encode((header, note, [msgpack.packb(each) for each in way]))
        with pytest.raises(MalformedError, match="its bundles are cut otherwise"):
            decode_transfer(cut)
    assert msgspec.msgpack.encode((header, note, [*map(msgpack.packb, (full, rest))])) == data


@pytest.mark.parametrize("count", [1, 15, 16, 64])
@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_the_bytes_of_a_block_are_counted_as_they_are_encoded(count: int, size: int) -> None:
    transfer = Transfer(b"h" * size, "n" * size, (memoryview(b"x" * size),) * count)

    assert _canonical_bytes(transfer) == len(msgspec.msgpack.encode(transfer))


def test_every_changed_byte_of_a_block_is_refused_and_nothing_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, second, *_ = ledger.blocks()
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        for at in range(len(second)):
            changed = second[:at] + bytes([second[at] ^ 0x04]) + second[at + 1 :]
            with pytest.raises((MalformedError, UntrustedError, InvalidSignature)):
                replica.append([changed])
            assert replica.height == 0
        replica.append([second])
        assert replica.height == 1
    for at in range(0, len(first), 3):
        changed = first[:at] + bytes([first[at] ^ 0x04]) + first[at + 1 :]
        with pytest.raises((MalformedError, UntrustedError, InvalidSignature)):
            Replica.create(tmp_path / "c.ledger", ledger.trust_anchor, changed)
        assert not (tmp_path / "c.ledger").exists()


def test_blocks_out_of_order_are_refused_and_those_before_are_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    blocks = [*ledger.blocks()]
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, blocks[0]) as replica:
        with pytest.raises(MalformedError, match=r"^block is 3, want 2$"):
            replica.append([blocks[1], blocks[3], blocks[2]])
        assert replica.height == 1
        with pytest.raises(MalformedError, match=r"^block is 1, want 2$"):
            replica.append([blocks[1]])
        assert replica.append(blocks[2:]) == ledger.height


def test_a_block_that_was_expected_is_taken_in_its_turn_and_refused_as_any_other(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, *rest = ledger.blocks()
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        expected = [replica.expect(memoryview(each)) for each in rest]
        changed = replica.expect(rest[0][:-1] + bytes([rest[0][-1] ^ 4]))
        assert replica.height == 0
        with pytest.raises(MalformedError, match=r"^block is 2, want 1$"):
            replica.take(expected[1])
        with pytest.raises(InvalidSignature):
            replica.take(changed)
        assert [replica.take(each) for each in expected] == [*range(1, ledger.height + 1)]
    assert content(tmp_path / "b.ledger")[0] == ledger.checkpoint


def test_closing_a_copy_ends_what_it_verifies_ahead(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = ledger.blocks()
    begun, go_on, before = threading.Semaphore(0), threading.Event(), set(threading.enumerate())
    replica = Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first)

    def waiting(*arguments: object, **options: object) -> None:
        begun.release()
        go_on.wait()

    monkeypatch.setattr(replica_module, "receive", waiting)
    expected = [replica.expect(each) for each in rest[:3]]
    assert begun.acquire() and begun.acquire()
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    late = threading.Timer(10, go_on.set)
    late.start()

    replica.close()

    # An interrupt would leave it half closed if it waited for them.
    assert not go_on.is_set()
    assert [each.cancelled() for each in expected] == [False, False, True]
    late.cancel()
    go_on.set()
    for thread in threads:
        thread.join()
    replica.close()
    with pytest.raises(UnavailableError, match="closed: open it again"):
        replica.expect(rest[0])
    for each in expected:
        with pytest.raises(UnavailableError, match="closed: open it again"):
            replica.take(each)


def test_whoever_waits_for_a_block_is_told_that_its_copy_is_closed(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, second, *_ = ledger.blocks()
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        cancelled: Future[Received] = Future()
        cancelled.cancel()

        with pytest.raises(UnavailableError, match="as its copy was closed: open the copy again"):
            replica.take(cancelled)

        assert replica.take(replica.expect(second)) == 1


def test_a_forked_process_is_refused_what_its_parent_verifies_ahead(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It has none of the threads, and would wait for them for ever."""
    first, second, third, *_ = ledger.blocks()
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        replica.take(replica.expect(second))
        waiting: Future[Received] = Future()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            refused = 0
            for call in (partial(replica.expect, third), partial(replica.take, waiting)):
                try:
                    call()
                except UnavailableError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        assert replica.take(replica.expect(third)) == 2


def test_what_no_thread_is_there_for_is_done_once_and_let_go(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = ledger.blocks()
    done = list[bytes | memoryview]()

    def counted(block: bytes | memoryview, *arguments: Any, **options: Any) -> Received:
        done.append(block)
        return receive(block, *arguments, **options)

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(replica_module, "receive", counted)
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica:
        done.clear()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none)
            replica.take(replica.expect(rest[0]))
            held = replica.expect(rest[1])
        assert done == rest[:2]

        last = replica.expect(rest[2])
        last.result()

        assert done == rest[:3]
        assert [replica.take(each) for each in (held, last)] == [2, 3]


def test_a_source_that_breaks_off_leaves_what_it_gave(ledger: Ledger, tmp_path: Path) -> None:
    blocks = [*ledger.blocks()]

    def source() -> Iterator[bytes]:
        yield from blocks[1:6]
        raise OSError("the line is cut")

    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, blocks[0]) as replica:
        with pytest.raises(OSError, match="the line is cut"):
            replica.append(source())
        assert 0 < replica.height < 6
        replica.append(blocks[replica.height + 1 :])
    assert content(tmp_path / "b.ledger")[0] == ledger.checkpoint


def signed(ledger: Ledger, records: list[bytes], time_ms: int | None = None) -> bytes:
    """The next block with these records, as an operator signs it who holds to no rule."""
    anchor, head = ledger.trust_anchor, ledger.block(ledger.height)
    batch = Batch.decode(records).verify(bytes(32))
    stored = [record.encode() for record in ledger.records()]
    leaves = Batch.decode(stored).leaf_hashes() + batch.leaf_hashes()
    block = Block(
        height=head.height + 1,
        parent=head.hash(anchor.suite),
        time_ms=head.time_ms if time_ms is None else time_ms,
        first_index=ledger.size,
        count=len(records),
        tree_root=Frontier(anchor.suite).append(leaves)[0].root(),
        state_root=Map(anchor.suite).update([*ledger.states(b"")]).root(),
    )
    checkpoint = Checkpoint(
        origin=anchor.origin,
        size=ledger.size + len(records),
        root=block.tree_root,
        height=block.height,
        block_hash=block.hash(anchor.suite),
        state_root=block.state_root,
    )
    return msgpack.packb([block.encode(), sign_checkpoint(checkpoint, KEY), batch.bundles()])


def test_what_the_operator_signed_against_the_rules_is_refused(
    ledger: Ledger, tmp_path: Path
) -> None:
    anchor = ledger.trust_anchor
    stranger = SigningKey(bytes([9]) * 32)
    foreign = stranger.sign_record(
        "std", anchor.network, "data", b"x", sequence=0, previous=bytes(32)
    )
    member = testing.signed_records(ledger, signers=1, count=2)
    with copied(ledger, tmp_path / "b.ledger") as replica:
        height = replica.height
        for block, reason in (
            (signed(ledger, [foreign.encode()]), "the operator signed what the rules refuse: "),
            (signed(ledger, [member[1]]), "the operator signed what the rules refuse: "),
            (signed(ledger, [member[0]]), "its records lead to other roots than"),
            (signed(ledger, [member[0]], time_ms=5), "time is before that of its parent"),
        ):
            with pytest.raises(UntrustedError, match=reason):
                replica.append([block])
            assert replica.height == height
        header, note, (bundle,) = msgpack.unpackb(signed(ledger, member))
        for wrong in ([header, note, [bundle, bundle]], [header, note, []], [header, note]):
            with pytest.raises(MalformedError):
                replica.append([msgpack.packb(wrong)])
        ledger.submit_many(member)
        replica.append(ledger.blocks(height + 1))


def test_two_histories_of_one_operator_are_found_out(tmp_path: Path) -> None:
    """The one goes on from a copy of the file that was put back."""
    path, old = tmp_path / "a.ledger", tmp_path / "old.ledger"
    with Ledger.create(path, origin=ORIGIN, key=KEY) as ledger:
        ledger.append(b"first")
        ledger.backup(old)
        ledger.append(b"second")
        ledger.append(b"third")
        with Ledger.open(old, key=KEY) as other:
            other.append(b"another second")
            other.append(b"another third")
            with copied(ledger, tmp_path / "b.ledger") as replica:
                other.append(b"fourth")
                with pytest.raises(ForkError, match="the operator signed both"):
                    replica.append(other.blocks(4))
                assert replica.height == 3


def test_a_copy_is_of_the_anchor_it_was_made_for(ledger: Ledger, tmp_path: Path) -> None:
    anchor = ledger.trust_anchor
    first, second, *_ = ledger.blocks()
    with Ledger.create(tmp_path / "c.ledger", origin=ORIGIN, key=KEY) as another:
        foreign = another.trust_anchor
        with pytest.raises(UntrustedError):
            Replica.create(tmp_path / "b.ledger", foreign, first)
    other_key = Anchor(
        origin=ORIGIN,
        network=anchor.network,
        suite="std",
        operator_key=SigningKey(bytes([1]) * 32).public_key,
    )
    for data, trusted in ((second, anchor), (first, other_key)):
        with pytest.raises(UntrustedError):
            Replica.create(tmp_path / "b.ledger", trusted, data)
    copied(ledger, tmp_path / "b.ledger").close()
    with pytest.raises(UntrustedError, match="not of the anchor"):
        Replica.open(tmp_path / "b.ledger", foreign)
    with pytest.raises(StoreError, match="exists already"):
        Replica.create(tmp_path / "b.ledger", anchor, first)
    with pytest.raises(StoreError, match="does not exist"):
        Replica.open(tmp_path / "none.ledger", anchor)
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path / "b.ledger")  # no key of the operator is beside it
    (tmp_path / "b.ledger").unlink()
    with pytest.raises(StoreError, match=r"b\.ledger\.head does: it was lost; restore a"):
        Ledger.open(tmp_path / "b.ledger")


def test_a_copy_that_lost_its_tail_is_found_out(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "b.ledger"
    blocks = [*ledger.blocks()]
    with Replica.create(path, ledger.trust_anchor, blocks[0]) as replica:
        replica.append(blocks[1:3])
    kept = path.read_bytes()
    with Replica.open(path, ledger.trust_anchor) as replica:
        replica.append(blocks[3:])
    path.write_bytes(kept)
    with pytest.raises(RollbackError):
        Replica.open(path, ledger.trust_anchor)


def test_a_failed_commit_stops_the_copy(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [*ledger.blocks()]
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, blocks[0]) as replica:
        commit = replica_module.commit_block

        def failing(*arguments: object, **options: object) -> object:
            raise StoreError("the flush failed")

        monkeypatch.setattr(replica_module, "commit_block", failing)
        with pytest.raises(StoreError):
            replica.append(blocks[1:])
        monkeypatch.setattr(replica_module, "commit_block", commit)
        with pytest.raises(UnavailableError, match="copy has stopped: the flush failed"):
            replica.append(blocks[1:])
    with Replica.open(tmp_path / "b.ledger", ledger.trust_anchor) as replica:
        assert replica.append(blocks[1:]) == ledger.height


def test_a_copy_takes_its_randomness_from_what_it_is_given(ledger: Ledger, tmp_path: Path) -> None:
    class Counting(SeededEntropy):
        drawn = 0

        def bytes(self, count: int) -> bytes:
            self.drawn += 1
            return super().bytes(count)

    entropy, anchor = Counting(1), ledger.trust_anchor
    _, *rest = ledger.blocks()
    source = Source(ledger)

    with begin_copy(
        tmp_path / "b.ledger", anchor, ["a"], lambda peer, ask: source.answer(ask), entropy=entropy
    ):
        assert entropy.drawn == 1
    with Replica.open(tmp_path / "b.ledger", anchor, entropy=entropy) as copy:
        copy.append(rest)
        assert entropy.drawn == 1 + len(rest)


def test_tasks_hand_blocks_over_as_the_ledger_does(ledger: Ledger, tmp_path: Path) -> None:
    want = [*ledger.blocks(2, 5)]
    ledger.close()

    async def run() -> list[bytes]:
        async with await AsyncLedger.open(tmp_path / "a.ledger", key=KEY) as ledger:
            return [block async for block in ledger.blocks(2, 5)]

    assert asyncio.run(run()) == want and len(want) == 3


def test_what_is_too_large_is_not_decoded(ledger: Ledger, tmp_path: Path) -> None:
    first = next(ledger.blocks())
    with (
        Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as replica,
        pytest.raises(LimitError, match="want at most"),
    ):
        replica.append([bytes(TRANSFER_BYTES + 1)])


def test_the_main_file_of_a_closed_copy_is_whole_beside_a_reader(
    tmp_path: Path, ledger: Ledger
) -> None:
    replica = copied(ledger, tmp_path / "copy.ledger")
    with Ledger.open(tmp_path / "copy.ledger", read_only=True) as reader:
        assert reader.size == ledger.size
        replica.close()
        alone = tmp_path / "elsewhere.ledger"
        alone.write_bytes((tmp_path / "copy.ledger").read_bytes())
    with Ledger.open(alone, read_only=True) as ledger_alone:
        ledger_alone.verify()
        assert ledger_alone.checkpoint == ledger.checkpoint
    assert not (tmp_path / "copy.ledger-wal").exists()
