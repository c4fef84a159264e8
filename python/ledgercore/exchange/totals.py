"""Show that a total is the sum of its parts, and show no part.

A decision may commit to its amount: amount times one generator of ristretto255 and a random
blinding times another (Pedersen). The sum of commitments is a commitment to the sum, so who is told
the sum of amounts and the sum of blindings, and adds the commitments, sees whether the total is
right. Leaving one out or changing one gives another point. The rules keep the decisions of each
consumer in a book, whose complete history shows that none is missing.

Whoever has no ledger is handed the report with that history as one file, which begins ``99 01``:

    [1, network, consumer, begin, end, count, amount, blinding, history proof]

What an amount was, the consumer says alone: a total that is right may be the sum of amounts that
were never true, and without a range proof one of them may stand for a number below zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

import msgspec
from msgspec import structs

from ledgercore import records
from ledgercore._core import Anchor, Record, group_add_numbers, group_add_points, group_commit
from ledgercore.arguments import typed
from ledgercore.errors import InvalidProof, LimitError, MalformedError, UntrustedError
from ledgercore.proofs import HISTORY_BYTES, History, HistoryProof
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records import DecisionRecord
from ledgercore.records.base import Bytes16, Bytes32, Count, Identifier, Part
from ledgercore.rules import book_object
from ledgercore.wording import in_words, number_in_words

__all__ = [
    "TOTALS_BYTES",
    "Amount",
    "TotalsProof",
    "TotalsReport",
    "VerifiedTotals",
    "add_up",
    "booked",
    "check_ended",
    "check_report",
    "verify_totals",
    "verify_totals_proof",
]

LIMIT_TOTAL = 2**64
"""Every sum of amounts is below this."""

TOTALS_BYTES = HISTORY_BYTES
"""Bytes of a report with its history at most."""


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


@dataclass(frozen=True)
class VerifiedTotals:
    """A report that is the sum of what its consumer's book holds, and the book's history."""

    report: TotalsReport
    history: History


_Encoded: Any = msgspec.defstruct(
    "Totals",
    [
        ("version", Literal[1]),
        ("network", Bytes16),
        *get_type_hints(TotalsReport, include_extras=True).items(),
        ("history", bytes),
    ],
    bases=(Part,),
    frozen=True,
)
"""The one array of a proof, in which the fields of its report stand between the others."""


@dataclass(frozen=True)
class TotalsProof:
    """A report, and the encoded history of its consumer's book to hold it to."""

    network: bytes
    report: TotalsReport
    history: bytes

    @staticmethod
    def of(network: bytes, report: TotalsReport, history: HistoryProof) -> TotalsProof:
        return TotalsProof(network, report, history.encode())

    @staticmethod
    def decode(data: bytes) -> TotalsProof:
        decoded = decode_part(data, _Encoded, "totals", TOTALS_BYTES)
        _, network, *told, history = structs.astuple(decoded)
        return TotalsProof(network, TotalsReport(*told), history)

    def encode(self) -> bytes:
        return encode_part(_Encoded(1, self.network, *structs.astuple(self.report), self.history))

    def verify(self, anchor: Anchor) -> VerifiedTotals:
        """The report, if the book that the anchor leads to adds up to it; or raise."""
        check_report(self.report)
        if self.network != anchor.network:
            raise UntrustedError("totals are of another network than the anchor's")
        history = HistoryProof.decode(self.history).verify(anchor)
        consumer = self.report.consumer
        if history.object != book_object(consumer):
            raise InvalidProof(f"history is of another object than the book of {consumer}")
        check_ended(self.report.end, history.checkpoint.size)
        verify_totals(self.report, history.records)
        return VerifiedTotals(self.report, history)


@typed
def verify_totals_proof(data: bytes, anchor: Anchor) -> VerifiedTotals:
    """Verify an encoded report with its history, or raise with what is wrong."""
    return TotalsProof.decode(data).verify(anchor)


def add_up(consumer: str, begin: int, end: int, opened: Sequence[Amount]) -> TotalsReport:
    """The report over the openings of a period.

    Raises ``LimitError`` where they add up to what no verifier takes: of 2,049 decisions or more.
    """
    amount = sum(opening.amount for opening in opened)
    if amount >= LIMIT_TOTAL:
        want = f"less than {LIMIT_TOTAL}: report shorter periods"
        raise LimitError(f"total of [{begin}, {end}) is {amount}, want {want}")
    return TotalsReport(
        consumer=consumer,
        begin=begin,
        end=end,
        count=len(opened),
        amount=amount,
        blinding=group_add_numbers([opening.blinding for opening in opened]),
    )


def booked(history: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, bytes]]:
    """Index and commitment of each decision in a book's history."""
    for index, record in history:
        if record.kind != DecisionRecord.KIND:
            raise InvalidProof(f"record {index} in a book is {record.kind}, want a decision")
        body = records.decode(record.kind, record.body)
        commitment: bytes | None = getattr(body, "amount_commitment", None)
        if commitment is None:
            raise InvalidProof(f"record {index} in a book commits to no amount")
        yield index, commitment


def check_report(report: TotalsReport) -> None:
    """Raise ``MalformedError`` for a report that has no encoding, or whose period is none.

    One that is not decoded may hold anything.
    """
    for part in structs.fields(TotalsReport):
        got = getattr(report, part.name)
        try:
            msgspec.convert(got, part.type)
        except msgspec.ValidationError as error:
            said = number_in_words(got) if isinstance(got, int) else repr(got)
            raise MalformedError(f"{part.name} is {said}, {in_words(error)}") from error
    if report.begin > report.end:
        raise MalformedError(f"period is [{report.begin}, {report.end}), want its begin first")


def check_ended(end: int, size: int) -> None:
    """Raise ``InvalidProof`` for a period that goes on: the next decision would change it."""
    if end > size:
        raise InvalidProof(
            f"period ends at record {end}, and {size} are shown: end it there, or show the rest"
        )


def verify_totals(report: TotalsReport, history: Iterable[tuple[int, Record]]) -> None:
    """Hold a report to the complete history of its consumer's book, or raise ``InvalidProof``."""
    period = [point for at, point in booked(history) if report.begin <= at < report.end]
    if len(period) != report.count:
        raise InvalidProof(f"report counts {report.count} decisions, want {len(period)}")
    if not 0 <= report.amount < LIMIT_TOTAL:
        total = number_in_words(report.amount)
        raise InvalidProof(f"total is {total}, want 0 or more and less than {LIMIT_TOTAL}")
    (told,) = group_commit([report.amount], [report.blinding])
    if told != group_add_points(period):
        raise InvalidProof("total is not the sum of the amounts that the decisions commit to")
