"""Whatever somebody does to a ledger's files is found out, and said where it is."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from ledgercore import (
    Block,
    Checkpoint,
    CorruptError,
    ForkError,
    Ledger,
    LedgerError,
    RollbackError,
    SigningKey,
    StoreError,
)
from ledgercore._core import sign_checkpoint
from ledgercore.clock import ManualClock
from ledgercore.errors import DiskFullError
from ledgercore.rules import signer_object
from ledgercore.store import SqliteStore

ORIGIN = "test.example/log"
KEY = SigningKey(bytes(32))
SIGNER = signer_object(KEY.public_key)
SUFFIXES = ("", "-wal", ".head")


def make(path: Path, payload: bytes = b"payload") -> None:
    """Seven blocks, 617 records, two full tiles."""
    with Ledger.create(path, origin=ORIGIN, key=KEY, clock=ManualClock(1)) as ledger:
        for number in range(5):
            ledger.append_many([b"%s %d %d" % (payload, number, at) for at in range(123)])
        ledger.append(b"last")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.ledger")
    return tmp_path / "a.ledger"


def change(path: Path, statement: str, *values: bytes | str | int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement, values)
    assert connection.changes() > 0
    connection.close()


def one(path: Path, statement: str) -> bytes:
    connection = apsw.Connection(str(path))
    (value,) = connection.execute(statement).fetchall()[0]
    connection.close()
    assert isinstance(value, bytes)
    return value


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Reads.


@pytest.fixture
def opened(path: Path) -> Iterator[Ledger]:
    """Open before the damage, so that reads and not the opening must find it."""
    with Ledger.open(path, key=KEY) as ledger:
        yield ledger


def damage_record(path: Path, index: int) -> None:
    """Flip a bit of one record's body."""
    bundle = one(path, f"SELECT records FROM bundle WHERE first_index <= {index} "
                       "ORDER BY first_index DESC LIMIT 1")  # fmt: skip
    with Ledger.open(path, read_only=True) as ledger:
        body = ledger.record(index).body
    damaged = flipped(bundle, bundle.index(body))
    change(path, "UPDATE bundle SET records = ? WHERE records = ?", damaged, bundle)


def test_a_changed_record_is_not_served_and_is_named(opened: Ledger, path: Path) -> None:
    damage_record(path, 200)

    with pytest.raises(CorruptError, match="block 2, record 200: leaf is"):
        opened.record(200)
    with pytest.raises(CorruptError, match="block 2, record 200"):
        list(opened.records(190))
    with pytest.raises(CorruptError, match="block 2, record 200"):
        opened.receipt(200)
    assert opened.record(100).body == b"payload 0 99"
    with pytest.raises(CorruptError, match="block 2: record 200"):
        opened.verify()


def test_a_start_does_not_name_the_newest_block_for_a_record_of_an_earlier_one(path: Path) -> None:
    damage_record(path, 550)

    with pytest.raises(CorruptError) as damage:
        Ledger.open(path, read_only=True)
    assert str(damage.value) == (
        "stored records, of block 5 or an earlier one, do not lead to the signed tree root"
    )


def test_a_start_names_the_block_of_a_damaged_record_where_the_tree_before_it_is_right(
    path: Path,
) -> None:
    with Ledger.open(path, key=KEY) as ledger:
        size = ledger.size
        ledger.append_many([b"%d" % number for number in range(8)])
        ledger.append(b"a block behind it")
    damage_record(path, size + 3)

    with pytest.raises(CorruptError) as damage:
        Ledger.open(path, read_only=True)
    assert str(damage.value) == ("stored records, of block 7, do not lead to the signed tree root")


def test_two_records_that_changed_places_are_not_served(opened: Ledger, path: Path) -> None:
    change(path, "UPDATE bundle SET first_index = -1 WHERE first_index = 1")
    change(path, "UPDATE bundle SET first_index = 1 WHERE first_index = 124")
    change(path, "UPDATE bundle SET first_index = 124 WHERE first_index = -1")

    with pytest.raises(CorruptError, match="record 5"):
        opened.record(5)


