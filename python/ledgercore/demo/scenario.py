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

from ledgercore.demo.desks import BANK, TAX, Answer
from ledgercore.demo.stage import Stage
from ledgercore.exchange.messages import Proposal, Request, Terms
from ledgercore.exchange.submission import Accepted
from ledgercore.profiles import Mapping, Row

__all__ = ["Course", "Tally", "run_group"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


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

    def __init__(self, stage: Stage, mapping: Mapping, agreement: bytes, tally: Tally) -> None:
        self._stage = stage
        self._mapping = mapping
        self._agreement = agreement
        self._tally = tally
        self._fields = [column.code for column in mapping.field if column.consented]

    def accepted(
        self, firms: Sequence[Firm], answers: Sequence[Answer]
    ) -> list[tuple[Firm, Accepted]]:
        """The firms whose record was accepted, with its place. Refusals are counted."""
        accepted = []
        for firm, answer in zip(firms, answers, strict=True):
            if isinstance(answer, str):
                self._tally.refusals[answer] += 1
            else:
                accepted.append((firm, answer))
        return accepted

    def consent(self, rows: Sequence[tuple[int, Row]]) -> list[Firm]:
        """Ask every firm for its consent, which each gives."""
        stage, calendar = self._stage, self._stage.calendar
        now_ms = calendar.now_ms()
        keys = stage.agent.new_keys(len(rows))
        courses = [course_of(position) for position, _ in rows]
        asked = []
        for (_, row), course, key in zip(rows, courses, keys, strict=True):
            lifetime_ms = calendar.brief_ms if course is Course.EXPIRE else 30 * DAY_MS
            asked.append((self._terms(row, now_ms + lifetime_ms), key))
        answers = stage.bank.ask(asked, now_ms + HOUR_MS, self._agreement)
        firms = [
            Firm(row, course, proposal)
            for (_, row), course, (proposal, _) in zip(rows, courses, answers, strict=True)
        ]
        firms = [firm for firm, _ in self.accepted(firms, [answer for _, answer in answers])]
        proposals = [(firm.row.subject, firm.proposal) for firm in firms]
        endorsements = stage.tax.endorse(proposals)
        given = [(*each, by) for each, by in zip(proposals, endorsements, strict=True)]
        return [firm for firm, _ in self.accepted(firms, stage.agent.authorise(given))]

    def _terms(self, row: Row, expires_ms: int) -> Terms:
        offer = self._mapping.offer
        return Terms(
            subject=row.subject,
            provider=TAX,
            consumer=BANK,
            product=offer.product,
            purpose=offer.purpose,
            fields=tuple(self._fields),
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
        proposals = [firm.proposal for firm in narrowing]
        self.accepted(narrowing, self._stage.agent.narrow(proposals, self._kept()))

    def _kept(self) -> list[str]:
        """What a narrowed consent still covers: all but the last field, where there are more."""
        return self._fields[:-1] or self._fields

    def intend(self, firms: list[Firm]) -> list[Firm]:
        """Open an exchange for every firm."""
        every = [column.code for column in self._mapping.field]
        fields = {Course.NARROW: self._kept(), Course.OUT_OF_SCOPE: every}
        asked = [(f.proposal.consent, fields.get(f.course, self._fields)) for f in firms]
        answers = self._stage.bank.intend(asked, self._mapping.offer.purpose)
        for firm, (request, _) in zip(firms, answers, strict=True):
            firm.request = request
        accepted = self.accepted(firms, [answer for _, answer in answers])
        for firm, place in accepted:
            firm.intent = place.id
            self._tally.examples.setdefault(firm.course, place.id)
        self._tally.exchanges += len(accepted)
        return [firm for firm, _ in accepted]

    def revoke(self, firms: list[Firm], course: Course) -> None:
        """The firms of a course take their consent back."""
        revoking = [firm for firm in firms if firm.course is course]
        self.accepted(revoking, self._stage.agent.revoke([firm.proposal for firm in revoking]))

    def deliver(self, firms: list[Firm]) -> list[Firm]:
        """The provider answers every intent; the consumer opens what is released."""
        asked = [(firm.intent, firm.request) for firm in firms if firm.request is not None]
        answers = self._stage.tax.answer(asked)
        refused = {firm.intent: code for firm, (code, _) in zip(firms, answers, strict=True)}
        self._tally.refusals.update(code for code in refused.values() if code)
        accepted = self.accepted(firms, [answer for _, answer in answers])
        admits = [(firm, place) for firm, place in accepted if not refused[firm.intent]]
        released = self._stage.tax.release([(firm.intent, place) for firm, place in admits])
        firms = [firm for firm, _ in admits]
        return [firm for firm, _ in self.accepted(firms, self._stage.bank.receive(released))]

    def decide(self, firms: list[Firm]) -> None:
        """The consumer decides on every firm by its scorecard."""
        answers = self._stage.bank.decide([firm.intent for firm in firms])
        for firm, (outcome, _) in zip(firms, answers, strict=True):
            firm.outcome = outcome
            self._tally.outcomes[outcome] += 1
        for firm, place in self.accepted(firms, [answer for _, answer in answers]):
            firm.decision = place.id

    def contest(self, firms: list[Firm]) -> None:
        """The firms of that course have the decision explained, contest it, and it is reviewed."""
        bank, agent = self._stage.bank, self._stage.agent
        contesting = [f for f in firms if f.course is Course.CONTEST and f.decision]
        self.accepted(contesting, bank.explain([firm.decision for firm in contesting]))
        contested = [(firm.proposal, firm.decision) for firm in contesting]
        self.accepted(contesting, agent.contest(contested))
        self.accepted(contesting, bank.review([(f.decision, f.outcome) for f in contesting]))

    def dispute(self, firms: list[Firm]) -> None:
        """The firms of that course dispute the use; the bank answers, and the regulator rules."""
        stage = self._stage
        disputing = [f for f in firms if f.course is Course.DISPUTE and f.decision]
        intents = [firm.intent for firm in disputing]
        used = [(firm.proposal, firm.intent) for firm in disputing]
        self.accepted(disputing, stage.agent.dispute(used))
        self.accepted(disputing, stage.bank.show(intents))
        self.accepted(disputing, stage.regulator.dismiss(intents))

    def use(self, firms: list[Firm]) -> None:
        """The consumer accounts for its use of the data; after a revocation it may not use it."""
        decided = [firm for firm in firms if firm.decision]
        used = [(firm.intent, firm.decision) for firm in decided]
        answers = self._stage.bank.use(used, self._mapping.offer.purpose)
        self._tally.completed += len(self.accepted(decided, answers))

    def erase(self, firms: list[Firm]) -> None:
        """Both sides erase: the provider what is acknowledged, the consumer what it must."""
        self._stage.tax.forget([firm.intent for firm in firms])
        erasing = [firm for firm in firms if firm.course is Course.ERASE]
        intents = [firm.intent for firm in erasing]
        self.accepted(erasing, self._stage.bank.erase(intents))
        self.accepted(erasing, self._stage.tax.erase(intents))


def run_group(
    stage: Stage,
    mapping: Mapping,
    agreement: bytes,
    tally: Tally,
    rows: Sequence[tuple[int, Row]],
    step: Callable[[], None],
) -> None:
    """Run a group of firms; ``step`` is called after each of the eight steps."""
    group = _Group(stage, mapping, agreement, tally)
    firms = group.consent(rows)
    group.narrow(firms)
    step()
    firms = group.intend(firms)
    step()
    group.revoke(firms, Course.REVOKE_EARLY)
    stage.calendar.let_pass()
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
