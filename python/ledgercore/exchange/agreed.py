"""State what an evidence pack proves about the agreement under which the consent was asked for.

The pack has every record of the negotiation and of what came of it. They are followed through the
same rows that a ledger holds them to, so that between which records the agreement was in force is
shown, and not taken from its state.
"""

from __future__ import annotations

from ledgercore._core import Record
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.case import Case, Claim
from ledgercore.exchange.evidence import AGREEMENT_ROWS
from ledgercore.records import (
    AgreementOffer,
    AgreementRequest,
    AgreementResume,
    AgreementSuspend,
    ConsentRequest,
    RecordBody,
)
from ledgercore.rules import AgreementState, ProductState, agreement_object, product_object
from ledgercore.rules.table import UNMADE, Row, SignedBy

__all__ = ["prove_agreement"]

_PROPOSED = ("product", "purposes", "contract_commitment", "expires_ms")
_SIDES = {
    SignedBy.CONSUMER: ("consumer",),
    SignedBy.PROVIDER: ("provider",),
    SignedBy.EITHER: ("provider", "consumer"),
}


def prove_agreement(case: Case) -> list[Claim]:
    """It was in force, between these parties and for this purpose, wherever it had to be."""
    consent = case.consent
    if consent.agreement is None:
        product = case.evidence.state(product_object(consent.product), ProductState)
        if product.needs_agreement:
            raise InvalidProof(f"product {consent.product} needs an agreement, and none is named")
        return []
    state = case.evidence.state(agreement_object(consent.agreement), AgreementState)
    spans = _follow(case, state)
    _check_covers(case, state)
    indices = _begun(case)
    for index in indices:
        if not any(begin < index < end for begin, end in spans):
            raise InvalidProof(f"agreement was not in force at record {index}")
    begun = f"it was in force when record {indices[-1]} began or admitted the exchange"
    agreed = f"{state.consumer} and {state.provider} agreed on {state.product}"
    since = "" if state.status == "FINALIZED" else f"; since then it is {state.status}"
    return [Claim("agreement", f"{agreed} by record {spans[0][0]}; {begun}{since}")]


def _follow(case: Case, state: AgreementState) -> list[tuple[int, int]]:
    """Between which records the agreement was in force; raises where they do not follow."""
    evidence, status, suspended = case.evidence, UNMADE, ""
    own = [entry for entry in evidence.entries if entry[1].kind in AGREEMENT_ROWS]
    evidence.check_complete("agreement", state, [record.id for _, record, _ in own])
    spans: list[tuple[int, int]] = []
    proposed: RecordBody | None = None
    for index, record, body in own:
        row = AGREEMENT_ROWS[record.kind]
        if status not in row.begin:
            raise InvalidProof(f"record {index} is {record.kind}, and the agreement {status}")
        signed_by = _signed_by(case, index, record, row, state)
        if isinstance(body, AgreementResume) and signed_by != suspended:
            raise UntrustedError(f"agreement was suspended by {suspended}, not {signed_by}")
        if isinstance(body, AgreementSuspend):
            suspended = signed_by
        if isinstance(body, AgreementRequest | AgreementOffer):
            proposed = body
        if status == "FINALIZED":
            spans[-1] = (spans[-1][0], index)
        if row.end == "FINALIZED":
            spans.append((index, evidence.checkpoint.size))
        status = row.end
    told = [getattr(proposed, name, None) for name in _PROPOSED]
    if status != state.status or told != [getattr(state, name) for name in _PROPOSED]:
        raise InvalidProof("agreement is not the one that was negotiated")
    if isinstance(proposed, AgreementOffer) and proposed.consumer != state.consumer:
        raise InvalidProof("agreement is not the one that was negotiated")
    if state.finalized_ms >= state.expires_ms:
        raise InvalidProof("agreement had ended before it was finalized")
    return spans


def _signed_by(case: Case, index: int, record: Record, row: Row, state: AgreementState) -> str:
    """The member who signed a record of the agreement, which must be the row's."""
    for side in _SIDES[row.signer]:
        member: str = getattr(state, side)
        if case.evidence.member(member).has(record.key, index):
            return member
    raise UntrustedError(f"record {index} is not signed by the agreement's {row.signer}")


def _check_covers(case: Case, state: AgreementState) -> None:
    """Hold the consent to the agreement that it names."""
    consent = case.consent
    for name in ("consumer", "provider", "product"):
        got, want = getattr(state, name), getattr(consent, name)
        if got != want:
            raise InvalidProof(f"{name} of the agreement is {got}, want {want}")
    (_, _, asked), *_ = case.evidence.of_kind(ConsentRequest)
    if asked.purpose not in state.purposes or asked.expires_ms > state.expires_ms:
        raise InvalidProof("consent was asked for beyond its agreement")
    admission = case.state.admission
    if admission is not None:
        if admission.time_ms >= state.expires_ms:
            raise InvalidProof("agreement had ended when the exchange was admitted")
        if admission.time_ms < state.finalized_ms:
            raise InvalidProof("agreement was finalized later than the exchange was admitted")


def _begun(case: Case) -> list[int]:
    """The records that an agreement must be in force for: request, intent, and admit if any."""
    (asked, _, _), *_ = case.evidence.of_kind(ConsentRequest)
    intents = [index for index, record, _ in case.evidence.entries if record.id == case.exchange]
    admission = case.state.admission
    return [asked, *intents, *([] if admission is None else [admission.index])]