def test_a_missing_record_is_said_to_be_missing(opened: Ledger, path: Path) -> None:
    change(path, "DELETE FROM bundle WHERE first_index = 124")

    with pytest.raises(CorruptError, match="record 130"):
        opened.record(130)
    with pytest.raises(CorruptError, match="record 124 is missing"):
        list(opened)


def test_a_changed_tile_gives_no_proof(opened: Ledger, path: Path) -> None:
    tile = one(path, "SELECT hashes FROM tile WHERE level = 0 AND position = 1")
    change(path, "UPDATE tile SET hashes = ? WHERE position = 1", flipped(tile, 77))

    for prove in (
        lambda: opened.record(300),
        lambda: opened.receipt(300),
        lambda: opened.prove_records([300]),
        lambda: opened.prove_consistency(300),
        lambda: opened.prove_consistency(260, 300),
        lambda: opened.note(3),
    ):
        with pytest.raises(CorruptError, match=r"tile \(0, 1\) leads to"):
            prove()
    assert opened.record(100).body == b"payload 0 99"
    with pytest.raises(CorruptError, match=r"block 5: tile \(0, 1\) is damaged"):
        opened.verify()


@pytest.mark.parametrize("value", [b"\x92\x01\xc4\x00", None])
def test_a_changed_state_is_not_served(opened: Ledger, path: Path, value: bytes | None) -> None:
    if value is None:
        change(path, "DELETE FROM state WHERE name = ?", SIGNER)
    else:
        change(path, "UPDATE state SET value = ? WHERE name = ?", value, SIGNER)

    for read in (
        lambda: opened.state(SIGNER),
        lambda: opened.prove_state(SIGNER),
        lambda: opened.next_position(KEY.public_key),
        lambda: list(opened.states(b"network")),
        lambda: opened.append(b"not on damaged ground"),
    ):
        with pytest.raises(CorruptError, match="state"):
            read()
    with pytest.raises(CorruptError, match="state"):
        Ledger.open(path, read_only=True)


@pytest.mark.parametrize("column", ["header", "note"])
def test_a_changed_header_or_checkpoint_is_not_served(
    opened: Ledger, path: Path, column: str
) -> None:
    change(
        path,
        f"UPDATE block SET {column} = (SELECT {column} FROM block WHERE height = 2) "
        "WHERE height = 3",
    )

    with pytest.raises(CorruptError, match="block 3"):
        opened.block(3)
    with pytest.raises(CorruptError, match="block 3"):
        opened.note(3)
    with pytest.raises(CorruptError, match="block 3"):
        opened.verify()


def test_an_id_that_leads_to_another_record_is_not_believed(opened: Ledger, path: Path) -> None:
    record_id = opened.record(9).id
    entries = one(path, "SELECT entries FROM bucket WHERE level = 0 AND run = 0")
    at = entries.index(record_id[:8]) + 11
    change(path, "UPDATE bucket SET entries = ? WHERE run = 0", flipped(entries, at))

    assert opened.find(record_id) is None
    with pytest.raises(CorruptError, match=r"run \(0, 0\) of ids: bucket 0 is damaged"):
        opened.verify()


def test_an_id_that_leads_nowhere_is_found_out(opened: Ledger, path: Path) -> None:
    record_id = opened.record(9).id
    entries = one(path, "SELECT entries FROM bucket WHERE level = 0 AND run = 0")
    at = entries.index(record_id[:8]) + 8
    damaged = entries[:at] + b"\x01" + entries[at + 1 :]
    change(path, "UPDATE bucket SET entries = ? WHERE run = 0", damaged)

    with pytest.raises(CorruptError, match=r"names record \d+, which is not there"):
        opened.find(record_id)


