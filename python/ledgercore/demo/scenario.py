"""Take a group of firms through the exchange, from consent to use.

What a firm does follows from its place in the table, so that every run shows every case: of each
20 firms one narrows its consent, one revokes before the admit, one contests the decision, one lets
its consent expire, one disputes the use, one is asked for a field out of scope, one revokes before
the use, and one has its data erased afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ledgercore.demo.parties import BANK, ENTERPRISES, TAX, Parties
from ledgercore.demo.stage import Calendar
from ledgercore.errors import RefusedError
from ledgercore.exchange.messages import Proposal, Request, Terms
from ledgercore.exchange.submission import Accepted, Draft, Outcome
from ledgercore.profiles import Mapping, Row, Scorecard, assess, encode_scorecard
from ledgercore.records import ExchangeRefuse
from ledgercore.records.base import Value

__all__ = ["Course", "Tally", "run_group"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AMOUNT = 50_000_000
"""What is lent to a firm that is approved, in the smallest unit."""


class Course(Enum):
    """What a firm's exchange shows, by its place among 20."""

    PLAIN = -1
    NARROW = 1
    REVOKE_EARLY = 3
    CONTEST = 5
    EXPIRE = 7
    DISPUTE = 9
    OUT_OF_SCOPE = 11
    REVOKE_LATE = 15
    ERASE = 19


def course_of(position: int) -> Course:
    """The course of the firm at a position of the table."""
    return next((course for course in Course if course.value == position % 20), Course.PLAIN)


@dataclass
class Firm:
    """One firm on its way."""

    row: Row
    course: Course
    proposal: Proposal
    intent: bytes = b""
    request: Request | None = None
    admit: Outcome | None = None
    values: dict[str, Value] = field(default_factory=dict)
    decision: bytes = b""
    outcome: str = ""


@dataclass
class Tally:
    """What happened so far."""

    exchanges: int = 0
    completed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    examples: dict[Course, bytes] = field(default_factory=dict)


