"""Rows 3, 4, 6, 7, 15 and 16 for records that are durable in the journal, before any block."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import apsw
import pytest

from ledgercore import CorruptError, Ledger, LedgerError, SigningKey, StoreError
from ledgercore._core import Batch
from ledgercore.ledger import later
from ledgercore.ledger import sequencer as sequencer_module
from tests.faults.row import reliability_row
from tests.faults.test_kill import run_and_kill
from tests.faults.vfs import CrashState, Event, FailingVFS, RecordingVFS, crash

SEED = 20261130
KEY = SigningKey(bytes(range(32)))
ORIGIN = "fault.example/log"
KILLS = 40
STATES = 1_000

DURABLE = """
import json, sys
from ledgercore import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    for line in sys.stdin.buffer:
        index = ledger.append_durable(line)
        print(json.dumps({"index": index, "id": line.hex()}), flush=True)
"""

HASTY = """
import json, sys
from ledgercore import Ledger
from ledgercore.store.journal import Journal
Journal.add = lambda self, bundle: True
with Ledger.open(sys.argv[1]) as ledger:
    for line in sys.stdin.buffer:
        index = ledger.append_durable(line)
        print(json.dumps({"index": index, "id": line.hex()}), flush=True)
"""
"""Acknowledges what it never wrote."""


def lost_by_kills(path: Path, program: str, kills: int) -> Iterator[int]:
    """After each kill, how many of the records that were acknowledged are not there."""
    choose, acknowledged = random.Random(SEED), {}
    for _ in range(kills):
        acknowledged |= run_and_kill(path, choose.random() * 0.15, ["-c", program])
        try:
            with Ledger.open(path) as ledger:
                present = {index: record.body.hex() for index, record in enumerate(ledger)}
        except LedgerError:
            yield len(acknowledged)
            return
        yield len(acknowledged.items() - present.items())


def test_what_was_durable_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "killed.ledger"
    Ledger.create(path, origin=ORIGIN).close()
    with reliability_row(3, "kill -9, durable only", seed=SEED, want=KILLS) as row:
        for lost in lost_by_kills(path, DURABLE, KILLS):
            assert lost == 0
            row.count()
    with Ledger.open(path) as ledger:
        ledger.verify()


def test_the_control_that_writes_nothing_loses_records(tmp_path: Path) -> None:
    path = tmp_path / "hasty.ledger"
    Ledger.create(path, origin=ORIGIN).close()
    assert any(lost_by_kills(path, HASTY, 5))


def record_run(directory: Path) -> tuple[dict[str, bytes], list[Event]]:
    """The files before a run, and all that it did to them: durable records, now and then published,
    each acknowledged by its body."""
    path = directory / "run.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    base = {path.name: path.read_bytes()}
    vfs = RecordingVFS(f"recording-{directory.name}")
    with Ledger.open(path, key=KEY, vfs=f"recording-{directory.name}") as ledger:
        for number in range(60):
            body = b"%d" % number * (3 + number % 9 * 400)
            if number % 13 == 12:
                ledger.append(body)
            else:
                ledger.append_durable(body)
            vfs.acknowledge(str(number + 1))
            if number % 17 == 16:
                ledger.publish()
    events = list(vfs.events)
    vfs.unregister()
    return base, events


def survives(directory: Path, state: CrashState) -> str:
    """What opening a crash state shows: whole, lost or damaged."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in state.files.items():
        (directory / name).write_bytes(data)
    try:
        with Ledger.open(directory / "run.ledger", key=KEY) as ledger:
            bodies = [record.body for record in ledger.records(1)]
    except LedgerError:
        return "damaged"
    right = all(body == b"%d" % at * (3 + at % 9 * 400) for at, body in enumerate(bodies))
    return "whole" if right and len(bodies) >= int(state.acknowledged or 0) else "lost"


def try_states(directory: Path, cases: int, *, lies: bool) -> dict[str, int]:
    base, events = record_run(directory)
    if lies:
        events = [
            event for event in events if (event.kind, event.file[-8:]) != ("sync", ".journal")
        ]
    choose, found = random.Random(SEED), dict[str, int]()
    for _ in range(cases):
        at = choose.randrange(1, len(events) + 1)
        outcome = survives(directory / "left", crash(base, events, at, choose))
        found[outcome] = found.get(outcome, 0) + 1
    return found


@pytest.fixture
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 3600.0)


@pytest.mark.usefixtures("not_by_itself")
def test_no_crash_state_loses_a_durable_record(tmp_path: Path) -> None:
    with reliability_row(4, "power cut, durable only", seed=SEED, want=STATES) as row:
        for outcome, cases in try_states(tmp_path, STATES, lies=False).items():
            row.count(outcome, cases)
        assert row.details == {"whole": STATES}


@pytest.mark.usefixtures("not_by_itself")
def test_the_control_whose_journal_is_never_flushed_loses_records(tmp_path: Path) -> None:
    found = try_states(tmp_path, 100, lies=True)
    assert found.get("lost", 0) + found.get("damaged", 0) > 20


