"""Hold exchanges to their transitions, and to the consent that they rest on.

The order of records decides every race. An admit that comes after a revoke is refused; an admit
that comes before takes its use at once, so no two admits can both take the last use.

Every record of an exchange also touches its consent, so the history of one consent is the whole
trail of what was done under it.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import VerifiedRecord
from ledgercore.records import (
    ExchangeAcknowledge,
    ExchangeAdmit,
    ExchangeCorrect,
    ExchangeDecline,
    ExchangeErase,
    ExchangeForget,
    ExchangeIntent,
    ExchangeRefuse,
    ExchangeRelease,
    ExchangeRestrict,
    ExchangeTimeOut,
    ExchangeUse,
    ExchangeVoid,
)
from ledgercore.rules import authorisation
from ledgercore.rules.agreement import check_in_force
from ledgercore.rules.codes import ASK_ANEW, NAME_A_TIME, WAIT_FOR_RULING
from ledgercore.rules.consent import give_use_back, take_use, why_uncovered
from ledgercore.rules.consent import status_at as consent_status_at
from ledgercore.rules.state import (
    NEW,
    Admission,
    ConsentState,
    DecisionState,
    DisputeState,
    ExchangeState,
    consent_object,
    decision_object,
    dispute_object,
    exchange_object,
)
from ledgercore.rules.table import SAME, Case, Family, Row, SignedBy, check_names
from ledgercore.rules.trail import check_room, take_room

__all__ = ["DEADLINE_LIMIT_MS", "FAMILY", "status_at"]

DEADLINE_LIMIT_MS = 7 * 24 * 3_600_000
"""How long after its admit a key may come at most: until then the use is taken."""

IntentCase = Case[ExchangeIntent, None]
AdmitCase = Case[ExchangeAdmit, ExchangeState]
UseCase = Case[ExchangeUse, ExchangeState]
ReleaseCase = Case[ExchangeRelease, ExchangeState]
StopCase = Case[ExchangeRefuse | ExchangeDecline, ExchangeState]
VoidCase = Case[ExchangeVoid, ExchangeState]
TimeOutCase = Case[ExchangeTimeOut, ExchangeState]
ForgetCase = Case[ExchangeForget, ExchangeState]
CorrectCase = Case[ExchangeCorrect, ExchangeState]
RestrictCase = Case[ExchangeRestrict, ExchangeState]
PlainCase = Case[ExchangeAcknowledge | ExchangeErase | ExchangeRestrict, ExchangeState]
AnyCase = (
    IntentCase
    | AdmitCase
    | UseCase
    | ReleaseCase
    | StopCase
    | VoidCase
    | TimeOutCase
    | ForgetCase
    | CorrectCase
    | PlainCase
)

Later = (
    ExchangeAdmit
    | ExchangeRefuse
    | ExchangeRelease
    | ExchangeVoid
    | ExchangeTimeOut
    | ExchangeAcknowledge
    | ExchangeDecline
    | ExchangeUse
    | ExchangeRestrict
    | ExchangeErase
    | ExchangeForget
    | ExchangeCorrect
)


def status_at(state: ExchangeState, time_ms: int) -> str:
    """The exchange's status in a block of this time."""
    if state.status == "INTENDED" and time_ms >= state.lapses_ms:
        return "LAPSED"
    admission = state.admission
    if state.status == "ADMITTED" and admission and time_ms >= admission.deadline_ms:
        return "OVERDUE"
    return state.status


def name_of(record: VerifiedRecord, body: ExchangeIntent | Later) -> bytes:
    return exchange_object(record.id if isinstance(body, ExchangeIntent) else body.exchange)


def _consent_id(case: AnyCase) -> bytes:
    return case.body.consent if isinstance(case.body, ExchangeIntent) else _state(case).consent


def _state(case: AnyCase) -> ExchangeState:
    assert case.state is not None, "only an intent has no exchange yet"
    return case.state


def _consent(case: AnyCase) -> ConsentState:
    consent_id = _consent_id(case)
    consent = case.view.get(consent_object(consent_id), ConsentState)
    if consent is None:
        case.refuse("E_UNKNOWN", f"consent {consent_id.hex()[:16]} does not exist")
    return consent


