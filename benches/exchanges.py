"""Run full exchanges, and say how many a second, how long each takes, and what memory they take.

    make exchanges                                  # 10,000 exchanges
    make exchanges EXCHANGES='--count 2000 --group 64'

Four parties with their own keys and vaults on one ledger, in one process. An exchange is eight
signed records: consent requested and authorised, intent, admit, release, acknowledgement, decision
and use; the payload goes sealed from provider to consumer, its key only against the receipt of the
admit, and at the end the provider erases what it sealed. Exchanges go in groups, whose records
share blocks; each group is whole before the next begins. An exchange's time is from the terms that
are put to the subject until its decision is durable and under a signed checkpoint.

Afterwards everything is verified from the records alone, and every exchange has to be used. Fails
where a goal is missed or anything was refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ledgercore import build_info
from ledgercore.clock import SystemClock
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.parties import BANK, ENTERPRISES, TAX, Parties, set_up
from ledgercore.entropy import SystemEntropy
from ledgercore.exchange.messages import Proposal, Terms
from ledgercore.exchange.submission import Accepted, Draft
from ledgercore.profiles import Mapping, Row, assess, encode_scorecard
from ledgercore.rules import ExchangeState, decode_state
from machine import describe_machine

GOAL_EXCHANGES_S = 200
GROWTH_MIB = 32
"""What memory may grow by from the middle of the run to its end: the map of states, no trend."""

RECORDS = 8
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AMOUNT = 50_000_000


class Desk:
    """What all parties do for a group of firms, step by step."""

    def __init__(self, parties: Parties, mapping: Mapping) -> None:
        self._parties = parties
        self._mapping = mapping
        self._scorecard = mapping.approval.scorecard()
        self._model = encode_scorecard(self._scorecard)
        self._fields = tuple(column.code for column in mapping.field if column.consented)

    def submit(self, party: str, drafts: Sequence[Draft]) -> list[Accepted]:
        """Order drafts of which none may be refused."""
        accepted = []
        for outcome in self._parties.submit(party, drafts):
            if not isinstance(outcome, Accepted):
                raise outcome
            accepted.append(outcome)
        return accepted

    def run(self, rows: Sequence[Row]) -> float:
        """The whole of it; the moment when the decisions were durable."""
        consents = self._consent(rows)
        intents = self._deliver(consents)
        return self._use(intents)

    def _consent(self, rows: Sequence[Row]) -> list[Proposal]:
        parties, consumer = self._parties, self._parties.consumer
        now_ms = SystemClock().now_ms()
        subjects = [parties.subject(row.subject) for row in rows]
        with parties.keeping():
            proposals = [
                consumer.propose(self._terms(row, now_ms), subject.new_consent_key())
                for row, subject in zip(rows, subjects, strict=True)
            ]
        self.submit(BANK, [consumer.request_consent(each, now_ms + HOUR_MS) for each in proposals])
        authorised = []
        with parties.keeping():
            for subject, proposal in zip(subjects, proposals, strict=True):
                subject.agree(proposal)
                endorsement = parties.provider.endorse(subject.name, proposal)
                authorised.append(subject.authorise(proposal, endorsement))
        self.submit(ENTERPRISES, authorised)
        return proposals

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

    def _deliver(self, proposals: Sequence[Proposal]) -> list[tuple[bytes, str, list[str]]]:
        """Each exchange's intent, and what the values that came with it lead to."""
        provider, consumer = self._parties.provider, self._parties.consumer
        purpose = self._mapping.offer.purpose
        requests = [consumer.request(each.consent, self._fields, purpose) for each in proposals]
        intents = [each.id for each in self.submit(BANK, consumer.intend(requests))]
        answers = provider.answer(list(zip(intents, requests, strict=True)))
        admits = self.submit(TAX, answers)
        with self._parties.keeping():
            releases = []
            for outcome in provider.release_all(list(zip(intents, admits, strict=True))):
                if isinstance(outcome, Exception):
                    raise outcome
                releases.append(outcome)
            confirmed = [provider.confirm_release(release) for release in releases]
        self.submit(TAX, confirmed)
        decided = []
        with self._parties.keeping():
            for intent, release in zip(intents, releases, strict=True):
                values = consumer.open(provider.delivery(intent), release)
                found = assess(self._scorecard, values)
                decided.append((intent, found.outcome, list(found.reasons)))
        self.submit(BANK, [consumer.acknowledge(intent) for intent in intents])
        return decided

    def _use(self, decided: Sequence[tuple[bytes, str, list[str]]]) -> float:
        provider, consumer = self._parties.provider, self._parties.consumer
        with self._parties.keeping():
            drafts = [
                consumer.decide([intent], outcome, self._model, reasons, amount=AMOUNT)
                for intent, outcome, reasons in decided
            ]
        decisions = self.submit(BANK, drafts)
        durable = time.perf_counter()
        purpose = self._mapping.offer.purpose
        uses = [
            consumer.use(intent, decision.id, purpose)
            for (intent, _, _), decision in zip(decided, decisions, strict=True)
        ]
        self.submit(BANK, uses)
        provider.forget([intent for intent, _, _ in decided])
        return durable


