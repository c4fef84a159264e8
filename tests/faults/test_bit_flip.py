"""Row 6: a flipped bit at rest is found out or harmless, and never a wrong answer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ledgercore import Ledger, LedgerError, Receipt, SigningKey
from ledgercore.ledger.ids import candidates
from ledgercore.ledger.reader import Reader
from tests.faults.row import reliability_row

SEED = 20261125
KEY = SigningKey(bytes(32))
PAYLOADS = [b"payload %d " % number * 9 for number in range(700)]


class Model(NamedTuple):
    """What an undamaged ledger answers: each record's id and body, each object's state."""

    records: list[tuple[bytes, bytes]]
    states: list[tuple[bytes, bytes]]

    def is_answered_by(self, ledger: Ledger) -> bool:
        """Whether every record, lookup and state is right; an error is a right answer too."""
        records = [(record.id, record.body) for record in ledger]
        found = [ledger.find(record_id) for record_id, _ in self.records]
        each = [ledger.record(index).body for index in range(0, len(self.records), 7)]
        return (
            records == self.records
            and found == list(range(len(self.records)))
            and each == [body for _, body in self.records[::7]]
            and list(ledger.states(b"")) == self.states
            and [ledger.state(name) for name, _ in self.states] == [v for _, v in self.states]
        )


def make(directory: Path) -> tuple[Path, Model]:
    """A ledger whose newest blocks are in its write-ahead log only, and what it must hold."""
    path, live = directory / "flip.ledger", directory / "live.ledger"
    with Ledger.create(live, origin="fault.example/log", key=KEY) as ledger:
        ledger.append_many(PAYLOADS[:600])
        ledger._reader.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for begin in range(600, 700, 20):
            ledger.append_many(PAYLOADS[begin : begin + 20])
        model = Model([(r.id, r.body) for r in ledger], list(ledger.states(b"")))
        for suffix in ("", "-wal", ".head"):
            shutil.copy(f"{live}{suffix}", f"{path}{suffix}")
    return path, model


def flip(path: Path, choose: random.Random) -> None:
    data = bytearray(path.read_bytes())
    bit = choose.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def judge(path: Path | str, model: Model) -> str:
    """How a ledger behaves: refused, found by the audit, harmless, or silently wrong."""
    try:
        with Ledger.open(path, read_only=True) as ledger:
            right = model.is_answered_by(ledger)
            try:
                ledger.verify()
            except LedgerError:
                return "found by audit"
            return "harmless" if right else "silently wrong"
    except LedgerError:
        return "refused on open or read"
    return "harmless"


def flips(path: Path, model: Model, target: Path, name: str, count: int, seed: int) -> list[str]:
    """The outcomes of single flips in one of the ledger's files."""
    choose = random.Random(seed)
    outcomes = []
    for _ in range(count):
        for suffix in ("", "-wal", ".head", "-shm"):
            Path(f"{target}{suffix}").unlink(missing_ok=True)
        for suffix in ("", "-wal", ".head"):
            shutil.copy(f"{path}{suffix}", f"{target}{suffix}")
        flip(Path(f"{target}{name}"), choose)
        outcomes.append(judge(target, model))
    return outcomes


def test_no_flip_in_a_file_is_silently_wrong(tmp_path: Path) -> None:
    path, model = make(tmp_path)
    with reliability_row(6, "bit flip at rest", seed=SEED, want=230) as row:
        for name, count in (("", 120), ("-wal", 60), (".head", 10)):
            for outcome in flips(path, model, tmp_path / "t.ledger", name, count, SEED):
                row.count(outcome)
        with Ledger.open(path, read_only=True) as ledger:
            ledger.backup(tmp_path / "copy.ledger")
        for outcome in flips_of_backup(tmp_path, model, 40):
            row.count(outcome)

    assert "silently wrong" not in row.details


def flips_of_backup(directory: Path, model: Model, count: int) -> list[str]:
    choose = random.Random(SEED + 1)
    outcomes = []
    for number in range(count):
        target = directory / f"b{number}.ledger"
        shutil.copy(directory / "copy.ledger", target)
        flip(target, choose)
        outcomes.append(judge(target, model))
    return outcomes


def test_every_flip_of_a_receipt_is_refused(tmp_path: Path) -> None:
    path, _ = make(tmp_path)
    with Ledger.open(path, read_only=True) as ledger:
        receipt, anchor = ledger.receipt(42), ledger.trust_anchor
        body, encoded = ledger.record(42).body, receipt.encode()
    with reliability_row(6, "bit flip in a receipt", seed=0, want=8 * len(encoded)) as row:
        for bit in range(8 * len(encoded)):
            damaged = bytearray(encoded)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(LedgerError):
                Receipt.decode(bytes(damaged)).verify(body, anchor)
            row.count()


def look_up(reader: Reader, record_id: bytes) -> int | None:
    """Find a record without comparing what is found."""
    head = reader.head
    return next(candidates(head.checkpoint.size, head.recent, record_id, reader._bucket), None)


def test_the_control_run_is_silently_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the checks of reads turned off, the same flips do give wrong records."""
    path, model = make(tmp_path)
    nothing: Callable[..., None] = lambda *arguments: None  # noqa: E731
    monkeypatch.setattr(Reader, "_check_leaves", nothing)
    monkeypatch.setattr(Reader, "_check_state", nothing)
    monkeypatch.setattr(Reader, "find", lambda reader, record_id: look_up(reader, record_id))
    monkeypatch.setattr(Ledger, "verify", nothing)

    outcomes = flips(path, model, tmp_path / "t.ledger", "", 120, SEED)

    print(f"\nrow 6, control without checks: {outcomes.count('silently wrong')} of 120 wrong")
    assert "silently wrong" in outcomes
