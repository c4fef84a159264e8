"""What waits in a journal is told by whoever reads, audits or copies the ledger, and goes along."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledgercore import (
    CorruptError,
    DiskFullError,
    Ledger,
    LedgerError,
    RollbackError,
    SignerAwayError,
    SigningKey,
    StoreError,
)
from ledgercore.aio import AsyncLedger
from ledgercore.cli import audit, show
from ledgercore.disk import HeadFile
from ledgercore.ledger import Unpublished, later, recovery
from ledgercore.ledger.journaled import Journaled
from ledgercore.ledger.reader import Reader
from ledgercore.store.journal import Journal
from tests.cli.command import objects, run, run_well

KEY = SigningKey(bytes(range(32)))
ORIGIN = "waiting.example/log"


@pytest.fixture(autouse=True)
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread publishes meanwhile."""
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 3600.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY) as ledger:
        yield ledger


def killed(ledger: Ledger, target: Path) -> Path:
    """What a process that is killed now leaves, under another name."""
    for suffix in ("", "-wal", ".head", ".journal"):
        if Path(f"{ledger.path}{suffix}").exists():
            shutil.copy(f"{ledger.path}{suffix}", f"{target}{suffix}")
    return target


@pytest.fixture
def left(ledger: Ledger, tmp_path: Path) -> Path:
    """A ledger whose writer was killed: one record is in a block, three are only durable."""
    ledger.append(b"published")
    for number in range(3):
        ledger.append_durable(b"%d" % number)
    return killed(ledger, tmp_path / "left.ledger")


def test_a_reader_tells_what_a_crash_left(left: Path) -> None:
    with Ledger.open(left, read_only=True) as reader:
        found = reader.unpublished()
        assert reader.verify().unpublished == found
        size = reader.size

    assert size == 2
    assert [record.body for record in found.records] == [b"0", b"1", b"2"]
    assert (found.behind, found.fault, found.first_index) == ((), None, 2)


def test_a_reader_tells_what_a_live_writer_has_not_published(ledger: Ledger) -> None:
    with Ledger.open(ledger.path, read_only=True) as reader:
        assert reader.unpublished().records == ()
        ledger.append_durable(b"one")
        for each in (reader, ledger):
            found = each.unpublished()
            assert ([record.body for record in found.records], found.first_index) == ([b"one"], 1)
        ledger.publish()
        for each in (reader, ledger):
            assert each.unpublished() == ((), (), None, 2)


