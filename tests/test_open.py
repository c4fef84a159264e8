"""Make, open and close a ledger: what is beside it, who may, and from which process."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from ledgercore import (
    BusyError,
    Checkpoint,
    CorruptError,
    Ledger,
    MalformedError,
    RefusedError,
    SigningKey,
    StoreError,
    UnavailableError,
    UntrustedError,
    testing,
)
from ledgercore.disk import make_directory
from ledgercore.ledger import genesis as genesis_module
from ledgercore.records import Witness
from ledgercore.store import SqliteStore, Store, parse_address

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


def test_a_new_ledger_holds_its_genesis(ledger: Ledger) -> None:
    assert (ledger.size, ledger.height, len(ledger)) == (1, 0, 1)
    assert ledger.origin == ledger.genesis.origin == ORIGIN
    assert ledger.record(0).kind == "genesis"
    assert ledger.trust_anchor.network == ledger.network == ledger.record(0).network
    assert Checkpoint.parse(ledger.checkpoint).size == 1


def test_the_key_is_for_its_owner_only(ledger: Ledger, path: Path) -> None:
    mode = stat.S_IMODE(path.with_name("a.ledger.key").stat().st_mode)

    assert mode == 0o600
    assert b"BEGIN PRIVATE KEY" in path.with_name("a.ledger.key").read_bytes()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".key", ".head", ".journal"])
def test_nothing_that_is_there_is_written_over(path: Path, suffix: str) -> None:
    taken = path.with_name(path.name + suffix)
    taken.write_bytes(b"mine")

    with pytest.raises(StoreError, match="exists already"):
        Ledger.create(path, origin=ORIGIN)

    assert taken.read_bytes() == b"mine"
    assert list(path.parent.iterdir()) == [taken]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (bytes(32), "of small order"),
        (b"\x01" + bytes(31), "of small order"),
        (b"\x02" + bytes(31), "no point"),
    ],
)
def test_no_member_has_a_key_that_anybody_or_nobody_can_sign_with(
    path: Path, key: bytes, why: str
) -> None:
    (member,) = testing.test_members(1)
    with pytest.raises(RefusedError, match=f"E_KEY: key of {member.member}: .*{why}"):
        Ledger.create(path, origin=ORIGIN, members=[replace(member, signing_key=key)])

    assert not path.exists()


def test_a_ledger_that_cannot_be_made_leaves_nothing(path: Path) -> None:
    with pytest.raises(RefusedError, match="listed twice"):
        Ledger.create(path, origin=ORIGIN, members=testing.test_members(1) * 2)
    make_directory(path.with_name(path.name + ".new-wal"))
    with pytest.raises(StoreError):
        Ledger.create(path, origin=ORIGIN)

    assert [each.name for each in path.parent.iterdir()] == ["a.ledger.new-wal"]


def test_what_a_crash_left_of_making_a_ledger_is_replaced(path: Path) -> None:
    path.with_name(path.name + ".new").write_bytes(b"half a ledger")

    Ledger.create(path, origin=ORIGIN).close()

    with Ledger.open(path) as ledger:
        assert ledger.size == 1
    assert not path.with_name(path.name + ".new").exists()


def test_a_ledger_opens_as_it_was_closed(ledger: Ledger, path: Path) -> None:
    ledger.append_many([b"%d" % number for number in range(700)])
    before = (ledger.checkpoint, ledger.trust_anchor, [record.encode() for record in ledger])
    ledger.close()

    for read_only in (False, True):
        with Ledger.open(path, read_only=read_only) as again:
            assert (again.checkpoint, again.trust_anchor, [r.encode() for r in again]) == before


def test_a_second_writer_is_refused_with_the_way_on(ledger: Ledger, path: Path) -> None:
    with pytest.raises(BusyError, match="only read beside it"):
        Ledger.open(path)
    code = "import sys; from ledgercore import Ledger; Ledger.open(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "BusyError" in done.stderr
    assert "only read beside it" in done.stderr

    ledger.close()
    Ledger.open(path).close()


def test_a_head_file_without_a_note_is_not_taken_for_none(path: Path) -> None:
    """Beside a ledger that was put back, it would let a second history be signed."""
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    old = path.read_bytes()
    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"acknowledged")
    path.write_bytes(old)
    head = Path(f"{path}.head")
    for damaged in (b"", b"\0" * 50, bytes(32 * 1024), b"no note"):
        head.write_bytes(damaged)
        with pytest.raises(CorruptError, match="head file holds no checkpoint") as refused:
            Ledger.open(path, key=KEY)
        (remedy,) = refused.value.__notes__
        assert "node repair, which wants the .head file left where it is; elsewhere move" in remedy
        assert "restore a backup" not in remedy  # it has none
    head.unlink()
    Ledger.open(path, key=KEY).close()
    assert head.stat().st_size == 32 * 1024 + 12


@pytest.mark.parametrize("failure", [StoreError("cannot flush"), KeyboardInterrupt()])
def test_a_ledger_that_has_its_name_keeps_its_key(
    path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def rename_and_fail(source: Path, target: Path) -> None:
        rename(source, target)
        raise failure

    rename = genesis_module.rename
    monkeypatch.setattr(genesis_module, "rename", rename_and_fail)
    with pytest.raises(type(failure)):
        Ledger.create(path, origin="test.example/log")

    with Ledger.open(path) as ledger:
        ledger.append(b"its key is there")


def test_a_ledger_that_could_not_be_made_leaves_no_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise StoreError("cannot rename")

    monkeypatch.setattr(genesis_module, "rename", fail)
    with pytest.raises(StoreError):
        Ledger.create(path, origin="test.example/log")
    assert not Path(f"{path}.key").exists()
    monkeypatch.undo()
    Ledger.create(path, origin="test.example/log").close()


def test_a_link_leads_to_the_same_lock_key_and_head_file(ledger: Ledger, path: Path) -> None:
    link = path.parent / "link.ledger"
    link.symlink_to(path)

    with pytest.raises(BusyError, match="another writer holds"):
        Ledger.open(link)
    ledger.close()
    with Ledger.open(link) as linked:
        linked.append(b"through the link")
    assert {each.name for each in path.parent.iterdir()} == {
        "a.ledger", "a.ledger.head", "a.ledger.key", "a.ledger.lock", "link.ledger"
    }  # fmt: skip


@pytest.mark.parametrize(
    "witnesses",
    [
        (Witness("w1.example", KEY.public_key), Witness("w2.example", KEY.public_key)),
        (Witness("not a name", KEY.public_key),),
        (Witness(ORIGIN, KEY.public_key),),
    ],
)
def test_a_genesis_that_nobody_could_verify_is_not_written(
    path: Path, witnesses: tuple[Witness, ...]
) -> None:
    with pytest.raises(MalformedError):
        Ledger.create(path, origin=ORIGIN, witnesses=witnesses)

    assert not list(path.parent.iterdir())


def test_a_key_kept_elsewhere_is_used_and_held_to_the_genesis(path: Path) -> None:
    with Ledger.create(path, origin=ORIGIN, key=KEY) as ledger:
        ledger.append(b"one")
    assert not path.with_name("a.ledger.key").exists()

    with Ledger.open(path, key=KEY) as ledger:
        ledger.append(b"two")
    with pytest.raises(UntrustedError, match="not the one"):
        Ledger.open(path, key=SigningKey(b"\x01" * 32))
    with pytest.raises(StoreError, match="cannot read"):
        Ledger.open(path)


def test_suite_gm_is_named_and_refused(path: Path) -> None:
    with pytest.raises(MalformedError, match="gm"):
        Ledger.create(path, origin=ORIGIN, suite="gm")

    assert not path.exists()


def test_a_closed_ledger_says_so(ledger: Ledger, path: Path) -> None:
    receipts = ledger.append_many([b"one", b"two"])
    ledger.close()
    ledger.close()

    for call in (
        lambda: ledger.append(b"late"),
        lambda: ledger.submit_many([]),
        lambda: ledger.record(0),
        lambda: ledger.receipt(0),
        lambda: receipts[0],
        lambda: list(ledger),
        lambda: ledger.size,
        lambda: ledger.checkpoint,
        lambda: ledger.find(bytes(32)),
        lambda: ledger.state(b"network"),
        lambda: ledger.block(0),
        lambda: ledger.verify(),
        lambda: ledger.backup(path.with_name("copy.ledger")),
    ):
        with pytest.raises(UnavailableError, match="ledger is closed: open it again"):
            call()


def test_a_child_process_must_open_the_ledger_itself(ledger: Ledger, path: Path) -> None:
    ledger.append(b"of the parent")
    child = os.fork()
    if child == 0:
        # Nothing of the test's own may run in the child, whatever happens.
        try:
            for call in (lambda: ledger.append(b"of the child"), lambda: ledger.record(0)):
                try:
                    call()
                except UnavailableError as error:
                    assert "opened in process" in str(error)
                else:
                    os._exit(1)
            ledger.close()
            time.sleep(0.5)
        finally:
            os._exit(0)

    ledger.append(b"after the fork")
    ledger.close()
    with Ledger.open(path) as again:
        again.append(b"while the child lives: it holds no lock")
        again.verify()
        assert again.size == 4
    assert os.waitpid(child, 0)[1] == 0


def test_a_file_that_is_no_ledger_is_left_alone(path: Path) -> None:
    path.write_bytes(b"notes of mine")

    with pytest.raises(StoreError, match="is not a ledger"):
        Ledger.open(path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_ledger_that_was_emptied_is_damaged(ledger: Ledger, path: Path) -> None:
    ledger.close()
    path.write_bytes(b"")

    with pytest.raises(CorruptError, match="is damaged: it begins as no ledger\n") as refused:
        Ledger.open(path)
    assert "restore a backup" in refused.value.__notes__[0]


def test_a_closed_ledger_is_read_where_nothing_can_be_written(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    """Whoever may write anywhere is dropped to a process that may not."""
    ledger.append(b"one")
    ledger.close()
    tmp_path.chmod(0o555)
    program = (
        "import sys; from ledgercore import Ledger\n"
        "with Ledger.open(sys.argv[1], read_only=True) as ledger:\n"
        "    ledger.verify(); print(ledger.size)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("nothing here drops the right to write anywhere")
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        tmp_path.chmod(0o755)

    assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 0)


def files_of(path: Path) -> set[str]:
    return {each.name.removeprefix(path.name) for each in path.parent.glob(f"{path.name}*")}


def test_readers_leave_no_log_beside_a_ledger(ledger: Ledger, path: Path) -> None:
    ledger.append(b"one")
    ledger.close()
    before, data = files_of(path), path.read_bytes()

    one, other = (Ledger.open(path, read_only=True) for _ in range(2))
    one.verify()
    one.close()
    beside = files_of(path)
    other.close()

    assert beside == before | {"-wal", "-shm"}
    assert (files_of(path), path.read_bytes()) == (before, data)


def test_a_log_that_holds_blocks_stays_when_readers_close(ledger: Ledger, path: Path) -> None:
    ledger.close()
    reader = Ledger.open(path, read_only=True)
    program = "import os, sys; from ledgercore import Ledger; "
    program += "Ledger.open(sys.argv[1]).append(b'one'); os._exit(0)"  # as if it were killed
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    log = path.with_name(f"{path.name}-wal").read_bytes()

    reader.close()

    assert log
    assert path.with_name(f"{path.name}-wal").read_bytes() == log
    with Ledger.open(path) as again:
        assert again.record(1).body == b"one"


def test_a_file_with_two_names_is_refused_under_both(path: Path, tmp_path: Path) -> None:
    """Lock, log and head file stand beside a name, so that two names would have two writers."""
    Ledger.create(path, origin=ORIGIN).close()
    other = tmp_path / "other.ledger"
    other.hardlink_to(path)

    for name in (path, other):
        for read_only in (False, True):
            with pytest.raises(StoreError, match="has 2 names"):
                Ledger.open(name, read_only=read_only)
    other.unlink()
    Ledger.open(path).close()


def test_a_ledger_that_is_dropped_lets_the_next_writer_in_but_not_before_its_outcomes(
    ledger: Ledger, path: Path
) -> None:
    records = signed(ledger, 2)
    ledger.close()
    outcomes = Ledger.open(path).submit_batches([[record] for record in records])
    gc.collect()
    with pytest.raises(BusyError, match="another writer"):
        Ledger.open(path)
    assert list(outcomes) == [[1], [2]]

    del outcomes
    gc.collect()
    with Ledger.open(path) as again:
        assert again.size == 3


READ_BY_ANOTHER_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM block").fetchone()
connection.close()
"""

