"""Run the demonstration: read or make the firms, exchange, verify, and say what happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledgercore.anchor import format_anchor
from ledgercore.clock import Clock, OffsetClock, SystemClock
from ledgercore.demo.desks import Tax
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.independent import verify_independently
from ledgercore.demo.negotiation import negotiate
from ledgercore.demo.offer import check_offer
from ledgercore.demo.scenario import Course, Tally, run_group
from ledgercore.demo.stage import ProcessStage, Stage
from ledgercore.disk import exists, file_bytes, is_empty, make_directory, read_bytes, write_new
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import MalformedError, StoreError, UnavailableError
from ledgercore.exchange import Claim, Totals, verify_pack
from ledgercore.exchange.totals import TotalsProof, TotalsReport
from ledgercore.ledger import Report
from ledgercore.profiles import (
    Mapping,
    Scorecard,
    Table,
    load_table,
    parse_mapping,
    parse_scorecard,
)
from ledgercore.records import SchemaRegister
from ledgercore.rules import book_object

__all__ = ["DemoResult", "run_demo"]

AGREED_MS = 3 * 365 * 24 * 3_600_000
"""How long the bank and the tax authority agree for."""

GROUP = 256
"""Firms whose records are ordered together."""

MAPPING_BYTES = 1024 * 1024
TABLE_BYTES = 64 * 1024 * 1024
"""A table is read whole: far more rows than one machine would run in a day."""

STEPS = 8
"""Steps of one group."""

TOKEN_SCHEMA = SchemaRegister("loyalty", 1, "Loyalty token of a firm", ())
"""What the provider tries to register, and nobody has authorised."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class DemoResult:
    """What a run did and left behind."""

    table: Table
    tally: Tally
    totals: Totals
    report: Report
    records: int
    ledger: Path
    ledger_bytes: int
    anchor: Path
    rejects: Path | None
    notes: Path | None
    packs: dict[str, Path]
    claims: dict[str, tuple[Claim, ...]]
    total: TotalsReport
    total_proof: Path
    """The total with the history that anyone holds it to."""
    exchanging_s: float
    """From the first record of an exchange to the last."""
    seconds: float
    """All of it, with what was verified afterwards."""
    independent: dict[str, int] | None
    """How many claims of each pack, and of the total, the one-file verifier proved."""
    told: dict[str, Any]
    """What is to tell of the processes or the nodes."""

    @property
    def note_of_time(self) -> str:
        """Why times on the ledger are later than this machine's; empty where they are not."""
        hours = self.told.get("clock_ahead_hours", 0)
        if not hours:
            return ""
        return (
            f"Times on this ledger are up to {hours} hours ahead: its clock was set forward, so "
            "that consents could expire without anybody waiting."
        )

    def to_json(self) -> dict[str, Any]:
        """The summary that programs read."""
        return {
            "rows": self.table.count,
            "accepted": len(self.table.rows),
            "rejected": [{"line": r.line, "reason": r.reason} for r in self.table.rejected],
            "noted": len(self.table.notes),
            "exchanges": self.tally.exchanges,
            "completed": self.tally.completed,
            "refusals": dict(sorted(self.tally.refusals.items())),
            "decisions": dict(sorted(self.tally.outcomes.items())),
            "total_decisions": self.total.count,
            "total_amount": self.total.amount,
            "total_proof": str(self.total_proof),
            "records": self.records,
            "ledger": str(self.ledger),
            "ledger_bytes": self.ledger_bytes,
            "anchor": str(self.anchor),
            "rejects": None if self.rejects is None else str(self.rejects),
            "notes": None if self.notes is None else str(self.notes),
            "packs": [str(path) for path in self.packs.values()],
            "exchanges_per_second": round(self.tally.exchanges / self.exchanging_s, 1),
            "seconds": round(self.seconds, 3),
            "independently_proven": self.independent,
            **self.told,
        }


