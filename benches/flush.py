"""Append records one by one, each durable before the next: beside loops that only store.

Four rows: one caller, whose every record waits for a flush of its own; one who waits for a signed
checkpoint over each record too, and so for a block; the same one, who goes on for longer; and a
crowd of threads, who share blocks. The first's peers are a bare file, SQLite and another log, the
second's also our own store with the rows that our blocks have, which nobody signs, hashes or looks
at: what is left is ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import peers
from ledgercore import Ledger
from ledgercore._core import state_keys
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.rules import signer_object
from ledgercore.store import SqliteStore
from measure import OURS, Floor, Goal, Operation, Skipped, Way, timed

__all__ = ["OPERATIONS"]

COUNT = 200
LONG_COUNT = 1_000
"""So many that blocks are made of what is durable only, or the log is moved, meanwhile, as it is
again and again for whoever goes on."""

RAW = "write and fdatasync"

THREADS = 16
ITEM_BYTES = 400


def prepare(directory: Path) -> Mapping[str, Way | Skipped]:
    """All write to the same directory, so to the same disk."""
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(LONG_COUNT)]
    return {OURS: append_durable_each(directory, items), **peers_of(directory, items)}


def prepare_published(directory: Path) -> Mapping[str, Way | Skipped]:
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(COUNT)]
    path = directory / "bench.ledger"
    Ledger.create(path, origin="bench.example").close()
    return {
        OURS: append_each(path, items),
        "same store, storing only": storing_only(directory, items),
        **peers_of(directory, items),
    }


def peers_of(directory: Path, items: Sequence[bytes]) -> Mapping[str, Way | Skipped]:
    """Loops that only store, each item flushed."""
    digests = [item[-32:] for item in items]  # what a log of hashes stores: 32 bytes each
    paths = (directory / f"peer-{number}" for number in count())
    size = len(items)
    return {
        RAW: timed(lambda: peers.write_and_flush(next(paths), items), size),
        "SQLite, a row each": timed(lambda: peers.store_sqlite_each(next(paths), items), size),
        "checkpointed-local-log, hashes": timed(
            lambda: peers.append_local_log(next(paths), digests), size
        ),
    }


def append_durable_each(directory: Path, items: Sequence[bytes]) -> Way:
    """One call an item, by one caller, until all of them have a signed checkpoint."""
    path = directory / "durable.ledger"
    Ledger.create(path, origin="bench.example").close()

    def append() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            ledger.append_durable(b"first")  # whose room is taken once, as it opens once
            ledger.publish()
            size = ledger.size
            begin = time.perf_counter()
            for item in items:
                ledger.append_durable(item)
            ledger.publish()
            seconds = time.perf_counter() - begin
            if ledger.size != size + len(items):
                raise AssertionError("records are missing: nothing was measured")
            return len(items), seconds

    return append


def append_each(path: Path, items: Sequence[bytes]) -> Way:
    """One call an item, by one caller; opening is not measured."""

    def append() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            begin = time.perf_counter()
            for item in items:
                ledger.append_many([item])
            return len(items), time.perf_counter() - begin

    return append


def storing_only(directory: Path, items: Sequence[bytes]) -> Way:
    """The rows of as many blocks, made before, in the same store: a transaction a block."""
    with Ledger.create(directory / "made.ledger", origin="bench.example") as ledger:
        for item in items:
            ledger.append_many([item])
        signer = signer_object(ledger.trust_anchor.operator_key)
        state = ledger.state(signer)
        assert state is not None, "the operator has signed"
        keys = state_keys(ledger.trust_anchor.suite, [signer])
        decoded = [decode_transfer(data) for data in ledger.blocks(1)]
    names = count()

    def store_each() -> tuple[int, float]:
        store = SqliteStore.create(directory / f"store-{next(names)}.ledger")
        store.take_room(1)
        begin = time.perf_counter()
        for transfer, block, _ in decoded:
            height, first_index = block.height, block.first_index
            with store.transaction():
                store.add_bundles(height, first_index, transfer.bundles)
                store.put_states(height, keys, [(signer, state)], {})
                store.add_header(height, first_index, transfer.header, transfer.note, keys)
        seconds = time.perf_counter() - begin
        store.close()
        return len(items), seconds

    return store_each


def prepare_long(directory: Path) -> Mapping[str, Way | Skipped]:
    """One caller who goes on, beside the loop that does."""
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(LONG_COUNT)]
    path = directory / "long.ledger"
    Ledger.create(path, origin="bench.example").close()
    paths = (directory / f"peer-{number}" for number in count())

    def write() -> None:
        peers.write_and_flush(next(paths), items)

    return {OURS: append_each(path, items), RAW: timed(write, LONG_COUNT)}


def prepare_crowd(directory: Path) -> Mapping[str, Way | Skipped]:
    """As many records from each of some threads, against one loop that flushes each."""
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(COUNT)]
    path = directory / "crowd.ledger"
    Ledger.create(path, origin="bench.example").close()
    paths = (directory / f"peer-{number}" for number in count())

    def append() -> tuple[int, float]:
        with Ledger.open(path) as ledger, ThreadPoolExecutor(THREADS) as pool:
            begin = time.perf_counter()
            receipts = list(pool.map(ledger.append, items * 5))
            seconds = time.perf_counter() - begin
            if len({receipt.index for receipt in receipts}) != 5 * COUNT:
                raise AssertionError("records are missing: nothing was measured")
            return 5 * COUNT, seconds

    return {
        OURS: append,
        RAW: timed(lambda: peers.write_and_flush(next(paths), items), COUNT),
    }


OPERATIONS = [
    Operation(
        id="P4",
        what="append 400 bytes, each durable before the next, and all published at the end",
        unit="records/s",
        floor=Floor("ratio", 0.5),
        goal=Goal("ratio", 0.9),
        prepare=prepare,
    ),
    Operation(
        id="P4-published",
        what="append 400 bytes, each durable with a signed checkpoint before the next",
        unit="records/s",
        floor=None,
        prepare=prepare_published,
    ),
    Operation(
        id="P4-long",
        what=f"the same for {LONG_COUNT:,} records, the log moved meanwhile",
        unit="records/s",
        floor=None,
        prepare=prepare_long,
    ),
    Operation(
        id="P4-crowd",
        what="append 400 bytes from each of 16 threads, durable, with its receipt",
        unit="records/s",
        floor=None,
        prepare=prepare_crowd,
    ),
]