def test_the_index_that_is_told_is_the_one_that_a_record_gets_whatever_comes_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer publishes between two looks of whoever lists the journal."""
    judge = recovery.left_records
    indices = [ledger.append_durable(b"first")]

    def publish_and_judge(reader: Reader, entries: Sequence[bytes], marked: int) -> Unpublished:
        if len(indices) == 1:
            ledger.publish()
            indices.append(ledger.append_durable(b"second"))
            entries = Journal.load(Path(f"{ledger.path}.journal"))
        return judge(reader, entries, marked)

    with Ledger.open(ledger.path, read_only=True) as reader:
        assert reader.size == 1
        monkeypatch.setattr(recovery, "left_records", publish_and_judge)
        found = reader.unpublished()

    assert [record.body for record in found.records] == [b"second"]
    assert found.first_index == indices[1] == 2


def test_a_moment_takes_what_a_writer_does_meanwhile_for_no_damage(ledger: Ledger) -> None:
    for number in range(3):
        ledger.append_durable(b"%d" % number)
    with Ledger.open(ledger.path, read_only=True) as reader, reader.moment():
        ledger.publish()
        ledger.append_durable(b"written over the first")
        found = reader.unpublished()

    assert found == ((), (), None, 1)


def test_a_writer_that_stopped_after_its_block_tells_nothing_as_unpublished(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(journal: Journal) -> None:
        raise KeyboardInterrupt

    ledger.append(b"first")
    ledger.append_durable(b"second")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journaled, "clear", interrupt)
        ledger.publish()

    assert ledger.record(2).body == b"second"
    assert ledger.unpublished().records == ledger.verify().unpublished.records == ()


def test_asyncio_tells_it_as_well(left: Path) -> None:
    async def use() -> int:
        async with await AsyncLedger.open(left, read_only=True) as reader:
            return len((await reader.unpublished()).records)

    assert asyncio.run(use()) == 3


def test_a_copy_has_what_waits_and_publishes_it_at_the_same_indices(
    left: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.ledger"
    with Ledger.open(left, read_only=True) as reader:
        report = reader.backup(copy)

    assert (report.records, len(report.unpublished.records)) == (2, 3)
    assert Path(f"{copy}.journal").stat().st_mode & 0o777 == 0o600
    with Ledger.open(copy, key=KEY) as restored:
        assert [record.body for record in restored.records(2)] == [b"0", b"1", b"2"]
    assert not Path(f"{copy}.journal").exists()


def test_a_copy_on_another_disk_has_what_a_full_one_keeps_from_a_block(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise DiskFullError("made to fail")

    ledger.append_durable(b"one")
    monkeypatch.setattr("ledgercore.ledger.sequencer.commit_block", full)
    report = ledger.backup(tmp_path / "copy.ledger")
    monkeypatch.undo()

    assert [record.body for record in report.unpublished.records] == [b"one"]
    with Ledger.open(tmp_path / "copy.ledger", key=KEY) as restored:
        assert restored.record(1).body == b"one"


def test_a_copy_of_what_is_published_is_one_file(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append_durable(b"one")
    ledger.backup(tmp_path / "copy.ledger")

    assert not (tmp_path / "copy.ledger.journal").exists()


def test_a_copy_that_fails_leaves_no_journal(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise StoreError("made to fail")

    monkeypatch.setattr("ledgercore.ledger.ledger.rename", fail)
    with (
        Ledger.open(left, read_only=True) as reader,
        pytest.raises(StoreError, match="made to fail"),
    ):
        reader.backup(tmp_path / "copy.ledger")

    assert [*tmp_path.glob("copy*")] == []


def test_a_copy_that_has_its_name_keeps_its_journal_whatever_fails_then(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.ledger"

    def rename_and_fail(source: Path, target: Path) -> None:
        source.rename(target)
        raise StoreError("made to fail")  # as where its directory cannot be flushed

    monkeypatch.setattr("ledgercore.ledger.ledger.rename", rename_and_fail)
    with (
        Ledger.open(left, read_only=True) as reader,
        pytest.raises(StoreError, match="made to fail"),
    ):
        reader.backup(copy)
    monkeypatch.undo()

    with Ledger.open(copy, read_only=True) as reader:
        assert [record.body for record in reader.unpublished().records] == [b"0", b"1", b"2"]
    assert not Path(f"{copy}.new").exists()


def test_what_waits_beside_a_ledger_that_went_on_without_it_is_listed(left: Path) -> None:
    """A copy was put in the ledger's place without the journal, which came back later."""
    journal = Path(f"{left}.journal")
    kept = journal.read_bytes()
    journal.unlink()
    Path(f"{left}.head").unlink()
    with Ledger.open(left, key=KEY) as ledger:
        ledger.append(b"in their place")
    journal.write_bytes(kept)

    with pytest.raises(CorruptError, match=r"an older copy went on without .* 3 whole records"):
        Ledger.open(left, key=KEY)
    done = run("show", left, "--journal", "--json")

    assert [bytes.fromhex(row["body_hex"]) for row in objects(done.stdout)] == [b"0", b"1", b"2"]
    assert [row["index"] for row in objects(done.stdout)] == [None] * 3
    assert done.returncode == 1 and journal.read_bytes() == kept


