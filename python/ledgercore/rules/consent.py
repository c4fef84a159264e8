"""Hold consents to their transitions: asked for, given, narrowed, stayed, taken back.

Three states are computed and never stored: a REQUESTED consent is LAPSED from ``lapses_ms`` on, an
AUTHORISED one is CONSUMED while all its uses are taken, and else EXPIRED from ``expires_ms`` on.
Only the time of blocks decides.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ledgercore._core import VerifiedRecord, tree_root, verify_multi, verify_signature
from ledgercore.errors import InvalidProof, InvalidSignature, LedgerError
from ledgercore.records import (
    ConsentAuthorise,
    ConsentLift,
    ConsentNarrow,
    ConsentReject,
    ConsentRequest,
    ConsentRevoke,
    ConsentRevokeOnBehalf,
    ConsentStay,
    endorsement_message,
)
from ledgercore.rules.agreement import check_in_force, find_agreement
from ledgercore.rules.authorisation import check_use
from ledgercore.rules.codes import KEEP_WITHIN, NAME_A_TIME, OWN_KEY
from ledgercore.rules.product import find_product, product_is_published
from ledgercore.rules.sound import key_fault
from ledgercore.rules.state import (
    NEW,
    PROCESSOR_ROLE,
    ConsentState,
    KeyState,
    MemberState,
    consent_object,
    key_object,
    member_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names
from ledgercore.rules.trail import check_room, take_room
from ledgercore.rules.view import View

__all__ = [
    "FAMILY",
    "PROCESSOR_LIMIT",
    "STATUSES",
    "give_use_back",
    "status_at",
    "take_use",
    "verify_bounds_within",
    "verify_terms_within",
    "why_uncovered",
]

STATUSES = (
    *("REQUESTED", "AUTHORISED", "STAYED", "REJECTED", "REVOKED"),
    *("CONSUMED", "LAPSED", "EXPIRED"),
)
LIVE = ("AUTHORISED", "CONSUMED")

PROCESSOR_LIMIT = 16
"""Processors of one consent: a pack has every key that each of them ever had."""

Bounds = ConsentRequest | ConsentNarrow | ConsentState
"""What says how far a consent reaches: its state, or the record that it is by."""


def status_at(state: ConsentState, time_ms: int) -> str:
    """The consent's status in a block of this time."""
    if state.status == "REQUESTED" and time_ms >= state.lapses_ms:
        return "LAPSED"
    if state.status != "AUTHORISED":
        return state.status
    if state.uses >= state.max_uses:
        return "CONSUMED"
    return "EXPIRED" if time_ms >= state.expires_ms else "AUTHORISED"


def why_uncovered(state: ConsentState, time_ms: int) -> str:
    """Why no key is released and nothing is used under the consent at a time; empty where it is."""
    if state.status != "AUTHORISED":  # as it is stored, whether its uses are taken or not
        return f"consent is {state.status}, want AUTHORISED or CONSUMED"
    if time_ms >= state.expires_ms:
        return f"consent expired at {state.expires_ms}, it is {time_ms}"
    return ""


def verify_terms_within(suite: str, root: bytes, body: ConsentNarrow) -> None:
    """Accept that the new root is over some of the old one's leaves, in their order."""
    leaves = b"".join(body.leaves)
    verify_multi(suite, leaves, body.positions, body.size, body.proof, root)
    if tree_root(suite, leaves) != body.terms_root:
        raise InvalidProof("terms root is not over the leaves that are kept")


def verify_bounds_within(before: Bounds, body: ConsentNarrow) -> None:
    """Accept that the consent ends no later, has no more uses, and names nobody new."""
    for name in ("expires_ms", "max_uses"):
        got, want = getattr(body, name), getattr(before, name)
        if got > want:
            raise InvalidProof(f"{name} is {got}, want at most {want}")
    if body.processors != tuple(name for name in before.processors if name in body.processors):
        got, want = list(body.processors), list(before.processors)
        raise InvalidProof(f"processors are {got}, want some of {want} in their order")