SIZE_ELSEWHERE = """
import sys
from ledgercore import Ledger
with Ledger.open(sys.argv[1], read_only=True) as ledger:
    print(ledger.size)
"""


def ran(program: str, path: Path) -> str:
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("read_only", [True, False])
def test_who_opens_a_writer_s_file_anew_takes_none_of_its_locks_away(
    ledger: Ledger, path: Path, read_only: bool
) -> None:
    """Without them the last of others to close removes the log, and what is acknowledged later."""
    ledger.append(b"before")
    try:
        Ledger.open(path, read_only=read_only).close()
    except BusyError:
        assert not read_only
    ran(READ_BY_ANOTHER_PROGRAM, path)
    ledger.append(b"acknowledged")
    assert ran(SIZE_ELSEWHERE, path) == f"{ledger.size}\n"


@pytest.mark.parametrize("beside", ["", "a reader of this process", "one that was closed"])
def test_a_host_that_reads_the_file_by_itself_loses_nothing(
    ledger: Ledger, path: Path, beside: str
) -> None:
    """It gives the locks away that SQLite took, and the one that is kept beside them stays."""
    ledger.append(b"before")
    if beside:
        other = Ledger.open(path, read_only=True)
        if beside == "one that was closed":
            other.close()
    path.read_bytes()
    ran(READ_BY_ANOTHER_PROGRAM, path)
    ledger.append(b"acknowledged")
    assert ran(SIZE_ELSEWHERE, path) == f"{ledger.size}\n"
    ledger.close()
    assert not beside.startswith("a reader") or other.size == 3
    ran(READ_BY_ANOTHER_PROGRAM, path)
    with Ledger.open(path) as again:
        again.append(b"after")
        assert again.verify().records == again.size


