"""What a ledger promises to whoever appends, reads and proves."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledgercore import (
    Checkpoint,
    InvalidProof,
    InvalidSignature,
    Ledger,
    MalformedError,
    OutOfRangeError,
    Record,
    RefusedError,
    SigningKey,
    UnavailableError,
    testing,
    verify_history,
    verify_state,
)
from ledgercore._core import leaf_hash, verify_consistency, verify_multi
from ledgercore.clock import ManualClock
from ledgercore.errors import DiskFullError
from ledgercore.ledger import intake, sequencer
from ledgercore.proofs import verify_records
from ledgercore.rules import signer_object

ORIGIN = "test.example/log"
KEY = SigningKey(bytes(32))
SIGNERS = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.ledger"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.create(path, origin=ORIGIN, members=testing.test_members(SIGNERS)) as ledger:
        yield ledger


def signed(ledger: Ledger, count: int) -> list[bytes]:
    return testing.signed_records(ledger, signers=SIGNERS, count=count, body_bytes=40)


# Append and submit.


@pytest.mark.parametrize("suite", ["std", "c2sp"])
def test_every_receipt_of_every_shape_of_block_verifies(path: Path, suite: str) -> None:
    """Blocks that end before, at and after the borders of tiles and bundles."""
    payloads: list[bytes] = [b""]
    with Ledger.create(path, origin=ORIGIN, suite=suite) as ledger:
        for count in (1, 2, 252, 1, 1, 255, 256, 257, 513, 1):
            more = [b"%d/%d" % (count, at) for at in range(count)]
            receipts = ledger.append_many(more)
            payloads += more
            assert len(receipts) == count
            assert receipts[-1].index == len(payloads) - 1
        for index in range(1, len(payloads)):
            receipt = ledger.receipt(index)
            assert receipt.verify(payloads[index], ledger.trust_anchor).body == payloads[index]
        with pytest.raises((InvalidSignature, InvalidProof)):
            ledger.receipt(5).verify(b"another", ledger.trust_anchor)
        newest = ledger.receipt(5, state_of=b"network")
        newest.verify(payloads[5], ledger.trust_anchor)
        assert newest.checkpoint == ledger.checkpoint
        assert newest.state is not None


def test_receipts_are_a_sequence(ledger: Ledger) -> None:
    receipts = ledger.append_many([b"%d" % number for number in range(10)])

    assert list(receipts.indices) == list(range(1, 11))
    assert [receipt.index for receipt in receipts[2:5]] == [3, 4, 5]
    assert receipts[-1].index == 10
    assert len(ledger.append_many([])) == 0


def test_the_same_record_has_the_same_receipt_at_any_time(ledger: Ledger) -> None:
    first, second, third = signed(ledger, 3)

    receipt = ledger.submit(first).encode()
    ledger.submit(second)
    ledger.append_many([b"more"] * 300)

    assert ledger.submit(first).encode() == receipt
    assert ledger.submit_many([second, first, third, third]) == [2, 1, 303, 303]
    assert ledger.size == 304


def test_what_the_rules_refuse_leaves_nothing(ledger: Ledger) -> None:
    first, _, _, fourth = signed(ledger, 4)
    stranger = SigningKey(b"\x05" * 32).sign_record(
        ledger.suite, ledger.network, "data", b"", sequence=0, previous=bytes(32)
    )

    outcomes = ledger.submit_many([fourth, stranger.encode(), first, fourth])

    assert [getattr(each, "code", each) for each in outcomes] == ["E_SEQUENCE", "E_MEMBER", 1, 2]
    assert ledger.size == 3
    assert ledger.find(stranger.id) is None
    assert ledger.state(signer_object(stranger.key)) is None
    with pytest.raises(RefusedError, match="E_MEMBER"):
        ledger.submit(stranger.encode())
    assert ledger.height == 1
    ledger.verify()


@pytest.mark.parametrize("given", [b"one", "one", iter([b"one"]), {b"one"}, None])
def test_what_is_no_list_is_refused_with_nothing_taken(ledger: Ledger, given: Any) -> None:
    with pytest.raises(TypeError, match=r"payloads are \w+, want a list of bytes: append takes"):
        ledger.append_many(given)
    with pytest.raises(TypeError, match=r"records are \w+, want a list of bytes: submit takes"):
        ledger.submit_many(given)

    assert ledger.size == 1
    assert not isinstance(given, Iterator) or list(given) == [b"one"]
    assert len(ledger.append_many((b"one", b"two"))) == 2


def test_batches_are_taken_when_their_outcomes_are_asked_for(ledger: Ledger) -> None:
    records = signed(ledger, 2)

    submitted = ledger.submit_batches([records[:1], records[1:]])
    before = ledger.size
    outcomes = list(submitted)

    assert (before, outcomes, ledger.size) == (1, [[1], [2]], 3)


def test_bad_signatures_refuse_all_and_are_all_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BLOCK_RECORDS", 4)
    records = signed(ledger, 12)
    for bad in (1, 6, 11):
        records[bad] = records[bad][:-1] + bytes([records[bad][-1] ^ 1])

    with pytest.raises(InvalidSignature, match=r"3 of 12 .* 1, 6, 11") as raised:
        ledger.submit_many(records)

    assert raised.value.indices == (1, 6, 11)
    assert ledger.size == 1


def test_malformed_records_refuse_all_and_are_all_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BLOCK_RECORDS", 4)
    records = signed(ledger, 12)
    records[5] = b"no record"
    records[9] += b"\x00"

    with pytest.raises(MalformedError, match=r"2 of 12 records .* 5, 9; record 5") as raised:
        ledger.submit_many(records)

    assert raised.value.index == 5
    assert ledger.size == 1


def test_many_records_take_more_blocks(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BLOCK_RECORDS", 4)
    assert ledger.submit_many(signed(ledger, 10)) == list(range(1, 11))
    monkeypatch.setattr(intake, "BLOCK_BYTES", 2000)
    ledger.append_many([bytes(700)] * 5)

    blocks = [ledger.block(height) for height in range(ledger.height + 1)]
    assert [block.count for block in blocks] == [1, 4, 4, 2, 2, 2, 1]
    assert [block.first_index for block in blocks] == [0, 1, 5, 9, 11, 13, 15]
    ledger.verify()


def test_an_error_between_blocks_says_what_is_durable(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BLOCK_RECORDS", 4)
    commit, blocks = sequencer.commit_block, []

    def commit_once(*arguments: Any) -> Any:
        if blocks:
            raise DiskFullError("disk is full")
        blocks.append(commit(*arguments))
        return blocks[0]

    monkeypatch.setattr(sequencer, "commit_block", commit_once)

    with pytest.raises(DiskFullError) as raised:
        ledger.append_many([b"fits"] * 6)

    assert raised.value.__notes__ == ["the first 4 of 6 payloads are durable"]
    assert ledger.size == 5


def test_time_never_goes_back(path: Path) -> None:
    clock = ManualClock(1_000_000)
    with Ledger.create(path, origin=ORIGIN, clock=clock) as ledger:
        ledger.append(b"1")
        clock.advance(-500_000)
        ledger.append(b"2")
        clock.advance(700_000)
        ledger.append(b"3")

        times = [ledger.block(height).time_ms for height in range(4)]
    assert times == [1_000_000, 1_000_000, 1_000_000, 1_200_000]


def test_a_reader_cannot_append(ledger: Ledger, path: Path) -> None:
    with (
        Ledger.open(path, read_only=True) as reader,
        pytest.raises(UnavailableError, match="open it for writing"),
    ):
        reader.append(b"no")


# Read and prove.


def test_readers_in_other_processes_see_new_blocks(ledger: Ledger, path: Path) -> None:
    code = (
        "import sys\n"
        "from ledgercore import Ledger\n"
        "with Ledger.open(sys.argv[1], read_only=True) as ledger:\n"
        "    for _ in range(3):\n"
        "        sys.stdin.readline()\n"
        "        print(ledger.size, ledger.record(ledger.size - 1).body.decode(), flush=True)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None and reader.stdout is not None
    for number in range(3):
        ledger.append_many([b"x"] * 300 + [b"newest-%d" % number])
        print(file=reader.stdin, flush=True)
        assert reader.stdout.readline() == f"{ledger.size} newest-{number}\n"
    reader.stdin.close()
    reader.stdout.close()
    assert reader.wait(timeout=60) == 0


def test_a_reader_beside_a_busy_writer_is_never_wrong(ledger: Ledger, path: Path) -> None:
    """States are overwritten by each block: a reader's head and its reads must fit together."""
    key = ledger.trust_anchor.operator_key
    stop = threading.Event()

    def append() -> None:
        number = 0
        while not stop.is_set():
            ledger.append(b"%d" % number)
            number += 1

    writer = threading.Thread(target=append)
    writer.start()
    try:
        with Ledger.open(path, read_only=True) as reader:
            last = 0
            for _ in range(300):
                reader.state(signer_object(key))
                receipt = reader.receipt(reader.size - 1, state_of=signer_object(key))
                checkpoint = Checkpoint.parse(receipt.checkpoint)
                assert receipt.state is not None
                receipt.state.verify(reader.suite, checkpoint.state_root)
                assert checkpoint.size >= last
                last = checkpoint.size
            assert len(list(reader.states(b"signer/"))) == 1
    finally:
        stop.set()
        writer.join()


