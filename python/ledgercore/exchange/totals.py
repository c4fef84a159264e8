"""Show that a total is the sum of its parts, and show no part.

A decision may commit to its amount: amount times one generator of ristretto255 and a random
blinding times another (Pedersen). The sum of commitments is a commitment to the sum, so who is told
the sum of amounts and the sum of blindings, and adds the commitments, sees whether the total is
right. Leaving one out or changing one gives another point. The rules keep the decisions of each
consumer in a book, whose complete history shows that none is missing.

What an amount was, the consumer says alone: a total that is right may be the sum of amounts that
were never true, and without a range proof one of them may stand for a number below zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ledgercore import records
from ledgercore._core import Record, group_add_numbers, group_add_points, group_commit
from ledgercore.errors import InvalidProof
from ledgercore.records import DecisionRecord
from ledgercore.records.base import Bytes32, Count, Identifier, Part

__all__ = ["Amount", "TotalsReport", "add_up", "booked", "verify_totals"]

LIMIT_TOTAL = 2**64


class Amount(Part, frozen=True):
    """The opening of one commitment: it stays with the consumer."""

    amount: Count
    blinding: Bytes32


class TotalsReport(Part, frozen=True):
    """What a consumer tells its supervisor of the records ``[begin, end)`` of the ledger."""

    consumer: Identifier
    begin: Count
    end: Count
    count: Count
    amount: int
    blinding: Bytes32


def add_up(consumer: str, begin: int, end: int, opened: Sequence[Amount]) -> TotalsReport:
    """The report over the openings of a period."""
    return TotalsReport(
        consumer=consumer,
        begin=begin,
        end=end,
        count=len(opened),
        amount=sum(opening.amount for opening in opened),
        blinding=group_add_numbers([opening.blinding for opening in opened]),
    )


def booked(history: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, bytes]]:
    """Index and commitment of each decision in a book's history."""
    for index, record in history:
        body = records.decode(record.kind, record.body)
        assert isinstance(body, DecisionRecord) and body.amount_commitment is not None
        yield index, body.amount_commitment


def verify_totals(report: TotalsReport, history: Iterable[tuple[int, Record]]) -> None:
    """Hold a report to the complete history of its consumer's book, or raise ``InvalidProof``."""
    period = [point for at, point in booked(history) if report.begin <= at < report.end]
    if len(period) != report.count:
        raise InvalidProof(f"report counts {report.count} decisions, want {len(period)}")
    if not 0 <= report.amount < LIMIT_TOTAL:
        raise InvalidProof(f"total is {report.amount}, want less than {LIMIT_TOTAL}")
    (told,) = group_commit([report.amount], [report.blinding])
    if told != group_add_points(period):
        raise InvalidProof("total is not the sum of the amounts that the decisions commit to")