def test_a_reader_that_is_closed_while_a_writer_opens_takes_none_of_its_locks_away(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's connection has read the file by then, and another program closes it next."""
    ledger.close()
    reader, check = Ledger.open(path, read_only=True), SqliteStore._check_format

    def checking(store: SqliteStore) -> None:
        check(store)
        if not store._read_only:
            reader.close()
            ran(READ_BY_ANOTHER_PROGRAM, path)

    monkeypatch.setattr(SqliteStore, "_check_format", checking)
    with Ledger.open(path) as again:
        again.append(b"acknowledged")
        assert ran(SIZE_ELSEWHERE, path) == f"{again.size}\n"


def test_a_log_that_was_replaced_before_the_first_block_is_noticed(
    ledger: Ledger, path: Path
) -> None:
    ledger.close()
    with closing(SqliteStore(path)) as store:
        log = Path(f"{path}-wal")
        shutil.copy(log, tmp := log.with_name("copied"))
        tmp.replace(log)

        with pytest.raises(StoreError, match="was moved or removed while blocks are written"):
            store.take_room(1)


def test_a_writer_whose_log_was_removed_acknowledges_nothing_more(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no descriptor has a lock of its own, and a host reads the file by itself."""
    ledger.close()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "F_OFD_SETLK", 0x7FFF)
        ledger = Ledger.open(path)
    ledger.append(b"before")
    path.read_bytes()
    ran(READ_BY_ANOTHER_PROGRAM, path)
    with pytest.raises(StoreError, match="was moved or removed while blocks are written"):
        ledger.append(b"not acknowledged")
    with pytest.raises(StoreError, match="writer has stopped"):
        ledger.append(b"nor this")
    assert ran(SIZE_ELSEWHERE, path) == "2\n"
    ledger.close()
    with Ledger.open(path) as again:
        again.append(b"after")
        assert again.verify().records == again.size


def test_a_ledger_s_last_connection_still_removes_the_log(ledger: Ledger, path: Path) -> None:
    ledger.append(b"one")
    reader = Ledger.open(path, read_only=True)
    ledger.close()
    assert reader.size == 2
    reader.close()
    assert not path.with_name("a.ledger-wal").exists()
    Ledger.open(path).close()
    assert not path.with_name("a.ledger-wal").exists()


@pytest.mark.parametrize("failure", [StoreError("made to fail"), KeyboardInterrupt()])
def test_a_ledger_whose_closing_failed_has_no_lock_and_writes_nothing(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(store: SqliteStore) -> None:
        raise failure

    with monkeypatch.context() as patch, pytest.raises(type(failure)):
        patch.setattr(SqliteStore, "close", fail)
        ledger.close()

    with Ledger.open(path) as again:
        with pytest.raises(UnavailableError, match="ledger is closed"):
            ledger.append(b"beside another writer")
        again.append(b"one")
        ledger.close()
        again.append(b"two")
        assert again.verify().records == 3


def test_an_interrupt_while_a_ledger_is_made_leaves_nothing_half_made(tmp_path: Path) -> None:
    def fill(store: Store) -> None:
        store.add_header(0, 0, b"header", "note")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        genesis_module.create_filled(parse_address(tmp_path / "new.ledger"), fill, None)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_whose_directory_was_moved_is_told_that_as_well(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with Ledger.create(there / "a.ledger", origin="a.example") as ledger:
        there.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="was moved or removed while blocks are written"):
            ledger.append(b"not acknowledged")
    with Ledger.open(tmp_path / "elsewhere" / "a.ledger", read_only=True) as again:
        again.verify()
