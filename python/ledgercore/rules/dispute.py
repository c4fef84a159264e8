"""Hold disputes to their transitions.

A dispute stops nothing but use: whoever may end or erase still can. What is brought forward is off
the ledger, behind commitments; every record of a dispute touches the exchange and its consent, so
the trail of the consent names it.

A complaint that was dismissed bars no other party's: else whoever fears one would open its own
first. Each party opens one, so that no complaint comes again and again; and it brings so much in
each, so that no party can make the trail of the consent too long to be verified.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import VerifiedRecord
from ledgercore.records import DisputeEvidence, DisputeOpen, DisputeRule
from ledgercore.rules.codes import ANOTHER_DISPUTE, ASK_ANEW, ONE_PIECE, WAIT_FOR_RULING
from ledgercore.rules.state import (
    NEW,
    ConsentState,
    DisputeState,
    ExchangeState,
    consent_object,
    dispute_object,
    exchange_object,
)
from ledgercore.rules.table import UNMADE, Case, Family, Row, SignedBy, check_names, stored_status
from ledgercore.rules.trail import check_room, take_room
from ledgercore.rules.view import View

__all__ = ["EVIDENCE_LIMIT", "FAMILY"]

EVIDENCE_LIMIT = 16
"""Pieces of evidence of one party in one dispute: each may commit to any number of documents."""

OpenCase = Case[DisputeOpen, DisputeState | None]
EvidenceCase = Case[DisputeEvidence, DisputeState]
RuleCase = Case[DisputeRule, DisputeState]
AnyCase = OpenCase | EvidenceCase | RuleCase

Body = DisputeOpen | DisputeEvidence | DisputeRule


def name_of(record: VerifiedRecord, body: Body) -> bytes:
    return dispute_object(body.exchange)


def consents(view: View, body: Body, state: DisputeState | None) -> tuple[ConsentState, ...]:
    exchange = view.get(exchange_object(body.exchange), ExchangeState)
    if exchange is None:
        return ()
    consent = view.get(consent_object(exchange.consent), ConsentState)
    assert consent is not None, "an exchange has a consent"
    return (consent,)


def nothing_was_upheld(case: OpenCase) -> None:
    """no complaint about the exchange was upheld, else E_DISPUTE"""
    if case.state is not None and case.state.ruling == "upheld":
        message = (
            f"dispute of the exchange ({case.state.grounds}) is upheld, want none or dismissed"
        )
        case.refuse("E_DISPUTE", message, ASK_ANEW)


def party_opens_once(case: OpenCase) -> None:
    """the party has not opened a dispute of the exchange before, else E_EXISTS"""
    if case.state is not None and case.member in case.state.complainants:
        who = case.member or "the subject"
        case.refuse("E_EXISTS", f"{who} has disputed the exchange before")


def party_has_evidence_left(case: EvidenceCase) -> None:
    """the party has brought fewer than 16 pieces of evidence in this dispute, else E_LIMIT"""
    brought = dict(case.state.evidence).get(case.member, 0)
    if brought >= EVIDENCE_LIMIT:
        who = case.member or "the subject"
        message = f"{who} has brought {brought} pieces of evidence, want {EVIDENCE_LIMIT} at most"
        case.refuse("E_LIMIT", message, ONE_PIECE)


def trail_has_room(case: OpenCase | EvidenceCase) -> None:
    """the consumer has 5,120 records of the consent's trail, subject and provider 1,024 each, and
    enough of them left for this and what may follow, else E_LIMIT; the first piece of who did not
    open it is in the opening's"""
    check_room(case, _disputed(case).consent)


def _disputed(case: AnyCase) -> ExchangeState:
    exchange = case.view.get(exchange_object(case.body.exchange), ExchangeState)
    assert exchange is not None, "a dispute has an exchange"
    return exchange


def _touch_exchange(case: AnyCase) -> None:
    exchange = _disputed(case)
    consent = case.view.get(consent_object(exchange.consent), ConsentState)
    assert consent is not None, "an exchange has a consent"
    take_room(case, exchange.consent)
    case.touch(exchange_object(case.body.exchange), exchange)
    case.touch(consent_object(exchange.consent), consent)


def begin(case: OpenCase) -> DisputeState:
    _touch_exchange(case)
    before = case.state
    made = NEW if before is None else (before.status, before.count, before.history)
    complainants = () if before is None else before.complainants
    return DisputeState(
        *made, (*complainants, case.member), grounds=case.body.grounds, ruling="", evidence=()
    )


def add_evidence(case: EvidenceCase) -> DisputeState:
    _touch_exchange(case)
    brought = dict(case.state.evidence)
    brought[case.member] = brought.get(case.member, 0) + 1
    return structs.replace(case.state, evidence=tuple(brought.items()))


def rule(case: RuleCase) -> DisputeState:
    _touch_exchange(case)
    return structs.replace(case.state, ruling=case.body.ruling)


FAMILY = Family(
    name="dispute",
    state_type=DisputeState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_DISPUTE",
    rows=(
        Row(
            DisputeOpen.KIND,
            (UNMADE, "RULED"),
            SignedBy.PARTY,
            "OPEN",
            ("nothing_was_upheld", "party_opens_once", "trail_has_room"),
        ),
        Row(
            DisputeEvidence.KIND,
            ("OPEN",),
            SignedBy.PARTY,
            "OPEN",
            ("party_has_evidence_left", "trail_has_room"),
        ),
        Row(DisputeRule.KIND, ("OPEN",), SignedBy.SUPERVISOR, "RULED"),
    ),
    checks=check_names(
        (nothing_was_upheld, party_opens_once, party_has_evidence_left, trail_has_room)
    ),
    effects={
        DisputeOpen.KIND: begin,
        DisputeEvidence.KIND: add_evidence,
        DisputeRule.KIND: rule,
    },
    consents=consents,
    status_remedies={"OPEN": WAIT_FOR_RULING, "RULED": ANOTHER_DISPUTE},
)
