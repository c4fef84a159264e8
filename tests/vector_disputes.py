"""Dispute exchanges and contest decisions on them, and misstate it: vectors of packs."""

from __future__ import annotations

from unittest import mock

from msgspec import structs

from ledgercore.demo.parties import BANK
from ledgercore.exchange import build_pack
from ledgercore.exchange.messages import Proposal
from ledgercore.exchange.submission import Draft
from ledgercore.records import ConsentRevoke, DecisionReview, DisputeEvidence
from ledgercore.rules import consent, decision, dispute, exchange
from tests.town import Town

Forged = tuple[str, bytes, str]


def misstated(town: Town) -> list[Forged]:
    """Of operators whose states do not tell what their records say, or who let data be used."""
    ledger, vault = town.parties.ledger, town.parties.vaults[BANK]
    made = {
        "use-in-a-dispute": lambda town: disputed_again(town, used_meanwhile=True),
        "contest-of-another-consent": _contest_of_another,
        "evidence-not-counted": _uncounted,
        "review-not-told": _review_that_answers_none,
        "review-of-no-contest": _review_of_no_contest,
        "revocation-not-told": _revoked_by_nobody,
    }
    return [
        (name, build_pack(ledger, vault, make(town)), "invalid-proof")
        for name, make in made.items()
    ]


def _acknowledged(town: Town) -> tuple[Proposal, bytes]:
    """A consent, and an exchange under it whose payload the consumer has."""
    proposal = town.consent()
    intent, request = town.intend(proposal)
    town.parties.consumer.open(*town.deliver(intent, request))
    town.accept([town.parties.consumer.acknowledge(intent)])
    return proposal, intent


def disputed_again(town: Town, used_meanwhile: bool = False) -> bytes:
    """The exchange of a delivery that the consumer, then the subject disputed in vain, and used."""
    consumer, authority = town.parties.consumer, town.authority()
    proposal, intent = _acknowledged(town)
    (place,) = town.accept([consumer.decide([intent], "approved", b"model", [])])
    use = consumer.use(intent, place.id, "credit.assess")
    for party in (consumer.disputes, town.subject.disputes(proposal)):
        town.accept([party.open(intent, "E_PURPOSE", "a complaint")])
        if used_meanwhile:
            with mock.patch.dict(exchange.FAMILY.checks, no_dispute_bars_it=lambda case: None):
                town.accept([Draft(*use)])
        town.accept([authority.rule(intent, "dismissed", "nothing is wrong")])
    town.accept([use])
    return intent


def _uncounted(town: Town) -> bytes:
    """The exchange of a dispute whose evidence an operator let in without counting it."""
    consumer, (_, intent) = town.parties.consumer, _acknowledged(town)
    town.accept([consumer.disputes.open(intent, "WRONG", "a field")])
    count, effects = dispute.add_evidence, dispute.FAMILY.effects
    uncounted = {DisputeEvidence.KIND: lambda case: structs.replace(count(case), evidence=())}
    with mock.patch.dict(effects, uncounted):
        town.accept([consumer.disputes.show(intent, b"a letter")])
    return intent


def _contest_of_another(town: Town) -> bytes:
    """The exchange of a contest that an operator's state has for another consent's."""
    consumer, (proposal, intent) = town.parties.consumer, _acknowledged(town)
    (place,) = town.accept([consumer.decide([intent], "declined", b"model", [])])
    with mock.patch("ledgercore.rules.decision._own_consent", lambda case: bytes(32)):
        town.accept([town.subject.contest(proposal, place.id, "a person should look")])
    return intent


def _review_of_no_contest(town: Town) -> bytes:
    """The exchange of a decision that an operator let be reviewed where nothing named contests."""
    consumer, (proposal, intent) = town.parties.consumer, _acknowledged(town)
    (place,) = town.accept([consumer.decide([intent], "declined", b"model", [])])
    town.accept([town.subject.contest(proposal, place.id, "a person should look")])
    review = consumer.review(
        place.id, "declined", "an officer", "as said", contest=bytes(range(32))
    )
    with mock.patch.dict(decision.FAMILY.checks, contest_waits=lambda case: None):
        town.accept([review])
    return intent


def _revoked_by_nobody(town: Town) -> bytes:
    """The exchange of a consent of which an operator's state does not say who revoked it."""
    proposal, intent = _acknowledged(town)
    effects = consent.FAMILY.effects
    with mock.patch.dict(effects, {ConsentRevoke.KIND: lambda case: case.state}):
        town.accept([town.subject.revoke(proposal)])
    return intent


def _review_that_answers_none(town: Town) -> bytes:
    """The exchange of a contest that an operator's state has waiting, though it was reviewed."""
    consumer, (proposal, intent) = town.parties.consumer, _acknowledged(town)
    (place,) = town.accept([consumer.decide([intent], "declined", b"model", [])])
    town.accept([town.subject.contest(proposal, place.id, "a person should look")])
    answer, effects = decision.review, decision.FAMILY.effects
    waiting = {
        DecisionReview.KIND: lambda case: structs.replace(
            answer(case), contests=case.state.contests
        )
    }
    with mock.patch.dict(effects, waiting):
        town.accept([consumer.review(place.id, "declined", "an officer", "as a person sees it")])
    return intent
