"""A small exchange for tests: one firm, its provider and its consumer, on a ledger of their own."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from ledgercore.clock import ManualClock, OffsetClock
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.parties import BANK, TAX, Parties, set_up
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange.messages import Delivery, Proposal, Release, Request, Terms
from ledgercore.exchange.submission import Accepted, submit

FIELDS = ("cr.grade", "tax.paid_12m")
DAY_MS = 86_400_000


class Town:
    """One firm, and everyone it deals with."""

    def __init__(self, directory: Path) -> None:
        entropy = SeededEntropy(7)
        self.clock = OffsetClock(ManualClock(1_700_000_000_000))
        self.mapping = generated_mapping()
        self.table = generate_firms(3, entropy)
        self.parties: Parties = set_up(directory, self.table, self.clock, entropy)
        self.firm = self.table.rows[0].subject
        self.subject = self.parties.subject(self.firm)
        self.accept([self.parties.provider.publish(self.mapping.product())])

    def accept(self, drafts: list) -> list[Accepted]:
        places = []
        for outcome in submit(self.parties.ledger, drafts):
            assert isinstance(outcome, Accepted), outcome
            places.append(outcome)
        return places

    def consent(self, **changes: object) -> Proposal:
        terms = Terms(
            subject=self.firm,
            provider=TAX,
            consumer=BANK,
            product=self.mapping.offer.product,
            purpose="credit.assess",
            fields=FIELDS,
            period_begin="2025-01",
            period_end="2025-12",
            expires_ms=self.clock.now_ms() + 30 * DAY_MS,
            max_uses=1,
            retain_until_ms=self.clock.now_ms() + 400 * DAY_MS,
            onward="none",
        )
        terms = structs.replace(terms, **changes)
        proposal = self.parties.consumer.propose(terms, self.subject.new_consent_key())
        lapses_ms = self.clock.now_ms() + DAY_MS
        self.accept([self.parties.consumer.request_consent(proposal, lapses_ms)])
        self.subject.agree(proposal)
        endorsement = self.parties.provider.endorse(self.firm, proposal)
        self.accept([self.subject.authorise(proposal, endorsement)])
        return proposal

    def intend(self, proposal: Proposal, *fields: str) -> tuple[bytes, Request]:
        consumer = self.parties.consumer
        request = consumer.request(proposal.consent, fields or FIELDS, "credit.assess")
        (place,) = self.accept(consumer.intend([request]))
        return place.id, request

    def deliver(self, intent: bytes, request: Request) -> tuple[Delivery, Release]:
        provider = self.parties.provider
        (place,) = self.accept(provider.answer([(intent, request)]))
        return provider.delivery(intent), provider.release(intent, place)
