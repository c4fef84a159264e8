"""Ledgers whose maps are mostly in the store: they prove the same, and damage is found when read.

A limit of no entries at all has every page forgotten whenever nobody needs it.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from ledgercore import CorruptError, Ledger, Replica, SigningKey, StateProof, testing
from ledgercore._core import Map, state_keys
from ledgercore.clock import ManualClock
from ledgercore.ledger import pages
from ledgercore.ledger.pages import read_states
from ledgercore.store import SqliteStore
from tests.town import Town

ORIGIN = "paged.example"
KEY = SigningKey(bytes(32))
SIGNERS = 120
OBJECTS = 3 * SIGNERS + 4
"""More than ten pages."""


def grow(ledger: Ledger, count: int) -> None:
    ledger.submit_many(testing.signed_records(ledger, signers=SIGNERS, count=count))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members = testing.test_members(SIGNERS)
    path, clock = tmp_path / "a.ledger", ManualClock(1_800_000_000_000)
    with Ledger.create(path, origin=ORIGIN, members=members, key=KEY, clock=clock) as ledger:
        grow(ledger, SIGNERS)
        yield ledger


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Ledger:
    monkeypatch.setattr(pages, "ENTRIES_IN_MEMORY", 0)
    assert ledger.size > 1
    assert states_of(ledger).in_memory == 0
    return ledger


def states_of(ledger: Ledger) -> Map:
    return ledger._reader.newest.states


def prove_everything(ledger: Ledger) -> None:
    """Every state, and the absence of others, and histories' beginnings, one by one and in one."""
    states = dict(ledger.states(b""))
    assert states
    root = ledger._reader.head.checkpoint.state_root
    for name in [*states, *(name + b"/" for name in states)]:
        proof = StateProof.decode(ledger.prove_state(name).encode())
        proof.verify(ledger.suite, root)
        assert (proof.value, ledger.state(name)) == (states.get(name),) * 2
    names = list(states)[: ledger.size]
    for receipt in ledger.receipts(range(len(names)), states_of=names):
        assert receipt.state is not None
        receipt.state.verify(ledger.suite, root)


def test_a_writer_that_keeps_no_page_proves_and_orders_the_same(forgetful: Ledger) -> None:
    prove_everything(forgetful)
    grow(forgetful, 2 * SIGNERS)
    for number in range(3):
        forgetful.append(b"%d" % number)
    prove_everything(forgetful)
    forgetful.verify()
    assert len(states_of(forgetful)) == OBJECTS
    assert states_of(forgetful).in_memory == 0


def test_whole_exchanges_and_their_copy_decide_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ENTRIES_IN_MEMORY", 0)
    town = Town(tmp_path)
    ledger = town.parties.ledger
    intent, request = town.intend(town.consent())
    town.deliver(intent, request)
    town.accept([town.parties.consumer.acknowledge(intent)])
    first, *rest = ledger.blocks()
    with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as copy:
        assert copy.append(rest) == ledger.height
    with Ledger.open(tmp_path / "b.ledger", read_only=True) as read:
        read.verify()
        prove_everything(read)
        assert read.checkpoint == ledger.checkpoint
    ledger.verify()
    town.parties.close()


def test_a_reader_follows_blocks_that_changed_what_it_has_forgotten(forgetful: Ledger) -> None:
    with Ledger.open(forgetful.path, read_only=True) as reader:
        for count in (1, 7, SIGNERS, 3 * SIGNERS):
            before = states_of(reader)
            grow(forgetful, count)
            assert reader.size == forgetful.size
            assert states_of(reader).root() == states_of(forgetful).root() != before.root()
            assert states_of(reader).in_memory == 0
            prove_everything(reader)
        reader.verify()


