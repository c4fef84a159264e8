"""Hold audits to their order: a legal basis, then signatures of holders, then parts.

A key is offered by a supervisor, who may know it, until each holder has said that it made it too.

The rules see that enough holders signed before an order expired, and never what they opened. An
order hides its scope for as long as its embargo says, a year at most; what is not disclosed by
then is seen by everyone to be due, and any holder may disclose it.
"""

from __future__ import annotations

from msgspec import msgpack, structs

from ledgercore._core import VerifiedRecord, group_verify_share_keys, hash_domain
from ledgercore.errors import LedgerError
from ledgercore.records import (
    AuditAccept,
    AuditDisclose,
    AuditKey,
    AuditOpen,
    AuditOrder,
    AuditReport,
)
from ledgercore.rules.codes import KEEP_WITHIN, NAME_A_TIME
from ledgercore.rules.state import (
    NEW,
    AuditKeyState,
    AuditState,
    ConsentState,
    ExchangeState,
    MemberState,
    audit_key_object,
    audit_object,
    consent_object,
    exchange_object,
    member_object,
)
from ledgercore.rules.table import SAME, Case, Family, Row, SignedBy, check_names

__all__ = [
    "EMBARGO_LIMIT_MS",
    "FAMILIES",
    "disclosure_is_due",
    "key_status_at",
    "scope_commitment",
    "status_at",
]

EMBARGO_LIMIT_MS = 366 * 24 * 3_600_000
"""How long after its order an opening may be hidden from those whom it concerns."""

KeyCase = Case[AuditKey, None]
AcceptCase = Case[AuditAccept, AuditKeyState]
OrderCase = Case[AuditOrder, None]
OpenCase = Case[AuditOpen, AuditState]
DiscloseCase = Case[AuditDisclose, AuditState]
ReportCase = Case[AuditReport, AuditState]
Body = AuditOrder | AuditOpen | AuditDisclose | AuditReport


def key_status_at(state: AuditKeyState, time_ms: int) -> str:
    """The audit key's status: ACTIVE, which is not stored, once every holder has accepted it."""
    return "ACTIVE" if len(state.accepted) >= len(state.holders) else state.status


def status_at(state: AuditState, time_ms: int) -> str:
    """The audit's status in a block of this time."""
    if state.status != "ORDERED":
        return state.status
    if time_ms >= state.expires_ms:
        return "EXPIRED"
    return "OPENED" if len(state.openers) >= state.threshold else "ORDERED"


def disclosure_is_due(state: AuditState, time_ms: int) -> bool:
    """Whether the embargo is over and nobody has said yet what was opened."""
    return not state.disclosed and time_ms >= state.embargo_until_ms


def scope_commitment(suite: str, scope: tuple[bytes, ...], salt: bytes) -> bytes:
    """What an order says of the exchanges that it is about."""
    return hash_domain(suite, "commitment", msgpack.encode([scope, salt]))


def key_name_of(record: VerifiedRecord, body: AuditKey | AuditAccept) -> bytes:
    return audit_key_object(body.audit_key)


def name_of(record: VerifiedRecord, body: Body) -> bytes:
    return audit_object(record.id if isinstance(body, AuditOrder) else body.audit)


def threshold_is_shared(case: KeyCase) -> None:
    """threshold is at least 2 and at most the number of holders, else E_LIMIT"""
    threshold, count = case.body.threshold, len(case.body.holders)
    if not 2 <= threshold <= count:
        message = f"threshold is {threshold}, want 2 to {count}, the holders"
        case.refuse("E_LIMIT", message, KEEP_WITHIN)


def holders_are_members(case: KeyCase) -> None:
    """each holder is a member (else E_UNKNOWN), and named once, else E_EXISTS"""
    names = [holder.member for holder in case.body.holders]
    for name in names:
        if case.view.get(member_object(name), MemberState) is None:
            case.refuse("E_UNKNOWN", f"holder {name} is not a member")
    if len(set(names)) < len(names):
        case.refuse("E_EXISTS", f"{len(names)} shares are of {len(set(names))} holders")


