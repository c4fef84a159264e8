"""Records that are durable before their block: their indices, order, receipts and what is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from zlib import crc32

import pytest

from ledgercore import (
    CorruptError,
    DiskFullError,
    InvalidSignature,
    Ledger,
    LimitError,
    RefusedError,
    RollbackError,
    SigningKey,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.aio import AsyncLedger
from ledgercore.keyfile import load_key
from ledgercore.ledger import Replica, intake, later
from ledgercore.ledger.group import Outcome, Waiting
from ledgercore.ledger.intake import BLOCK_RECORDS
from ledgercore.store import BUNDLE_RECORDS
from ledgercore.store import journal as journal_module
from tests.conftest import REPOSITORY
from tests.faults.vfs import CallingVFS

ORIGIN = "durable.example/log"
PUBLISH_AFTER_S = later.PUBLISH_AFTER_S
SPECIFICATION = REPOSITORY / "docs" / "spec" / "storage.md"


@pytest.fixture(autouse=True)
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread publishes meanwhile."""
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 3600.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN).close()
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as ledger:
        yield ledger


def journal(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def killed(path: Path, target: Path) -> Path:
    """What a process that is killed now leaves, under another name."""
    for suffix in ("", "-wal", ".key", ".head", ".journal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{target}{suffix}")
    return target


def bodies(ledger: Ledger) -> list[bytes]:
    return [record.body for record in ledger.records(1)]


def test_a_record_is_durable_before_its_block_and_published_when_its_receipt_is_wanted(
    ledger: Ledger, path: Path
) -> None:
    indices = [ledger.append_durable(b"%d" % number) for number in range(3)]

    assert indices == [1, 2, 3]
    assert (ledger.size, ledger.height) == (1, 0)
    with Ledger.open(path, read_only=True) as beside:
        assert beside.size == 1
        for index in reversed(indices):
            ledger.receipt(index).verify(b"%d" % (index - 1), ledger.trust_anchor)
        assert (ledger.size, ledger.height) == (4, 1)
        assert bodies(beside) == [b"0", b"1", b"2"]
    ledger.verify()


def test_what_is_ordered_later_stands_behind_it(ledger: Ledger) -> None:
    assert ledger.append_durable(b"first") == 1
    assert ledger.append(b"second").index == 2
    assert ledger.append_durable(b"third") == 3
    assert list(ledger.append_many([b"fourth", b"fifth"]).indices) == [4, 5]
    assert ledger.append_durable(b"sixth") == 6
    key, (sequence, previous) = operator(ledger), ledger.next_position(operator(ledger).public_key)
    record = key.sign_record(
        ledger.suite, ledger.network, "data", b"seventh", sequence=sequence, previous=previous
    )
    assert ledger.append_durable(b"before it") == 7
    (refusal,) = ledger.submit_many([record.encode()])
    assert isinstance(refusal, RefusedError)
    assert refusal.code == "E_SEQUENCE"
    assert bodies(ledger)[5:] == [b"sixth", b"before it"]


def test_more_than_a_block_holds_stands_behind_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BLOCK_RECORDS", 2)
    ledger.append_durable(b"first")
    many = [b"%d" % number for number in range(5)]
    assert list(ledger.append_many(many).indices) == [*range(2, 7)]
    assert bodies(ledger) == [b"first", *many]


def operator(ledger: Ledger) -> SigningKey:
    return load_key(f"{ledger.path}.key")


@pytest.mark.parametrize(
    "wanting",
    [
        lambda ledger: ledger.record(2),
        lambda ledger: ledger.receipts([1, 2]),
        lambda ledger: list(ledger.records(0, 3)),
        lambda ledger: ledger.prove_records([1, 2]),
        lambda ledger: ledger.publish(),
        lambda ledger: ledger.backup(ledger.path.with_name("copy.ledger")),
    ],
)
def test_who_needs_it_published_publishes_it(
    ledger: Ledger, wanting: Callable[[Ledger], object]
) -> None:
    ledger.append_durable(b"one")
    ledger.append_durable(b"two")

    wanting(ledger)

    assert bodies(ledger) == [b"one", b"two"]


def test_a_moment_stays_at_its_head(ledger: Ledger) -> None:
    ledger.append_durable(b"one")
    with ledger.moment():
        with pytest.raises(IndexError, match="below the size 1"):
            ledger.receipt(1)
        assert (ledger.size, list(ledger.records(1, 2))) == (1, [])
    assert ledger.record(1).body == b"one"


def test_a_full_disk_keeps_nobody_from_the_next_position(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the operator's next record is behind what is only durable."""
    keys = [operator(ledger).public_key, SigningKey(bytes(32)).public_key]
    ledger.append_durable(b"one")
    with monkeypatch.context() as patch:
        patch.setattr("ledgercore.ledger.sequencer.commit_block", full)
        with pytest.raises(DiskFullError):
            ledger.publish()
        sequence, other = [ledger.next_position(key) for key in keys]
        assert ledger.size == 1
    ledger.publish()
    assert [ledger.next_position(key) for key in keys] == [sequence, other]


def full(*arguments: object) -> None:
    raise DiskFullError("made to fail")


def test_it_is_published_by_itself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    index = ledger.append_durable(b"one")
    deadline = time.monotonic() + 60
    while ledger.size <= index:
        assert time.monotonic() < deadline, "nothing published it"
        time.sleep(0.01)
    assert ledger.record(index).body == b"one"


def test_threads_that_go_on_without_the_main_one_have_it_published_after_a_full_disk(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ends is not kept by a full disk, and none knows whether this one does."""
    main = threading.Thread()
    main.start()
    main.join()
    monkeypatch.setattr(later, "main_thread", lambda: main)

    def append_and_wait(payload: bytes) -> None:
        ledger.append_durable(payload)
        for thread in threading.enumerate():
            if thread.name == "publish":
                thread.join(60)

    with monkeypatch.context() as patch:
        patch.setattr("ledgercore.ledger.sequencer.commit_block", full)
        append_and_wait(b"one")
        assert ledger.size == 1
    append_and_wait(b"two")
    assert ledger.size == 3


def test_a_ledger_that_was_dropped_publishes_nothing_behind_the_next_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is given back at once; what else it has may be there until it is collected."""
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 0.2)
    kept: list[object] = []
    ledger = Ledger.open(path)
    kept.append(ledger._writer)
    ledger.append_durable(b"one")
    del ledger
    with Ledger.open(path, read_only=True) as reader:
        time.sleep(1)
        assert reader.size == 1
    with Ledger.open(path) as again:
        assert bodies(again) == [b"one"]


def test_who_comes_while_it_is_closed_is_told_so(path: Path) -> None:
    told: list[str] = []

    def append() -> None:
        try:
            while True:
                ledger.append_durable(b"one")
        except UnavailableError as error:
            told.append(str(error))

    for _ in range(5):
        ledger = Ledger.open(path)
        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        ledger.close()
        for thread in threads:
            thread.join()
    assert set(told) == {"ledger is closed: open it again"}


def test_a_ledger_that_is_closed_again_leaves_the_next_writer_s_journal(path: Path) -> None:
    first = Ledger.open(path)
    first.append_durable(b"one")
    first.close()
    with Ledger.open(path) as again:
        again.append_durable(b"two")
        first.close()
        assert journal(path).exists()


ENDS_WITHOUT_CLOSING = """
import sys
from threading import Thread
from ledgercore import Ledger
ledger = Ledger.open(sys.argv[1])
thread = Thread(target=ledger.append_durable, args=(b"one",), daemon=sys.argv[2] == "daemon")
thread.start()
thread.join()
"""


@pytest.mark.parametrize("caller", ["daemon", "other"])
def test_a_program_that_ends_without_closing_waits_for_its_block(path: Path, caller: str) -> None:
    """A thread that is in the core as the interpreter ends would end the process by SIGABRT."""
    command = [sys.executable, "-c", ENDS_WITHOUT_CLOSING, str(path), caller]
    for _ in range(2):
        subprocess.run(command, check=True)

    with Ledger.open(path, read_only=True) as reader:
        assert bodies(reader) == [b"one"] * 2


def test_a_ledger_that_is_closed_has_it_and_is_one_file_again(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append_durable(b"one")
        assert journal(path).exists()
        assert journal(path).stat().st_mode & 0o777 == 0o600
    assert not journal(path).exists()
    with Ledger.open(path) as ledger:
        assert bodies(ledger) == [b"one"]


def test_more_than_the_journal_holds_is_published_on_the_way(ledger: Ledger) -> None:
    count = journal_module.ROOM_BYTES // journal_module.PAGE_BYTES + 10
    assert [ledger.append_durable(b"%d" % number) for number in range(count)] == [
        *range(1, count + 1)
    ]
    assert 1 < ledger.size <= count
    ledger.publish()
    assert bodies(ledger) == [b"%d" % number for number in range(count)]
    ledger.verify()


def test_the_journal_holds_no_more_records_than_a_block(ledger: Ledger, tmp_path: Path) -> None:
    """Nobody would take a longer block over, though its bytes have room."""
    assert ledger._writer is not None
    indices: list[Outcome] = []
    for _ in range(BLOCK_RECORDS // BUNDLE_RECORDS + 1):
        some = Waiting(BUNDLE_RECORDS, 0, [b""] * BUNDLE_RECORDS, durable=True)
        indices += ledger._writer._group.write(some)

    assert indices == [*range(1, len(indices) + 1)]
    ledger.publish()
    assert [ledger.block(height).count for height in (1, 2)] == [BLOCK_RECORDS, BUNDLE_RECORDS]
    first, *others = ledger.blocks()
    with Replica.create(tmp_path / "copy.ledger", ledger.trust_anchor, first) as copy:
        assert copy.append(others) == ledger.height


def test_records_of_every_length_have_room(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    payloads = [b"x" * size for size in (0, 1, 3_800, 3_950, 4_096, 9_000, 64_512)]
    for payload in payloads:
        ledger.append_durable(payload)
    with pytest.raises(LimitError, match="want at most 64512"):
        ledger.append_durable(b"x" * 64_513)

    with Ledger.open(killed(path, tmp_path / "b.ledger")) as left:
        assert bodies(left) == payloads


def test_no_payload_is_taken_for_an_entry_once_its_own_is_written_over(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    forged = b"LDJ1" + bytes([0, 0, 0, 4]) + crc32(b"evil").to_bytes(4, "big") + b"evil"
    page = journal_module.PAGE_BYTES
    ledger.append_durable(b"\xff" * 3 * page)
    ledger.publish()
    begin = journal(path).read_bytes().index(b"\xff" * 100)
    at_page, behind_zeros = b" " * (page - begin) + forged, b" " * (page - begin - 4) + forged

    for number, payload in enumerate([at_page, behind_zeros]):
        ledger.append_durable(payload.ljust(3 * page))
        ledger.publish()
        ledger.append_durable(b"short")
        with Ledger.open(killed(path, tmp_path / f"{number}.ledger")) as again:
            assert again.record(again.size - 1).body == b"short"
        ledger.publish()


def test_a_start_publishes_what_a_kill_left_before_anything_else(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    for round_number in range(3):  # the journal is written over, and keeps older entries behind
        for number in range(5 - 2 * round_number):
            ledger.append_durable(b"%d of %d" % (number, round_number))
        before = killed(path, tmp_path / f"{round_number}.ledger")
        ledger.publish()
        after = killed(path, tmp_path / f"{round_number}-published.ledger")
        for left in (before, after):
            with Ledger.open(left) as again:
                assert bodies(again) == bodies(ledger)
                assert not journal(left).exists()
                assert again.append_durable(b"next") == ledger.size
            with Ledger.open(left) as again:
                assert again.record(ledger.size).body == b"next"
                again.verify()


def test_a_start_that_cannot_publish_leaves_the_journal_to_the_next(
    ledger: Ledger, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append_durable(b"one")
    left = killed(path, tmp_path / "left.ledger")
    with monkeypatch.context() as patch:
        patch.setattr("ledgercore.ledger.sequencer.commit_block", full)
        for _ in range(2):
            with pytest.raises(DiskFullError):
                Ledger.open(left)
        with Ledger.open(left, read_only=True) as reader:
            assert reader.size == 1
    with Ledger.open(left) as again:
        assert bodies(again) == [b"one"]


def test_a_reader_leaves_what_is_not_published(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    ledger.append_durable(b"one")
    left = killed(path, tmp_path / "b.ledger")
    with Ledger.open(left, read_only=True) as reader:
        assert reader.size == 1
        with pytest.raises(UnavailableError, match="open it for writing"):
            reader.append_durable(b"two")
    assert journal(left).exists()


def together(ledger: Ledger, calls: Sequence[Callable[[], object]]) -> None:
    """Have a thread make each of these calls of a writer that serves them all at once."""
    threads = [threading.Thread(target=call) for call in calls]
    assert ledger._writer is not None
    group = ledger._writer._group
    with group._leading:
        for thread in threads:
            thread.start()
        while len(group._queue) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()


def test_a_flush_of_several_that_a_power_cut_tore_keeps_no_ledger_closed(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    """A disk writes the pages of one flush in any order; none of its callers was answered."""
    page = journal_module.PAGE_BYTES
    ledger.append_durable(b"acknowledged")
    head, before = Path(f"{path}.head").read_bytes(), journal(path).read_bytes()
    together(ledger, [partial(ledger.append_durable, b"x" * 3_000)] * 4)
    after = journal(path).read_bytes()
    used = [at for at in range(0, len(after), page) if before[at:][:page] != after[at:][:page]]
    for number, missing in enumerate(used):
        left = killed(path, tmp_path / f"{number}.ledger")
        torn = after[:missing] + before[missing:][:page] + after[missing + page :]
        journal(left).write_bytes(torn)
        Path(f"{left}.head").write_bytes(head)
        with Ledger.open(left) as again:
            assert bodies(again) == [b"acknowledged"]
    assert len(used) > 2


def test_threads_that_wait_share_a_flush_and_each_has_its_own_index(path: Path) -> None:
    calls: list[str] = []
    vfs = CallingVFS("counted", lambda: calls.append(""))
    indices: dict[bytes, int] = {}

    def append(payload: bytes) -> None:
        indices[payload] = ledger.append_durable(payload)

    with Ledger.open(path, vfs="counted") as ledger:
        ledger.append_durable(b"first")
        calls.clear()
        together(ledger, [partial(append, b"%d" % number) for number in range(8)])
        assert len(calls) == 2  # written once, flushed once
        assert sorted(indices.values()) == [*range(2, 10)]
        ledger.publish()
        assert {record.body: 2 + at for at, record in enumerate(ledger.records(2))} == indices
    vfs.unregister()


def test_a_journal_of_another_ledger_is_refused(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    ledger.append_durable(b"one")
    other = tmp_path / "other.ledger"
    Ledger.create(other, origin=ORIGIN).close()
    shutil.copy(journal(path), journal(other))

    with pytest.raises(UntrustedError, match=r"journal is of network .* move the \.journal file"):
        Ledger.open(other)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_journal(path: Path, make: Callable[[Path], None]) -> None:
    make(journal(path))

    with pytest.raises(StoreError, match=r"a\.ledger\.journal is .* want a file: move it away"):
        Ledger.open(path)


def test_a_journal_elsewhere_is_read_and_its_link_removed(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append_durable(b"one")
        left = killed(path, tmp_path / "left.ledger")
    elsewhere = journal(left).rename(tmp_path / "elsewhere")
    journal(left).symlink_to(elsewhere)

    with Ledger.open(left) as again:
        assert bodies(again) == [b"one"]
        assert not journal(left).is_symlink()
        assert again.append_durable(b"two") == 2
        assert not journal(left).is_symlink()


def test_a_new_ledger_is_not_made_beside_an_old_journal(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    journal(path).write_bytes(b"what somebody left")

    with pytest.raises(UnavailableError, match=r"a\.ledger\.journal exists already"):
        Ledger.create(path, origin=ORIGIN)


def test_a_journal_that_goes_on_from_a_lost_record_is_refused(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    older = killed(path, tmp_path / "older.ledger")
    for number in range(4):
        ledger.append_durable(b"%d" % number)
        ledger.publish()
    ledger.append_durable(b"newest")
    shutil.copy(journal(path), journal(older))

    with pytest.raises(CorruptError, match=r"goes on with the operator's record .* older one"):
        Ledger.open(older)


def test_a_record_whose_place_another_took_is_refused(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    left = killed(path, tmp_path / "left.ledger")
    with Ledger.open(left) as other:
        other.append(b"of another program")
    ledger.append_durable(b"one")
    shutil.copy(journal(path), journal(left))

    with pytest.raises(CorruptError, match="whose place another has in a block") as raised:
        Ledger.open(left)
    assert not raised.value.__notes__  # the ledger is whole: no backup and no peer mends it


def test_a_journal_that_lost_its_newest_record_is_refused(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    for number in range(3):
        ledger.append_durable(b"%d" % number)
    left = killed(path, tmp_path / "b.ledger")
    data = journal(left).read_bytes()
    journal(left).write_bytes(data[: 2 * journal_module.PAGE_BYTES])

    with pytest.raises(RollbackError, match=r"had \d+: records that were acknowledged are lost"):
        Ledger.open(left)

    journal(left).write_bytes(data)
    with Ledger.open(left) as again:
        assert bodies(again) == [b"0", b"1", b"2"]


def test_a_disk_without_room_for_a_journal_has_blocks_instead(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgercore.ledger.journaled.Journal", full)

    assert [ledger.append_durable(b"one"), ledger.append_durable(b"two")] == [1, 2]
    assert bodies(ledger) == [b"one", b"two"]


def test_where_no_journal_can_be_made_there_are_blocks_instead(ledger: Ledger, path: Path) -> None:
    journal(path).mkdir()

    assert [ledger.append_durable(b"one"), ledger.append_durable(b"two")] == [1, 2]
    assert ledger.height == 2
    journal(path).rmdir()
    assert ledger.append_durable(b"three") == 3
    assert ledger.height == 2


class Erring:
    """A signer that errs once; a ledger goes on with what it signs next."""

    def __init__(self) -> None:
        self._key = SigningKey(bytes(range(32)))
        self.public_key = self._key.public_key
        self.errs = False

    def sign(self, message: bytes) -> bytes:
        errs, self.errs = self.errs, False
        return bytes(64) if errs else self._key.sign(message)


def test_a_signer_that_errs_stops_nothing(tmp_path: Path) -> None:
    signer, path = Erring(), tmp_path / "signed.ledger"
    Ledger.create(path, origin=ORIGIN, key=signer).close()
    with Ledger.open(path, key=signer) as ledger:
        for append in (ledger.append, ledger.append_durable):
            signer.errs = True
            with pytest.raises(InvalidSignature):
                append(b"unsigned")
        assert [ledger.append_durable(b"one"), ledger.append(b"two").index] == [1, 2]
        assert bodies(ledger) == [b"one", b"two"]


def test_asyncio_has_it_as_well(path: Path) -> None:
    async def use() -> list[bytes]:
        async with await AsyncLedger.open(path) as ledger:
            assert await ledger.append_durable(b"one") == 1
            assert await ledger.append_durable(b"two") == 2
            await ledger.publish()
            return [record.body async for record in ledger.records(1)]

    assert asyncio.run(use()) == [b"one", b"two"]


def test_a_block_is_made_after_as_long_as_is_specified() -> None:
    assert f"after {PUBLISH_AFTER_S * 1000:.0f} ms" in SPECIFICATION.read_text()
