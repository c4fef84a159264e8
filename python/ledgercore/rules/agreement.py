"""Hold agreements to the states of the Dataspace Protocol, and to how an agreement rests and ends.

One state is computed and never stored: an agreement that is not over is EXPIRED from ``expires_ms``
on, so that neither a negotiation nor what it led to outlives the end that it names. Only what
begins anew needs an agreement in force: consents that are asked for, intents, admits. A key that
was admitted is still released, and nothing here bars a revocation.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ledgercore._core import VerifiedRecord
from ledgercore.records import (
    AgreementAccept,
    AgreementAgree,
    AgreementFinalize,
    AgreementOffer,
    AgreementRequest,
    AgreementResume,
    AgreementRetire,
    AgreementSuspend,
    AgreementTerminate,
    AgreementVerify,
)
from ledgercore.rules.codes import ANOTHER_AGREEMENT, NAME_A_TIME
from ledgercore.rules.product import find_product, product_is_published
from ledgercore.rules.state import (
    NEW,
    AgreementState,
    MemberState,
    agreement_object,
    member_object,
)
from ledgercore.rules.table import UNMADE, Case, Family, Row, SignedBy, check_names

__all__ = [
    "FAMILY",
    "NEGOTIATION_LIMIT",
    "SUSPENSION_LIMIT",
    "check_in_force",
    "find_agreement",
    "status_at",
]

NEGOTIATION_LIMIT = 64
"""Records of an agreement before which it may be proposed anew."""
SUSPENSION_LIMIT = 64
"""How often each party may suspend an agreement, whatever the other does."""

NEGOTIATED = ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED")
OVER = ("TERMINATED", "RETIRED")

Proposed = AgreementRequest | AgreementOffer
Ended = AgreementTerminate | AgreementSuspend | AgreementRetire
SuspendCase = Case[AgreementSuspend, AgreementState]
Plain = AgreementAccept | AgreementAgree | AgreementVerify | AgreementFinalize | AgreementResume
ProposalCase = Case[Proposed, AgreementState | None]


def status_at(state: AgreementState, time_ms: int) -> str:
    """The agreement's status in a block of this time."""
    if state.status not in OVER and time_ms >= state.expires_ms:
        return "EXPIRED"
    return state.status


def find_agreement(case: Case[Any, Any], agreement: bytes) -> AgreementState:
    """The agreement's state, or the refusal of what does not exist."""
    state = case.view.get(agreement_object(agreement), AgreementState)
    if state is None:
        case.refuse("E_UNKNOWN", f"agreement {agreement.hex()[:16]} does not exist")
    return state


def check_in_force(case: Case[Any, Any], agreement: bytes) -> AgreementState:
    """Refuse a record for which the agreement would have to be FINALIZED at the block's time."""
    state = find_agreement(case, agreement)
    status = status_at(state, case.position.time_ms)
    if status != "FINALIZED":
        message = f"agreement {agreement.hex()[:16]} is {status}, want FINALIZED"
        case.refuse("E_AGREEMENT_STATE", message)
    return state


def name_of(record: VerifiedRecord, body: Proposed | Ended | Plain) -> bytes:
    return agreement_object(body.agreement)


def product_is_of_signer(case: Case[AgreementOffer, AgreementState | None]) -> None:
    """the signer provides the product, else E_RECIPIENT"""
    provider = find_product(case).provider
    if provider != case.member:
        message = f"provider of {case.body.product} is {provider}, not {case.member}"
        case.refuse("E_RECIPIENT", message)


def consumer_is_one(case: Case[AgreementOffer, AgreementState | None]) -> None:
    """the consumer is a member (else E_UNKNOWN) with the role consumer, else E_ROLE"""
    name = case.body.consumer
    consumer = case.view.get(member_object(name), MemberState)
    if consumer is None:
        case.refuse("E_UNKNOWN", f"member {name} does not exist")
    if "consumer" not in consumer.roles:
        case.refuse("E_ROLE", f"member {name} has roles {list(consumer.roles)}, want consumer")


def subject_is_same(case: ProposalCase) -> None:
    """product and consumer are those of the negotiation so far, else E_AGREEMENT"""
    if case.state is None:
        return
    for name in ("product", "consumer"):
        got, want = getattr(case.body, name, case.member), getattr(case.state, name)
        if got != want:
            case.refuse("E_AGREEMENT", f"{name} is {got}, want {want} as so far")


def purposes_are_offered(case: ProposalCase) -> None:
    """each purpose is one of the product's, and there is one, else E_PURPOSE"""
    got, offered = list(case.body.purposes), list(find_product(case).purposes)
    if not got or not set(got) <= set(offered):
        case.refuse("E_PURPOSE", f"purposes are {got}, want some of {offered}")


def end_is_ahead(case: ProposalCase) -> None:
    """block time < expires_ms, else E_CLOCK"""
    now_ms, expires_ms = case.position.time_ms, case.body.expires_ms
    if expires_ms <= now_ms:
        case.refuse("E_CLOCK", f"expires_ms is {expires_ms}, want more than {now_ms}", NAME_A_TIME)


