"""A copy begins at a snapshot that leads to a signed checkpoint, and says what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ledgercore import (
    InvalidProof,
    InvalidSignature,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    Replica,
    SigningKey,
    UnavailableError,
    UntrustedError,
    cosign_checkpoint,
    testing,
)
from ledgercore.clock import ManualClock
from ledgercore.entropy import SystemEntropy
from ledgercore.ledger.snapshot import Snapshot, decode_head
from ledgercore.records import Witness
from ledgercore.sync import Request, Response, Source, join_copy, rebuild_copy
from ledgercore.sync.messages import decode_frames, encode_frames

ORIGIN = "joined.example"
KEY = SigningKey(bytes(32))
SIGNERS = 40
ENCODE = msgspec.msgpack.encode
DECODE = msgspec.msgpack.decode


def made(path: Path, records: int, per_block: int = 100, suite: str = "std") -> Ledger:
    members, clock = testing.test_members(SIGNERS), ManualClock(1_800_000_000_000)
    ledger = Ledger.create(path, origin=ORIGIN, members=members, key=KEY, clock=clock, suite=suite)
    grow(ledger, records, per_block)
    return ledger


def grow(ledger: Ledger, records: int, per_block: int = 100) -> None:
    for begin in range(0, records, per_block):
        count = min(per_block, records - begin)
        ledger.submit_many(testing.signed_records(ledger, signers=SIGNERS, count=count))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with made(tmp_path / "a.ledger", 1500) as ledger:
        yield ledger


def carrying(ledger: Ledger) -> object:
    source = Source(ledger)

    def carry(peer: str, request: Request) -> Response:
        return source.answer(request)

    return carry


@pytest.mark.parametrize("suite", ["std", "c2sp"])
@pytest.mark.parametrize("size", [512, 513, 700, 768, 1025])
def test_a_joined_copy_answers_as_the_ledger_does_and_follows_on(
    tmp_path: Path, suite: str, size: int
) -> None:
    with made(tmp_path / "a.ledger", size - 1, 90, suite) as ledger:
        items = ledger.snapshot()
        with Replica.join(tmp_path / "b.ledger", ledger.trust_anchor, items) as copy:
            assert copy.checkpoint == ledger.checkpoint
            begin = copy.held_from
            assert 1 < begin <= ledger.height
            grow(ledger, 700, 33)
            copy.append(ledger.blocks(copy.height + 1))
            assert copy.checkpoint == ledger.checkpoint
            # The next copy can begin from this one.
            again = copy.snapshot()
        with Replica.join(tmp_path / "c.ledger", ledger.trust_anchor, again) as copy:
            assert copy.checkpoint == ledger.checkpoint
        with Ledger.open(tmp_path / "b.ledger", read_only=True) as copy:
            first = ledger.block(begin).first_index
            indices = [0, *range(first, ledger.size)]
            want = [receipt.encode() for receipt in ledger.receipts(indices)]
            assert [receipt.encode() for receipt in copy.receipts(indices)] == want
            assert [*copy.states(b"")] == [*ledger.states(b"")]
            proof = copy.prove_consistency(first, None)
            assert proof == ledger.prove_consistency(first)
            # The index of ids begins with the unfinished run of the snapshot.
            for index in range((size + 255) // 256 * 256, ledger.size, 7):
                assert copy.find(ledger.record(index).id) == index
            assert [*copy.blocks(begin)] == [*ledger.blocks(begin)]
            assert [*copy.blocks(0, 1)] == [*ledger.blocks(0, 1)]


def test_what_a_joined_copy_lacks_it_says(ledger: Ledger, tmp_path: Path) -> None:
    anchor = ledger.trust_anchor
    join_copy(tmp_path / "b.ledger", anchor, ["a"], carrying(ledger)).close()  # type: ignore[arg-type]
    member = b"member/member-1"
    with Ledger.open(tmp_path / "b.ledger", read_only=True) as copy:
        assert copy.state(member) == ledger.state(member)
        for ask in (
            lambda: copy.record(5),
            lambda: copy.receipt(5),
            lambda: copy.block(3),
            lambda: copy.note(3),
            lambda: list(copy.blocks(1)),
            lambda: list(copy.records(5, 9)),
            lambda: copy.prove_consistency(5),
            lambda: copy.find(ledger.record(5).id),
            lambda: copy.history(member),
            lambda: copy.verify(),
        ):
            with pytest.raises(UnavailableError, match="this copy began at block"):
                ask()
        source = Source(copy)
        assert source.answer(Request("GET", "/v1/blocks?begin=1&end=9", 99, 99)).status == 503
        assert source.answer(Request("GET", "/v1/checkpoint", 99, 99)).status == 200


def test_a_checkpoint_from_before_a_copy_began_is_refused_and_does_not_stop_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    items = ledger.snapshot()
    with Replica.join(tmp_path / "b.ledger", ledger.trust_anchor, items) as copy:
        assert copy.held_from > 3
        with pytest.raises(UntrustedError, match=f"height 3, want 0 or at least {copy.held_from}"):
            copy.add_cosignatures(ledger.note(3))
        for height in (0, copy.held_from, copy.height):
            assert copy.add_cosignatures(ledger.note(height)) == ledger.note(height)


def test_a_joined_copy_is_filled_up_and_then_whole(ledger: Ledger, tmp_path: Path) -> None:
    path, carry = tmp_path / "b.ledger", carrying(ledger)
    with join_copy(path, ledger.trust_anchor, ["a"], carry) as copy:  # type: ignore[arg-type]
        begin = copy.held_from

    done = rebuild_copy(path, ledger.trust_anchor, ["a"], carry)  # type: ignore[arg-type]

    assert done.fetched == list(range(1, begin)) and done.height == ledger.height
    with Ledger.open(path, read_only=True) as whole:
        assert whole.verify().records == ledger.size
        assert whole.history(b"member/member-1") == ledger.history(b"member/member-1")


def test_every_changed_part_of_a_snapshot_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    items = ledger.snapshot()
    head = DECODE(items[0])
    blocks, tiles = head[2], head[3]
    assert blocks > 2 and tiles > 2 and head[4] >= 1
    for at, item in enumerate(items):
        for position in {0, 1, len(item) // 3, len(item) // 2, len(item) - 1}:
            changed = item[:position] + bytes([item[position] ^ 1]) + item[position + 1 :]
            bad = [*items[:at], changed, *items[at + 1 :]]
            with pytest.raises((MalformedError, UntrustedError, InvalidSignature, InvalidProof)):
                Replica.join(tmp_path / "b.ledger", ledger.trust_anchor, bad)
        for bad in (items[:at] + items[at + 1 :], [*items[: at + 1], *items[at:]]):
            with pytest.raises(LedgerError):
                Replica.join(tmp_path / "b.ledger", ledger.trust_anchor, bad)
    swapped = [*items]
    swapped[1 + blocks], swapped[2 + blocks] = swapped[2 + blocks], swapped[1 + blocks]
    with pytest.raises(MalformedError, match=r"^tile is"):
        Replica.join(tmp_path / "b.ledger", ledger.trust_anchor, swapped)
    assert not (tmp_path / "b.ledger").exists()


def test_a_snapshot_is_of_the_anchors_network_and_cosigned(ledger: Ledger, tmp_path: Path) -> None:
    items = ledger.snapshot()
    with (
        Ledger.create(tmp_path / "c.ledger", origin=ORIGIN, key=KEY) as other,
        pytest.raises((UntrustedError, InvalidSignature)),
    ):
        Replica.join(tmp_path / "b.ledger", other.trust_anchor, items)
    witnesses = [("w.example", testing.signing_key(9).public_key)]
    anchor = ledger.trust_anchor
    wanting = type(anchor)(
        origin=anchor.origin,
        network=anchor.network,
        suite=anchor.suite,
        operator_key=anchor.operator_key,
        witnesses=witnesses,
        quorum=1,
    )
    with pytest.raises(UntrustedError, match="cosigned by 0"):
        Replica.join(tmp_path / "b.ledger", wanting, items)


def test_no_snapshot_is_drawn_while_the_newest_block_waits_for_its_witnesses(
    tmp_path: Path,
) -> None:
    witness = testing.signing_key(9)
    with Ledger.create(
        tmp_path / "a.ledger",
        origin=ORIGIN,
        key=KEY,
        witnesses=[Witness("w.example", witness.public_key)],
        quorum=1,
    ) as ledger:

        def cosign() -> None:
            note = cosign_checkpoint(ledger.checkpoint, "w.example", witness, 1)
            ledger.add_cosignatures(note)

        def asked(height: int) -> Response:
            return source.answer(Request("GET", f"/v1/snapshot/{height}?part=0", 1 << 20, 1000))

        source, carry = Source(ledger), carrying(ledger)
        for _ in range(3):
            ledger.append_many([b"%d" % number for number in range(300)])
        assert asked(1).status == 503 and b"waits for its witnesses" in asked(1).body
        with pytest.raises(UnavailableError, match="not published yet"):
            ledger.snapshot()
        cosign()
        kept = asked(1)
        assert kept.status == 200
        ledger.append(b"waits")
        assert asked(4).status == 503
        assert asked(3) == kept, "whoever has begun with it goes on"
        cosign()
        with join_copy(tmp_path / "b.ledger", ledger.trust_anchor, ["a"], carry) as copy:  # type: ignore[arg-type]
            assert copy.checkpoint == ledger.checkpoint


def test_a_short_ledger_has_no_snapshot(tmp_path: Path) -> None:
    with made(tmp_path / "a.ledger", 200) as ledger:
        with pytest.raises(UnavailableError, match="too short for a snapshot"):
            ledger.snapshot()
        with pytest.raises(UnavailableError, match="no peer has a snapshot"):
            join_copy(tmp_path / "b.ledger", ledger.trust_anchor, ["a"], carrying(ledger))  # type: ignore[arg-type]


def test_parts_come_from_one_moment_and_from_another_peer_where_one_lies(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgercore.sync.messages.ANSWER_BYTES", 20_000)
    source, asked = Source(ledger), list[str]()

    def carry(peer: str, request: Request) -> Response:
        asked.append(request.path)
        response = source.answer(request)
        if "snapshot" in request.path:
            ledger.append(b"meanwhile")
            if peer == "liar":
                first, *rest = decode_frames(response.body, 1 << 20)
                return Response(200, encode_frames([first[:-1] + b"\0", *rest], 1 << 30))
            if peer == "endless" and not request.path.endswith("part=0"):
                return Response(200, b"")
        return response

    with join_copy(
        tmp_path / "b.ledger", ledger.trust_anchor, ["liar", "endless", "honest"], carry
    ) as copy:
        assert copy.height <= ledger.height
        copy.append(ledger.blocks(copy.height + 1))
        assert copy.checkpoint == ledger.checkpoint
    assert sum("part=" in path and "part=0" not in path for path in asked) > 3


def test_what_is_too_large_is_no_snapshot(ledger: Ledger) -> None:
    size = sum(map(len, ledger.snapshot()))
    assert len(ledger.snapshot(size)) == len(ledger.snapshot())
    with pytest.raises(LimitError, match="ask for blocks"):
        ledger.snapshot(size - 1)


def test_a_snapshot_is_of_one_moment_whatever_is_appended_while_it_is_used(ledger: Ledger) -> None:
    height = ledger.height
    items = []
    for item in ledger.snapshot():
        items.append(item)
        ledger.append(b"meanwhile")
    Snapshot.verify(items, ledger.trust_anchor, SystemEntropy())
    assert decode_head(items[0])[0] == height