def signer_is_of_consent(case: IntentCase) -> None:
    """the consent exists (else E_UNKNOWN) and names the signer as its consumer or as one of its
    processors, else E_RECIPIENT"""
    consent = _consent(case)
    if case.member not in (consent.consumer, *consent.processors):
        named = f"consumer of the consent is {consent.consumer}"
        if consent.processors:
            named += f", its processors are {list(consent.processors)}"
        case.refuse("E_RECIPIENT", f"{named}, not {case.member}")


def recipient_is_still_named(case: AdmitCase | ReleaseCase) -> None:
    """no processor sent the intent, or the consent still names the one that did, else
    E_RECIPIENT"""
    processor, named = case.state.processor, _consent(case).processors
    if processor and processor not in named:
        message = f"processors of the consent are {list(named)}, {processor} no more"
        case.refuse("E_RECIPIENT", message)


def consent_is_authorised(case: IntentCase | AdmitCase) -> None:
    """the consent is AUTHORISED at the block's time, else E_CONSENT_STATE; E_USES if CONSUMED"""
    consent = _consent(case)
    status = consent_status_at(consent, case.position.time_ms)
    if status == "CONSUMED":
        case.refuse("E_USES", f"uses are {consent.uses}, want fewer than {consent.max_uses}")
    if status != "AUTHORISED":
        case.refuse("E_CONSENT_STATE", f"consent is {status}, want AUTHORISED")


def agreement_is_in_force(case: IntentCase | AdmitCase) -> None:
    """the agreement that the consent names, if any, is FINALIZED at the block's time, else
    E_AGREEMENT_STATE"""
    agreement = _consent(case).agreement
    if agreement is not None:
        check_in_force(case, agreement)


def authorisation_has_uses(case: IntentCase | AdmitCase) -> None:
    """the product's schema is not token-like, or its authorisation is in force and has a use left,
    else E_AUTHORISATION"""
    authorisation.check_use(case, _consent(case).product, takes=True)


def schema_is_authorised(case: UseCase | ReleaseCase) -> None:
    """the product's schema is not token-like, or its authorisation is in force, else
    E_AUTHORISATION"""
    authorisation.check_use(case, _consent(case).product)


def lapse_is_ahead(case: IntentCase) -> None:
    """block time < lapses_ms, else E_CLOCK"""
    now_ms, lapses_ms = case.position.time_ms, case.body.lapses_ms
    if lapses_ms <= now_ms:
        case.refuse("E_CLOCK", f"lapses_ms is {lapses_ms}, want more than {now_ms}", NAME_A_TIME)


def deadline_is_near(case: AdmitCase) -> None:
    """block time < deadline_ms <= block time and 7 days, else E_CLOCK"""
    now_ms, deadline_ms = case.position.time_ms, case.body.deadline_ms
    if not now_ms < deadline_ms <= now_ms + DEADLINE_LIMIT_MS:
        want = f"more than {now_ms} and at most {now_ms + DEADLINE_LIMIT_MS}"
        case.refuse("E_CLOCK", f"deadline_ms is {deadline_ms}, want {want}", NAME_A_TIME)


def consent_still_covers_use(case: UseCase | ReleaseCase) -> None:
    """the consent is AUTHORISED or CONSUMED, before expires_ms, else E_CONSENT_STATE"""
    if why := why_uncovered(_consent(case), case.position.time_ms):
        case.refuse("E_CONSENT_STATE", why)


def purpose_is_of_consent(case: UseCase) -> None:
    """the purpose is the consent's, else E_PURPOSE"""
    purpose = _consent(case).purpose
    if case.body.purpose != purpose:
        case.refuse("E_PURPOSE", f"purpose is {case.body.purpose}, want {purpose}")


def _decision(case: UseCase) -> DecisionState:
    decision = case.view.get(decision_object(case.body.decision), DecisionState)
    if decision is None:
        case.refuse("E_UNKNOWN", f"decision {case.body.decision.hex()[:16]} does not exist")
    return decision


def decision_is_of_signer(case: UseCase) -> None:
    """the decision exists (else E_UNKNOWN) and is this consumer's, else E_RECIPIENT"""
    consumer = _decision(case).consumer
    if consumer != case.member:
        case.refuse("E_RECIPIENT", f"consumer of the decision is {consumer}, not {case.member}")


def decision_names_exchange(case: UseCase) -> None:
    """the exchange is among the decision's inputs, else E_SCOPE"""
    if case.body.exchange not in _decision(case).inputs:
        case.refuse("E_SCOPE", "exchange is not among the inputs of the decision")