def negotiation_is_short(case: ProposalCase) -> None:
    """the agreement has fewer than 64 records so far, else E_LIMIT"""
    count = case.state.count if case.state else 0
    if count >= NEGOTIATION_LIMIT:
        want = f"fewer than {NEGOTIATION_LIMIT} for {case.record.kind}"
        case.refuse("E_LIMIT", f"agreement has {count} records, want {want}", ANOTHER_AGREEMENT)


def suspensions_are_few(case: SuspendCase) -> None:
    """the signer has suspended the agreement fewer than 64 times, else E_LIMIT"""
    times = dict(case.state.suspensions).get(case.member, 0)
    if times >= SUSPENSION_LIMIT:
        message = f"{case.member} has suspended the agreement {times} times"
        case.refuse("E_LIMIT", f"{message}, want {SUSPENSION_LIMIT} at most", ANOTHER_AGREEMENT)


def signer_suspended_it(case: Case[AgreementResume, AgreementState]) -> None:
    """the signer is the party that suspended the agreement, else E_RECIPIENT"""
    if case.state.ended_by != case.member:
        message = f"agreement was suspended by {case.state.ended_by}, not {case.member}"
        case.refuse("E_RECIPIENT", message)


def propose(case: ProposalCase) -> AgreementState:
    """What is proposed takes the place of what was."""
    body, before = case.body, case.state
    named = body.consumer if isinstance(body, AgreementOffer) else case.member
    return AgreementState(
        *((before.status, before.count, before.history) if before else NEW),
        consumer=named,
        provider=find_product(case).provider,
        product=body.product,
        purposes=body.purposes,
        contract_commitment=body.contract_commitment,
        expires_ms=body.expires_ms,
        ended_by="",
        code="",
        finalized_ms=0,
        suspensions=(),
    )


def keep(case: Case[Plain, AgreementState]) -> AgreementState:
    """Only the status changes, and what was suspended is so no more."""
    return structs.replace(case.state, ended_by="", code="")


def finalize(case: Case[AgreementFinalize, AgreementState]) -> AgreementState:
    """The time stays in the state, to show that what was proposed had not ended yet."""
    return structs.replace(case.state, finalized_ms=case.position.time_ms)


def end(case: Case[Ended, AgreementState]) -> AgreementState:
    """Who ended or suspended it, and why."""
    return structs.replace(case.state, ended_by=case.member, code=case.body.code)


def suspend(case: SuspendCase) -> AgreementState:
    """Each party has its own count, so that neither takes from the other what it may do."""
    times = dict(case.state.suspensions)
    times[case.member] = times.get(case.member, 0) + 1
    return structs.replace(
        case.state,
        ended_by=case.member,
        code=case.body.code,
        suspensions=tuple(times.items()),
    )


_PROPOSED = ("negotiation_is_short", "subject_is_same", "purposes_are_offered", "end_is_ahead")

FAMILY = Family(
    name="agreement",
    state_type=AgreementState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_AGREEMENT_STATE",
    rows=(
        Row(
            AgreementRequest.KIND,
            (UNMADE, "OFFERED"),
            SignedBy.CONSUMER,
            "REQUESTED",
            ("product_is_published", *_PROPOSED),
        ),
        Row(
            AgreementOffer.KIND,
            (UNMADE, "REQUESTED"),
            SignedBy.PROVIDER,
            "OFFERED",
            ("product_is_published", "product_is_of_signer", "consumer_is_one", *_PROPOSED),
        ),
        Row(AgreementAccept.KIND, ("OFFERED",), SignedBy.CONSUMER, "ACCEPTED"),
        Row(AgreementAgree.KIND, ("REQUESTED", "ACCEPTED"), SignedBy.PROVIDER, "AGREED"),
        Row(AgreementVerify.KIND, ("AGREED",), SignedBy.CONSUMER, "VERIFIED"),
        Row(AgreementFinalize.KIND, ("VERIFIED",), SignedBy.PROVIDER, "FINALIZED"),
        Row(AgreementTerminate.KIND, NEGOTIATED, SignedBy.EITHER, "TERMINATED"),
        Row(
            AgreementSuspend.KIND,
            ("FINALIZED",),
            SignedBy.EITHER,
            "SUSPENDED",
            ("suspensions_are_few",),
        ),
        Row(
            AgreementResume.KIND,
            ("SUSPENDED",),
            SignedBy.EITHER,
            "FINALIZED",
            ("signer_suspended_it",),
        ),
        Row(AgreementRetire.KIND, ("FINALIZED", "SUSPENDED"), SignedBy.EITHER, "RETIRED"),
    ),
    checks=check_names(
        (
            product_is_published,
            product_is_of_signer,
            consumer_is_one,
            subject_is_same,
            purposes_are_offered,
            end_is_ahead,
            negotiation_is_short,
            suspensions_are_few,
            signer_suspended_it,
        )
    ),
    effects={
        AgreementRequest.KIND: propose,
        AgreementOffer.KIND: propose,
        AgreementAccept.KIND: keep,
        AgreementAgree.KIND: keep,
        AgreementVerify.KIND: keep,
        AgreementFinalize.KIND: finalize,
        AgreementTerminate.KIND: end,
        AgreementSuspend.KIND: suspend,
        AgreementResume.KIND: keep,
        AgreementRetire.KIND: end,
    },
)
