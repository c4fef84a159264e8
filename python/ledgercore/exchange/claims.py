"""State what an evidence pack proves about one exchange, claim by claim.

Each claim is proven or it is an error: a pack that contradicts itself proves nothing. A claim
about content is ``withheld`` where the pack's maker did not open it, and ``erased`` where the
consumer has promised on the ledger that it is destroyed. Claims about what is opened are made in
``delivered``, those about what went wrong in ``sequel``; the others, which need the ledger's
records alone, here.
"""

from __future__ import annotations

from collections.abc import Callable

from ledgercore.errors import InvalidProof
from ledgercore.exchange.agreed import prove_agreement
from ledgercore.exchange.case import Case, Claim
from ledgercore.exchange.consented import bounds_at, prove_consent, revocations, stays_of
from ledgercore.exchange.decided import prove_decisions
from ledgercore.exchange.delivered import (
    prove_payload,
    prove_release,
    prove_request,
    prove_scope,
)
from ledgercore.exchange.quorum import prove_quorums
from ledgercore.exchange.sequel import (
    prove_audits,
    prove_corrections,
    prove_dispute,
    prove_forgetting,
    prove_key,
    prove_objection,
)
from ledgercore.records import (
    ConsentAuthorise,
    ExchangeAcknowledge,
    ExchangeAdmit,
    ExchangeIntent,
    ExchangeRestrict,
    ExchangeUse,
    ProductPublish,
)
from ledgercore.rules import ProductState, product_object

__all__ = ["prove_claims"]


def prove_claims(case: Case) -> tuple[Claim, ...]:
    """Every claim, in the order of the exchange; raises if the evidence contradicts one."""
    claims = [claim for prove in _CLAIMS for claim in prove(case)]
    return tuple(claims)


def _records(case: Case) -> list[Claim]:
    evidence, state = case.evidence, case.state
    if evidence.consent() != state.consent:
        raise InvalidProof("pack is about another consent than its exchange's")
    for name in ("consumer", "provider"):
        got, want = getattr(state, name), getattr(case.consent, name)
        if got != want:
            raise InvalidProof(f"{name} of the exchange is {got}, want {want} of its consent")
    entries = evidence.touching(state.consent)
    evidence.check_complete("consent", case.consent, [record.id for _, record, _ in entries])
    own = evidence.touching_exchange(case.exchange)
    evidence.check_complete("exchange", state, [record.id for _, record, _ in own])
    size = evidence.checkpoint.size
    statement = (
        f"these are all {len(entries)} records of the consent and all {len(own)} of the exchange, "
        f"at ledger size {size}"
    )
    return [Claim("complete", statement)]


def _product(case: Case) -> list[Claim]:
    name = case.consent.product
    state = case.evidence.state(product_object(name), ProductState)
    for _, record, body in case.evidence.of_kind(ProductPublish):
        if body.product == name:
            case.evidence.signed_by_member(record, state.provider)
            if case.consent.provider != state.provider:
                raise InvalidProof(f"product {name} is not offered by {case.consent.provider}")
            if case.consent.purpose not in body.purposes:
                raise InvalidProof(f"product {name} is not offered for {case.consent.purpose}")
            return [Claim("product", f"{state.provider} offers {name} for {case.consent.purpose}")]
    raise InvalidProof(f"publication of product {name} is missing")


def _live(case: Case) -> list[Claim]:
    state = case.state
    if state.admission is None:
        return [Claim("outcome", f"the exchange was not admitted: it is {state.status}")]
    admission = state.admission
    for index, record, body in case.evidence.of_kind(ExchangeAdmit):
        if body.exchange == case.exchange:
            case.evidence.signed_by_member(record, state.provider)
            if index != admission.index or admission.consent_status != "AUTHORISED":
                raise InvalidProof("consent was not live when the exchange was admitted")
            if admission.terms_root != bounds_at(case, index).terms_root:
                raise InvalidProof("exchange was admitted under other terms than the consent's")
            sealed = (body.ciphertext_hash, body.disclosure_root)
            if sealed != (admission.ciphertext_hash, admission.disclosure_root):
                raise InvalidProof("admit is not the one that the state was made by")
            given = [at for at, _, _ in case.evidence.of_kind(ConsentAuthorise)]
            stayed = any(begin < index < end for begin, end in stays_of(case))
            if stayed or not given or given[0] > index:
                raise InvalidProof("consent was not live when the exchange was admitted")
            for at in revocations(case):
                if at < index:
                    raise InvalidProof(f"consent was revoked by record {at}, before admit {index}")
            statement = f"consent was live when record {index} admitted the exchange"
            return [Claim("live", f"{statement}, at time {admission.time_ms} ms")]
    raise InvalidProof("admit of the exchange is missing")


