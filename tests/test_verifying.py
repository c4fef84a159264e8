"""Large batches, whose signatures are verified while their records are stored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ledgercore import InvalidSignature, Ledger, MalformedError, RefusedError, StoreError, testing
from ledgercore.entropy import Entropy
from ledgercore.ledger import verifying as verifying_module
from ledgercore.ledger import writer as writer_module
from ledgercore.ledger.commit import PIECE_BUNDLES
from ledgercore.ledger.group import Waiting
from ledgercore.store import BUNDLE_RECORDS, SqliteStore

SIGNERS = 3
FEW, MANY = 12, BUNDLE_RECORDS * (PIECE_BUNDLES + 1)
"""Records that are looked at again in one step, and piece by piece."""


@pytest.fixture(autouse=True)
def few_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "STORED_MEANWHILE", FEW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members = testing.test_members(SIGNERS)
    with Ledger.create(tmp_path / "a.ledger", origin="large.example", members=members) as ledger:
        yield ledger


def records_of(ledger: Ledger, count: int) -> list[bytes]:
    return testing.signed_records(ledger, signers=SIGNERS, count=count)


def broken(record: bytes) -> bytes:
    """The same record with another signature."""
    return record[:-1] + bytes([record[-1] ^ 1])


@pytest.mark.parametrize("count", [FEW, MANY])
def test_records_are_stored_while_they_are_verified(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Verification waits here until all are stored: one after the other would wait for ever."""
    verify, add, stored = verifying_module.verify_batches, SqliteStore.add_bundles, Event()
    left = [-(-count // BUNDLE_RECORDS)]

    def adding(store: SqliteStore, height: int, first: int, bundles: Sequence[bytes]) -> None:
        add(store, height, first, bundles)
        left[0] -= len(bundles)
        if not left[0]:
            stored.set()

    def waiting(*arguments: Any) -> Any:
        assert stored.wait(60)
        return verify(*arguments)

    monkeypatch.setattr(SqliteStore, "add_bundles", adding)
    monkeypatch.setattr(verifying_module, "verify_batches", waiting)

    assert ledger.submit_many(records_of(ledger, count)) == [*range(1, 1 + count)]
    assert ledger.height == 1
    ledger.verify()


@pytest.mark.parametrize("count", [FEW, MANY])
def test_bad_signatures_refuse_all_are_named_and_leave_the_ledger_going_on(
    ledger: Ledger, count: int
) -> None:
    records = records_of(ledger, count)
    bad = [*records]
    for index in (3, count - 1):
        bad[index] = broken(records[index])

    with pytest.raises(InvalidSignature, match=f"2 of {count} signatures") as refused:
        ledger.submit_many(bad)

    assert refused.value.indices == (3, count - 1)
    assert (ledger.size, ledger.stopped) == (1, None)
    assert ledger.submit_many(records) == [*range(1, 1 + count)]
    ledger.verify()


def test_what_is_durable_only_comes_first(ledger: Ledger) -> None:
    records = records_of(ledger, FEW)
    assert ledger.append_durable(b"first") == 1
    with pytest.raises(InvalidSignature):
        ledger.submit_many([*records[:-1], broken(records[-1])])
    assert ledger.submit_many(records) == [*range(2, 2 + FEW)]
    assert ledger.record(1).body == b"first"


def test_what_rules_refuse_is_refused_alone(ledger: Ledger) -> None:
    records = records_of(ledger, FEW + 1)
    late = [*records[1:], records[0]]  # its signer's later ones came without it

    outcomes = ledger.submit_many(late)

    refused = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, RefusedError)]
    assert refused
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [
        *range(1, len(late) - len(refused) + 1)
    ]
    assert ledger.submit_many(records)[0] == outcomes[-1]  # there already: the same place
    ledger.verify()


def test_a_bad_signature_among_what_rules_refuse_refuses_all(ledger: Ledger) -> None:
    records = records_of(ledger, FEW + 1)
    with pytest.raises(InvalidSignature) as refused:
        ledger.submit_many([*records[1:], broken(records[0])])
    assert refused.value.indices == (FEW,)
    assert (ledger.size, ledger.stopped) == (1, None)


def test_malformed_records_refuse_all_and_are_named(ledger: Ledger) -> None:
    records = records_of(ledger, FEW)
    with pytest.raises(MalformedError, match=r"1 of 12 records are malformed: at 4; record 4"):
        ledger.submit_many([*records[:4], b"no record", *records[5:]])
    assert ledger.size == 1


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_else_ends_verification_leaves_the_ledger_going_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(batches: Sequence[object], entropy: Entropy) -> None:
        raise error

    records = records_of(ledger, FEW)
    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(verifying_module, "verify_batches", fail)
        ledger.submit_many(records)
    assert (ledger.size, ledger.stopped) == (1, None)
    assert ledger.submit_many(records) == [*range(1, 1 + FEW)]


def test_an_interrupt_of_the_wait_is_its_thread_s_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that leads waits for others' signatures, too."""
    records, told = records_of(ledger, FEW), list[StoreError]()
    assert ledger._writer is not None
    group, own = ledger._writer._group, Waiting(1, 0, [b"of the thread that is interrupted"])

    def submit() -> None:
        with pytest.raises(StoreError) as refused:
            ledger.submit_many(records)
        told.append(refused.value)

    def interrupt(batches: Sequence[object], entropy: Entropy) -> None:
        raise KeyboardInterrupt

    other = Thread(target=submit)
    with monkeypatch.context() as patch, group._leading:
        patch.setattr(verifying_module, "verify_batches", interrupt)
        other.start()
        while not group._queue:
            time.sleep(0.001)
        group._queue.append(own)
        with pytest.raises(KeyboardInterrupt):
            group._lead(own)
        group._remove(own)
    other.join()

    (error,) = told
    assert "may be durable, or not" in str(error)
    assert (ledger.size, ledger.stopped) == (1, None)
    assert ledger.submit_many(records) == [*range(1, 1 + FEW)]
