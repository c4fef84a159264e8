"""Hold disputes to their transitions.

A dispute stops nothing but use: whoever may end or erase still can. What is brought forward is off
the ledger, behind commitments; every record of a dispute touches the exchange and its consent, so
the trail of the consent names it.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import VerifiedRecord
from ledgercore.records import DisputeEvidence, DisputeOpen, DisputeRule
from ledgercore.rules.state import (
    NEW,
    ConsentState,
    DisputeState,
    ExchangeState,
    consent_object,
    dispute_object,
    exchange_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, stored_status
from ledgercore.rules.view import View

__all__ = ["FAMILY"]

OpenCase = Case[DisputeOpen, None]
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


def _touch_exchange(case: AnyCase) -> None:
    name = exchange_object(case.body.exchange)
    exchange = case.view.get(name, ExchangeState)
    assert exchange is not None, "a dispute has an exchange"
    consent = case.view.get(consent_object(exchange.consent), ConsentState)
    assert consent is not None, "an exchange has a consent"
    case.touch(name, exchange)
    case.touch(consent_object(exchange.consent), consent)


def begin(case: OpenCase) -> DisputeState:
    _touch_exchange(case)
    return DisputeState(*NEW, opener=case.member, grounds=case.body.grounds, ruling="")


def add_evidence(case: EvidenceCase) -> DisputeState:
    _touch_exchange(case)
    return case.state


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
        Row(DisputeOpen.KIND, (), SignedBy.PARTY, "OPEN"),
        Row(DisputeEvidence.KIND, ("OPEN",), SignedBy.PARTY, "OPEN"),
        Row(DisputeRule.KIND, ("OPEN",), SignedBy.SUPERVISOR, "RULED"),
    ),
    checks={},
    effects={
        DisputeOpen.KIND: begin,
        DisputeEvidence.KIND: add_evidence,
        DisputeRule.KIND: rule,
    },
    consents=consents,
)
