"""Hold one exchange with all that an evidence pack says of it: its records, states and openings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from ledgercore._core import Record
from ledgercore.exchange.evidence import Evidence
from ledgercore.exchange.messages import Request
from ledgercore.exchange.objection import Objection
from ledgercore.exchange.salted import Leaf
from ledgercore.records import ExchangeErase, RecordBody
from ledgercore.records.base import Part
from ledgercore.rules import ConsentState, ExchangeState, consent_object, exchange_object

__all__ = ["Case", "Claim", "ReleaseEvidence"]


BodyT = TypeVar("BodyT", bound=RecordBody)


@dataclass(frozen=True)
class Claim:
    """One thing that the evidence shows: ``status`` is proven, erased or withheld."""

    name: str
    statement: str
    status: str = "proven"


class ReleaseEvidence(Part, frozen=True):
    """What a release rested on: the admit's body, and its receipt with the exchange's state.

    The sealed key is left out: it proves nothing to anyone but the consumer.
    """

    admit: bytes
    receipt: bytes


@dataclass(frozen=True)
class Case:
    """One exchange with everything that is known of it."""

    evidence: Evidence
    exchange: bytes
    terms: tuple[Leaf, ...] | None
    request: Request | None
    payload: tuple[Leaf, ...] | None
    release: ReleaseEvidence | None
    objection: Objection | None

    @property
    def state(self) -> ExchangeState:
        return self.evidence.state(exchange_object(self.exchange), ExchangeState)

    @property
    def consent(self) -> ConsentState:
        return self.evidence.state(consent_object(self.state.consent), ConsentState)

    @property
    def suite(self) -> str:
        return self.evidence.anchor.suite

    def own(self, kind: type[BodyT]) -> Iterator[tuple[int, Record, BodyT]]:
        """The records of a kind that name this exchange."""
        for index, record, body in self.evidence.of_kind(kind):
            if getattr(body, "exchange", None) == self.exchange:
                yield index, record, body

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who may receive: the processor that acts in this exchange, if one does, or the consumer.

        A processor that has signed nothing in the pack is left out.
        """
        processor, members = self.state.processor, self.evidence.members
        return (processor, self.state.consumer) if processor in members else (self.state.consumer,)

    def received_by(self, record: Record) -> str:
        """Hold a record to whoever may receive; which of them signed it."""
        for member in self.recipients[:-1]:
            if self.evidence.is_by_member(record, member):
                return member
        self.evidence.signed_by_member(record, self.state.consumer)
        return self.state.consumer

    def erasure(self) -> str | None:
        """The basis on which the consumer signed that the data is erased, if it did."""
        for _, record, body in self.evidence.of_kind(ExchangeErase):
            if body.exchange == self.exchange:
                self.evidence.signed_by_member(record, self.state.consumer)
                return body.basis
        return None

    def missing(self, name: str, what: str) -> Claim:
        """A claim about content that is not in the pack."""
        statement, basis = f"this pack does not open {what}", self.erasure()
        if basis is None:
            return Claim(name, statement, "withheld")
        statement += f": {self.state.consumer} signed that the data is erased ({basis})"
        return Claim(name, statement, "erased")
