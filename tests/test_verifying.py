"""Large batches, whose signatures are verified while their records are stored."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ledgercore import (
    CorruptError,
    InvalidSignature,
    Ledger,
    MalformedError,
    RefusedError,
    StoreError,
    testing,
)
from ledgercore._core import Batch, Verification
from ledgercore.entropy import Entropy
from ledgercore.ledger import writer as writer_module
from ledgercore.ledger.commit import PIECE_BUNDLES
from ledgercore.ledger.group import Waiting
from ledgercore.ledger.verifying import Verifying
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


class Failing:
    """In the place of a batch that is being verified: the wait for it ends so."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def verify(self) -> None:
        raise self._error


def failing(error: type[BaseException]) -> Callable[..., None]:
    """A constructor of what never is verified."""

    def init(verifying: Verifying, batch: Batch, entropy: Entropy, *, ahead: bool) -> None:
        verifying.batch = batch
        verifying._verification = Failing(error)  # type: ignore[assignment]

    return init


@pytest.mark.parametrize("count", [FEW, MANY])
def test_records_are_stored_while_they_are_verified(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The verdict is asked for when all are stored and the tree is made, and nothing is signed."""
    add, stored, seen = SqliteStore.add_bundles, Event(), list[str]()
    left = [-(-count // BUNDLE_RECORDS)]

    def adding(store: SqliteStore, height: int, first: int, bundles: Sequence[bytes]) -> None:
        add(store, height, first, bundles)
        left[0] -= len(bundles)
        if not left[0]:
            stored.set()

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            seen.append(name)
            return call(*arguments)

        return noted

    monkeypatch.setattr(SqliteStore, "add_bundles", adding)
    monkeypatch.setattr(SqliteStore, "put_states", noting("states", SqliteStore.put_states))
    monkeypatch.setattr(SqliteStore, "add_header", noting("header", SqliteStore.add_header))
    monkeypatch.setattr(Verifying, "verify", noting("verdict", Verifying.verify))

    assert ledger.submit_many(records_of(ledger, count)) == [*range(1, 1 + count)]
    assert stored.is_set()
    assert seen == ["states", "verdict", "header"]
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
    records = records_of(ledger, FEW)
    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(Verifying, "__init__", failing(error))
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

    other = Thread(target=submit)
    with monkeypatch.context() as patch, group._leading:
        patch.setattr(Verifying, "__init__", failing(KeyboardInterrupt))
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


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2047, 2049, 8193, 12_000])
def test_a_batch_that_is_verified_in_parts_is_the_batch(
    ledger: Ledger, count: int, ahead: bool
) -> None:
    batch = Batch.decode(records_of(ledger, count) if count else [])

    verified = Verification(batch, bytes(32), ahead=ahead).result()

    Verification(batch, bytes(32), ahead=ahead).verify()
    want = batch.verify(bytes(32))
    assert (verified.joined_ids(), verified.leaf_hashes()) == (
        want.joined_ids(),
        want.leaf_hashes(),
    )


def test_every_bad_signature_is_named_whoever_verified_its_part(ledger: Ledger) -> None:
    records, bad = records_of(ledger, 9000), (0, 126, 127, 2047, 2048, 2250, 6000, 8999)
    for index in bad:
        records[index] = broken(records[index])
    verification = Verification(Batch.decode(records), bytes(32))

    for _ in range(2):  # asked again it says the same
        for ask in (verification.result, verification.verify):
            with pytest.raises(InvalidSignature, match=f"{len(bad)} of 9000 signatures") as refused:
                ask()
            assert refused.value.indices == bad


def test_what_is_verified_beside_is_done_where_threads_are_the_parent_s(ledger: Ledger) -> None:
    """A forked process has none of the threads that had begun."""
    verification = Verification(Batch.decode(records_of(ledger, 5000)), bytes(32))
    child = os.fork()
    if not child:
        signal.alarm(60)
        verification.verify()
        os._exit(0 if len(verification.result()) == 5000 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(verification.result()) == 5000


@pytest.mark.parametrize("count", [FEW, MANY])
def test_what_comes_to_a_block_unverified_is_verified_before_it_stays(
    ledger: Ledger, count: int
) -> None:
    """Also more than is stored in one step, which nobody signs here today."""
    records = records_of(ledger, count)
    forged = Batch.decode([*records[:-1], broken(records[-1])])
    writer = ledger._writer
    assert writer is not None

    with pytest.raises(CorruptError, match="signature"):
        writer._order(forged)

    assert ledger.size == 1
    with Ledger.open(ledger.path, read_only=True) as reader:
        assert reader.size == 1


def test_batches_are_stored_while_they_are_verified(ledger: Ledger) -> None:
    records = records_of(ledger, 3 * FEW)
    batches = [records[begin : begin + FEW] for begin in range(0, len(records), FEW)]
    batches[1] = [*batches[1][:-1], broken(batches[1][-1])]

    outcomes = ledger.submit_batches(batches)

    assert next(outcomes) == [*range(1, 1 + FEW)]
    with pytest.raises(InvalidSignature) as refused:
        next(outcomes)
    assert refused.value.indices == (FEW - 1,)
    assert (ledger.size, ledger.stopped) == (1 + FEW, None)
    ledger.verify()