def test_commands_say_how_many_wait_and_what_publishes_them(left: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ledger"
    for command, told in (
        (["show", left], b"3 records are durable in %b.journal and in no block yet" % bytes(left)),
        (["audit", left], b"ledgercore append %b --lines /dev/null" % bytes(left)),
        (["backup", left, copy], b"copied to %b.journal" % bytes(copy)),
    ):
        done = run(*command, "--json")
        assert (done.returncode, objects(done.stdout)[0]["unpublished"]) == (0, 3)
        assert told in done.stderr


def test_a_journal_that_its_reader_may_not_read_is_no_damage(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> list[bytes]:
        raise StoreError(f"cannot read {path}: Permission denied")

    monkeypatch.setattr(Journal, "load", closed)
    for command in (show.command, audit.command):
        done = CliRunner().invoke(command, [str(left)])
        assert done.exit_code == 0
        assert f"what waits in {left}.journal, if anything does, is not known here" in done.stderr
        assert "have the user look who writes the ledger" in done.stderr
        assert "cannot be opened for writing" not in done.stderr


def test_what_a_command_says_publishes_them(tmp_path: Path) -> None:
    path, left = tmp_path / "a.ledger", tmp_path / "left.ledger"
    with Ledger.create(path, origin=ORIGIN) as ledger:
        ledger.append_durable(b"one")
        killed(ledger, left)
    shutil.copy(f"{path}.key", f"{left}.key")
    run_well("append", left, "--lines", "/dev/null")

    done = run("show", left, "--json")

    (facts,) = objects(done.stdout)
    assert (facts["records"], facts["unpublished"], done.stderr) == (2, 0, b"")


def test_the_journal_is_listed_with_the_indices_to_come(left: Path) -> None:
    rows = objects(run_well("show", left, "--journal", "--json"))
    lines = run_well("show", left, "--journal").splitlines()

    assert [row["index"] for row in rows] == [2, 3, 4]
    assert [bytes.fromhex(row["body_hex"]) for row in rows] == [b"0", b"1", b"2"]
    assert lines[0].startswith(b"index 2 sequence ")


def test_a_report_that_is_printed_names_the_first_of_many(ledger: Ledger) -> None:
    for number in range(8):
        ledger.append_durable(b"%d" % number)
    with Ledger.open(ledger.path, read_only=True) as reader:
        few = repr(reader.unpublished())
        for number in range(300):
            ledger.append_durable(b"%d" % number)
        report = reader.verify()

    assert few.count("<record data ") == 8 and "more" not in few
    assert few.endswith("), behind=(), fault=None, first_index=1)")
    printed = str(report)
    assert printed.count("<record data ") == 8
    assert ">, and 300 more), behind=(), fault=None, first_index=1)" in printed
    assert len(report.unpublished.records) == 308


def test_a_record_that_waits_is_said_to_wait_where_it_is_asked_for(left: Path) -> None:
    with Ledger.open(left, read_only=True) as reader:
        last = reader.unpublished().records[-1]
    wanted = [("--index", "4"), ("--id", last.id.hex()), ("--index", "4", "--body")]
    asked = [("show", left, *each) for each in wanted] + [("prove", left, "--index", "4")]

    for each in asked:
        done = run(*each)

        assert (done.returncode, done.stdout) == (4, b"")
        assert done.stderr.decode() == (
            f"ledgercore: record 4 is durable in {left}.journal and in no block yet: ledgercore "
            f"show {left} --journal prints it; a writer that has the ledger open publishes it, and "
            f"where none has ledgercore append {left} --lines /dev/null does\n"
        )
    for number in ("5", "-1"):
        said = run("show", left, "--index", number).stderr
        assert said == b"ledgercore: index is %b, want 0 or more and below the size 2\n" % (
            number.encode()
        )
    assert b"no record has the id 00" in run("show", left, "--id", "00" * 32).stderr


def test_an_audit_fails_of_a_journal_that_lost_what_was_acknowledged(left: Path) -> None:
    Path(f"{left}.journal").unlink()
    with Ledger.open(left, read_only=True) as reader:
        assert isinstance(reader.verify().unpublished.fault, RollbackError)

    done = run("audit", left, "--json")

    assert done.returncode == 1
    assert objects(done.stdout)[0]["verified"] is True
    assert b"records that were acknowledged are lost" in done.stderr
    assert b"cannot be opened for writing as it is" in run("show", left).stderr


def files(path: Path) -> dict[str, bytes]:
    """What stands beside a ledger and its log, which SQLite moves into it when it is closed."""
    found = {suffix: Path(f"{path}{suffix}") for suffix in (".head", ".head.new", ".journal")}
    return {suffix: each.read_bytes() for suffix, each in found.items() if each.exists()}


def refuse(path: Path, kind: type[LedgerError]) -> str:
    """Open a ledger that cannot be opened for writing, and be told why."""
    before = files(path)
    with pytest.raises(kind) as raised:
        Ledger.open(path, key=KEY)
    assert files(path) == before
    return str(raised.value)


@pytest.mark.parametrize("head", [True, False])
def test_a_refused_start_leaves_the_files_as_they_were(left: Path, head: bool) -> None:
    Path(f"{left}.journal").write_bytes(b"notes of somebody")
    if not head:
        Path(f"{left}.head").unlink()

    refuse(left, LedgerError)


def test_a_refused_start_leaves_a_head_file_that_is_one_block_older(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash came between a block and what the head file remembers of it."""

    def fail(*arguments: object) -> None:
        raise DiskFullError("made to fail")

    ledger.append(b"first")
    older = Path(f"{ledger.path}.head").read_bytes()
    ledger.append(b"second")
    ledger.append_durable(b"third")
    path = killed(ledger, tmp_path / "left.ledger")
    head = Path(f"{path}.head")
    head.write_bytes(older)
    with monkeypatch.context() as patch:
        patch.setattr("ledgercore.ledger.sequencer.commit_block", fail)
        refuse(path, DiskFullError)

    Path(f"{path}.journal").unlink()
    with Ledger.open(path, key=KEY) as opened:
        note = opened.checkpoint
    assert note in HeadFile.load(head)


class SlotEmptyError(SignerAwayError):
    """A host's own, which is made of other things than a message."""

    def __init__(self, slot: int, label: str) -> None:
        super().__init__(f"token {label} is not in slot {slot}: put it back")


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        DiskFullError("disk is full: free space"),
        SignerAwayError("token is away: put it back"),
        SlotEmptyError(3, "operator"),
    ],
)
def test_a_start_that_can_make_no_block_says_what_waits_and_how_it_is_read(
    left: Path, monkeypatch: pytest.MonkeyPatch, error: LedgerError, head: bool
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    if not head:
        Path(f"{left}.head").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("ledgercore.ledger.sequencer.commit_block", fail)
        kind = DiskFullError if isinstance(error, DiskFullError) else SignerAwayError
        told = refuse(left, kind)
        with Ledger.open(left, read_only=True) as reader:
            waiting = [record.body for record in reader.unpublished().records]
            assert reader.record(1).body == b"published"

    assert f"3 records wait in {left}.journal, acknowledged" in told
    assert str(error) in told
    assert f"ledgercore show {left} --journal lists what waits" in told
    assert waiting == [b"0", b"1", b"2"]
    with Ledger.open(left, key=KEY) as again:
        assert [record.body for record in again.records(2)] == waiting
