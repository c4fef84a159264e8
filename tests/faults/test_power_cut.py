"""Row 4: whatever a power cut leaves of unflushed writes, no acknowledged record is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ledgercore import Block, Checkpoint, Ledger, LedgerError, SigningKey
from ledgercore.disk import reserve
from ledgercore.ledger import commit as commit_module
from ledgercore.ledger.reader import Reader
from ledgercore.store import SqliteStore
from ledgercore.store import sqlite as sqlite_module
from tests.faults.row import reliability_row
from tests.faults.vfs import CrashState, Event, RecordingVFS, crash

SEED = 20261123
KEY = SigningKey(bytes(range(32)))
APPENDS = 25


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the log into the main file every few blocks, so that power is cut then as well; and
    keep so few pages that the larger blocks go into the log before they end, piece by piece."""
    monkeypatch.setattr(sqlite_module, "_LOG_PAGES", 30)
    monkeypatch.setattr(sqlite_module, "_CACHE_KIB", 32)
    monkeypatch.setattr(commit_module, "PIECE_BUNDLES", 1)


def record_run(
    directory: Path, pragma: str, log_bytes: int
) -> tuple[dict[str, bytes], list[Event]]:
    """The files before a run of appends, and everything that the run did to them."""
    path = directory / "run.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    base = {path.name: path.read_bytes()}
    if log_bytes:
        log = path.with_name(path.name + "-wal")
        log.write_bytes(b"")
        reserve(log, log_bytes)
        base[log.name] = log.read_bytes()
    vfs = RecordingVFS(f"recording-{directory.name}")
    looked: list[int] = []
    with Ledger.open(path, key=KEY, vfs=f"recording-{directory.name}") as ledger:
        store = ledger._reader.store
        if pragma:
            store._connection.execute(pragma)
        add_header = store.add_header
        store.add_header = lambda *row: (looked.append(len(vfs.events)), add_header(*row))
        for number in range(APPENDS):
            if number % 8 == 7:
                payloads = [b"%d %d" % (number, at) * 40 for at in range(300)]
            else:
                payloads = [b"%d %d" % (number, at) * 20 for at in range(1 + number % 12)]
            ledger.append_many(payloads)
            vfs.acknowledge(ledger.checkpoint)
    events = list(vfs.events)
    vfs.unregister()
    assert any(written_ahead(events[:at]) for at in looked), "a block must be written ahead"
    return base, events


def written_ahead(events: list[Event]) -> bool:
    """Whether the log was written to since the last block was acknowledged."""
    kinds = [event.kind for event in events]
    begin = len(kinds) - kinds[::-1].index("acknowledge") if "acknowledge" in kinds else 0
    return any(event.kind == "write" and event.file.endswith("-wal") for event in events[begin:])


def check_chain(reader: Reader, acknowledged: Checkpoint | None) -> bool:
    """Follow every header and record; whether what was acknowledged is among them."""
    parent, suite = bytes(32), reader.anchor.suite
    for height in range(reader.head.block.height + 1):
        stored = reader.store.header(height)
        assert stored is not None
        block = Block.decode(stored.header)
        assert (block.height, block.parent) == (height, parent)
        parent = block.hash(suite)
    assert parent == reader.head.checkpoint.block_hash
    size = reader.head.checkpoint.size
    assert sum(1 for _ in reader.records(0, size)) == size
    if acknowledged is None:
        return True
    return acknowledged.size <= size and reader.root_at(acknowledged.size) == acknowledged.root


def survives(directory: Path, state: CrashState) -> str:
    """What opening a crash state shows: whole, lost or damaged."""
    for old in directory.iterdir():
        old.unlink()
    for name, data in state.files.items():
        (directory / name).write_bytes(data)
    acknowledged = Checkpoint.parse(state.acknowledged) if state.acknowledged else None
    try:
        store = SqliteStore(directory / "run.ledger")
    except LedgerError:
        return "damaged"
    try:
        return "whole" if check_chain(Reader(store, follow=False), acknowledged) else "lost"
    except LedgerError:
        return "damaged"
    finally:
        store.close()


def try_states(tmp_path: Path, pragma: str, count: int, log_bytes: int = 0) -> dict[str, int]:
    source, target = tmp_path / f"s{log_bytes}", tmp_path / f"t{log_bytes}"
    source.mkdir()
    target.mkdir()
    base, events = record_run(source, pragma, log_bytes)
    written = {event.file for event in events if event.kind == "write"}
    assert written == {"run.ledger", "run.ledger-wal"}, "the run must move its log"
    choose = random.Random(SEED)
    found: dict[str, int] = {}
    for _ in range(count):
        at = choose.randrange(1, len(events) + 1)
        outcome = survives(target, crash(base, events, at, choose))
        found[outcome] = found.get(outcome, 0) + 1
    return found


def test_no_crash_state_loses_an_acknowledged_record(tmp_path: Path) -> None:
    """With a log that grows, and with one whose room was taken beforehand, as a writer does."""
    with reliability_row(4, "power cut", seed=SEED, want=3000) as row:
        for log_bytes in (0, 32 + 40 * (24 + 4096)):
            found = try_states(tmp_path, "", 1500, log_bytes)
            for outcome, count in found.items():
                row.count(outcome, count)
            assert found == {"whole": 1500}


@pytest.mark.parametrize("pragma", ["PRAGMA synchronous=NORMAL", "PRAGMA synchronous=OFF"])
def test_the_control_run_loses_records(tmp_path: Path, pragma: str) -> None:
    """Without a flush at each commit the same crash states lose what was acknowledged."""
    found = try_states(tmp_path, pragma, 300)

    print(f"\nrow 4, control with {pragma}: {found}")
    assert found.get("lost", 0) + found.get("damaged", 0) > 30