def test_records_are_found_by_id_and_range(ledger: Ledger) -> None:
    ledger.append_many([b"%d" % number for number in range(600)])

    assert [record.body for record in ledger.records(250, 270)] == [
        b"%d" % (index - 1) for index in range(250, 270)
    ]
    assert len(list(ledger.records(590, 10_000))) == 11
    assert ledger.find(ledger.record(301).id) == 301
    assert ledger.find(bytes(32)) is None
    for index in (-1, 601):
        with pytest.raises(IndexError, match=f"index is {index}") as error:
            ledger.record(index)
        assert isinstance(error.value, OutOfRangeError)
    with pytest.raises(OutOfRangeError, match="height is 9"):
        ledger.block(9)
    with pytest.raises(MalformedError, match="key has 5 bytes, want 32"):
        ledger.next_position(b"hello")


def test_indices_may_come_one_after_the_other(ledger: Ledger) -> None:
    ledger.append_many([b"a", b"b", b"c"])

    receipts = ledger.receipts(index for index in (3, 1))  # type: ignore[arg-type]
    assert [receipt.index for receipt in receipts] == [3, 1]
    assert ledger.prove_records(map(int, "12")) == ledger.prove_records([1, 2])  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="index is 999"):
        ledger.receipts(iter([999]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"signers": 0}, "signers is 0, want 1 or more"),
        ({"count": -1}, "count is -1, want 0 or more"),
        ({"body_bytes": -1}, "body_bytes is -1, want 0 or more"),
    ],
)
def test_records_for_a_test_need_a_signer(
    ledger: Ledger, wrong: dict[str, int], message: str
) -> None:
    with pytest.raises(MalformedError, match=message):
        testing.signed_records(ledger, **{"signers": 1, "count": 1, **wrong})