def no_dispute_bars_it(case: UseCase) -> None:
    """no dispute of the exchange is OPEN or was upheld, else E_DISPUTE"""
    dispute = case.view.get(dispute_object(case.body.exchange), DisputeState)
    if dispute is not None and dispute.ruling != "dismissed":
        stands, remedy = ("upheld", ASK_ANEW) if dispute.ruling else ("open", WAIT_FOR_RULING)
        message = f"dispute of the exchange ({dispute.grounds}) is {stands}, want none or dismissed"
        case.refuse("E_DISPUTE", message, remedy)


def end_is_ahead(case: RestrictCase) -> None:
    """block time < until_ms, else E_CLOCK"""
    now_ms, until_ms = case.position.time_ms, case.body.until_ms
    if until_ms <= now_ms:
        case.refuse("E_CLOCK", f"until_ms is {until_ms}, want more than {now_ms}", NAME_A_TIME)


def forgets_once(case: ForgetCase) -> None:
    """the provider has not promised this before, or has corrected something since, else E_EXISTS"""
    if case.state.forgotten and not case.state.corrected_since:
        case.refuse("E_EXISTS", "provider has promised before that it keeps nothing")


def trail_has_room(case: AnyCase) -> None:
    """the consumer has 5,120 records of the consent's trail, its processors 3,072 of these, the
    provider 1,024, and enough of them left for this and what may follow, else E_LIMIT; the first
    restriction is in the intent's"""
    check_room(case, _consent_id(case))


def _touch_consent(case: AnyCase) -> None:
    take_room(case, _consent_id(case))
    case.touch(consent_object(_consent_id(case)), _consent(case))


def intend(case: IntentCase) -> ExchangeState:
    consent = _consent(case)
    _touch_consent(case)
    return ExchangeState(
        *NEW,
        consent=case.body.consent,
        consumer=consent.consumer,
        provider=consent.provider,
        processor="" if case.member == consent.consumer else case.member,
        request_commitment=case.body.request_commitment,
        delivery_key=case.body.delivery_key,
        lapses_ms=case.body.lapses_ms,
        code="",
        forgotten=False,
        corrected_since=False,
        correction=None,
        admission=None,
    )


def admit(case: AdmitCase) -> ExchangeState:
    consent, body, position = _consent(case), case.body, case.position
    authorisation.take_use(case, consent.product)
    case.touch(consent_object(case.state.consent), take_use(consent))
    admission = Admission(
        consent_status=consent_status_at(consent, position.time_ms),
        consent_count=consent.count,
        terms_root=consent.terms_root,
        use_number=consent.uses + 1,
        height=position.height,
        index=position.index,
        time_ms=position.time_ms,
        ciphertext_hash=body.ciphertext_hash,
        disclosure_root=body.disclosure_root,
        size_bucket_bytes=body.size_bucket_bytes,
        deadline_ms=body.deadline_ms,
        audit_copy=body.audit_copy,
    )
    return structs.replace(case.state, admission=admission)


def stop(case: StopCase) -> ExchangeState:
    _touch_consent(case)
    return structs.replace(case.state, code=case.body.code)


def void(case: VoidCase) -> ExchangeState:
    case.touch(consent_object(case.state.consent), give_use_back(_consent(case)))
    return structs.replace(case.state, code=case.body.code)


def time_out(case: TimeOutCase) -> ExchangeState:
    case.touch(consent_object(case.state.consent), give_use_back(_consent(case)))
    return case.state


def forget(case: ForgetCase) -> ExchangeState:
    _touch_consent(case)
    return structs.replace(case.state, forgotten=True, corrected_since=False)


def correct(case: CorrectCase) -> ExchangeState:
    _touch_consent(case)
    return structs.replace(
        case.state,
        corrected_since=case.state.forgotten,
        correction=case.body.correction_commitment,
    )


def use(case: UseCase) -> ExchangeState:
    _touch_consent(case)
    case.touch(decision_object(case.body.decision), _decision(case))
    return case.state


def keep(case: PlainCase | ReleaseCase) -> ExchangeState:
    _touch_consent(case)
    return case.state


KEYLESS = ("ADMITTED", "OVERDUE")
UNANSWERED = (*KEYLESS, "RELEASED")
ANSWERED = ("ACKNOWLEDGED", "DECLINED", "USED", "RESTRICTED")
WITHOUT_KEY = ("VOIDED", "TIMED_OUT")

