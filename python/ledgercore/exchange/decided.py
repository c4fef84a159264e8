"""State what an evidence pack proves about decisions on an exchange, and what became of them."""

from __future__ import annotations

from typing import TypeVar

from ledgercore._core import Record
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.case import Case, Claim
from ledgercore.records import (
    DecisionContest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
)
from ledgercore.rules import DecisionState, decision_object

__all__ = ["prove_decisions"]

BodyT = TypeVar("BodyT", DecisionExplain, DecisionContest, DecisionReview)


def prove_decisions(case: Case) -> list[Claim]:
    """Each decision on the exchange: what it rests on; and that it was explained or contested."""
    claims = []
    for _, record, body in case.evidence.of_kind(DecisionRecord):
        if case.exchange in body.inputs:
            claims += _decision(case, record, body)
    return claims


def _decision(case: Case, record: Record, body: DecisionRecord) -> list[Claim]:
    case.evidence.signed_by_member(record, case.state.consumer)
    state = case.evidence.state(decision_object(record.id), DecisionState)
    later = _later(case, record.id, body)
    reviews = [review for _, review in _of(case, record.id, DecisionReview)]
    newest = reviews[-1] if reviews else body
    decided = (body.inputs, newest.outcome, body.model_hash, newest.explanation_commitment)
    held = (state.inputs, state.outcome, state.model_hash, state.explanation_commitment)
    if decided != held:
        raise InvalidProof("decision is not the one that the ledger holds")
    _check_contests(case, record.id, state, reviews)
    statement = (
        f"decided {body.outcome} on exactly {len(body.inputs)} exchange(s), with a "
        f"model of hash {body.model_hash.hex()[:16]}"
    )
    return [Claim("decision", statement), *later]


def _check_contests(
    case: Case, decision: bytes, state: DecisionState, reviews: list[DecisionReview]
) -> None:
    """Hold the contests in the state to their records, and each review to the one that it names."""
    own_key = case.consent.consent_key
    answers = {review.contest: review.result for review in reviews}
    made = [record for record, _ in _of(case, decision, DecisionContest)]
    said = [(each.id, each.key == own_key, answers.get(each.id, "")) for each in made]
    told = [
        (contest.record, contest.consent == case.state.consent, contest.review)
        for contest in state.contests
    ]
    named = answers.keys() <= {each.id for each in made}
    if told != said or not named or len(answers) < len(reviews):
        raise InvalidProof("contests of the decision are not those that the ledger holds")


def _of(case: Case, decision: bytes, kind: type[BodyT]) -> list[tuple[Record, BodyT]]:
    found = case.evidence.of_kind(kind)
    return [(record, body) for _, record, body in found if body.decision == decision]


def _later(case: Case, decision: bytes, decided: DecisionRecord) -> list[Claim]:
    claims, consumer = [], case.state.consumer
    for record, _ in _of(case, decision, DecisionExplain):
        case.evidence.signed_by_member(record, consumer)
        claims.append(Claim("explained", f"{consumer} signed that it explained the decision"))
    for record, _ in _of(case, decision, DecisionContest):
        if record.key == case.consent.consent_key:
            claims.append(Claim("contested", "the subject contested the decision"))
        elif len(decided.inputs) > 1:
            claims.append(Claim("contested", "it was contested under another of its consents"))
        else:
            raise UntrustedError("decision is not contested by the consent's own key")
    for record, review in _of(case, decision, DecisionReview):
        case.evidence.signed_by_member(record, consumer)
        statement = f"{consumer} signed that a person {review.result} it: {review.outcome}"
        claims.append(Claim("reviewed", statement))
    return claims