def test_many_changes_are_followed_in_the_memory_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control takes all changes at once, and with them every page that they are in."""
    store, names = SqliteStore.create(tmp_path / "a.store"), [b"%d" % at for at in range(20_000)]
    put_states(store, 1, names, bytes(200))
    few, many = names[:400], names[:4_000]

    def peak_mib(height: int, changed: list[bytes]) -> float:
        before = read_states(store, Map("std"))
        before.forget(0)
        put_states(store, height, changed, bytes([height]) * 200)
        tracemalloc.start()
        after = read_states(store, before, sorted(state_keys("std", changed)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert after.root() == read_states(store, Map("std")).root() != before.root()
        return peak / 2**20

    monkeypatch.setattr(pages, "ENTRIES_IN_MEMORY", 0)
    small, large = peak_mib(2, few), peak_mib(3, many)
    monkeypatch.setattr(pages, "STATES_AT_ONCE", len(many))
    control = peak_mib(4, many)
    assert large < 1.5 * small < control
    store.close()


def put_states(store: SqliteStore, height: int, names: list[bytes], value: bytes) -> None:
    keys = state_keys("std", names)
    with store.transaction():
        store.put_states(height, keys, [(name, value) for name in names], {})


def test_a_copy_begins_at_a_snapshot(forgetful: Ledger, tmp_path: Path) -> None:
    grow(forgetful, 300)
    first, *rest = forgetful.blocks()
    with Replica.create(tmp_path / "b.ledger", forgetful.trust_anchor, first) as whole:
        whole.append(rest)
        items = whole.snapshot()
    with Replica.join(tmp_path / "c.ledger", forgetful.trust_anchor, items) as copy:
        grow(forgetful, SIGNERS)
        assert copy.append(forgetful.blocks(copy.height + 1)) == forgetful.height
    with Ledger.open(tmp_path / "c.ledger", read_only=True) as read:
        assert dict(read.states(b"")) == dict(forgetful.states(b""))


def execute(ledger: Ledger, statement: str, *values: bytes) -> None:
    connection = apsw.Connection(str(ledger.path))
    connection.execute(statement, values)
    assert connection.changes() == 1
    connection.close()


@pytest.mark.parametrize("column", ["key", "name", "value"])
def test_a_flipped_bit_is_found_when_its_page_is_filled(forgetful: Ledger, column: str) -> None:
    """Also where another object of the page is asked for; other pages are read as before."""
    names = [name for name, _ in forgetful.states(b"")]
    states, asked = states_of(forgetful), names[0]
    (page,) = states.absent([asked])
    keys = dict(zip(names, state_keys(forgetful.suite, names), strict=True))
    beside = [name for name in names if name != asked and page[0] <= keys[name] <= page[1]]
    apart = next(name for name in names if not page[0] <= keys[name] <= page[1])
    connection = apsw.Connection(str(forgetful.path))
    ((data,),) = connection.execute(
        f"SELECT {column} FROM state WHERE key = ?", (keys[beside[0]],)
    ).fetchall()
    connection.close()
    wrong = bytes([data[0] ^ 0x80]) + data[1:]
    execute(forgetful, f"UPDATE state SET {column} = ? WHERE key = ?", wrong, keys[beside[0]])

    for call in (
        lambda: forgetful.state(asked),
        lambda: forgetful.prove_state(asked),
        lambda: forgetful.state(beside[0]),
        lambda: grow(forgetful, SIGNERS),
    ):
        with pytest.raises(CorruptError, match=r"states with keys from .* are not the \d+ that"):
            call()
        assert states.absent([asked]) == [page]
    assert forgetful.state(apart) is not None
    with pytest.raises(CorruptError):
        forgetful.verify()


def test_a_row_too_many_or_too_few_is_found_when_its_page_is_filled(forgetful: Ledger) -> None:
    asked = b"member/member-7"
    ((first, last),) = states_of(forgetful).absent([asked])
    names = [b"object/%d" % number for number in range(1000)]
    keyed = zip(state_keys(forgetful.suite, names), names, strict=True)
    key, name = next(each for each in keyed if first <= each[0] <= last)
    execute(forgetful, "INSERT INTO state VALUES (?, ?, x'00', 1, 0)", key, name)
    with pytest.raises(CorruptError, match="are not the"):
        forgetful.state(asked)
    execute(forgetful, "DELETE FROM state WHERE key = ?", key)
    assert forgetful.state(asked) is not None
    execute(
        forgetful,
        "DELETE FROM state WHERE key = (SELECT min(key) FROM state WHERE key BETWEEN ? AND ?)",
        first,
        last,
    )
    with pytest.raises(CorruptError, match="are not the"):
        forgetful.prove_state(b"member/member-7")


@pytest.mark.parametrize("forgets", [True, False])
def test_entries_in_memory_are_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    """The control never forgets, and passes the bound."""
    limit, most = 100, 0
    monkeypatch.setattr(pages, "ENTRIES_IN_MEMORY", limit)
    if not forgets:
        monkeypatch.setattr("ledgercore.ledger.reader.forget_pages", lambda states: None)
    for number in range(8):
        ledger.append(b"%d" % number)
        most = max(most, states_of(ledger).in_memory)
        for signer in range(number, SIGNERS, 10):
            ledger.state(b"member/member-%d" % signer)
            most = max(most, states_of(ledger).in_memory)
    assert (most <= limit) is forgets


def test_a_large_ledger_is_opened_within_the_bound(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ENTRIES_IN_MEMORY", 64)
    monkeypatch.setattr(pages, "STATES_AT_ONCE", 16)

    def refuse(store: SqliteStore, ranges: object) -> None:
        raise AssertionError("what was just there is read a second time")

    monkeypatch.setattr(SqliteStore, "states_in", refuse)
    with Ledger.open(ledger.path, read_only=True) as reader:
        states = states_of(reader)
        assert len(states) == OBJECTS
        assert states.root() == states_of(ledger).root()
        assert states.in_memory <= 64 < states_of(ledger).in_memory == OBJECTS


def test_a_reader_reads_of_all_states_those_that_new_blocks_put(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    states_of_keys = SqliteStore.states_of

    def counted(self: SqliteStore, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        read.append(len(keys))
        return states_of_keys(self, keys)

    with Ledger.open(ledger.path, read_only=True) as reader:
        ledger.append(b"of one signer")
        monkeypatch.setattr(SqliteStore, "states", lambda self: pytest.fail("all are read"))
        monkeypatch.setattr(SqliteStore, "states_of", counted)

        assert reader.size == ledger.size

    assert read == [1]
    connection = apsw.Connection(str(ledger.path))
    statement = "EXPLAIN QUERY PLAN SELECT keys FROM block WHERE height > 3"
    (plan,) = [row[-1] for row in connection.execute(statement)]
    connection.close()
    assert plan == "SEARCH block USING INTEGER PRIMARY KEY (rowid>?)"


@pytest.mark.parametrize("keys", [b"", bytes(32), b"short"])
def test_a_reader_reads_all_states_where_a_block_does_not_say_which_it_put(
    ledger: Ledger, keys: bytes
) -> None:
    with Ledger.open(ledger.path, read_only=True) as reader:
        ledger.append(b"of one signer")
        connection = apsw.Connection(str(ledger.path))
        connection.execute("UPDATE block SET keys = ? WHERE height = ?", (keys, ledger.height))
        connection.close()

        assert reader.checkpoint == ledger.checkpoint
        assert dict(reader.states(b"")) == dict(ledger.states(b""))
