"""Row 4: whatever a power cut leaves of unflushed writes, no acknowledged record is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ledgercore import Ledger, LedgerError, SigningKey
from ledgercore.ledger.reader import Reader
from ledgercore.store import SqliteStore

from tests.faults.row import reliability_row
from tests.faults.vfs import CrashState, Event, RecordingVFS, crash

SEED = 20261123
KEY = SigningKey(bytes(range(32)))
APPENDS = 40


def record_run(directory: Path, pragma: str = "") -> tuple[dict[str, bytes], list[Event]]:
    """The files before a run of appends, and everything that the run did to them."""
    path = directory / "run.ledger"
    Ledger.create(path, origin="fault.example/log", key=KEY).close()
    base = {path.name: path.read_bytes()}
    vfs = RecordingVFS(f"recording-{directory.name}")
    with Ledger.open(path, key=KEY, vfs=f"recording-{directory.name}") as ledger:
        if pragma:
            ledger._reader.store._connection.execute(pragma)
        for number in range(APPENDS):
            ledger.append_many([b"%d %d" % (number, at) * 20 for at in range(1 + number % 5)])
            vfs.acknowledge(ledger.size)
    events = list(vfs.events)
    vfs.unregister()
    return base, events


def survives(directory: Path, state: CrashState) -> str:
    """What opening a crash state shows: whole, lost or damaged."""
    for old in directory.iterdir():
        old.unlink()
    for name, data in state.files.items():
        (directory / name).write_bytes(data)
    try:
        store = SqliteStore(directory / "run.ledger")
    except LedgerError:
        return "damaged"
    try:
        reader = Reader(store, follow=False)
        for index in range(0, reader.head.checkpoint.size, 17):
            reader.record(index)
        return "whole" if reader.head.checkpoint.size >= state.acknowledged else "lost"
    except LedgerError:
        return "damaged"
    finally:
        store.close()


def try_states(tmp_path: Path, pragma: str, count: int) -> dict[str, int]:
    source, target = tmp_path / f"s{len(pragma)}", tmp_path / f"t{len(pragma)}"
    source.mkdir()
    target.mkdir()
    base, events = record_run(source, pragma)
    choose = random.Random(SEED)
    found: dict[str, int] = {}
    for _ in range(count):
        at = choose.randrange(1, len(events) + 1)
        outcome = survives(target, crash(base, events, at, choose))
        found[outcome] = found.get(outcome, 0) + 1
    return found


def test_no_crash_state_loses_an_acknowledged_record(tmp_path: Path) -> None:
    with reliability_row(4, "power cut", seed=SEED, want=3000) as row:
        found = try_states(tmp_path, "", 3000)
        for outcome, count in found.items():
            row.count(outcome, count)

    assert found == {"whole": 3000}


@pytest.mark.parametrize("pragma", ["PRAGMA synchronous=NORMAL", "PRAGMA synchronous=OFF"])
def test_the_control_run_loses_records(tmp_path: Path, pragma: str) -> None:
    """Without a flush at each commit the same crash states lose what was acknowledged."""
    found = try_states(tmp_path, pragma, 300)

    print(f"\nrow 4, control with {pragma}: {found}")
    assert found.get("lost", 0) + found.get("damaged", 0) > 0
