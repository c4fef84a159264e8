"""Whatever a power cut leaves of unflushed writes, a vault has what it stored and erased."""

from __future__ import annotations

import random
from pathlib import Path

from ledgercore.errors import LedgerError
from ledgercore.vault import Vault
from tests.faults.row import reliability_row
from tests.faults.vfs import Event, RecordingVFS, crash

SEED = 20261124
STATES = 1000
KEYS = bytes([1]) * 32, bytes([2]) * 32
Items = dict[str, bytes]


def record_run(directory: Path, pragma: str) -> tuple[dict[str, bytes], list[Event], list[Items]]:
    """The file before a run, all that the run did to it, and what it held after each step."""
    path = directory / "run.vault"
    Vault(path, KEYS[0]).close()
    base = {path.name: path.read_bytes()}
    vfs = RecordingVFS(f"vault-{directory.name}")
    vault = Vault(path, KEYS[0], vfs=f"vault-{directory.name}")
    if pragma:
        vault._connection.execute(pragma)
    choose, held = random.Random(SEED), [Items()]
    for step in range(60):
        items = dict(held[-1])
        if step % 20 == 19:
            vault.change_key(KEYS[(step // 20 + 1) % 2])
        elif step % 7 == 6:
            erased = choose.sample(sorted(items), 2)
            vault.erase(erased)
            for name in erased:
                del items[name]
        else:
            new = {f"item/{choose.randrange(30)}": choose.randbytes(900) for _ in range(4)}
            vault.store(new.items())
            items |= new
        held.append(items)
        vfs.acknowledge(str(step + 1))
    vault.close()
    events = list(vfs.events)
    vfs.unregister()
    return base, events, held


def held_after(path: Path) -> Items | None:
    """What a vault holds under whichever of its keys opens it, if it opens."""
    for key in KEYS:
        try:
            vault = Vault(path, key)
        except LedgerError:
            continue
        try:
            return {name: vault.load(name) or b"" for name in vault.names()}
        except LedgerError:
            return None
        finally:
            vault.close()
    return None


def try_states(tmp_path: Path, pragma: str, count: int) -> dict[str, int]:
    source, target = tmp_path / f"s{len(pragma)}", tmp_path / f"t{len(pragma)}"
    source.mkdir()
    target.mkdir()
    base, events, held = record_run(source, pragma)
    assert {event.file for event in events if event.kind == "write"} == {
        "run.vault",
        "run.vault-wal",
    }
    choose = random.Random(SEED)
    found: dict[str, int] = {}
    for _ in range(count):
        state = crash(base, events, choose.randrange(1, len(events) + 1), choose)
        for old in target.iterdir():
            old.unlink()
        for name, data in state.files.items():
            (target / name).write_bytes(data)
        done = int(state.acknowledged or 0)
        items = held_after(target / "run.vault")
        # The step that was under way is whole or not there.
        outcome = "whole" if items in held[done : done + 2] else "lost"
        found[outcome] = found.get(outcome, 0) + 1
    return found


def test_no_crash_state_loses_or_brings_back_an_item(tmp_path: Path) -> None:
    with reliability_row(4, "power cut of a vault", seed=SEED, want=STATES) as row:
        found = try_states(tmp_path, "", STATES)
        for outcome, count in found.items():
            row.count(outcome, count)
        assert found == {"whole": STATES}


def test_the_control_run_without_flushes_does(tmp_path: Path) -> None:
    found = try_states(tmp_path, "PRAGMA synchronous=OFF", 200)

    print(f"\nrow 4, control of a vault with synchronous=OFF: {found}")
    assert found.get("lost", 0) > 20
