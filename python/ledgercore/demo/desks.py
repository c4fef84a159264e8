"""Act for each party of the demonstration, for a group of firms at a time.

A desk has its party's keys and vault, and its own view of the ledger: nothing of any other's. What
it takes and gives are messages of the exchange and plain values, so that it can as well be in a
process of its own (``demo.desk_process``). Lists come back in the order of what was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import RefusedError
from ledgercore.exchange import (
    Authority,
    Consumer,
    Provider,
    Subject,
    Supervisor,
    Totals,
    build_pack,
)
from ledgercore.exchange.agreement import Contract
from ledgercore.exchange.messages import Delivery, Proposal, Release, Request, Terms
from ledgercore.exchange.submission import Accepted, Draft, submit
from ledgercore.exchange.totals import TotalsReport
from ledgercore.keys import Signer
from ledgercore.ledger import Ledger, Report
from ledgercore.profiles import Scorecard, assess, encode_scorecard
from ledgercore.records import ExchangeRefuse, ProductPublish, SchemaRegister
from ledgercore.records.base import Value
from ledgercore.vault import Vault

__all__ = ["BANK", "ENTERPRISES", "REGULATOR", "TAX", "Agent", "Answer", "Bank", "Regulator", "Tax"]

TAX, BANK, ENTERPRISES, REGULATOR = "tax-authority", "bank", "enterprises", "regulator"

AMOUNT = 50_000_000
"""What is lent to a firm that is approved, in the smallest unit."""

Answer = Accepted | str
"""Where a record stands, or the code that it was refused with."""


class Desk:
    """What every party has; ``settle`` is called after each of its orders.

    What it makes for a group is of one moment of the ledger, and is kept with one flush. Each group
    enters both by itself: a generator's context is not entered in one step, which an interrupt
    needs (ADR 0023).
    """

    def __init__(
        self, ledger: Ledger, vault: Vault, settle: Callable[[], None] = lambda: None
    ) -> None:
        self.ledger = ledger
        self.vault = vault
        self.entropy: Entropy = SystemEntropy()
        self._settle = settle

    def order(self, drafts: Sequence[Draft]) -> list[Answer]:
        """Sign the drafts and have them ordered."""
        outcomes = submit(self.ledger, drafts)
        self._settle()
        return [each.code if isinstance(each, RefusedError) else each for each in outcomes]

    def close(self) -> None:
        """Close the files."""
        self.vault.close()
        self.ledger.close()


class Tax(Desk):
    """The tax authority, which has the firms' data."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        key: Signer,
        source: Mapping[str, Mapping[str, Value]],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(ledger, vault, settle)
        self.provider = Provider(TAX, key, vault, ledger, source, self.entropy)

    def register(self, schemas: Sequence[SchemaRegister]) -> list[Answer]:
        """Say which fields there are."""
        return self.order([self.provider.register_schema(schema) for schema in schemas])

    def publish(self, product: ProductPublish) -> list[Answer]:
        """Offer the product."""
        return self.order([self.provider.publish(product)])

    def offer_agreement(
        self,
        consumer: str,
        product: str,
        purposes: tuple[str, ...],
        text: str,
        expires_ms: int,
        agreement: bytes,
    ) -> tuple[Contract, Answer]:
        """Answer what a consumer asks for with another contract."""
        agreements = self.provider.agreements
        contract = agreements.draw_up(consumer, product, purposes, text, expires_ms, agreement)
        return contract, self.order([agreements.offer(contract)])[0]

    def agree(self, contract: Contract) -> Answer:
        """Agree to what the consumer accepted."""
        return self.order([self.provider.agreements.agree(contract)])[0]

    def finalize_agreement(self, agreement: bytes) -> Answer:
        """Put the agreement in force."""
        return self.order([self.provider.agreements.finalize(agreement)])[0]

    def endorse(self, proposals: Sequence[tuple[str, Proposal]]) -> list[bytes]:
        """Vouch for each subject's consent key."""
        with self.vault.transaction(), self.ledger.moment():
            return [self.provider.endorse(subject, proposal) for subject, proposal in proposals]

    def answer(self, intents: Sequence[tuple[bytes, Request]]) -> list[tuple[str, Answer]]:
        """Admit or refuse each intent: the code that it is refused with here, or nothing."""
        with self.vault.transaction(), self.ledger.moment():
            drafts = self.provider.answer(intents)
        codes = [d.body.code if isinstance(d.body, ExchangeRefuse) else "" for d in drafts]
        return list(zip(codes, self.order(drafts), strict=True))

    def release(self, admits: Sequence[tuple[bytes, Accepted]]) -> list[tuple[Delivery, Release]]:
        """The sealed data of what was admitted, with its key."""
        made = []
        with self.vault.transaction(), self.ledger.moment():
            for (intent, _), release in zip(admits, self.provider.release_all(admits), strict=True):
                if isinstance(release, RefusedError):
                    raise release
                made.append((self.provider.delivery(intent), release))
        return made

    def confirm(self, releases: Sequence[Release]) -> list[Answer]:
        """Put on record that the keys were sent."""
        with self.vault.transaction(), self.ledger.moment():
            drafts = [self.provider.confirm_release(release) for release in releases]
        return self.order(drafts)

    def forget(self, intents: Sequence[bytes]) -> int:
        """Erase what was sealed for exchanges that are over."""
        return self.provider.forget(intents)

    def erase(self, intents: Sequence[bytes]) -> list[Answer]:
        """The same, with a promise on the ledger."""
        return self.order(self.provider.erase(intents, "acknowledged"))


