"""Run full exchanges, and say how many a second, how long each takes, and what memory they take.

    make exchanges                                  # 30,000 exchanges
    make exchanges EXCHANGES='--count 2000 --group 64'

Four parties in processes of their own, with their own keys and vaults, on one ledger that a fifth
orders, under an agreement. An exchange is eight signed records: consent requested and authorised,
intent, admit, release, acknowledgement, decision and use; the payload goes sealed from provider to
consumer, its key only against the receipt of the admit, and at the end the provider erases what it
sealed. Exchanges go in groups, whose records share blocks, and four groups are on their way at
once. An exchange's time is from the terms that are put to the subject until its decision is durable
and under a signed checkpoint.

Afterwards everything is verified from the records alone, and every exchange has to be used. Fails
where a goal is missed or anything was refused, and where memory grew in the last third by more than
it may. A state map has 65,536 objects in memory, of some 13,000 exchanges, which a short run may
fill; of the others it has hashes. Both are counted by the map's types. What else there is has to
be flat, but for some room, which was set with measurements at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ledgercore import build_info
from ledgercore.clock import OffsetClock, SystemClock
from ledgercore.demo.desks import BANK, TAX, Answer
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.negotiation import negotiate
from ledgercore.demo.stage import ProcessStage, Stage
from ledgercore.entropy import SystemEntropy
from ledgercore.exchange.messages import Proposal, Terms
from ledgercore.exchange.submission import Accepted
from ledgercore.heaps import share_heaps
from ledgercore.ledger.pages import ENTRIES_IN_MEMORY
from ledgercore.profiles import Mapping, Row
from machine import describe_machine

GOAL_EXCHANGES_S = 200
FOLLOWERS = 4
"""Processes that follow the ledger, each with a state map; the regulator looks at the end only."""
OBJECTS = 6
"""What an exchange leaves in a map: consent, its trail, exchange, decision, the consent's key, its
chain."""
ENTRY_BYTES = 140
"""What an object takes in a map while it is in memory, by its types in rust/map/subtree.rs.

Its key and hash are 64 bytes. Buckets of at most 8 entries have 5.5 (8 times the logarithm of 2),
which share 32 bytes of the bucket's own and a branch of 128: 29 each. Half of that sum is added
for the holes that replaced nodes leave: by what runs showed, not by a count.
"""
HASHES_BYTES = 9
"""What it takes always: a branch and a page, 128 and 64 bytes, for some 22 objects."""
ROOM_MIB = 12
"""What caches that are not full yet and an allocator take: 3 a process that follows the ledger."""

RECORDS = 8
FIRST = 9
"""Genesis, schema, product, and the six records of an agreement."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GROUPS_AT_ONCE = 4
"""Groups on their way at once, so that every party has something to do."""


class Run:
    """Groups of exchanges, several on their way at once, on desks in processes of their own."""

    def __init__(self, stage: Stage, mapping: Mapping, agreement: bytes) -> None:
        self._stage = stage
        self._mapping = mapping
        self._agreement = agreement
        self._fields = tuple(column.code for column in mapping.field if column.consented)

    def group(self, rows: Sequence[Row]) -> float:
        """Full exchanges of these firms; how many seconds it took until they were decided."""
        begin = time.perf_counter()
        stage, purpose = self._stage, self._mapping.offer.purpose
        proposals = self._consent(rows)
        asked = [(each.consent, self._fields) for each in proposals]
        requests, placed = zip(*stage.bank.intend(asked, purpose), strict=True)
        intents = [place.id for place in accepted(placed)]
        codes, placed = zip(
            *stage.tax.answer(list(zip(intents, requests, strict=True))), strict=True
        )
        assert not any(codes), codes
        released = stage.tax.release(list(zip(intents, accepted(placed), strict=True)))
        accepted(stage.tax.confirm([release for _, release in released]))
        accepted(stage.bank.receive(released))
        decisions = accepted([place for _, place in stage.bank.decide(intents)])
        seconds = time.perf_counter() - begin
        used = [(intent, each.id) for intent, each in zip(intents, decisions, strict=True)]
        accepted(stage.bank.use(used, purpose))
        stage.tax.forget(intents)
        return seconds

    def _consent(self, rows: Sequence[Row]) -> list[Proposal]:
        stage, now_ms = self._stage, SystemClock().now_ms()
        keys = stage.agent.new_keys(len(rows))
        asked = [(self._terms(row, now_ms), key) for row, key in zip(rows, keys, strict=True)]
        proposals, placed = zip(
            *stage.bank.ask(asked, now_ms + HOUR_MS, self._agreement), strict=True
        )
        accepted(placed)
        given = [(row.subject, each) for row, each in zip(rows, proposals, strict=True)]
        endorsed = zip(given, stage.tax.endorse(given), strict=True)
        accepted(stage.agent.authorise([(*each, by) for each, by in endorsed]))
        return list(proposals)

    def _terms(self, row: Row, now_ms: int) -> Terms:
        offer = self._mapping.offer
        return Terms(
            subject=row.subject,
            provider=TAX,
            consumer=BANK,
            product=offer.product,
            purpose=offer.purpose,
            fields=self._fields,
            period_begin=offer.period_begin,
            period_end=offer.period_end,
            expires_ms=now_ms + 30 * DAY_MS,
            max_uses=1,
            retain_until_ms=now_ms + 395 * DAY_MS,
            onward="none",
        )


