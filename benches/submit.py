"""Submit signed records of 32 signers, 400-byte bodies: verified, durable, published.

Three rows: until ``submit_many`` returns, when a receipt of each record can be had; the same with
every receipt made as bytes; and batch after batch through ``submit_batches``. The peer stores the
same bytes durably in SQLite and does nothing else: no signatures, no rules, no tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import peers
from ledgercore import Ledger, testing
from measure import OURS, Floor, Goal, Operation, Skipped, Way

__all__ = [
    "COUNT",
    "OPERATIONS",
    "RECORD_BYTES",
    "SIGNERS",
    "create_ledger",
    "make_ours",
    "make_peer",
    "submit_once",
]

SIGNERS = 32
COUNT = 16_384
BATCHES = 6
RECORD_BYTES = 568
"""An encoded record with a body of 400 bytes."""

Submit = Callable[[Ledger, list[bytes]], list[object]]


def create_ledger(path: Path) -> Path:
    """A ledger whose genesis names the signers."""
    members = testing.test_members(SIGNERS)
    Ledger.create(path, origin="bench.example", members=members).close()
    return path


def submit_once(ledger: Ledger, records: list[bytes]) -> list[object]:
    return [*ledger.submit_many(records)]


def submit_with_receipts(ledger: Ledger, records: list[bytes]) -> list[object]:
    outcomes = ledger.submit_many(records)
    for receipt in ledger.receipts([each for each in outcomes if isinstance(each, int)]):
        receipt.encode()
    return [*outcomes]


def submit_in_batches(ledger: Ledger, records: list[bytes]) -> list[object]:
    batches = [records[begin : begin + COUNT] for begin in range(0, len(records), COUNT)]
    return [each for outcomes in ledger.submit_batches(batches) for each in outcomes]


def make_ours(path: Path | str, submit: Submit, records_a_round: int) -> Way:
    """A ledger that grows from round to round; signing is not measured."""

    def run() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            records = testing.signed_records(ledger, signers=SIGNERS, count=records_a_round)
            begin = time.perf_counter()
            outcomes = submit(ledger, records)
            seconds = time.perf_counter() - begin
            if outcomes != list(range(ledger.size - records_a_round, ledger.size)):
                raise AssertionError("records were refused: nothing was measured")
        return records_a_round, seconds

    return run


def make_peer(directory: Path) -> Way:
    """A new file a round, on the same disk."""
    records = [number.to_bytes(RECORD_BYTES, "big") for number in range(COUNT)]
    paths = (directory / f"peer-{number}.sqlite" for number in count())

    def run() -> tuple[int, float]:
        path = next(paths)
        begin = time.perf_counter()
        peers.store_sqlite(path, records)
        seconds = time.perf_counter() - begin
        path.unlink()
        return COUNT, seconds

    return run


def prepare(submit: Submit, records_a_round: int, directory: Path) -> Mapping[str, Way | Skipped]:
    return {
        OURS: make_ours(create_ledger(directory / "bench.ledger"), submit, records_a_round),
        "SQLite, storing only": make_peer(directory),
    }


OPERATIONS = [
    Operation(
        id="P5",
        what="signed records verified, durable, published, receipts available",
        unit="records/s",
        floor=Floor("value", 40_000),
        goal=Goal("value", 430_000),
        prepare=partial(prepare, submit_once, COUNT),
    ),
    Operation(
        id="P5-batches",
        what=f"the same through submit_batches, {BATCHES} batches of {COUNT:,}",
        unit="records/s",
        floor=Floor("value", 40_000),
        goal=Goal("value", 430_000),
        prepare=partial(prepare, submit_in_batches, BATCHES * COUNT),
    ),
    Operation(
        id="P5-receipts",
        what="the same as P5, and each record's receipt made",
        unit="records/s",
        floor=Floor("value", 40_000),
        prepare=partial(prepare, submit_with_receipts, COUNT),
    ),
]