class Bank(Desk):
    """The bank, which decides by its scorecard."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        key: Signer,
        scorecard: Scorecard,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(ledger, vault, settle)
        self._scorecard = scorecard
        self._model = encode_scorecard(scorecard)
        self._values: dict[bytes, dict[str, Value]] = {}
        self.consumer = Consumer(BANK, key, vault, ledger, self.entropy)

    def ask_agreement(
        self, product: str, purposes: tuple[str, ...], text: str, expires_ms: int
    ) -> tuple[Contract, Answer]:
        """Ask for a contract on a product."""
        agreements = self.consumer.agreements
        contract = agreements.draw_up(BANK, product, purposes, text, expires_ms)
        return contract, self.order([agreements.request(contract)])[0]

    def accept_agreement(self, contract: Contract) -> Answer:
        """Accept what the provider offers instead."""
        return self.order([self.consumer.agreements.accept(contract)])[0]

    def verify_agreement(self, agreement: bytes) -> Answer:
        """Say that what was agreed is what was accepted."""
        return self.order([self.consumer.agreements.verify(agreement)])[0]

    def ask(
        self, asked: Sequence[tuple[Terms, bytes]], lapses_ms: int, agreement: bytes
    ) -> list[tuple[Proposal, Answer]]:
        """Put terms to each subject, under the key that it made."""
        with self.vault.transaction(), self.ledger.moment():
            proposals = [self.consumer.propose(terms, key) for terms, key in asked]
        drafts = [self.consumer.request_consent(each, lapses_ms, agreement) for each in proposals]
        return list(zip(proposals, self.order(drafts), strict=True))

    def intend(
        self, asked: Sequence[tuple[bytes, Sequence[str]]], purpose: str
    ) -> list[tuple[Request, Answer]]:
        """Open an exchange under each consent, for fields."""
        with self.vault.transaction(), self.ledger.moment():
            requests = [self.consumer.request(*each, purpose) for each in asked]
            drafts = self.consumer.intend(requests)
        return list(zip(requests, self.order(drafts), strict=True))

    def receive(self, delivered: Sequence[tuple[Delivery, Release]]) -> list[Answer]:
        """Open what was delivered, and acknowledge it."""
        with self.vault.transaction(), self.ledger.moment():
            for delivery, release in delivered:
                self._values[delivery.exchange] = self.consumer.open(delivery, release)
        return self.order([self.consumer.acknowledge(each.exchange) for each, _ in delivered])

    def decide(self, intents: Sequence[bytes]) -> list[tuple[str, Answer]]:
        """Score what was delivered and record each decision: what it is, and where it stands."""
        outcomes, drafts = [], []
        with self.vault.transaction(), self.ledger.moment():
            for intent in intents:
                found = assess(self._scorecard, self._values.pop(intent))
                amount = AMOUNT if found.outcome == "approved" else 0
                outcomes.append(found.outcome)
                drafts.append(
                    self.consumer.decide(
                        [intent], found.outcome, self._model, found.reasons, amount=amount
                    )
                )
        return list(zip(outcomes, self.order(drafts), strict=True))

    def explain(self, decisions: Sequence[bytes]) -> list[Answer]:
        """Say that the subjects were handed the explanations."""
        return self.order([self.consumer.explain(each) for each in decisions])

    def review(self, decisions: Sequence[tuple[bytes, str]]) -> list[Answer]:
        """Have a person look at contested decisions, who leaves them as they were."""
        return self.order(
            [
                self.consumer.review(decision, outcome, "a credit officer", "as the model says")
                for decision, outcome in decisions
            ]
        )

    def show(self, intents: Sequence[bytes]) -> list[Answer]:
        """Bring evidence in disputes."""
        disputes = self.consumer.disputes
        return self.order([disputes.show(intent, b"the decision") for intent in intents])

    def use(self, used: Sequence[tuple[bytes, bytes]], purpose: str) -> list[Answer]:
        """Say what the data of each exchange was used for: its decision."""
        return self.order([self.consumer.use(*each, purpose) for each in used])

    def erase(self, intents: Sequence[bytes]) -> list[Answer]:
        """Erase payloads, salts and keys, and promise so."""
        return self.order(self.consumer.erase(intents, "purpose-achieved"))

    def report_totals(self, begin: int, end: int) -> TotalsReport:
        """The sum of what was decided, and what shows it."""
        return self.consumer.report_totals(begin, end)

    def pack(self, intent: bytes) -> bytes:
        """The evidence pack of an exchange."""
        return build_pack(self.ledger, self.vault, intent)


class Agent(Desk):
    """The enterprises' agent, which keeps their consent keys."""

    def new_keys(self, count: int) -> list[bytes]:
        """Keys for that many consents."""
        subject = self._subject("")
        with self.vault.transaction(), self.ledger.moment():
            return [subject.new_consent_key() for _ in range(count)]

    def authorise(self, asked: Sequence[tuple[str, Proposal, bytes]]) -> list[Answer]:
        """Read the terms, and say yes under the provider's endorsement."""
        drafts = []
        with self.vault.transaction(), self.ledger.moment():
            for name, proposal, endorsement in asked:
                subject = self._subject(name)
                subject.agree(proposal)
                drafts.append(subject.authorise(proposal, endorsement))
        return self.order(drafts)

    def narrow(self, proposals: Sequence[Proposal], fields: Sequence[str]) -> list[Answer]:
        """Keep only some fields."""
        return self.order([self._subject("").narrow(each, fields) for each in proposals])

    def revoke(self, proposals: Sequence[Proposal]) -> list[Answer]:
        """Take consents back."""
        return self.order([self._subject("").revoke(each) for each in proposals])

    def contest(self, decided: Sequence[tuple[Proposal, bytes]]) -> list[Answer]:
        """Ask that a person look at decisions."""
        grounds = "a person should look at it"
        return self.order([self._subject("").contest(*each, grounds) for each in decided])

    def dispute(self, used: Sequence[tuple[Proposal, bytes]]) -> list[Answer]:
        """Contest the use of what was delivered."""
        return self.order(
            [
                self._subject("").disputes(proposal).open(intent, "E_PURPOSE", "used for marketing")
                for proposal, intent in used
            ]
        )

    def _subject(self, name: str) -> Subject:
        """An enterprise; its name matters only where terms are read."""
        return Subject(name, self.vault, self.ledger, self.entropy)


class Regulator(Desk):
    """The regulator, which rules in disputes and verifies everything."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        key: Signer,
        settle: Callable[[], None] = lambda: None,
        observed: Ledger | None = None,
    ) -> None:
        """``observed`` is its own copy, where it does not rule on that."""
        super().__init__(ledger, vault, settle)
        self._observed = observed or ledger
        self._authority = Authority(REGULATOR, key, vault, ledger, self.entropy)

    def dismiss(self, intents: Sequence[bytes]) -> list[Answer]:
        """Rule that complaints have no ground."""
        rule, reasons = self._authority.rule, "there was no other use"
        return self.order([rule(intent, "dismissed", reasons) for intent in intents])

    def supervise(self, total: TotalsReport) -> tuple[Report, Totals]:
        """Verify the whole ledger from its records, and the bank's total; count what there is."""
        supervisor = Supervisor(self._observed)
        report = supervisor.verify()
        supervisor.verify_totals(total)
        return report, supervisor.totals()