def _processed(case: Case) -> list[Claim]:
    """Who acted for the consumer sent the intent, and the consent named it until the admit."""
    processor, consumer = case.state.processor, case.state.consumer
    if not processor:
        return []
    begun = [] if case.state.admission is None else [case.state.admission.index]
    for index, record, _ in case.evidence.of_kind(ExchangeIntent):
        if record.id == case.exchange:
            case.evidence.signed_by_member(record, processor)
            begun.append(index)
    if any(processor not in bounds_at(case, index).processors for index in begun):
        raise InvalidProof(f"{processor} acted for {consumer}, and the consent did not name it")
    return [Claim("processor", f"{processor} acted for {consumer}, as the consent allowed")]


def _acknowledged(case: Case) -> list[Claim]:
    for _, record, body in case.evidence.of_kind(ExchangeAcknowledge):
        if body.exchange == case.exchange:
            return [Claim("delivery", f"{case.received_by(record)} acknowledged the delivery")]
    return []


def _used(case: Case) -> list[Claim]:
    claims = []
    revoked, stays = min(revocations(case), default=None), stays_of(case)
    for index, record, body in case.evidence.of_kind(ExchangeUse):
        if body.exchange != case.exchange:
            continue
        case.evidence.signed_by_member(record, case.state.consumer)
        if body.purpose != case.consent.purpose:
            raise InvalidProof(f"data was used for {body.purpose}, want {case.consent.purpose}")
        if revoked is not None and index > revoked:
            raise InvalidProof("data was used after the consent was revoked")
        if any(begin < index < end for begin, end in stays):
            raise InvalidProof("data was used while the consent was stayed")
        claims.append(Claim("use", f"the data was used for {body.purpose}, as consented"))
    if revoked is not None:
        claims.append(Claim("revoked", f"consent was revoked by record {revoked}; no use after it"))
    for begin, end in stays:
        until = f"until record {end}" if end < case.evidence.checkpoint.size else "to this day"
        statement = f"a supervisor stayed the consent by record {begin}, {until}"
        claims.append(Claim("stayed", statement))
    return claims


def _restricted(case: Case) -> list[Claim]:
    claims = []
    for _, record, body in case.evidence.of_kind(ExchangeRestrict):
        if body.exchange == case.exchange:
            case.evidence.signed_by_member(record, case.state.consumer)
            statement = f"{case.state.consumer} signed that the data is only kept ({body.basis})"
            claims.append(Claim("restricted", f"{statement} until {body.until_ms} ms; a promise"))
    return claims


def _erased(case: Case) -> list[Claim]:
    basis = case.erasure()
    if basis is None:
        return []
    statement = f"{case.state.consumer} signed that the data is erased ({basis})"
    return [Claim("erased", f"{statement}; this is a promise, not a proof")]


def _compromised(case: Case) -> list[Claim]:
    return [
        Claim(
            "compromised",
            f"a key of {name} was called compromised by record {index}: what it signed before "
            "needs corroboration",
        )
        for name in (case.state.provider, *case.recipients)
        for index in case.evidence.member(name).compromises
    ]


_CLAIMS: tuple[Callable[[Case], list[Claim]], ...] = (
    _records,
    _product,
    prove_agreement,
    prove_consent,
    _live,
    _processed,
    prove_request,
    prove_scope,
    prove_payload,
    prove_release,
    prove_key,
    _acknowledged,
    prove_objection,
    prove_corrections,
    prove_decisions,
    _used,
    prove_dispute,
    _restricted,
    _erased,
    prove_forgetting,
    prove_audits,
    _compromised,
    prove_quorums,
)
