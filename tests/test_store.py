"""The store keeps bytes as it promises, and says what is wrong where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from ledgercore import BusyError, CorruptError, StoreError
from ledgercore.store import SqliteStore, StoredBlock

BLOCK = StoredBlock(0, 0, b"header 0", "note 0", [b"bundle 0", b"bundle 256"])
NEXT = StoredBlock(1, 300, b"header 1", "note 1", [b"bundle 300"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.ledger"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.create(path)
    yield store
    store.close()


def add_block(store: SqliteStore, block: StoredBlock) -> None:
    height, first_index, header, note, bundles = block
    store.add_bundles(height, first_index, bundles)
    store.add_header(height, first_index, header, note)


def add_two_blocks(store: SqliteStore) -> None:
    with store.transaction():
        add_block(store, BLOCK)
        add_block(store, NEXT)


def write(path: Path, statement: str) -> None:
    """Change a file behind the store's back."""
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def test_a_snapshot_stays_while_another_writes(store: SqliteStore, path: Path) -> None:
    reader = SqliteStore(path, read_only=True)
    reader.begin_snapshot()
    version = reader.version()
    add_two_blocks(store)

    assert reader.height() == -1
    assert reader.version() == version

    reader.end_snapshot()
    assert reader.version() != version
    assert reader.height() == 1
    reader.close()


def test_a_commit_is_flushed(store: SqliteStore) -> None:
    settings = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "trusted_schema": 0,
    }
    for name, value in settings.items():
        assert store._value(f"PRAGMA {name}") == value
    assert store._connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1) == 1


def test_every_table_is_strict(store: SqliteStore) -> None:
    rows = store._connection.execute(
        "SELECT name, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"
    ).fetchall()

    assert {name for name, _ in rows} == {*("block", "bundle", "tile", "bucket", "state", "touch")}
    assert all(strict for _, strict in rows)


def test_the_log_is_moved_before_it_grows_long(store: SqliteStore, path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    for height in range(400):
        with store.transaction():
            add_block(store, StoredBlock(height, height, b"", "", [bytes(200_000)]))

    assert log.stat().st_size < 5 * 1000 * 8192
    assert path.stat().st_size > 300 * 200_000 / 4


def test_the_log_has_its_room_before_the_first_commit(store: SqliteStore, path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    store.take_room(1)
    room = log.stat().st_size
    add_two_blocks(store)
    for height in range(2, 40):
        with store.transaction():
            add_block(store, StoredBlock(height, 400 + height, b"h", "n", [b"b"]))

    assert log.stat().st_size == room == 32 + 1000 * (24 + 8192)
    assert SqliteStore(path, read_only=True).height() == 39, "zeros are the end of the log"


def test_large_blocks_have_the_room_of_the_longest_log(store: SqliteStore, path: Path) -> None:
    store.take_room(4_096)
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size == 32 + 5000 * (24 + 8192)


def test_a_log_of_zeros_is_an_empty_log(store: SqliteStore, path: Path) -> None:
    add_two_blocks(store)
    store.close()
    log = path.with_name(path.name + "-wal")
    log.write_bytes(bytes(5_000_000))

    again = SqliteStore(path)
    assert again.block(1) == NEXT
    with again.transaction():
        again.put_note(1, "after a crash")
    assert again.header(1) == NEXT._replace(note="after a crash", bundles=[])
    again.check()
    again.close()
    assert not log.exists()


def test_a_log_that_holds_blocks_is_left_alone(store: SqliteStore, path: Path) -> None:
    add_two_blocks(store)
    other = SqliteStore(path)
    with other.transaction():
        other.put_note(0, "through another connection")

    assert store.header(0) == BLOCK._replace(note="through another connection", bundles=[])
    assert store.block(1) == NEXT
    other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER x AFTER INSERT ON block BEGIN DELETE FROM tile; END",
        "CREATE VIEW x AS SELECT * FROM block",
        "CREATE INDEX x ON bundle (height)",
        "CREATE TABLE x (y)",
        "ALTER TABLE bundle ADD COLUMN y TEXT",
        "DROP TABLE tile",
    ],
)
def test_a_schema_that_was_changed_is_damage(
    store: SqliteStore, path: Path, statement: str
) -> None:
    add_two_blocks(store)
    write(path, statement)

    with pytest.raises(CorruptError, match="its schema"):
        store.check()
    with pytest.raises(CorruptError, match="its schema"):
        SqliteStore(path)