FAMILY = Family(
    name="exchange",
    state_type=ExchangeState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_EXCHANGE_STATE",
    rows=(
        Row(
            ExchangeIntent.KIND,
            (),
            SignedBy.RECIPIENT,
            "INTENDED",
            (
                "signer_is_of_consent",
                "consent_is_authorised",
                "agreement_is_in_force",
                "authorisation_has_uses",
                "lapse_is_ahead",
                "trail_has_room",
            ),
        ),
        Row(
            ExchangeAdmit.KIND,
            ("INTENDED",),
            SignedBy.PROVIDER,
            "ADMITTED",
            (
                "consent_is_authorised",
                "recipient_is_still_named",
                "agreement_is_in_force",
                "authorisation_has_uses",
                "deadline_is_near",
            ),
        ),
        Row(ExchangeRefuse.KIND, ("INTENDED",), SignedBy.PROVIDER, "REFUSED"),
        Row(
            ExchangeRelease.KIND,
            ("ADMITTED",),
            SignedBy.PROVIDER,
            "RELEASED",
            ("consent_still_covers_use", "recipient_is_still_named", "schema_is_authorised"),
        ),
        Row(ExchangeVoid.KIND, KEYLESS, SignedBy.PROVIDER, "VOIDED"),
        Row(ExchangeTimeOut.KIND, ("OVERDUE",), SignedBy.RECIPIENT, "TIMED_OUT"),
        Row(ExchangeAcknowledge.KIND, UNANSWERED, SignedBy.RECIPIENT, "ACKNOWLEDGED"),
        Row(ExchangeDecline.KIND, UNANSWERED, SignedBy.RECIPIENT, "DECLINED"),
        Row(
            ExchangeUse.KIND,
            ("ACKNOWLEDGED", "USED"),
            SignedBy.CONSUMER,
            "USED",
            (
                "consent_still_covers_use",
                "schema_is_authorised",
                "purpose_is_of_consent",
                "no_dispute_bars_it",
                "decision_is_of_signer",
                "decision_names_exchange",
                "trail_has_room",
            ),
        ),
        Row(
            # Not of what may not have come: it would end the deadline, and no use came back.
            ExchangeRestrict.KIND,
            ("RELEASED", *ANSWERED),
            SignedBy.CONSUMER,
            "RESTRICTED",
            ("end_is_ahead", "trail_has_room"),
        ),
        Row(
            # Before the key came it waives the delivery: who may have it cannot take the use back.
            ExchangeErase.KIND,
            (*UNANSWERED, *WITHOUT_KEY, *ANSWERED),
            SignedBy.CONSUMER,
            "ERASED",
        ),
        Row(
            ExchangeForget.KIND,
            (*WITHOUT_KEY, *ANSWERED, "ERASED"),
            SignedBy.PROVIDER,
            SAME,
            ("forgets_once",),
        ),
        Row(
            ExchangeCorrect.KIND,
            ("ACKNOWLEDGED", "USED", "RESTRICTED"),
            SignedBy.PROVIDER,
            SAME,
            ("trail_has_room",),
        ),
    ),
    checks=check_names(
        (
            signer_is_of_consent,
            consent_is_authorised,
            recipient_is_still_named,
            agreement_is_in_force,
            authorisation_has_uses,
            schema_is_authorised,
            lapse_is_ahead,
            deadline_is_near,
            consent_still_covers_use,
            purpose_is_of_consent,
            no_dispute_bars_it,
            decision_is_of_signer,
            decision_names_exchange,
            end_is_ahead,
            forgets_once,
            trail_has_room,
        )
    ),
    effects={
        ExchangeIntent.KIND: intend,
        ExchangeAdmit.KIND: admit,
        ExchangeRefuse.KIND: stop,
        ExchangeRelease.KIND: keep,
        ExchangeVoid.KIND: void,
        ExchangeTimeOut.KIND: time_out,
        ExchangeAcknowledge.KIND: keep,
        ExchangeDecline.KIND: stop,
        ExchangeUse.KIND: use,
        ExchangeRestrict.KIND: keep,
        ExchangeErase.KIND: keep,
        ExchangeForget.KIND: forget,
        ExchangeCorrect.KIND: correct,
    },
)
