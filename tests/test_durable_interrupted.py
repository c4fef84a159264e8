"""An interrupt of a call that makes a record durable, wherever Python may raise it, loses none that
was acknowledged, and the next start takes what is left."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from ledgercore import Ledger, StoreError
from ledgercore.ledger import later
from ledgercore.store import sqlite
from tests.interrupts import Place, interrupted

OPENING = (
    "ledger/ledger.py",
    "ledger/writer.py",
    "ledger/sequencer.py",
    "ledger/journaled.py",
    "store/journal.py",
)
PARTS = (*OPENING, "ledger/group.py", "disk.py")

# A file that an interrupt kept from its block is closed with the object, and one that comes while
# that is dropped is passed over: Python warns of both.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 3600.0)
    monkeypatch.setattr(sqlite, "reserve", lambda path, size: None)  # ledgers are opened often
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin="a.example").close()
    return path


class Calls:
    """What one caller does, and what was acknowledged to it."""

    def __init__(self, *payloads: bytes | None) -> None:
        self._payloads = payloads
        self.acknowledged: list[bytes] = []

    def open(self, path: Path) -> None:
        self.ledger = Ledger.open(path)

    def make(self) -> None:
        """Have each payload durable, and where there is none, all published."""
        self.acknowledged = []
        for payload in self._payloads:
            if payload is None:
                self.ledger.publish()
            else:
                self.ledger.append_durable(payload)
                self.acknowledged.append(payload)


CALLS = [Calls(b"first"), Calls(b"first", b"second"), Calls(b"first", None, b"second")]


@pytest.mark.parametrize("calls", CALLS)
def test_an_interrupt_loses_nothing_and_leaves_a_ledger_that_opens(
    path: Path, calls: Calls
) -> None:
    seen, interrupts, size = set[Place](), 0, 1
    calls.open(path)
    try:
        for _ in interrupted(calls.make, seen, *PARTS):
            interrupts += 1
            calls.ledger.close()
            calls.open(path)
            bodies = [record.body for record in calls.ledger.records(size)]
            assert bodies[: len(calls.acknowledged)] == calls.acknowledged
            assert len(bodies) <= len(calls.acknowledged) + 1
            size = calls.ledger.size
    finally:
        calls.ledger.close()

    assert interrupts > 40


def test_an_interrupt_of_closing_and_opening_loses_nothing(path: Path) -> None:
    """What is left is published by whichever start comes through."""
    seen, interrupts, made = set[Place](), 0, 0

    def close_and_open() -> None:
        nonlocal made
        ledger = Ledger.open(path)
        try:
            ledger.append_durable(b"%d" % made)
            made += 1
        finally:
            ledger.close()

    for error in interrupted(close_and_open, seen, *OPENING):
        interrupts += 1
        error.with_traceback(None)  # whoever handles it is done with it, and so with its frames
        gc.collect()
        with Ledger.open(path) as again:
            bodies = [record.body for record in again.records(1)]
            assert bodies[:made] == [b"%d" % number for number in range(made)]
            assert len(bodies) in (made, made + 1)
            made = len(bodies)

    assert interrupts > 30


def test_an_interrupt_of_a_start_that_publishes_loses_nothing(path: Path, tmp_path: Path) -> None:
    copy, files = tmp_path / "left.ledger", ("", "-wal", ".key", ".head", ".journal")
    with Ledger.open(path) as ledger:
        for number in range(3):
            ledger.append_durable(b"%d" % number)
        left = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in files}
    seen, interrupts = set[Place](), 0

    def start() -> None:
        for suffix, data in left.items():
            Path(f"{copy}{suffix}").write_bytes(data)
        Path(f"{copy}.key").chmod(0o600)
        Ledger.open(copy).close()

    for error in interrupted(start, seen, *OPENING):
        interrupts += 1
        error.with_traceback(None)  # whoever handles it is done with it, and so with its frames
        gc.collect()
        with Ledger.open(copy) as again:
            assert [record.body for record in again.records(1)] == [b"0", b"1", b"2"]

    assert interrupts > 30


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_while_the_journal_is_made_cancels_one_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr("ledgercore.disk.reserve", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ledger.append_durable(b"cancelled")
        assert ledger.append_durable(b"one") == 1
        assert [record.body for record in ledger.unpublished().records] == [b"one"]
        assert ledger.append(b"two").index == 2
        assert [record.body for record in ledger.records(1)] == [b"one", b"two"]


def test_an_interrupt_while_a_record_is_written_is_told_by_what_is_refused_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(path) as ledger:
        ledger.append_durable(b"one")
        with monkeypatch.context() as patch:
            patch.setattr("ledgercore.disk.JournalFile.write", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ledger.append_durable(b"two")
        with pytest.raises(StoreError, match=r"an interrupt \(KeyboardInterrupt\) came .* open it"):
            ledger.append_durable(b"three")
    with Ledger.open(path) as again:
        assert [record.body for record in again.records(1)] == [b"one"]
