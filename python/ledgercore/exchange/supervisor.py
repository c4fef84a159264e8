"""Act for the supervisor: see every movement and the totals, and no content.

The supervisor reads its own copy of the ledger and verifies all of it; it writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ledgercore.exchange.monitor import Findings, watch
from ledgercore.exchange.totals import TotalsReport, verify_totals
from ledgercore.ledger import Ledger, Report
from ledgercore.ledger.audit import Progress
from ledgercore.rules import (
    ConsentState,
    DecisionState,
    ExchangeState,
    book_object,
    consent_status_at,
    exchange_status_at,
)
from ledgercore.rules.view import decode_state

__all__ = ["Supervisor", "Totals"]


@dataclass(frozen=True)
class Totals:
    """How many objects of each family stand in each status, and how decisions went."""

    consents: dict[str, int]
    exchanges: dict[str, int]
    refusals: dict[str, int]
    decisions: dict[str, int]


class Supervisor:
    """An observer with a ledger that is open for reading."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def verify(self, progress: Progress | None = None) -> Report:
        """Verify everything from the records alone."""
        return self._ledger.verify(progress)

    def verify_totals(self, report: TotalsReport) -> None:
        """Hold a consumer's total to all decisions in its book, or raise ``InvalidProof``.

        Without a ledger ``totals.verify_totals_proof`` does the same, of a ``TotalsProof``.
        """
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
            consents = [decode_state(v, ConsentState) for _, v in ledger.states(b"consent/")]
            exchanges = [decode_state(v, ExchangeState) for _, v in ledger.states(b"exchange/")]
            decisions = [decode_state(v, DecisionState) for _, v in ledger.states(b"decision/")]
        return Totals(
            consents=_count(consent_status_at(state, now_ms) for state in consents),
            exchanges=_count(exchange_status_at(state, now_ms) for state in exchanges),
            refusals=_count(state.code for state in exchanges if state.code),
            decisions=_count(state.outcome for state in decisions),
        )


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