def test_verifiers_refuse_what_is_no_evidence(ledger: Ledger) -> None:
    anchor = ledger.trust_anchor
    for verify in (verify_history, verify_state):
        with pytest.raises(TypeError, match="data is NoneType, want bytes"):
            verify(None, anchor)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="anchor is NoneType, want Anchor"):
            verify(b"", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="checkpoint is str, want Checkpoint"):
        verify_records(anchor, ledger.checkpoint, [], [])  # type: ignore[arg-type]


def test_only_states_that_can_be_stand_beside_a_receipt(ledger: Ledger) -> None:
    ledger.append(b"a")
    with pytest.raises(MalformedError, match="of no family that has states"):
        ledger.receipt(1, state_of=b"consnt/" + bytes(32))
    with pytest.raises(TypeError, match="states_of are NoneType, want a list of bytes"):
        ledger.receipts([1], states_of=None)  # type: ignore[arg-type]


def test_consistency_is_proven_between_any_two_sizes(ledger: Ledger) -> None:
    roots = {1: Checkpoint.parse(ledger.checkpoint).root}
    for count in (1, 3, 250, 2, 300, 1):
        ledger.append_many([b"x"] * count)
        roots[ledger.size] = Checkpoint.parse(ledger.checkpoint).root
    for first, first_root in roots.items():
        for second, second_root in roots.items():
            if first <= second:
                proof = ledger.prove_consistency(first, second)
                verify_consistency(ledger.suite, first, second, proof, first_root, second_root)
    assert ledger.prove_consistency(1) == ledger.prove_consistency(1, ledger.size)
    with pytest.raises(InvalidProof, match=r"second size is .* and at most"):
        ledger.prove_consistency(1, ledger.size + 1)