def shares_are_of_key(case: KeyCase) -> None:
    """any ``threshold`` of the share keys stand for the audit key, else E_CANON"""
    keys = [holder.share_key for holder in case.body.holders]
    try:
        group_verify_share_keys(case.body.audit_key, keys, case.body.threshold)
    except LedgerError as error:
        case.refuse("E_CANON", str(error))


def signer_is_to_accept(case: AcceptCase) -> None:
    """the signer is a holder of the audit key, else E_RECIPIENT, who has not accepted it yet, else
    E_EXISTS"""
    if all(case.member != member for member, _ in case.state.holders):
        case.refuse("E_RECIPIENT", f"{case.member} holds no share of the audit key")
    if case.member in case.state.accepted:
        case.refuse("E_EXISTS", f"{case.member} has accepted the audit key already")


def _key(case: OrderCase | OpenCase | DiscloseCase, audit_key: bytes) -> AuditKeyState:
    state = case.view.get(audit_key_object(audit_key), AuditKeyState)
    if state is None:
        case.refuse("E_UNKNOWN", f"audit key {audit_key.hex()[:16]} does not exist")
    return state


def audit_key_is_active(case: OrderCase) -> None:
    """the audit key is registered, else E_UNKNOWN, and every holder has accepted it, else
    E_AUDIT_STATE"""
    key = _key(case, case.body.audit_key)
    status = key_status_at(key, case.position.time_ms)
    if status != "ACTIVE":
        got = f"{len(key.accepted)} of {len(key.holders)} holders have accepted it"
        case.refuse("E_AUDIT_STATE", f"audit key is {status}, {got}")


def ends_are_near(case: OrderCase) -> None:
    """block time < expires_ms, and embargo_until_ms <= block time and 366 days, else E_CLOCK"""
    now_ms, body = case.position.time_ms, case.body
    if body.expires_ms <= now_ms:
        case.refuse(
            "E_CLOCK", f"expires_ms is {body.expires_ms}, want more than {now_ms}", NAME_A_TIME
        )
    if body.embargo_until_ms > now_ms + EMBARGO_LIMIT_MS:
        want = f"at most {now_ms + EMBARGO_LIMIT_MS}"
        case.refuse(
            "E_CLOCK", f"embargo_until_ms is {body.embargo_until_ms}, want {want}", NAME_A_TIME
        )


def _holds(case: OpenCase | DiscloseCase) -> bool:
    holders = _key(case, case.state.audit_key).holders
    return any(case.member == member for member, _ in holders)


def signer_holds_a_share(case: OpenCase) -> None:
    """the signer is a holder of the audit key, else E_RECIPIENT, who has not signed yet, else
    E_EXISTS"""
    if not _holds(case):
        case.refuse("E_RECIPIENT", f"{case.member} holds no share of the audit key")
    if any(case.member == member for member, _ in case.state.openers):
        case.refuse("E_EXISTS", f"{case.member} has signed to open already")


def signer_may_disclose(case: DiscloseCase) -> None:
    """the signer is the supervisor that ordered it, or a holder from embargo_until_ms on, else
    E_RECIPIENT"""
    over = case.position.time_ms >= case.state.embargo_until_ms
    if case.member != case.state.supervisor and not (over and _holds(case)):
        case.refuse("E_RECIPIENT", f"{case.member} may not disclose this, or not yet")


def scope_is_disclosed_once(case: DiscloseCase) -> None:
    """it is not disclosed yet, else E_EXISTS"""
    if case.state.disclosed:
        case.refuse("E_EXISTS", "scope of the audit is disclosed")


def scope_is_as_ordered(case: DiscloseCase) -> None:
    """the scope is what was committed to (else E_SCOPE), of exchanges that exist, else E_UNKNOWN"""
    body = case.body
    if scope_commitment(case.record.suite, body.scope, body.salt) != case.state.scope_commitment:
        case.refuse("E_SCOPE", "scope is not the one that the order commits to")
    for exchange in body.scope:
        if case.view.get(exchange_object(exchange), ExchangeState) is None:
            case.refuse("E_UNKNOWN", f"exchange {exchange.hex()[:16]} does not exist")


