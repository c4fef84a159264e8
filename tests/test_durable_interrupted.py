"""An interrupt of a call that makes a record durable, wherever Python may raise it, loses none that
was acknowledged, and the next start takes what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.ledger import later
from ledgercore.store import sqlite
from tests.interrupts import Place, interrupted

PARTS = (
    "ledger/writer.py",
    "ledger/journaled.py",
    "ledger/group.py",
    "store/journal.py",
    "disk.py",
)

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

    def make(self, ledger: Ledger) -> None:
        """Have each payload durable, and where there is none, all published."""
        self.acknowledged = []
        for payload in self._payloads:
            if payload is None:
                ledger.publish()
            else:
                ledger.append_durable(payload)
                self.acknowledged.append(payload)


CALLS = [Calls(b"first"), Calls(b"first", b"second"), Calls(b"first", None, b"second")]


@pytest.mark.parametrize("calls", CALLS)
def test_an_interrupt_loses_nothing_and_leaves_a_ledger_that_opens(
    path: Path, calls: Calls
) -> None:
    seen, interrupts, size, opened = set[Place](), 0, 1, Ledger.open(path)
    try:
        for _ in interrupted(lambda: calls.make(opened), seen, *PARTS):
            interrupts += 1
            opened.close()
            opened = Ledger.open(path)
            bodies = [record.body for record in opened.records(size)]
            assert bodies[: len(calls.acknowledged)] == calls.acknowledged
            assert len(bodies) <= len(calls.acknowledged) + 1
            size = opened.size
    finally:
        opened.close()

    assert interrupts > 40