def test_places_that_are_none_are_refused_as_such(ledger: Ledger) -> None:
    ledger.append(b"one")

    for call in (
        lambda: ledger.record(-1),
        lambda: ledger.receipts([0, 2]),
        lambda: list(ledger.records(-1)),
        lambda: ledger.prove_records([-1]),
        lambda: ledger.prove_records([0, 2]),
    ):
        with pytest.raises(IndexError, match="want 0 or more"):
            call()
    with pytest.raises(InvalidProof, match="first size is -1, want 0 or more"):
        ledger.prove_consistency(-1)
    with pytest.raises(InvalidProof, match="second size is -1, want 0 or more and at most 2"):
        ledger.prove_consistency(1, -1)
    with pytest.raises(InvalidProof, match="first size is 2, want 0 or more and at most 1"):
        ledger.prove_consistency(2, 1)


def test_receipts_in_a_batch_are_those_one_by_one(ledger: Ledger) -> None:
    for count in (1, 300, 2, 700):
        ledger.append_many([b"%d" % number for number in range(count)])
    indices = [*range(ledger.size), 5, 5, 1003, 0, *range(250, 600, 7)]

    assert ledger.receipts(indices) == [ledger.receipt(index) for index in indices]
    assert ledger.receipts([]) == []


def test_receipts_with_states_are_those_one_by_one(ledger: Ledger) -> None:
    for count in (1, 300):
        ledger.append_many([b"%d" % number for number in range(count)])
    operator = signer_object(ledger.trust_anchor.operator_key)
    objects = [b"network", operator, b"consent/" + bytes(32)] * 100
    indices = list(range(300))

    receipts = ledger.receipts(indices, states_of=objects)

    wanted = zip(indices, objects, strict=True)
    assert receipts == [ledger.receipt(index, state_of=name) for index, name in wanted]
    for count in (1, 299, 301):
        with pytest.raises(MalformedError, match=f"there are {count} objects, want 300 or none"):
            ledger.receipts(indices, states_of=(objects * 2)[:count])


def test_a_state_that_is_kept_in_memory_is_held_to_the_root_at_every_read(ledger: Ledger) -> None:
    ledger.append(b"one")
    name = signer_object(ledger.trust_anchor.operator_key)
    kept = ledger.state(name)
    assert kept is not None
    ledger._reader._states.put(name, kept[:-1] + bytes([kept[-1] ^ 1]))

    assert ledger.state(name) == kept


def test_strangers_do_not_fill_the_memory(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "REMEMBERED_STATES", 10)
    for number in range(100, 160):
        stranger = testing.signing_key(number)
        record = stranger.sign_record(
            ledger.suite, ledger.network, "data", b"", sequence=0, previous=bytes(32)
        )
        (refusal,) = ledger.submit_many([record.encode()])
        assert isinstance(refusal, RefusedError)

    assert ledger._writer is not None
    assert len(ledger._writer._sequencer._committed) <= 10 + 3