# The audit.


def test_an_audit_whose_own_file_fails_says_nothing_of_the_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: SqliteStore, *given: object) -> None:
        raise DiskFullError(f"disk of {store._path} is full")

    with Ledger.open(path, read_only=True) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "put_states", fail)
            with pytest.raises(DiskFullError, match=r"disk of a temporary file \(SQLITE_TMPDIR"):
                ledger.verify()
        assert ledger.verify().records == ledger.size


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM tile WHERE position = 0", r"tile \(0, 0\) is"),
        ("INSERT INTO tile VALUES (1, 9, x'00')", "3 rows of tile, want 2"),
        ("DELETE FROM bucket WHERE run = 1", r"1 rows of bucket, want 2"),
        ("UPDATE bucket SET run = 7 WHERE run = 1", r"run \(0, 1\) of ids: bucket 0 is damaged"),
        ("INSERT INTO bucket VALUES (0, 5, 0, x'')", "3 rows of bucket, want 2"),
        ("INSERT INTO state VALUES (x'00', x'00', x'00', 1, 0)", "state"),
        ("UPDATE touch SET previous = 1", "block 0: touch 1 is damaged"),
        ("DELETE FROM touch", "block 0: touch 1 is damaged or missing"),
        ("INSERT INTO touch VALUES (2, 3, 0)", "2 rows of touch, want 1"),
        ("UPDATE state SET touch = 0", "newest touch of member/operator is not"),
        ("DELETE FROM block WHERE height = 2", "block 1: bundle is of block 2 from record 124"),
        ("DELETE FROM bundle WHERE height = 2", "block 2: 0 records are stored, want 123"),
        ("INSERT INTO bundle VALUES (-5, 0, x'90')", "8 rows of bundle, want 7"),
        ("UPDATE block SET first_index = 125 WHERE height = 2", "block 1: bundle is of block 2"),
        ("UPDATE bundle SET first_index = first_index + 1 WHERE height = 2", "from record 125 on"),
        ("UPDATE bundle SET height = 3 WHERE height = 2", "block 2: bundle is of block 3"),
        ("UPDATE state SET height = height + 1", "state of .* is not the one"),
        ("UPDATE state SET key = x'00' WHERE touch > 0", "state of .* is not the one"),
        ("UPDATE block SET keys = x'' WHERE height = 2", "block 2: it names other states than it"),
    ],
)
def test_the_audit_finds(path: Path, statement: str, message: str) -> None:
    change(path, statement)

    with pytest.raises(CorruptError, match=message), Ledger.open(path, read_only=True) as ledger:
        ledger.verify()


def test_the_audit_finds_a_checkpoint_that_the_operator_signed_wrongly(path: Path) -> None:
    """A sound signature is not enough: what it signs must be what the records make."""
    with Ledger.open(path, read_only=True) as ledger:
        block, checkpoint = ledger.block(2), Checkpoint.parse(ledger.note(2))
    changed = Block(
        height=2,
        parent=block.parent,
        time_ms=block.time_ms + 1,
        first_index=block.first_index,
        count=block.count,
        tree_root=block.tree_root,
        state_root=block.state_root,
    )
    note = sign_checkpoint(
        Checkpoint(
            origin=ORIGIN,
            size=checkpoint.size,
            root=checkpoint.root,
            height=2,
            block_hash=changed.hash("std"),
            state_root=checkpoint.state_root,
        ),
        KEY,
    )
    change(path, "UPDATE block SET header=?, note=? WHERE height = 2", changed.encode(), note)

    with (
        Ledger.open(path, read_only=True) as ledger,
        pytest.raises(CorruptError, match="block 3: parent is"),
    ):
        ledger.verify()


