"""Act for the supervisor: see every movement and the totals, and no content.

The supervisor reads its own copy of the ledger and verifies all of it; it writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgercore.arguments import typed_methods
from ledgercore.exchange.monitor import Findings, count, states_of, watch
from ledgercore.exchange.totals import TotalsReport, check_ended, check_report, verify_totals
from ledgercore.ledger import Ledger, Report
from ledgercore.ledger.audit import Progress
from ledgercore.rules import (
    AgreementState,
    ConsentState,
    DecisionState,
    ExchangeState,
    agreement_status_at,
    book_object,
    consent_status_at,
    exchange_status_at,
)

__all__ = ["Supervisor", "Totals"]


@dataclass(frozen=True)
class Totals:
    """How many objects of each family stand in each status, and how decisions went."""

    agreements: dict[str, int]
    consents: dict[str, int]
    exchanges: dict[str, int]
    refusals: dict[str, int]
    decisions: dict[str, int]


@typed_methods
class Supervisor:
    """An observer with a ledger that is open for reading."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def verify(self, progress: Progress | None = None) -> Report:
        """Verify everything from the records alone."""
        return self._ledger.verify(progress)

    def verify_totals(self, report: TotalsReport) -> None:
        """Hold a consumer's total to all decisions in its book, or raise ``InvalidProof``.

        So does a period that ends after the last record here, which may still come or be copied.
        Raises ``MalformedError`` where the period is none, or a number or name in the report.
        Without a ledger ``totals.verify_totals_proof`` does the same, of a ``TotalsProof``.
        """
        check_report(report)
        with self._ledger.moment():
            check_ended(report.end, self._ledger.size)
            verify_totals(report, self._ledger.history(book_object(report.consumer)))

    def watch(self) -> Findings:
        """What should have happened and has not, at the newest block's time."""
        with self._ledger.moment():
            return watch(self._ledger)

    def totals(self) -> Totals:
        """Counts from the signed state, at the newest block's time."""
        ledger = self._ledger
        with ledger.moment():
            now_ms = ledger.time_ms
            agreements = states_of(ledger, b"agreement/", AgreementState).values()
            consents = states_of(ledger, b"consent/", ConsentState).values()
            exchanges = states_of(ledger, b"exchange/", ExchangeState).values()
            decisions = states_of(ledger, b"decision/", DecisionState).values()
        return Totals(
            agreements=count(agreement_status_at(state, now_ms) for state in agreements),
            consents=count(consent_status_at(state, now_ms) for state in consents),
            exchanges=count(exchange_status_at(state, now_ms) for state in exchanges),
            refusals=count(state.code for state in exchanges if state.code),
            decisions=count(state.outcome for state in decisions),
        )