def test_many_records_share_one_proof(ledger: Ledger) -> None:
    ledger.append_many([b"%d" % number for number in range(700)])
    indices = [0, 1, 255, 256, 300, 700]

    proof = ledger.prove_records(indices)

    leaves = b"".join(leaf_hash(ledger.suite, ledger.record(i).encode()) for i in indices)
    root = Checkpoint.parse(ledger.checkpoint).root
    verify_multi(ledger.suite, leaves, indices, ledger.size, proof, root)


def test_states_and_their_absence_are_proven(ledger: Ledger) -> None:
    ledger.submit_many(signed(ledger, 3))
    root = Checkpoint.parse(ledger.checkpoint).state_root
    name = signer_object(testing.signing_key(0).public_key)

    present, absent = ledger.prove_state(name), ledger.prove_state(b"nothing")

    present.verify(ledger.suite, root)
    absent.verify(ledger.suite, root)
    assert (present.value, absent.value) == (ledger.state(name), None)
    assert present.value in dict(ledger.states(b"signer/")).values()
    assert ledger.state(b"nothing") is None


def test_blocks_are_a_chain_of_signed_checkpoints(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append(b"%d" % number)
    parent = bytes(32)
    for height in range(ledger.height + 1):
        block = ledger.block(height)
        checkpoint = ledger.trust_anchor.verify_checkpoint(ledger.note(height))
        assert (block.height, block.parent) == (height, parent)
        parent = block.hash(ledger.suite)
        assert (checkpoint.block_hash, checkpoint.root) == (parent, block.tree_root)
    assert ledger.note(ledger.height) == ledger.checkpoint


# Threads.


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    """Appends of one thread never take the receipts of another's."""
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(12):
                payloads = [b"%d %d %d" % (thread, number, at) for at in range(1 + number % 5)]
                receipts = ledger.append_many(payloads)
                for payload, receipt in zip(payloads, receipts, strict=True):
                    receipt.verify(payload, ledger.trust_anchor)
                assert ledger.record(receipts.indices[0]).body == payloads[0]
                assert sum(1 for _ in ledger) > receipts.indices[-1]
        except BaseException as failure:  # noqa: BLE001  # a thread's failure fails the test
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    ledger.verify()


# Against a model.


def test_a_ledger_does_as_its_model_does(path: Path, rng: random.Random) -> None:
    """Any order of appends, submissions, replays, reopenings and reads."""
    Ledger.create(path, origin=ORIGIN, members=testing.test_members(SIGNERS)).close()
    bodies, sent = [b""], list[bytes]()
    for _ in range(25):
        with Ledger.open(path) as ledger:
            bodies[0] = ledger.record(0).body
            for _ in range(rng.randrange(5)):
                match rng.choice(["append", "submit", "replay", "read"]):
                    case "append":
                        more = [rng.randbytes(rng.randrange(90)) for _ in range(rng.randrange(99))]
                        ledger.append_many(more)
                        bodies += more
                    case "submit":
                        records = signed(ledger, rng.randrange(1, 60))
                        want = list(range(len(bodies), len(bodies) + len(records)))
                        assert ledger.submit_many(records) == want
                        bodies += [Record.decode(record).body for record in records]
                        sent += records
                    case "replay" if sent:
                        again = rng.sample(sent, rng.randrange(1, min(9, len(sent)) + 1))
                        indices = ledger.submit_many(again)
                        assert all(isinstance(index, int) for index in indices)
                        assert [bodies[index] for index in indices if isinstance(index, int)] == [
                            Record.decode(record).body for record in again
                        ]
                    case _:
                        index = rng.randrange(len(bodies))
                        receipt = ledger.receipt(index)
                        receipt.verify(bodies[index], ledger.trust_anchor)
            assert [record.body for record in ledger] == bodies
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.verify().records == len(bodies)


@pytest.mark.parametrize("ask", ["receipt", "record", "block", "note"])
def test_an_index_that_is_no_whole_number_is_a_type_error(ledger: Ledger, ask: str) -> None:
    ledger.append_many([b"one", b"two"])

    with pytest.raises(TypeError):
        getattr(ledger, ask)(1.5)