def run_demo(
    directory: str | Path,
    *,
    data: str | Path | None = None,
    mapping: str | Path | None = None,
    scorecard: str | Path | None = None,
    firms: int = 200,
    nodes: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> DemoResult:
    """Run the exchange for every row of a table, or for generated firms, in a new directory.

    Each party is a process of its own, on one ledger that this one orders; with ``nodes`` each has
    a node's process instead. The bank decides by the scorecard, or else by the mapping's approval.
    """
    directory, entropy = Path(directory), entropy or SystemEntropy()
    clock = OffsetClock(clock or SystemClock())
    report_progress = progress or (lambda what, done, total: None)
    if exists(directory / "exchange.ledger"):
        raise StoreError(f"{directory} holds a demonstration already: choose another directory")
    if not is_empty(directory):
        raise StoreError(f"{directory} is not empty: choose a new directory")
    begin = clock.elapsed_s()
    table, columns = _load(data, mapping, firms, entropy)
    model = columns.approval.scorecard() if scorecard is None else _load_scorecard(scorecard)
    make_directory(directory)
    if nodes:
        from ledgercore.demo.nodes import NodesStage  # needs the extra `node`

        stage: Stage = NodesStage(directory, table, model, clock, entropy)
    else:
        stage = ProcessStage(directory, table, model, clock, entropy)
    try:
        exchanging = clock.elapsed_s()
        tally = _exchange(stage, columns, table, report_progress)
        exchanging_s = clock.elapsed_s() - exchanging
        told = stage.end()
        anchor = directory / "anchor.toml"
        write_new(anchor, format_anchor(stage.ledger.trust_anchor).encode())
        report_progress("verifying", 0, 1)
        total, total_proof = _write_total(directory, stage)
        report, totals = stage.regulator.supervise(total)
        packs, claims = _write_packs(directory, stage, tally)
        independent = verify_independently([*packs.values(), total_proof], anchor)
        report_progress("verifying", 1, 1)
        records, path = stage.ledger.size, stage.ledger.path
    finally:
        stage.close()
    return DemoResult(
        table=table,
        tally=tally,
        totals=totals,
        report=report,
        records=records,
        ledger=path,
        ledger_bytes=file_bytes(path),
        anchor=anchor,
        rejects=_write_rejects(directory, table),
        notes=_write_notes(directory, table),
        packs=packs,
        claims=claims,
        total=total,
        total_proof=total_proof,
        exchanging_s=exchanging_s,
        seconds=clock.elapsed_s() - begin,
        independent=independent,
        told=told,
    )


def _load(
    data: str | Path | None, mapping: str | Path | None, firms: int, entropy: Entropy
) -> tuple[Table, Mapping]:
    if (data is None) != (mapping is None):
        raise MalformedError("a table needs a mapping, and a mapping a table: give both or neither")
    if data is None or mapping is None:
        return generate_firms(firms, entropy), generated_mapping()
    columns = _load_mapping(mapping)
    return load_table(read_bytes(data, TABLE_BYTES, "a table"), columns), columns


def _load_mapping(path: str | Path) -> Mapping:
    try:
        columns = parse_mapping(read_bytes(path, MAPPING_BYTES, "a mapping").decode())
    except UnicodeDecodeError as error:
        raise MalformedError(f"mapping is not UTF-8 at byte {error.start}") from None
    check_offer(columns)
    return columns


def _load_scorecard(path: str | Path) -> Scorecard:
    try:
        return parse_scorecard(read_bytes(path, MAPPING_BYTES, "a scorecard").decode())
    except UnicodeDecodeError as error:
        raise MalformedError(f"scorecard is not UTF-8 at byte {error.start}") from None


def _exchange(stage: Stage, columns: Mapping, table: Table, progress: Progress) -> Tally:
    tally = Tally()
    done, total = 0, -(-len(table.rows) // GROUP) * STEPS

    def step() -> None:
        nonlocal done
        done += 1
        progress("exchanging", done, total)
        stage.step((done - 1) % STEPS + 1)

    placed = list(enumerate(table.rows))
    _offer(stage.tax, columns, tally)
    agreement = negotiate(stage.bank, stage.tax, columns, stage.calendar.now_ms() + AGREED_MS)
    for begin in range(0, len(placed), GROUP):
        rows = placed[begin : begin + GROUP]
        run_group(stage, columns, agreement, tally, rows, step)
    return tally


def _offer(tax: Tax, columns: Mapping, tally: Tally) -> None:
    """Register and publish what the provider gives; a schema that reads like a token is refused."""
    (registered,) = tax.register([columns.schema()])
    (published,) = tax.publish(columns.product())
    for answer in (registered, published):
        if isinstance(answer, str):
            raise UnavailableError(f"what is offered was refused: {answer}")
    (token,) = tax.register([TOKEN_SCHEMA])
    if isinstance(token, str):
        tally.refusals[token] += 1


def _write_packs(
    directory: Path, stage: Stage, tally: Tally
) -> tuple[dict[str, Path], dict[str, tuple[Claim, ...]]]:
    """One pack of each course that was taken, verified as anyone would."""
    make_directory(directory / "packs")
    packs, claims = {}, {}
    for course in Course:
        exchange = tally.examples.get(course)
        if exchange is None:
            continue
        name = course.name.lower().replace("_", "-")
        pack = stage.bank.pack(exchange)
        path = directory / "packs" / f"{name}.lcp"
        write_new(path, pack)
        packs[name], claims[name] = path, verify_pack(pack, stage.ledger.trust_anchor)
    return packs, claims


def _write_total(directory: Path, stage: Stage) -> tuple[TotalsReport, Path]:
    """The bank's total with the history of its book, verified as anyone would."""
    path, ledger = directory / "total.lct", stage.ledger
    total = stage.bank.report_totals(0, ledger.size)
    history = ledger.prove_history(book_object(total.consumer))
    proof = TotalsProof.of(ledger.network, total, history)
    proof.verify(ledger.trust_anchor)
    write_new(path, proof.encode())
    return total, path


def _write_rejects(directory: Path, table: Table) -> Path | None:
    """The rejected rows as they were, so that none is lost."""
    rows = [{"line": row.line, "reason": row.reason, "cells": row.cells} for row in table.rejected]
    return _write_lines(directory / "rejects.jsonl", rows)


def _write_notes(directory: Path, table: Table) -> Path | None:
    """What was taken otherwise than it stood."""
    rows = [{"line": note.line, "note": note.text} for note in table.notes]
    return _write_lines(directory / "notes.jsonl", rows)


def _write_lines(path: Path, rows: Sequence[dict[str, object]]) -> Path | None:
    """One JSON object a line; no file where there are none."""
    if not rows:
        return None
    write_new(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return path