Later = (
    ConsentAuthorise
    | ConsentReject
    | ConsentStay
    | ConsentLift
    | ConsentRevoke
    | ConsentRevokeOnBehalf
    | ConsentNarrow
)
ConsentBody = ConsentRequest | Later
Revocation = ConsentRevoke | ConsentRevokeOnBehalf


def name_of(record: VerifiedRecord, body: ConsentBody) -> bytes:
    return consent_object(body.consent)


def consents(view: View, body: ConsentBody, state: ConsentState | None) -> tuple[ConsentState, ...]:
    return () if state is None else (state,)


def schema_is_authorised(case: Case[ConsentRequest | ConsentAuthorise, Any]) -> None:
    """the product's schema is not token-like, or its authorisation is in force, else
    E_AUTHORISATION"""
    body = case.body
    check_use(case, body.product if isinstance(body, ConsentRequest) else case.state.product)


def purpose_is_offered(case: Case[ConsentRequest, None]) -> None:
    """the product lists the purpose, else E_PURPOSE"""
    purposes = find_product(case).purposes
    if case.body.purpose not in purposes:
        case.refuse("E_PURPOSE", f"purpose is {case.body.purpose}, want one of {list(purposes)}")


def processors_are_members(case: Case[ConsentRequest, None]) -> None:
    """there are at most 16 processors, else E_LIMIT; each is a member (else E_UNKNOWN) with the
    role processor (else E_ROLE), and named once, else E_CANON"""
    names = case.body.processors
    if len(names) > PROCESSOR_LIMIT:
        message = f"consent names {len(names)} processors, want {PROCESSOR_LIMIT} at most"
        case.refuse("E_LIMIT", message, KEEP_WITHIN)
    for name in names:
        state = case.view.get(member_object(name), MemberState)
        if state is None:
            case.refuse("E_UNKNOWN", f"processor {name} is not a member")
        if PROCESSOR_ROLE not in state.roles:
            case.refuse("E_ROLE", f"processor {name} has roles {list(state.roles)}")
    if len(set(names)) < len(names):
        case.refuse("E_CANON", f"{len(names)} processors are {len(set(names))} members")


def consent_key_is_fresh(case: Case[ConsentRequest, None]) -> None:
    """no member and no consent has the consent key, else E_EXISTS"""
    if case.view.get(key_object(case.body.consent_key), KeyState) is not None:
        case.refuse("E_EXISTS", f"consent key {case.body.consent_key.hex()[:16]} is taken")


def consent_key_is_sound(case: Case[ConsentRequest, None]) -> None:
    """the consent key is a point for which not everybody can sign, else E_KEY"""
    if fault := key_fault(case.body.consent_key):
        case.refuse("E_KEY", f"consent key: {fault}", OWN_KEY)


def uses_are_asked_for(case: Case[ConsentRequest, None]) -> None:
    """max_uses is at least 1, else E_USES"""
    if case.body.max_uses < 1:
        case.refuse("E_USES", f"max_uses is {case.body.max_uses}, want at least 1")


def times_are_ahead(case: Case[ConsentRequest, None]) -> None:
    """block time < lapses_ms <= expires_ms, else E_CLOCK"""
    now_ms, body = case.position.time_ms, case.body
    if body.expires_ms <= now_ms:
        case.refuse(
            "E_CLOCK", f"expires_ms is {body.expires_ms}, want more than {now_ms}", NAME_A_TIME
        )
    if not now_ms < body.lapses_ms <= body.expires_ms:
        want = f"more than {now_ms} and at most {body.expires_ms}"
        case.refuse("E_CLOCK", f"lapses_ms is {body.lapses_ms}, want {want}", NAME_A_TIME)


