"""A small exchange for tests: one firm, its provider and its consumer, on a ledger of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from unittest import mock

from msgspec import structs

from ledgercore.clock import ManualClock, OffsetClock
from ledgercore.demo.firms import generate_firms, generated_mapping
from ledgercore.demo.negotiation import ASKED, OFFERED
from ledgercore.demo.parties import BANK, REGULATOR, TAX, Parties, set_up
from ledgercore.entropy import SeededEntropy
from ledgercore.exchange import Authority, Processor, Subject
from ledgercore.exchange.holder import Holder
from ledgercore.exchange.messages import Delivery, Proposal, Release, Request, Terms
from ledgercore.exchange.sharing import audit_key_of, deal, share_of
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.submission import Accepted, Draft, submit
from ledgercore.keyfile import load_key
from ledgercore.records import ExchangeVoid, ProductPublish
from ledgercore.vault import Vault

AGENCY, OTHER_AGENCY = "agency", "other-agency"
"""Processors: what a consent does not name is refused to them."""
FIELDS = ("cr.grade", "tax.paid_12m")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Town:
    """One firm, and everyone it deals with."""

    def __init__(self, directory: Path, suite: str = "std") -> None:
        entropy = SeededEntropy(7)
        self.clock = OffsetClock(ManualClock(1_700_000_000_000))
        self.mapping = generated_mapping()
        self.table = generate_firms(3, entropy)
        self.parties: Parties = set_up(
            directory, self.table, self.clock, entropy, suite, processors=(AGENCY, OTHER_AGENCY)
        )
        self.firm = self.table.rows[0].subject
        self.subject = self.firm_named(self.firm)
        provider = self.parties.provider
        schema, product = self.mapping.schema(), self.mapping.product()
        self.accept([provider.register_schema(schema), provider.publish(product)])
        end_ms = self.clock.now_ms() + 20_000 * DAY_MS
        self.agreement = self.negotiate(end_ms)

    def negotiate(self, end_ms: int) -> bytes:
        """An agreement of bank and tax authority that is in force."""
        bank, authority = self.parties.consumer.agreements, self.parties.provider.agreements
        product, purposes = self.mapping.offer.product, (self.mapping.offer.purpose,)
        asked = bank.draw_up(BANK, product, purposes, ASKED, end_ms)
        self.accept([bank.request(asked)])
        agreement = asked.agreement
        offered = authority.draw_up(BANK, product, purposes, OFFERED, end_ms, agreement)
        self.accept([authority.offer(offered)])
        self.accept([bank.accept(offered)])
        self.accept([authority.agree(offered)])
        self.accept([bank.verify(agreement)])
        self.accept([authority.finalize(agreement)])
        return agreement

    def firm_named(self, name: str) -> Subject:
        """A firm that sees the ledger; all firms have one agent, who keeps their vault."""
        parties = self.parties
        return Subject(name, parties.vaults["enterprises"], parties.ledger, parties.entropy)

    def authority(self) -> Authority:
        """The regulator, where it signs."""
        parties = self.parties
        key = load_key(parties.ledger.path.parent / f"{REGULATOR}.key")
        return Authority(REGULATOR, key, parties.vaults[REGULATOR], parties.ledger, parties.entropy)

    def processor(self, member: str = AGENCY) -> Processor:
        """A credit-reference agency that may act for the bank."""
        parties = self.parties
        key = load_key(parties.ledger.path.parent / f"{member}.key")
        return Processor(member, key, parties.vaults[member], parties.ledger, parties.entropy)

    def share_audit_key(self) -> dict[str, Holder]:
        """Make an audit key that any two of the three members open with, and seal copies to it."""
        parties = self.parties
        members = (TAX, BANK, REGULATOR)
        dealt = [deal(parties.entropy, dealer, 2, 3) for dealer in (1, 2, 3)]
        shown = [each for each, _ in dealt]
        key = audit_key_of(shown, members)
        self.accept([self.authority().register(key)])
        holders = {}
        for number, member in enumerate(members, 1):
            share = share_of(number, shown, [numbers[number - 1] for _, numbers in dealt])
            signer = load_key(parties.ledger.path.parent / f"{member}.key")
            vault = parties.vaults[member]
            holders[member] = Holder(member, signer, vault, parties.ledger, parties.entropy)
            holders[member].keep_share(key.audit_key, share)
            self.accept([holders[member].accept(key.audit_key, shown)])
        parties.provider._audit_key = key.audit_key
        return holders

    def later(self, milliseconds: int) -> None:
        """Let the ledger's time go on: a block comes after it."""
        self.clock.advance(milliseconds)
        self.parties.ledger.append(b"a later block")

    def accept(self, drafts: list) -> list[Accepted]:
        places = []
        for outcome in submit(self.parties.ledger, drafts):
            assert isinstance(outcome, Accepted), outcome
            places.append(outcome)
        return places

    def product(self, name: str) -> ProductPublish:
        """The firm's product under another name, which needs no agreement."""
        return structs.replace(self.mapping.product(), product=name, needs_agreement=False)

    def terms(self, **changes: object) -> Terms:
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
        return structs.replace(terms, **changes)

    def ask(self, terms: Terms, **changes: object) -> Proposal:
        """Propose the terms, and ask the ledger for them, but for the changes."""
        consumer = self.parties.consumer
        proposal = consumer.propose(terms, self.subject.new_consent_key())
        lapses_ms = self.clock.now_ms() + HOUR_MS
        agreement = self.agreement if terms.product == self.mapping.offer.product else None
        draft = consumer.request_consent(proposal, lapses_ms, agreement)
        self.accept([draft._replace(body=structs.replace(draft.body, **changes))])
        return proposal

    @contextmanager
    def unheld(self) -> Iterator[None]:
        """Consumer and subject run other programs, which hold terms to nothing."""
        homes = ("ledgercore.exchange.consumer", "ledgercore.exchange.subject")
        with ExitStack() as stack:
            stack.enter_context(mock.patch("ledgercore.exchange.consumer.check_agreed"))
            for home in homes:
                stack.enter_context(mock.patch(f"{home}.check_offered"))
                stack.enter_context(mock.patch(f"{home}.check_workable"))
            yield

    def authorise(self, proposal: Proposal, subject: Subject | None = None) -> Proposal:
        subject = subject or self.subject
        subject.agree(proposal)
        endorsement = self.parties.provider.endorse(subject.name, proposal)
        self.accept([subject.authorise(proposal, endorsement)])
        return proposal

    def consent(self, **changes: object) -> Proposal:
        return self.authorise(self.ask(self.terms(**changes)))

    def widened_consent(self) -> Proposal:
        """A subject that sees no ledger agrees to one use in an hour; the ledger has more."""
        terms = self.terms(expires_ms=self.clock.now_ms() + HOUR_MS)
        expires_ms = self.clock.now_ms() + 9999 * DAY_MS
        proposal = self.ask(terms, expires_ms=expires_ms, max_uses=1000)
        vault, entropy = self.parties.vaults["enterprises"], self.parties.entropy
        blind = Subject(self.firm, vault, entropy=entropy)
        return self.authorise(proposal, blind)

    def intend(
        self, proposal: Proposal, *fields: str, lifetime_ms: int = DAY_MS
    ) -> tuple[bytes, Request]:
        consumer = self.parties.consumer
        request = consumer.request(proposal.consent, fields or FIELDS, "credit.assess")
        (place,) = self.accept(consumer.intend([request], lifetime_ms=lifetime_ms))
        return place.id, request

    def deliver_beyond(
        self, intent: bytes, request: Request, extra: str
    ) -> tuple[Delivery, Release]:
        """A provider that slips a field in, which nobody asked for."""
        provider = self.parties.provider
        values = provider._values
        with mock.patch.object(
            provider, "_values", lambda subject, fields: values(subject, [*fields, extra])
        ):
            return self.deliver(intent, request)

    def void_untruly(self, intent: bytes) -> None:
        """The provider's key signs that no key was sent, where its vault does not see it."""
        ledger, signer = self.parties.ledger, self.parties.provider.signer
        with (
            closing(Vault(ledger.path.parent / f"{intent.hex()[:8]}.vault")) as vault,
            mock.patch("ledgercore.exchange.signer.check_true"),
        ):
            self.accept([Draft(RecordSigner(signer._key, vault), ExchangeVoid(intent, "E_SCOPE"))])

    def deliver(self, intent: bytes, request: Request) -> tuple[Delivery, Release]:
        provider = self.parties.provider
        (place,) = self.accept(provider.answer([(intent, request)]))
        return provider.delivery(intent), provider.release(intent, place)