def test_the_audit_goes_on_beside_a_writer(path: Path) -> None:
    stop = threading.Event()
    with Ledger.open(path, key=KEY) as ledger, Ledger.open(path, read_only=True) as reader:

        def append() -> None:
            while not stop.is_set():
                ledger.append(b"meanwhile")

        writer = threading.Thread(target=append)
        writer.start()
        try:
            seen: list[tuple[int, int]] = []
            for each in (ledger, reader):
                before = each.size
                report = each.verify(lambda done, total: seen.append((done, total)))
                assert report.records >= before
                assert seen[-1] == (report.records, report.records)
        finally:
            stop.set()
            writer.join()
        report = ledger.verify()
        assert (report.records, report.blocks) == (ledger.size, ledger.height + 1)


# Older and other histories.


def copy(path: Path, target: Path) -> None:
    for suffix in SUFFIXES:
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{target}{suffix}")


def test_an_older_ledger_in_its_place_is_refused_with_the_way_on(path: Path) -> None:
    old = path.read_bytes()
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"newer")
    path.write_bytes(old)

    for read_only in (False, True):
        with pytest.raises(RollbackError, match=r"has 617 records, had 618: .* \.head"):
            Ledger.open(path, read_only=read_only, key=KEY)


def test_a_lost_tail_of_the_log_is_refused(path: Path, tmp_path: Path) -> None:
    """SQLite drops a damaged log in silence; the head file remembers."""
    target = tmp_path / "b.ledger"
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append_many([b"in the log"] * 20)
        ledger.append_many([b"newest"])
        copy(path, target)
    log = Path(f"{target}-wal")
    log.write_bytes(flipped(log.read_bytes(), 5000))

    with pytest.raises(RollbackError):
        Ledger.open(target, read_only=True)


def test_a_head_file_of_which_nothing_verifies_is_not_passed_over(path: Path) -> None:
    head = Path(f"{path}.head")
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"one")
        ledger.append(b"two")
    slot = head.stat().st_size // 2
    with Ledger.create(path.with_name("b.ledger"), origin="other.example", key=KEY) as other:
        other.append(b"one")
    for data in (b"x" * slot * 2, path.with_name("b.ledger.head").read_bytes()):
        head.write_bytes(data)
        with pytest.raises(CorruptError, match=r"head file holds no checkpoint of this ledger"):
            Ledger.open(path, key=KEY)
    head.unlink()
    Ledger.open(path, key=KEY).close()


def test_a_torn_slot_leaves_the_other(path: Path) -> None:
    head = Path(f"{path}.head")
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"one")
        ledger.append(b"two")
        newest = ledger.checkpoint.encode()
    whole = head.read_bytes()
    head.write_bytes(flipped(whole, whole.index(newest)))
    Ledger.open(path, key=KEY).close()

    for size in (16_384, 20_000):
        head.write_bytes(whole[:size])
        with Ledger.open(path, key=KEY) as ledger:
            ledger.append(b"more")
    for nothing in (b"", whole[:100], bytes(16_384), bytes(20_000)):
        head.write_bytes(nothing)
        with pytest.raises(CorruptError, match="head file holds no checkpoint"):
            Ledger.open(path, key=KEY)


def test_the_newest_slot_is_written_over_last(path: Path) -> None:
    """A power cut while the head file is written must leave the newest note but one."""
    head = Path(f"{path}.head")
    for _ in range(3):
        before = head.read_bytes()
        with Ledger.open(path, key=KEY) as ledger:
            newest = ledger.checkpoint.encode()
            assert newest in before or b"last" in newest
            ledger.append(b"next")
            after = head.read_bytes()
            assert newest in after
            assert ledger.checkpoint.encode() in after


