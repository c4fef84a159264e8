"""Weigh a machine by the five figures that JR/T 0193 asks of a ledger.

JR/T 0193-2020, the evaluation rules for ledger technology in Chinese finance, names transaction
throughput, query throughput, synchronisation, deployment efficiency and the growth of the ledger.
Here a transaction is a signed record of 400 bytes, verified, durable and published; a query finds
a record by its id and checks it against the signed roots; deployment begins with nothing and ends
with the first durable receipt. Synchronisation is how fast a copy takes the records, all verified
and durable, without a network between: what the machine does, and not the line.

Ledgers are made in the directory that is given, which decides what disk is weighed, and removed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledgercore import testing
from ledgercore._core import Checkpoint, Record
from ledgercore.clock import Clock
from ledgercore.disk import file_bytes, process_id, remove
from ledgercore.errors import InconsistentError
from ledgercore.ledger import Ledger, Replica

__all__ = ["Evaluation", "evaluate"]

SIGNERS = 32
TOGETHER = 4_096
KNOWN_EVERY = 16
"""One id of so many is kept, to be asked for."""
QUERIES = 256
DEPLOYMENTS = 5
TRANSACTION_SHARE = 2 / 3

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """The figures of one machine, and what they are of."""

    transactions_per_s: float
    queries_per_s: float
    sync_per_s: float
    deployment_s: float
    growth_bytes_a_record: float
    record_bytes: float
    """An encoded record's own bytes, which are part of the growth."""
    records: int
    queries: int


def evaluate(
    directory: str | Path, seconds: float, clock: Clock, progress: Progress | None = None
) -> Evaluation:
    """Measure for about so many seconds, of which making and signing records take a part.

    At least one batch of records and of queries is measured, however few the seconds.
    """
    show = progress or (lambda what, done, total: None)
    deployment_s = statistics.median(
        _deploy(Path(directory), number, clock, show) for number in range(DEPLOYMENTS)
    )
    with _ledger_in(Path(directory), "figures") as path:
        members = testing.test_members(SIGNERS)
        with Ledger.create(path, origin="bench.example", members=members) as ledger:
            budget_s = seconds * TRANSACTION_SHARE
            durations, ids, own_bytes = _submit(ledger, budget_s, clock, show)
            queries, query_s = _query(ledger, ids, seconds - budget_s, clock, show)
            records = ledger.size - 1  # the genesis is none of them
            sync_per_s = _synchronise(Path(directory), ledger, seconds / 4, clock, show)
        size = file_bytes(path)
    return Evaluation(
        transactions_per_s=TOGETHER / statistics.median(durations),
        queries_per_s=queries / query_s,
        sync_per_s=sync_per_s,
        deployment_s=deployment_s,
        growth_bytes_a_record=size / records,
        record_bytes=own_bytes / records,
        records=records,
        queries=queries,
    )


@contextmanager
def _ledger_in(directory: Path, name: str) -> Iterator[Path]:
    """A path for a ledger of this process; all that a ledger makes there is removed."""
    path = directory / f"ledgercore-bench-{process_id()}-{name}.ledger"
    try:
        yield path
    finally:
        for suffix in ("", "-wal", "-shm", ".key", ".head", ".lock"):
            remove(f"{path}{suffix}")


def _deploy(directory: Path, number: int, clock: Clock, show: Progress) -> float:
    """From nothing to the first receipt; the files are removed after that."""
    with _ledger_in(directory, f"deployment-{number}") as path:
        begin_s = clock.elapsed_s()
        with Ledger.create(path, origin="bench.example") as ledger:
            ledger.append(b"the first record").encode()
            took_s = clock.elapsed_s() - begin_s
    show("deploying", number + 1, DEPLOYMENTS)
    return took_s


def _submit(
    ledger: Ledger, budget_s: float, clock: Clock, show: Progress
) -> tuple[list[float], list[bytes], int]:
    """How long each batch took, some of the ids, and the records' bytes; the first warms up."""
    durations: list[float] = []
    ids: list[bytes] = []
    own_bytes, begin_s, warm = 0, clock.elapsed_s(), False
    while not durations or clock.elapsed_s() - begin_s < budget_s:
        records = testing.signed_records(ledger, signers=SIGNERS, count=TOGETHER)
        submit_s = clock.elapsed_s()
        outcomes = ledger.submit_many(records)
        took_s = clock.elapsed_s() - submit_s
        if not all(isinstance(outcome, int) for outcome in outcomes):
            raise InconsistentError("records that follow the rules were refused: nothing measured")
        if warm:
            durations.append(took_s)
        warm = True
        ids += [Record.decode(record).id for record in records[::KNOWN_EVERY]]
        own_bytes += sum(map(len, records))
        show(
            "submitting", min(round(clock.elapsed_s() - begin_s), round(budget_s)), round(budget_s)
        )
    return durations, ids, own_bytes


def _query(
    ledger: Ledger, ids: list[bytes], budget_s: float, clock: Clock, show: Progress
) -> tuple[int, float]:
    """How many records were found and read, and in what time; ids are asked for out of order."""
    asked, begin_s = 0, clock.elapsed_s()
    while not asked or clock.elapsed_s() - begin_s < budget_s:
        for _ in range(QUERIES):
            index = ledger.find(ids[asked * 7919 % len(ids)])
            if index is None:
                raise InconsistentError("a record that was submitted is not found")
            ledger.record(index)
            asked += 1
        _show_seconds(show, "querying", clock.elapsed_s() - begin_s, budget_s)
    return asked, clock.elapsed_s() - begin_s


def _synchronise(
    directory: Path, ledger: Ledger, budget_s: float, clock: Clock, show: Progress
) -> float:
    """Records a second that a copy takes from the ledger; the genesis is not measured."""
    blocks = ledger.blocks()

    def within_budget() -> Iterator[bytes]:
        for block in blocks:
            yield block
            spent_s = clock.elapsed_s() - begin_s
            _show_seconds(show, "synchronising", spent_s, budget_s)
            if spent_s >= budget_s:
                return

    with (
        _ledger_in(directory, "copy") as path,
        Replica.create(path, ledger.trust_anchor, next(blocks)) as copy,
    ):
        begin_s = clock.elapsed_s()
        copy.append(within_budget())
        took_s = clock.elapsed_s() - begin_s
        return (Checkpoint.parse(copy.checkpoint).size - 1) / took_s


def _show_seconds(show: Progress, what: str, spent_s: float, budget_s: float) -> None:
    show(what, min(round(spent_s), round(budget_s)), round(budget_s))