def register(case: KeyCase) -> AuditKeyState:
    body = case.body
    holders = tuple((holder.member, holder.share_key) for holder in body.holders)
    return AuditKeyState(
        *NEW,
        supervisor=case.member,
        threshold=body.threshold,
        holders=holders,
        accepted=(),
    )


def accept(case: AcceptCase) -> AuditKeyState:
    return structs.replace(case.state, accepted=(*case.state.accepted, case.member))


def order(case: OrderCase) -> AuditState:
    body = case.body
    return AuditState(
        *NEW,
        supervisor=case.member,
        audit_key=body.audit_key,
        basis=body.basis,
        scope_commitment=body.scope_commitment,
        expires_ms=body.expires_ms,
        embargo_until_ms=body.embargo_until_ms,
        threshold=_key(case, body.audit_key).threshold,
        openers=(),
        disclosed=False,
    )


def sign_to_open(case: OpenCase) -> AuditState:
    opener = (case.member, case.position.time_ms)
    return structs.replace(case.state, openers=(*case.state.openers, opener))


def disclose(case: DiscloseCase) -> AuditState:
    """What was opened enters the trails of the exchanges, and of their consents once each."""
    consents: dict[bytes, None] = {}
    for exchange_id in dict.fromkeys(case.body.scope):
        exchange = case.view.get(exchange_object(exchange_id), ExchangeState)
        assert exchange is not None, "the check found it"
        case.touch(exchange_object(exchange_id), exchange)
        consents[exchange.consent] = None
    for consent_id in consents:
        consent = case.view.get(consent_object(consent_id), ConsentState)
        assert consent is not None, "an exchange has a consent"
        case.touch(consent_object(consent_id), consent)
    return structs.replace(case.state, disclosed=True)


def report(case: ReportCase) -> AuditState:
    return case.state


KEY_FAMILY = Family(
    name="audit-key",
    state_type=AuditKeyState,
    name_of=key_name_of,
    status_at=key_status_at,
    status_code="E_AUDIT_STATE",
    rows=(
        Row(
            AuditKey.KIND,
            (),
            SignedBy.SUPERVISOR,
            "OFFERED",
            ("threshold_is_shared", "holders_are_members", "shares_are_of_key"),
        ),
        Row(AuditAccept.KIND, ("OFFERED",), SignedBy.MEMBER, SAME, ("signer_is_to_accept",)),
    ),
    checks=check_names(
        (threshold_is_shared, holders_are_members, shares_are_of_key, signer_is_to_accept)
    ),
    effects={AuditKey.KIND: register, AuditAccept.KIND: accept},
)

LIVE = ("ORDERED", "OPENED")

FAMILY = Family(
    name="audit",
    state_type=AuditState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_AUDIT_STATE",
    rows=(
        Row(
            AuditOrder.KIND,
            (),
            SignedBy.SUPERVISOR,
            "ORDERED",
            ("audit_key_is_active", "ends_are_near"),
        ),
        Row(AuditOpen.KIND, LIVE, SignedBy.MEMBER, SAME, ("signer_holds_a_share",)),
        Row(
            AuditDisclose.KIND,
            (*LIVE, "EXPIRED", "REPORTED"),
            SignedBy.MEMBER,
            SAME,
            ("signer_may_disclose", "scope_is_disclosed_once", "scope_is_as_ordered"),
        ),
        Row(AuditReport.KIND, (*LIVE, "EXPIRED"), SignedBy.SUPERVISOR, "REPORTED"),
    ),
    checks=check_names(
        (
            audit_key_is_active,
            ends_are_near,
            signer_holds_a_share,
            signer_may_disclose,
            scope_is_disclosed_once,
            scope_is_as_ordered,
        )
    ),
    effects={
        AuditOrder.KIND: order,
        AuditOpen.KIND: sign_to_open,
        AuditDisclose.KIND: disclose,
        AuditReport.KIND: report,
    },
)

FAMILIES = (KEY_FAMILY, FAMILY)