def left_by_a_kill(directory: Path) -> Path:
    """A ledger with a published record, and 12 durable ones over 20 older entries."""
    path, left = directory / "made.ledger", directory / "left.ledger"
    with Ledger.create(path, origin=ORIGIN, key=KEY) as ledger:
        for number in range(20):
            ledger.append_durable(b"older %d" % number)
        ledger.publish()
        for number in range(12):
            ledger.append_durable(b"%d" % number * (1 + number * 400))
        for suffix in ("", "-wal", ".head", ".journal"):
            shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
    return left


@pytest.mark.usefixtures("not_by_itself")
def test_no_flip_in_a_journal_loses_a_record_silently(tmp_path: Path) -> None:
    left, choose = left_by_a_kill(tmp_path), random.Random(SEED)
    whole = Path(f"{left}.journal").read_bytes()
    used = [at for at in range(0, len(whole), 64) if any(whole[at : at + 64])]
    with reliability_row(6, "bit flip in a journal", seed=SEED, want=300) as row:
        for number in range(300):
            target = tmp_path / f"{number}.ledger"
            for suffix in ("", "-wal", ".head"):
                shutil.copy(f"{left}{suffix}", f"{target}{suffix}")
            data, at = bytearray(whole), choose.choice(used) + choose.randrange(64)
            data[at] ^= 1 << choose.randrange(8)
            Path(f"{target}.journal").write_bytes(data)
            row.count(opened(target))
        assert "silently wrong" not in row.details
        assert row.details["refused"] > 30  # of bits in records and in what frames them


def opened(path: Path) -> str:
    want = [b"%d" % number * (1 + number * 400) for number in range(12)]
    try:
        with Ledger.open(path, key=KEY) as ledger:
            found = [record.body for record in ledger.records(21)]
            return "harmless" if found == want else "silently wrong"
    except LedgerError:
        return "refused"


@pytest.mark.usefixtures("not_by_itself")
def test_a_journal_that_fails_stops_the_writer_and_loses_nothing(tmp_path: Path) -> None:
    with reliability_row(16, "journal fails", seed=0, want=20) as row:
        for operation, index in ((o, i) for i in range(10) for o in ("write", "sync")):
            name = f"journal-{operation}-{index}"
            vfs, path = FailingVFS(name, apsw.IOError), tmp_path / f"{name}.ledger"
            Ledger.create(path, origin=ORIGIN, key=KEY).close()
            acknowledged = []
            with Ledger.open(path, key=KEY, vfs=name) as ledger:
                ledger.append_durable(b"first")
                vfs.fail(operation, index)
                with pytest.raises(StoreError, match=r"cannot write .*\.journal: made to fail"):
                    for number in count():
                        acknowledged.append(ledger.append_durable(b"%d" % number))
                vfs.mend()
                with pytest.raises(StoreError, match="writer has stopped"):
                    ledger.append(b"after a failed flush")
            vfs.unregister()
            with Ledger.open(path, key=KEY) as ledger:
                bodies = [record.body for record in ledger.records(2)]
                assert bodies[: len(acknowledged)] == [
                    b"%d" % at for at in range(len(acknowledged))
                ]
                assert len(acknowledged) <= len(bodies) <= len(acknowledged) + 1
                ledger.verify()
            row.count(operation)


@pytest.mark.usefixtures("not_by_itself")
def test_a_full_disk_leaves_what_is_durable_and_passes(tmp_path: Path) -> None:
    vfs, path = FailingVFS("filling", apsw.FullError), tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    with Ledger.open(path, key=KEY, vfs="filling") as ledger:
        ledger.append_durable(b"one")
        vfs.fail("write", 0)
        with pytest.raises(StoreError, match="free space"):
            ledger.publish()
        with pytest.raises(StoreError, match="free space"):
            ledger.append(b"two")
        vfs.mend()
        assert ledger.append_durable(b"two") == 2
    vfs.unregister()
    with Ledger.open(path, key=KEY) as ledger:
        assert [record.body for record in ledger.records(1)] == [b"one", b"two"]


@pytest.mark.usefixtures("not_by_itself")
def test_a_signature_that_memory_broke_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 7: what was signed wrongly stops the writer, and is told at the next start."""
    path, left = tmp_path / "a.ledger", tmp_path / "left.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    sign = sequencer_module.sign_batch

    def broken(*arguments: object, **options: object) -> Batch:
        batch = sign(*arguments, **options)  # type: ignore[arg-type]
        record = bytearray(batch[0].encode())
        record[-1] ^= 1
        return Batch.decode([bytes(record)])

    with Ledger.open(path, key=KEY) as ledger:
        ledger.append_durable(b"one")
        monkeypatch.setattr(sequencer_module, "sign_batch", broken)
        ledger.append_durable(b"two")
        for suffix in ("", "-wal", ".head", ".journal"):
            shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
        with pytest.raises(CorruptError, match="do not verify"):
            ledger.publish()
        with pytest.raises(CorruptError, match="writer has stopped"):
            ledger.append(b"three")
    for place in (path, left):
        with pytest.raises(
            CorruptError, match="whole as it was written, that does not verify"
        ) as raised:
            Ledger.open(place, key=KEY)
        assert not raised.value.__notes__
        with Ledger.open(place, read_only=True) as reader:
            assert [record.body for record in reader.records(1)] == [b"one"]
        for suffix in (".journal", ".head"):  # as the error says: what was right is not lost
            Path(f"{place}{suffix}").unlink()
        with Ledger.open(place, key=KEY) as again:
            assert again.append_durable(b"three") == 2