def endorsement_verifies(case: Case[ConsentAuthorise, ConsentState]) -> None:
    """the provider signed consent key and terms root with a key that may sign now, else
    E_ENDORSEMENT"""
    state = case.state
    provider = case.view.get(member_object(state.provider), MemberState)
    assert provider is not None, "a product's provider is a member"
    key = case.view.get(key_object(provider.signing_key), KeyState)
    assert key is not None, "a member has a key"
    if key.status != "ACTIVE":  # nothing dates an endorsement: a thief may make it today
        why = f"key of provider {state.provider} is {key.status}, want ACTIVE"
        case.refuse("E_ENDORSEMENT", why)
    message = endorsement_message(case.record.network, state.consent_key, state.terms_root)
    try:
        verify_signature(provider.signing_key, message, case.body.endorsement)
    except InvalidSignature:
        case.refuse("E_ENDORSEMENT", f"endorsement is not by provider {state.provider}")


def terms_are_within(case: Case[ConsentNarrow, ConsentState]) -> None:
    """the new root is over leaves of the old one, in their order, else E_SCOPE_WIDEN"""
    try:
        verify_terms_within(case.record.suite, case.state.terms_root, case.body)
    except LedgerError as error:
        case.refuse("E_SCOPE_WIDEN", str(error))


def bounds_are_within(case: Case[ConsentNarrow, ConsentState]) -> None:
    """expires_ms and max_uses are at most what they were, and processors some of those that were,
    in their order, else E_SCOPE_WIDEN"""
    try:
        verify_bounds_within(case.state, case.body)
    except InvalidProof as error:
        case.refuse("E_SCOPE_WIDEN", str(error))


def trail_has_room(case: Case[ConsentNarrow | ConsentStay, ConsentState]) -> None:
    """the subject has 1,024 records of the consent's trail, all supervisors 256, and enough of them
    left for this and what may follow, else E_LIMIT"""
    check_room(case, case.body.consent)


def signer_revokes_once(case: Case[Revocation, ConsentState]) -> None:
    """the signer has not revoked the consent before, else E_EXISTS"""
    if case.member in case.state.revoked_by:
        case.refuse("E_EXISTS", f"{case.member or 'the subject'} has revoked the consent before")


def agreement_is_named(case: Case[ConsentRequest, None]) -> None:
    """an agreement is named where the product needs one, and it is on this product and with this
    consumer, else E_AGREEMENT; its purposes have this one, else E_PURPOSE"""
    body = case.body
    if body.agreement is None:
        if find_product(case).needs_agreement:
            case.refuse("E_AGREEMENT", f"product {body.product} needs an agreement, got none")
        return
    state = find_agreement(case, body.agreement)
    for name, got, want in (
        ("product", state.product, body.product),
        ("consumer", state.consumer, case.member),
    ):
        if got != want:
            case.refuse("E_AGREEMENT", f"{name} of the agreement is {got}, want {want}")
    if body.purpose not in state.purposes:
        message = f"purpose is {body.purpose}, want one of {list(state.purposes)} as agreed"
        case.refuse("E_PURPOSE", message)


def agreement_is_in_force(case: Case[ConsentRequest, None]) -> None:
    """the agreement, where one is named, is FINALIZED (else E_AGREEMENT_STATE) and does not end
    before expires_ms, else E_CLOCK"""
    if case.body.agreement is None:
        return
    end_ms, expires_ms = check_in_force(case, case.body.agreement).expires_ms, case.body.expires_ms
    if expires_ms > end_ms:
        message = f"expires_ms is {expires_ms}, want at most {end_ms} as of the agreement"
        case.refuse("E_CLOCK", message, NAME_A_TIME)


def request(case: Case[ConsentRequest, None]) -> ConsentState:
    body = case.body
    case.view.put(key_object(body.consent_key), KeyState("", body.consent))
    return ConsentState(
        *NEW,
        consumer=case.member,
        provider=find_product(case).provider,
        product=body.product,
        purpose=body.purpose,
        terms_root=body.terms_root,
        consent_key=body.consent_key,
        expires_ms=body.expires_ms,
        lapses_ms=body.lapses_ms,
        max_uses=body.max_uses,
        uses=0,
        processors=body.processors,
        agreement=body.agreement,
        revoked_by=(),
    )