def test_a_value_of_another_type_is_damage(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteStore, "_check_schema", lambda *arguments: None)
    add_two_blocks(store)
    data = path.with_name("damaged.ledger")
    store.backup(str(data))
    write(
        data,
        "PRAGMA writable_schema=ON; "
        "UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'block'; "
        "PRAGMA writable_schema=RESET; UPDATE block SET header = 'text' WHERE height = 0",
    )
    damaged = SqliteStore(data)

    with pytest.raises(CorruptError, match="a value is text, want bytes"):
        damaged.header(0)
    damaged.close()


def test_text_that_is_none_is_damage(store: SqliteStore, path: Path) -> None:
    add_two_blocks(store)
    write(path, "UPDATE block SET note = CAST(x'fffe' AS TEXT) WHERE height = 0")

    with pytest.raises(CorruptError, match="damaged"):
        store.header(0)


def test_a_missing_table_is_damage(store: SqliteStore, path: Path) -> None:
    add_two_blocks(store)
    write(path, "DROP TABLE tile")

    with pytest.raises(CorruptError, match="no such table"):
        store.tile(0, 0)


def test_another_file_is_not_a_store(path: Path) -> None:
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(CorruptError, match="not a database"):
        SqliteStore(path)

    path.unlink()
    write(path, "CREATE TABLE other (x)")
    with pytest.raises(StoreError, match="not a ledger"):
        SqliteStore(path)


def test_another_format_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    write(path, "PRAGMA user_version=3")

    with pytest.raises(StoreError, match="format 3, want 2"):
        SqliteStore(path)


def test_a_missing_file_is_not_made(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(path)

    assert not path.exists()


def test_a_lock_of_another_is_busy(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    store._connection.set_busy_timeout(10)

    with pytest.raises(BusyError, match="try again"), store.transaction():
        pass

    other.execute("ROLLBACK")
    other.close()
    add_two_blocks(store)


def test_a_backup_is_of_one_moment_and_goes_on_beside_a_writer(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """A writer that never stops neither spoils the copy nor starves it."""
    stop, begun = threading.Event(), threading.Event()

    def append() -> None:
        height = 0
        while not stop.is_set():
            with store.transaction():
                add_block(store, StoredBlock(height, height, b"h", "n", [bytes(5000)]))
            height += 1
            if height == 5:
                begun.set()

    writer = threading.Thread(target=append)
    writer.start()
    copies = []
    try:
        assert begun.wait(timeout=60)
        reader = SqliteStore(path, read_only=True)
        for number in range(5):
            target = tmp_path / f"copy-{number}.ledger"
            reader.backup(str(target))
            copies.append(target)
        reader.close()
    finally:
        stop.set()
        writer.join()

    for target in copies:
        copy = SqliteStore(target, read_only=True)
        copy.check()
        counts = copy.counts()
        assert counts["block"] == counts["bundle"] == copy.height() + 1 > 0
        copy.close()


class FailingConnection:
    """What stands in for the mover's connection: it fails as a disk does."""

    def wal_checkpoint(self, **arguments: object) -> None:
        raise apsw.IOError("disk I/O error")

    def close(self) -> None:
        pass


def test_a_log_that_cannot_be_moved_is_an_error(store: SqliteStore) -> None:
    assert store._mover is not None
    store._mover._connection = FailingConnection()  # type: ignore[assignment]

    with pytest.raises(StoreError, match="disk I/O error"):
        for height in range(200):
            with store.transaction():
                add_block(store, StoredBlock(height, height, b"", "", [bytes(200_000)]))


def test_a_log_that_is_moved_but_for_few_pages_is_moved_before_it_grows(store: SqliteStore) -> None:
    class Mover:
        waited = 0

        def check(self) -> bool:
            return True

        def start(self) -> bool:
            return True

        def wait(self) -> None:
            self.waited += 1

        def close(self) -> None:
            pass

    mover = Mover()
    store._mover = mover  # type: ignore[assignment]

    def waits(pages: int, moving: int) -> bool:
        before, store._log_pages, store._moving_pages = mover.waited, pages, moving
        with store.transaction():
            pass
        return mover.waited > before

    assert not waits(999, 0)
    assert not waits(1400, 1000), "many are left: the next move is beside the writer"
    assert waits(1300, 1000)
    assert not waits(1303, 1303), "a reader is in the way"
    assert waits(1600, 1600)
    assert waits(1010, 1000), "the log began anew"
    assert waits(4000, 1000), "the longest one"