def memory_mib() -> float:
    """The process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run(directory: Path, count: int, group: int) -> dict[str, object]:
    """Run that many exchanges in groups; the figures."""
    entropy = SystemEntropy()
    table, mapping = generate_firms(count, entropy), generated_mapping()
    parties = set_up(directory, table, SystemClock(), entropy)
    desk = Desk(parties, mapping)
    desk.submit(TAX, [parties.provider.publish(mapping.product())])
    times_ms: list[float] = []
    memory: dict[int, int] = {}
    marks = [count // 10, count // 2, count]
    begin, processor = time.perf_counter(), time.process_time()
    for first in range(0, count, group):
        rows = table.rows[first : first + group]
        at = time.perf_counter()
        durable = desk.run(rows)
        times_ms += [1000 * (durable - at)] * len(rows)
        while marks and first + len(rows) >= marks[0]:
            memory[marks.pop(0)] = round(memory_mib())
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    begin = time.perf_counter()
    records = parties.ledger.verify().records
    verify_s = time.perf_counter() - begin
    used = count_used(parties)
    assert (records, used) == (2 + RECORDS * count, count), (records, used)
    parties.close()
    times_ms.sort()
    return {
        "exchanges": count,
        "records": records,
        "exchanges_per_s": round(count / seconds),
        "seconds": round(seconds, 1),
        "processor_ms_an_exchange": round(1000 * processor / count, 2),
        "consent_to_decision_ms": {
            "p50": round(times_ms[len(times_ms) // 2]),
            "p99": round(times_ms[len(times_ms) * 99 // 100]),
        },
        "group": group,
        "memory_mib": memory,
        "verified_afterwards_s": round(verify_s, 1),
    }


def count_used(parties: Parties) -> int:
    """How many exchanges came to their end."""
    states = parties.ledger.states(b"exchange/")
    return sum(decode_state(value, ExchangeState).status == "USED" for _, value in states)


def misses(found: dict[str, object]) -> list[str]:
    """The goals that were missed."""
    missed = []
    rate, memory = found["exchanges_per_s"], found["memory_mib"]
    assert isinstance(rate, int)
    assert isinstance(memory, dict)
    if rate < GOAL_EXCHANGES_S:
        missed.append(f"{rate} exchanges/s, want at least {GOAL_EXCHANGES_S}")
    _, middle, end = memory.values()
    if end > middle + GROWTH_MIB:
        missed.append(f"memory grows from {middle} to {end} MiB in the second half")
    return missed


def main() -> None:
    """Print the figures as JSON, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--group", type=int, default=256, help="exchanges that share blocks")
    given = parser.parse_args()
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