def keep(case: Case[Later, ConsentState]) -> ConsentState:
    """Only the status changes."""
    return case.state


def stay(case: Case[ConsentStay, ConsentState]) -> ConsentState:
    take_room(case, case.body.consent)
    return case.state


def revoke(case: Case[Revocation, ConsentState]) -> ConsentState:
    return structs.replace(case.state, revoked_by=(*case.state.revoked_by, case.member))


def narrow(case: Case[ConsentNarrow, ConsentState]) -> ConsentState:
    body = case.body
    take_room(case, body.consent)
    return structs.replace(
        case.state,
        terms_root=body.terms_root,
        expires_ms=body.expires_ms,
        max_uses=body.max_uses,
        processors=body.processors,
    )


def take_use(state: ConsentState) -> ConsentState:
    """The consent with one more use taken; the last one makes it CONSUMED."""
    return structs.replace(state, uses=state.uses + 1)


def give_use_back(state: ConsentState) -> ConsentState:
    """The consent with one use fewer taken; one that was CONSUMED is AUTHORISED again."""
    return structs.replace(state, uses=state.uses - 1)


FAMILY = Family(
    name="consent",
    state_type=ConsentState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_CONSENT_STATE",
    rows=(
        Row(
            ConsentRequest.KIND,
            (),
            SignedBy.CONSUMER,
            "REQUESTED",
            (
                "product_is_published",
                "schema_is_authorised",
                "purpose_is_offered",
                "processors_are_members",
                "consent_key_is_fresh",
                "consent_key_is_sound",
                "uses_are_asked_for",
                "times_are_ahead",
                "agreement_is_named",
                "agreement_is_in_force",
            ),
        ),
        Row(
            ConsentAuthorise.KIND,
            ("REQUESTED",),
            SignedBy.CONSENT_KEY,
            "AUTHORISED",
            ("endorsement_verifies", "schema_is_authorised"),
        ),
        Row(ConsentReject.KIND, ("REQUESTED",), SignedBy.CONSENT_KEY, "REJECTED"),
        Row(
            ConsentNarrow.KIND,
            LIVE,
            SignedBy.CONSENT_KEY,
            "AUTHORISED",
            ("terms_are_within", "bounds_are_within", "trail_has_room"),
        ),
        Row(ConsentStay.KIND, LIVE, SignedBy.SUPERVISOR, "STAYED", ("trail_has_room",)),
        Row(ConsentLift.KIND, ("STAYED",), SignedBy.SUPERVISOR, "AUTHORISED"),
        Row(
            ConsentRevoke.KIND,
            STATUSES,
            SignedBy.CONSENT_KEY,
            "REVOKED",
            ("signer_revokes_once",),
        ),
        Row(
            ConsentRevokeOnBehalf.KIND,
            STATUSES,
            SignedBy.PROVIDER,
            "REVOKED",
            ("signer_revokes_once",),
        ),
    ),
    checks=check_names(
        (
            product_is_published,
            schema_is_authorised,
            purpose_is_offered,
            processors_are_members,
            consent_key_is_fresh,
            consent_key_is_sound,
            uses_are_asked_for,
            times_are_ahead,
            agreement_is_named,
            agreement_is_in_force,
            endorsement_verifies,
            terms_are_within,
            bounds_are_within,
            trail_has_room,
            signer_revokes_once,
        )
    ),
    effects={
        ConsentRequest.KIND: request,
        ConsentAuthorise.KIND: keep,
        ConsentReject.KIND: keep,
        ConsentNarrow.KIND: narrow,
        ConsentStay.KIND: stay,
        ConsentLift.KIND: keep,
        ConsentRevoke.KIND: revoke,
        ConsentRevokeOnBehalf.KIND: revoke,
    },
    consents=consents,
)