def accepted(answers: Sequence[Answer]) -> list[Accepted]:
    """The places of records, of which none may be refused."""
    refused = [each for each in answers if isinstance(each, str)]
    assert not refused, refused
    return [each for each in answers if isinstance(each, Accepted)]


def memory_mib(process: int) -> float:
    """A process's resident memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def processor_s(process: int) -> float:
    """What a process has had of the processors."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(directory: Path, count: int, group: int) -> dict[str, object]:
    """Run that many exchanges in groups; the figures."""
    entropy = SystemEntropy()
    table, mapping = generate_firms(count, entropy), generated_mapping()
    clock, scorecard = OffsetClock(SystemClock()), mapping.approval.scorecard()
    stage = ProcessStage(directory, table, scorecard, clock, entropy)
    try:
        accepted(stage.tax.register([mapping.schema()]))
        accepted(stage.tax.publish(mapping.product()))
        end_ms = clock.now_ms() + 365 * DAY_MS
        agreed = Run(stage, mapping, negotiate(stage.bank, stage.tax, mapping, end_ms))
        processes = {"orderer": os.getpid(), **stage.end()["processes"]}
        before = {name: processor_s(process) for name, process in processes.items()}
        before_objects = sum(1 for _ in stage.ledger.states(b""))
        marks = [count // 3, 2 * count // 3, count]
        memory: dict[int, dict[str, float]] = {}
        rates: dict[int, int] = {}
        seconds_of: list[float] = []
        begin = time.perf_counter()
        pieces = [table.rows[at : at + group] for at in range(0, count, group)]
        with ThreadPoolExecutor(GROUPS_AT_ONCE) as threads:
            for rows, taken in zip(pieces, threads.map(agreed.group, pieces), strict=True):
                seconds_of += [taken] * len(rows)
                while marks and len(seconds_of) >= marks[0]:
                    rates[marks[0]] = round(len(seconds_of) / (time.perf_counter() - begin))
                    memory[marks.pop(0)] = {n: memory_mib(p) for n, p in processes.items()}
        seconds = time.perf_counter() - begin
        processor = {n: processor_s(p) - before[n] for n, p in processes.items()}
        begin = time.perf_counter()
        total = stage.bank.report_totals(0, stage.ledger.size)
        report, totals = stage.regulator.supervise(total)
        verify_s = time.perf_counter() - begin
        objects = sum(1 for _ in stage.ledger.states(b"")) - before_objects
    finally:
        stage.close()
    assert report.records == FIRST + RECORDS * count, report
    assert totals.exchanges == {"USED": count}, totals
    assert objects // count == OBJECTS, objects  # and the bank's book, and its newest amounts
    seconds_of.sort()
    return {
        "exchanges": count,
        "records": report.records,
        "exchanges_per_s": round(count / seconds),
        "exchanges_per_s_until": rates,
        "seconds": round(seconds, 1),
        "processor_ms_an_exchange": {
            **{name: round(1000 * each / count, 2) for name, each in processor.items()},
            "all": round(1000 * sum(processor.values()) / count, 2),
        },
        "consent_to_decision_ms": {
            "p50": round(1000 * seconds_of[count // 2]),
            "p99": round(1000 * seconds_of[count * 99 // 100]),
        },
        "group": group,
        "memory_mib": {
            at: {**each, "all": round(sum(each.values()), 1)} for at, each in memory.items()
        },
        "verified_afterwards_s": round(verify_s, 1),
    }


def misses(found: dict[str, object]) -> list[str]:
    """The goals that were missed."""
    missed = []
    rate, memory = found["exchanges_per_s"], found["memory_mib"]
    assert isinstance(rate, int)
    assert isinstance(memory, dict)
    if rate < GOAL_EXCHANGES_S:
        missed.append(f"{rate} exchanges/s, want at least {GOAL_EXCHANGES_S}")
    _, (begin, middle), (end, most) = ((at, each["all"]) for at, each in memory.items())
    allowed = maps_mib(end) - maps_mib(begin) + ROOM_MIB
    if most - middle > allowed:
        missed.append(
            f"memory grew by {most - middle:.1f} MiB from exchange {begin} to {end}, want at most "
            f"{allowed:.1f} MiB"
        )
    return missed


def maps_mib(exchanges: int) -> float:
    """What the state maps of all who follow take after so many exchanges."""
    objects = exchanges * OBJECTS
    entries = min(objects, ENTRIES_IN_MEMORY)
    return FOLLOWERS * (entries * ENTRY_BYTES + objects * HASHES_BYTES) / 2**20


def main() -> None:
    """Print the figures as JSON, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--group", type=int, default=512, help="exchanges that share blocks")
    given = parser.parse_args()
    share_heaps()
    with tempfile.TemporaryDirectory(prefix="ledgercore-exchanges-") as name:
        directory = Path(name)
        found = run(directory, given.count, given.group)
        found["kernel"] = build_info()["signature_kernel"]
        found["machine"] = describe_machine(directory)
    print(json.dumps(found, indent=1))
    missed = misses(found)
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