class _Group:
    """One group of firms, whose records are ordered together step by step."""

    def __init__(
        self,
        parties: Parties,
        mapping: Mapping,
        agreement: bytes,
        scorecard: Scorecard,
        calendar: Calendar,
        tally: Tally,
    ) -> None:
        self._parties = parties
        self._mapping = mapping
        self._agreement = agreement
        self._calendar = calendar
        self._tally = tally
        self._scorecard = scorecard
        self._model = encode_scorecard(scorecard)

    def submit(
        self, party: str, firms: Sequence[Firm], drafts: Sequence[Draft]
    ) -> list[tuple[Firm, Accepted]]:
        """Order a party's drafts, one a firm; those that were accepted. Refusals are counted."""
        accepted = []
        for firm, outcome in zip(firms, self._parties.submit(party, drafts), strict=True):
            if isinstance(outcome, RefusedError):
                self._tally.refusals[outcome.code] += 1
            else:
                accepted.append((firm, outcome))
        return accepted

    def consent(self, rows: Sequence[tuple[int, Row]]) -> list[Firm]:
        """Ask every firm for its consent, which each gives."""
        consumer, provider = self._parties.consumer, self._parties.provider
        now_ms = self._calendar.now_ms()
        firms = []
        with self._parties.keeping():
            for position, row in rows:
                course = course_of(position)
                lifetime_ms = self._calendar.brief_ms if course is Course.EXPIRE else 30 * DAY_MS
                terms = self._terms(row, now_ms + lifetime_ms)
                key = self._parties.subject(row.subject).new_consent_key()
                firms.append(Firm(row, course, consumer.propose(terms, key)))
        lapses_ms = now_ms + HOUR_MS
        agreement = self._agreement
        asked = [consumer.request_consent(each.proposal, lapses_ms, agreement) for each in firms]
        firms = [firm for firm, _ in self.submit(BANK, firms, asked)]
        drafts = []
        with self._parties.keeping():
            for firm in firms:
                subject = self._parties.subject(firm.row.subject)
                subject.agree(firm.proposal)
                endorsement = provider.endorse(firm.row.subject, firm.proposal)
                drafts.append(subject.authorise(firm.proposal, endorsement))
        return [firm for firm, _ in self.submit(ENTERPRISES, firms, drafts)]

    def _terms(self, row: Row, expires_ms: int) -> Terms:
        offer = self._mapping.offer
        return Terms(
            subject=row.subject,
            provider=TAX,
            consumer=BANK,
            product=offer.product,
            purpose=offer.purpose,
            fields=tuple(column.code for column in self._mapping.field if column.consented),
            period_begin=offer.period_begin,
            period_end=offer.period_end,
            expires_ms=expires_ms,
            max_uses=1,
            retain_until_ms=expires_ms + 365 * DAY_MS,
            onward="none",
        )

    def narrow(self, firms: list[Firm]) -> None:
        """The firms of that course take one field back before anything is asked for."""
        narrowing = [firm for firm in firms if firm.course is Course.NARROW]
        drafts = [
            self._parties.subject(firm.row.subject).narrow(firm.proposal, self._kept())
            for firm in narrowing
        ]
        self.submit(ENTERPRISES, narrowing, drafts)

    def _kept(self) -> list[str]:
        """What a narrowed consent still covers: all but the last field, where there are more."""
        consented = [column.code for column in self._mapping.field if column.consented]
        return consented[:-1] or consented

    def intend(self, firms: list[Firm]) -> list[Firm]:
        """Open an exchange for every firm."""
        consumer, mapping = self._parties.consumer, self._mapping
        for firm in firms:
            fields = [
                column.code
                for column in mapping.field
                if column.consented or firm.course is Course.OUT_OF_SCOPE
            ]
            if firm.course is Course.NARROW:
                fields = self._kept()
            consent, purpose = firm.proposal.consent, mapping.offer.purpose
            firm.request = consumer.request(consent, fields, purpose)
        requests = [firm.request for firm in firms if firm.request is not None]
        with self._parties.keeping():
            drafts = consumer.intend(requests)
        accepted = self.submit(BANK, firms, drafts)
        for firm, place in accepted:
            firm.intent = place.id
            self._tally.examples.setdefault(firm.course, place.id)
        self._tally.exchanges += len(accepted)
        return [firm for firm, _ in accepted]

    def revoke(self, firms: list[Firm], course: Course) -> None:
        """The firms of a course take their consent back."""
        revoking = [firm for firm in firms if firm.course is course]
        subjects = [self._parties.subject(firm.row.subject) for firm in revoking]
        drafts = [s.revoke(firm.proposal) for s, firm in zip(subjects, revoking, strict=True)]
        self.submit(ENTERPRISES, revoking, drafts)

    def deliver(self, firms: list[Firm]) -> list[Firm]:
        """The provider answers every intent; the consumer opens what is released."""
        provider, consumer = self._parties.provider, self._parties.consumer
        asked = [(firm.intent, firm.request) for firm in firms if firm.request is not None]
        drafts = provider.answer(asked)
        for draft in drafts:
            if isinstance(draft.body, ExchangeRefuse):
                self._tally.refusals[draft.body.code] += 1
        answered = {firm.intent: draft for firm, draft in zip(firms, drafts, strict=True)}
        opened = []
        accepted = self.submit(TAX, firms, drafts)
        with self._parties.keeping():
            for firm, place in accepted:
                if isinstance(answered[firm.intent].body, ExchangeRefuse):
                    continue
                release = provider.release(firm.intent, place)
                firm.values = consumer.open(provider.delivery(firm.intent), release)
                opened.append(firm)
        drafts = [consumer.acknowledge(firm.intent) for firm in opened]
        return [firm for firm, _ in self.submit(BANK, opened, drafts)]

    def decide(self, firms: list[Firm]) -> None:
        """The consumer decides on every firm by its scorecard."""
        drafts = []
        with self._parties.keeping():
            for firm in firms:
                found = assess(self._scorecard, firm.values)
                self._tally.outcomes[found.outcome] += 1
                firm.outcome = found.outcome
                drafts.append(
                    self._parties.consumer.decide(
                        [firm.intent],
                        found.outcome,
                        self._model,
                        found.reasons,
                        amount=AMOUNT if found.outcome == "approved" else 0,
                    )
                )
        for firm, place in self.submit(BANK, firms, drafts):
            firm.decision = place.id

    def contest(self, firms: list[Firm]) -> None:
        """The firms of that course have the decision explained, contest it, and it is reviewed."""
        consumer = self._parties.consumer
        contesting = [f for f in firms if f.course is Course.CONTEST and f.decision]
        self.submit(BANK, contesting, [consumer.explain(firm.decision) for firm in contesting])
        drafts = [
            self._parties.subject(firm.row.subject).contest(
                firm.proposal, firm.decision, "a person should look at it"
            )
            for firm in contesting
        ]
        self.submit(ENTERPRISES, contesting, drafts)
        reviews = [
            consumer.review(firm.decision, firm.outcome, "a credit officer", "as the model says")
            for firm in contesting
        ]
        self.submit(BANK, contesting, reviews)

    def dispute(self, firms: list[Firm]) -> None:
        """The firms of that course dispute the use; the bank answers, and the regulator rules."""
        parties = self._parties
        disputing = [f for f in firms if f.course is Course.DISPUTE and f.decision]
        opened = [
            parties.subject(firm.row.subject)
            .disputes(firm.proposal)
            .open(firm.intent, "E_PURPOSE", "used for marketing")
            for firm in disputing
        ]
        self.submit(ENTERPRISES, disputing, opened)
        answers = [parties.consumer.disputes.show(f.intent, b"the decision") for f in disputing]
        self.submit(BANK, disputing, answers)
        rulings = [
            parties.authority.rule(firm.intent, "dismissed", "there was no other use")
            for firm in disputing
        ]
        # The regulator's own copy is waited for at the end alone, so it rules where it is ordered.
        self.submit(TAX, disputing, rulings)

    def use(self, firms: list[Firm]) -> None:
        """The consumer accounts for its use of the data; after a revocation it may not use it."""
        purpose = self._mapping.offer.purpose
        decided = [firm for firm in firms if firm.decision]
        drafts = [self._parties.consumer.use(f.intent, f.decision, purpose) for f in decided]
        self._tally.completed += len(self.submit(BANK, decided, drafts))

    def erase(self, firms: list[Firm]) -> None:
        """Both sides erase: the provider what is acknowledged, the consumer what it must."""
        self._parties.provider.forget([firm.intent for firm in firms])
        erasing = [firm for firm in firms if firm.course is Course.ERASE]
        intents = [firm.intent for firm in erasing]
        self.submit(BANK, erasing, self._parties.consumer.erase(intents, "purpose-achieved"))
        self.submit(TAX, erasing, self._parties.provider.erase(intents, "acknowledged"))


def run_group(
    parties: Parties,
    mapping: Mapping,
    agreement: bytes,
    scorecard: Scorecard,
    calendar: Calendar,
    tally: Tally,
    rows: Sequence[tuple[int, Row]],
    step: Callable[[], None],
) -> None:
    """Run a group of firms; ``step`` is called after each of the eight steps."""
    group = _Group(parties, mapping, agreement, scorecard, calendar, tally)
    firms = group.consent(rows)
    group.narrow(firms)
    step()
    firms = group.intend(firms)
    step()
    group.revoke(firms, Course.REVOKE_EARLY)
    calendar.let_pass()
    step()
    firms = group.deliver(firms)
    step()
    group.decide(firms)
    group.contest(firms)
    step()
    group.revoke(firms, Course.REVOKE_LATE)
    step()
    group.use(firms)
    group.dispute(firms)
    step()
    group.erase(firms)
    step()
