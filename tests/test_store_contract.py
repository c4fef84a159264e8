"""Every store keeps the same promises: the same cases over a file and over a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from ledgercore import CorruptError, Ledger, Replica, SigningKey, StoreError, testing
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.store import (
    Address,
    SqliteStore,
    Store,
    StoredBlock,
    StoredTouch,
    create_on_server,
    open_store,
    parse_address,
)
from tests.interrupts import BLOCKS, interrupted

BLOCK = StoredBlock(0, 0, b"header 0", "note 0", [b"bundle 0", b"bundle 256"])
NEXT = StoredBlock(1, 300, b"header 1", "note 1 \N{EM DASH}", [b"bundle 300"])
KEY = SigningKey(bytes([7]) * 32)


class Place(NamedTuple):
    """Where a store is, and how an empty one is made there."""

    text: str
    create: Callable[[Address], Store]

    @property
    def address(self) -> Address:
        return parse_address(self.text)


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        path = str(tmp_path / "store.ledger")
        return Place(path, lambda address: SqliteStore.create(path))
    server, schema = request.getfixturevalue("server"), request.getfixturevalue("schema")
    return Place(server.address(tmp_path / "beside", schema), create_on_server)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.create(place.address)
    yield store
    store.close()


def add_block(store: Store, block: StoredBlock) -> None:
    height, first_index, header, note, bundles = block
    store.add_bundles(height, first_index, bundles)
    store.add_header(height, first_index, header, note)


def add_two_blocks(store: Store) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        add_block(store, NEXT)


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.height() == -1
    assert store.block(0) is None
    assert store.header(0) is None
    assert store.bundle_of(0) is None
    assert store.tile(0, 0) is None
    assert store.bucket(0, 0, 0) is None
    assert list(store.states()) == []
    assert set(store.counts().values()) == {0}


def test_a_block_comes_back_with_its_bundles(store: Store) -> None:
    add_two_blocks(store)

    assert store.height() == 1
    assert store.block(0) == BLOCK
    assert store.header(0) == BLOCK._replace(bundles=[])
    assert store.block(1) == NEXT
    assert store.bundles_from(0) == [*BLOCK.bundles, *NEXT.bundles]
    assert store.bundles_from(300) == NEXT.bundles


@pytest.mark.parametrize(
    ("index", "first_index", "height"),
    [(0, 0, 0), (255, 0, 0), (256, 256, 0), (299, 256, 0), (300, 300, 1), (9999, 300, 1)],
)
def test_a_record_is_found_in_its_bundle(
    store: Store, index: int, first_index: int, height: int
) -> None:
    add_two_blocks(store)

    bundle = store.bundle_of(index)

    assert bundle is not None
    assert (bundle.first_index, bundle.height) == (first_index, height)


def test_notes_come_from_the_highest_down_as_far_as_they_are_there(store: Store) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        add_block(store, NEXT)

    assert store.notes(0, 2) == [(1, NEXT.note), (0, BLOCK.note)]
    assert store.notes(1, 9) == [(1, NEXT.note)]
    assert store.notes(2, 9) == []


def test_buckets_come_and_go_by_run(store: Store) -> None:
    with store.transaction():
        store.add_buckets([(1, 0, 0, b"a"), (1, 0, 1, b"b"), (1, 1, 0, b"c")])
        store.remove_run(1, 0)

    assert [store.bucket(1, 0, 0), store.bucket(1, 0, 1)] == [None, None]
    assert store.bucket(1, 1, 0) == b"c"


def test_blocks_say_which_states_they_put(store: Store) -> None:
    one, two, three = (bytes([number]) * 32 for number in (1, 2, 3))
    with store.transaction():
        for height, keys in enumerate(([two, one], [], [three, one])):
            store.add_header(height, height, b"header", "note", keys)

    assert store.changed_keys(0, 3) == store.changed_keys(0, 9) == [one, two, three]
    assert store.changed_keys(1, 3) == store.changed_keys(2, 3) == [one, three]
    assert store.changed_keys(1, 2) == store.changed_keys(3, 9) == []


def test_a_state_is_replaced_and_knows_its_block(store: Store) -> None:
    with store.transaction():
        store.put_states(0, [b"k", b"l"], [(b"a", b"1"), (b"b", b"1")], {b"b": 7})
        store.put_states(4, [b"l"], [(b"b", b"2")], {b"b": 9})

    assert store.state(b"l") == b"2"
    assert list(store.states()) == [(b"k", b"a", b"1", 0, 0), (b"l", b"b", b"2", 4, 9)]
    assert store.newest_touches([b"k", b"l", b"b"]) == [0, 9, 0]


def test_touches_are_kept_by_number(store: Store) -> None:
    with store.transaction():
        store.add_touches(1, [StoredTouch(0, 0), StoredTouch(5, 1)])
        store.add_touches(3, [StoredTouch(8, 0)])

    assert store.touch_count() == 3
    assert [store.touch(number) for number in (0, 2, 4)] == [None, (5, 1), None]
    assert store.touches_from(2) == [(5, 1), (8, 0)]


def test_a_transaction_is_seen_inside_and_undone_by_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        add_block(store, BLOCK)
        assert store.height() == 0
        raise ZeroDivisionError

    assert store.height() == -1
    add_two_blocks(store)
    assert store.height() == 1


def test_a_transaction_inside_another_is_refused_and_takes_nothing_back(store: Store) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        with pytest.raises(StoreError, match="has a transaction open"), store.transaction():
            pytest.fail("one inside another has begun")
        add_block(store, NEXT)

    assert store.block(0) == BLOCK
    assert store.block(1) == NEXT


@pytest.mark.parametrize("step", ["begin_snapshot", "end_snapshot"])
def test_a_snapshot_inside_a_transaction_is_refused_and_takes_nothing_back(
    store: Store, step: str
) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        with pytest.raises(StoreError, match="has a transaction open: end it before a snapshot"):
            getattr(store, step)()
        add_block(store, NEXT)

    assert store.block(0) == BLOCK
    assert store.block(1) == NEXT
    store.begin_snapshot()
    store.end_snapshot()


def test_a_taken_key_is_damage(store: Store) -> None:
    add_two_blocks(store)

    with pytest.raises(CorruptError, match=r"UNIQUE|unique"), store.transaction():
        add_block(store, BLOCK)


def test_what_is_empty_may_be_written(store: Store) -> None:
    with store.transaction():
        store.add_bundles(0, 0, [])
        store.add_tiles([])
        store.add_buckets([])
        store.add_touches(1, [])
        store.put_states(0, [], [], {})
        store.remove_run(3, 9)

    assert set(store.counts().values()) == {0}
    assert store.newest_touches([]) == []


def test_a_tile_and_a_note_come_back(store: Store) -> None:
    add_two_blocks(store)
    with store.transaction():
        store.add_tiles([(0, 0, bytes(8192)), (1, 5, b"\xff" * 8192)])
        store.put_note(1, "cosigned")

    assert store.tile(1, 5) == b"\xff" * 8192
    assert store.tile(1, 0) is None
    assert store.header(1) == NEXT._replace(note="cosigned", bundles=[])
    assert store.counts()["tile"] == 2


def test_many_are_read_in_one_call(store: Store) -> None:
    with store.transaction():
        states = [(b"a", b"1"), (b"b", b"2"), (b"", b"none")]
        store.put_states(0, [b"m", b"k", b"n"], states, {})
        store.add_tiles([(0, 7, bytes(8192)), (1, 0, b"\1" * 8192)])
        store.add_buckets([(1, 2, 0, b"a"), (1, 2, 1, b"b"), (1, 2, 2, b""), (1, 3, 0, b"c")])

    a, b, none = states
    assert store.states_of([b"k", b"x", b"m", b"k", b"n"]) == [b, None, a, b, none]
    assert sorted(store.states_in([(b"k", b"l"), (b"ma", b"mz"), (b"m", b"n")])) == [none, a, b]
    assert store.tiles_of([(1, 0), (0, 6), (0, 7)]) == [b"\1" * 8192, None, bytes(8192)]
    assert (store.buckets(1, 2, 0, 9), store.buckets(1, 2, 1, 2)) == ([b"a", b"b", b""], [b"b"])
    assert store.buckets(1, 4, 0, 9) == []
    assert store.states_of([]) == store.states_in([]) == store.tiles_of([]) == []
    assert [state.name for state in store.states()] == [b"b", b"a", b""]


def test_what_was_committed_is_there_for_the_next(store: Store, place: Place) -> None:
    add_two_blocks(store)
    store.close()

    again = open_store(place.address)
    assert again.block(1) == NEXT
    again.close()


def test_a_snapshot_is_of_one_moment(store: Store, place: Place) -> None:
    reader = open_store(place.address, read_only=True)
    reader.begin_snapshot()
    version = reader.version()
    add_two_blocks(store)

    assert reader.height() == -1
    assert reader.version() == version

    for _ in range(2):  # ended twice, nothing more happens
        reader.end_snapshot()
    assert reader.version() != version
    assert reader.height() == 1
    reader.close()


def test_a_reader_that_was_interrupted_sees_what_is_newest(store: Store, place: Place) -> None:
    reader, heights = open_store(place.address, read_only=True), count()

    def read() -> None:
        reader.begin_snapshot()
        try:
            assert list(reader.states()) == []
            reader.height()
        finally:
            reader.end_snapshot()

    for _ in interrupted(read, set(), "store", BLOCKS):
        with store.transaction():
            store.add_header(height := next(heights), height, b"header", "note")

        reader.begin_snapshot()
        assert reader.height() == height
        reader.end_snapshot()
    assert next(heights) > 10
    reader.close()


def test_a_reader_cannot_write(store: Store, place: Place) -> None:
    reader = open_store(place.address, read_only=True)

    with pytest.raises(StoreError), reader.transaction():
        add_block(reader, BLOCK)

    reader.close()
    assert store.height() == -1


def test_many_states_come_in_order(store: Store) -> None:
    keys = sorted(number.to_bytes(3, "big") * 7 for number in range(10_000))
    with store.transaction():
        store.put_states(2, keys[::-1], [(key[::-1], key) for key in reversed(keys)], {})

    assert [state.key for state in store.states()] == keys
    assert [key for _, key in sorted(store.states_in([(keys[9], keys[9_000])]))] == sorted(
        keys[9:9_001], key=lambda key: key[::-1]
    )


def test_a_block_in_the_place_of_another_is_damage(store: Store) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        store.add_bundles(7, 512, [b"of another block"])

    with pytest.raises(CorruptError, match="bundle is of block 7"):
        store.block(0)


def test_a_backup_holds_the_same_rows(store: Store, tmp_path: Path) -> None:
    add_two_blocks(store)
    with store.transaction():
        store.add_tiles([(0, 0, bytes(8192))])
        store.add_buckets([(0, 0, 0, b"a")])
        store.put_states(1, [b"k"], [(b"a", b"1")], {b"a": 1})
        store.add_touches(1, [StoredTouch(3, 0)])
    store.check()

    store.backup(str(tmp_path / "copy.ledger"))

    copy = SqliteStore(tmp_path / "copy.ledger", read_only=True)
    copy.check()
    assert [copy.block(0), copy.block(1)] == [BLOCK, NEXT]
    assert copy.counts() == store.counts()
    assert list(copy.states()) == list(store.states())
    assert (copy.tile(0, 0), copy.bucket(0, 0, 0), copy.touch(1)) == (bytes(8192), b"a", (3, 0))
    copy.close()


# The same through a ledger.


def make_ledger(place: str) -> Ledger:
    return Ledger.create(
        place,
        origin="contract.example/log",
        key=KEY,
        members=testing.test_members(3),
        clock=ManualClock(1_700_000_000_000),
        entropy=SeededEntropy(5),
    )


def fill(ledger: Ledger) -> list[bytes]:
    """Blocks of all kinds; the receipt of each record."""
    ledger.append_many([b"payload %d" % number for number in range(600)])
    ledger.submit_many(testing.signed_records(ledger, signers=3, count=5000, body_bytes=40))
    ledger.append(b"the last one")
    receipts = ledger.receipts(range(0, ledger.size, 7))
    return [receipt.encode() for receipt in receipts]


def test_a_ledger_is_the_same_wherever_it_is_kept(place: Place, tmp_path: Path) -> None:
    with make_ledger(str(tmp_path / "model.ledger")) as model, make_ledger(place.text) as ledger:
        assert fill(ledger) == fill(model)
        assert list(ledger.blocks()) == list(model.blocks())
        assert ledger.state_receipt(b"network").encode() == model.state_receipt(b"network").encode()
        want = ledger.verify()
    with Ledger.open(place.text, key=KEY) as ledger:
        report = ledger.backup(tmp_path / "backup.ledger")
        ledger.append(b"one more")
        found = ledger.record(4000)
        assert ledger.find(found.id) == 4000

    assert (report.records, report.blocks, report.states) == (
        want.records,
        want.blocks,
        want.states,
    )


def test_a_reader_follows_the_writer(place: Place) -> None:
    with make_ledger(place.text) as ledger, Ledger.open(place.text, read_only=True) as reader:
        for number in range(1, 20):
            receipt = ledger.append(b"payload %d" % number)
            assert reader.receipt(number) == receipt
            assert reader.checkpoint == ledger.checkpoint
        reader.verify()


def test_a_copy_is_kept_wherever_it_is_wanted(place: Place, tmp_path: Path) -> None:
    with make_ledger(str(tmp_path / "model.ledger")) as model:
        fill(model)
        blocks = list(model.blocks())
        with Replica.create(place.text, model.trust_anchor, blocks[0]) as copy:
            copy.append(blocks[1:])
            assert copy.checkpoint == model.checkpoint
    with Ledger.open(place.text, read_only=True) as ledger:
        ledger.verify()
    with Ledger.open(place.text, key=KEY) as ledger:
        ledger.append(b"the copy goes on as the ledger")