def test_another_history_of_the_same_operator_is_a_fork(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "a.ledger"
    other.parent.mkdir()
    make(other, b"another")
    with Ledger.open(other, key=KEY) as ledger, Ledger.open(path, read_only=True) as one:
        assert ledger.network == one.network
        ledger.append(b"longer")
        with pytest.raises(ForkError, match="two histories"):
            ledger.verify_since(one.checkpoint)
        with pytest.raises(RollbackError):
            one.verify_since(ledger.checkpoint)
        one.verify_since(one.note(3))
    shutil.copy(other, path)
    Path(f"{path}-wal").unlink(missing_ok=True)

    with pytest.raises(ForkError, match="root at size 617"):
        Ledger.open(path, key=KEY)


def overwrite(path: Path, source: Path) -> None:
    """Put another ledger's content into a file that others have open."""
    target, origin = apsw.Connection(str(path)), apsw.Connection(str(source))
    with target.backup("main", origin, "main") as work:
        work.step(-1)
    origin.close()
    target.close()


def test_a_reader_notices_a_ledger_that_goes_back(path: Path, tmp_path: Path) -> None:
    copy(path, tmp_path / "old.ledger")
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"newer")
    with Ledger.open(path, read_only=True) as reader:
        assert reader.size == 618
        overwrite(path, tmp_path / "old.ledger")

        for _ in range(2):
            with pytest.raises(RollbackError, match="at height 6, was at 7"):
                reader.record(3)


@pytest.mark.parametrize("longer", [0, 1, 3])
def test_a_reader_notices_another_history(path: Path, tmp_path: Path, longer: int) -> None:
    other = tmp_path / "other.ledger"
    make(other, b"another")
    with Ledger.open(other, key=KEY) as ledger:
        for _ in range(longer):
            ledger.append(b"more")
    with Ledger.open(path, read_only=True) as reader:
        assert reader.size == 617
        overwrite(path, other)

        for _ in range(2):
            with pytest.raises(ForkError, match="another than the one that was read before"):
                reader.checkpoint  # noqa: B018


# Backups.


def test_a_backup_under_load_is_whole(path: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with Ledger.open(path, key=KEY) as ledger:

        def append() -> None:
            while not stop.is_set():
                ledger.append_many([b"meanwhile"] * 7)

        writer = threading.Thread(target=append)
        writer.start()
        try:
            for number in range(3):
                least = ledger.size
                ledger.backup(tmp_path / f"copy-{number}.ledger")
                with Ledger.open(tmp_path / f"copy-{number}.ledger", read_only=True) as saved:
                    assert saved.size >= least
        finally:
            stop.set()
            writer.join()
        ledger.verify_since(saved_checkpoint(tmp_path / "copy-2.ledger"))


def saved_checkpoint(path: Path) -> str:
    with Ledger.open(path, read_only=True) as ledger:
        ledger.verify()
        return ledger.checkpoint


def test_a_backup_takes_no_key_and_writes_over_nothing(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.ledger"
    with Ledger.open(path, key=KEY) as ledger:
        ledger.backup(target)
        with pytest.raises(StoreError, match="exists already"):
            ledger.backup(target)

    assert sorted(each.name for each in tmp_path.glob("copy*")) == ["copy.ledger"]
    with pytest.raises(StoreError, match="key"):
        Ledger.open(target)
    with Ledger.open(target, key=KEY) as restored:
        restored.append(b"goes on")


def test_a_backup_of_a_damaged_ledger_fails_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    damage_record(path, 50)
    with (
        Ledger.open(path, read_only=True) as ledger,
        pytest.raises(CorruptError, match="record 50"),
    ):
        ledger.backup(tmp_path / "copy.ledger")

    assert list(tmp_path.glob("copy*")) == []


def test_no_cut_of_the_file_opens(path: Path, tmp_path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    target = tmp_path / "cut.ledger"
    end = len(data.rstrip(b"\0"))  # SQLite reads zeros beyond the end: to lack some is no loss
    for size in [0, 1, 100, 4096, 8192, *(rng.randrange(end) for _ in range(30))]:
        target.write_bytes(data[:size])
        with pytest.raises(LedgerError), Ledger.open(target, read_only=True) as ledger:
            ledger.verify()
