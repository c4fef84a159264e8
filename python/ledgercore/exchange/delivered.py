"""State what an evidence pack opens of what was delivered: request, terms, payload and release.

Each opening is held to its commitment whatever else is opened. What is not opened is ``withheld``,
or ``erased`` where the consumer has promised so on the ledger.
"""

from __future__ import annotations

from msgspec import structs

from ledgercore._core import check_canonical
from ledgercore.errors import InvalidProof
from ledgercore.exchange.case import Case, Claim
from ledgercore.exchange.consented import bounds_at
from ledgercore.exchange.messages import (
    Terms,
    check_terms,
    encode_message,
    request_commitment,
)
from ledgercore.exchange.reading import check_payload, read_admit
from ledgercore.exchange.salted import FIELD, check_leaves, commit
from ledgercore.records import ExchangeIntent
from ledgercore.rules import ProductState, product_object

__all__ = ["prove_payload", "prove_release", "prove_request", "prove_scope"]


def prove_request(case: Case) -> list[Claim]:
    """The request is the one that the consumer's intent commits to."""
    for _, record, body in case.evidence.of_kind(ExchangeIntent):
        if record.id == case.exchange:
            who = case.received_by(record)
            if case.request is None:
                return [case.missing("request", "the request")]
            check_canonical(encode_message(case.request))
            if request_commitment(case.suite, case.request) != body.request_commitment:
                raise InvalidProof("request is not the one that the intent commits to")
            fields = ", ".join(case.request.fields)
            return [Claim("request", f"{who} asked for {fields}")]
    raise InvalidProof("intent of the exchange is missing")


def prove_scope(case: Case) -> list[Claim]:
    """The terms are those of the consent, and cover the request."""
    terms, request = _opened_terms(case), case.request
    if terms is None:
        return [case.missing("scope", "the terms")]
    if case.state.admission is None:
        return [Claim("terms", f"the consent covers {', '.join(terms.fields)}")]
    if request is None:
        return [case.missing("scope", "the request")]
    product = case.evidence.state(product_object(terms.product), ProductState)
    covered = {code for code, _, _ in product.fields}.intersection(terms.fields)
    outside = [field for field in request.fields if field not in covered]
    if outside:
        raise InvalidProof(f"fields {outside} were admitted, and are not in consent and product")
    if request.purpose != terms.purpose:
        raise InvalidProof(f"purpose of the request is {request.purpose}, want {terms.purpose}")
    return [
        Claim("scope", "every field that was asked for is in the consent"),
        Claim("purpose", f"consent and request have one purpose, {terms.purpose}"),
    ]


def _opened_terms(case: Case) -> Terms | None:
    """The terms that were in force at the admit, or are now where nothing was admitted.

    They are held to all that the ledger's consent said of them then, whatever else is opened.
    """
    if case.terms is None:
        return None
    admission = case.state.admission
    consent = case.consent
    if admission is not None:
        bounds = bounds_at(case, admission.index)
        consent = structs.replace(
            consent,
            terms_root=admission.terms_root,
            expires_ms=bounds.expires_ms,
            max_uses=bounds.max_uses,
            processors=bounds.processors,
        )
    if commit(case.suite, case.terms) != consent.terms_root:
        raise InvalidProof("terms are not the ones that the consent commits to")
    terms = Terms.from_leaves(case.terms, narrowed=True)
    check_terms(terms, consent)
    return terms


def prove_payload(case: Case) -> list[Claim]:
    """The payload is what the provider committed to, and answers the request."""
    admission, payload = case.state.admission, case.payload
    if admission is None:
        _refuse_opening(payload, "payload")
        return []
    if payload is None:
        return [case.missing("payload", "the payload")]
    check_leaves(payload, FIELD)
    check_payload(case.suite, payload, admission)
    count = len(payload)
    claim = Claim("payload", f"{case.state.provider} committed to these {count} values, unchanged")
    if case.request is None:
        return [claim, case.missing("answer", "the request")]
    if tuple(leaf.name for leaf in payload) != case.request.fields:
        raise InvalidProof("payload answers another question than was asked")
    return [claim, Claim("answer", "the payload has exactly the fields of the request")]


def prove_release(case: Case) -> list[Claim]:
    """The release rests on the receipt of this exchange's admit."""
    if case.state.admission is None:
        _refuse_opening(case.release, "release")
        return []
    if case.release is None:
        return [case.missing("release", "the release")]
    _, released = read_admit(case.release, case.exchange, case.evidence.anchor)
    if released.admission != case.state.admission:
        raise InvalidProof("release rests on another admit")
    statement = "the key was sealed for a receipt that shows the exchange admitted"
    return [Claim("release", statement)]


def _refuse_opening(opening: object, what: str) -> None:
    if opening is not None:
        raise InvalidProof(f"{what} is opened, and nothing was admitted")
