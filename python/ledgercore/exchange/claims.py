"""State what an evidence pack proves about one exchange, claim by claim.

Each claim is proven or it is an error: a pack that contradicts itself proves nothing. A claim
about content is ``withheld`` where the pack's maker did not open it, and ``erased`` where the
consumer has promised on the ledger that it is destroyed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ledgercore._core import Receipt, verify_signature
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.exchange.admission import admitted_state
from ledgercore.exchange.evidence import Evidence
from ledgercore.exchange.messages import Request, Terms, check_terms, request_commitment
from ledgercore.exchange.salted import FIELD, TERM, Leaf, commit
from ledgercore.records import (
    ConsentAuthorise,
    ConsentRequest,
    ConsentRevoke,
    DecisionRecord,
    ExchangeAcknowledge,
    ExchangeAdmit,
    ExchangeErase,
    ExchangeIntent,
    ExchangeUse,
    ProductPublish,
    endorsement_message,
)
from ledgercore.records.base import Part
from ledgercore.rules import (
    ConsentState,
    DecisionState,
    ExchangeState,
    ProductState,
    consent_object,
    decision_object,
    exchange_object,
    product_object,
)

__all__ = ["Case", "Claim", "ReleaseEvidence", "prove_claims"]


@dataclass(frozen=True)
class Claim:
    """One thing that the evidence shows: ``status`` is proven, erased or withheld."""

    name: str
    statement: str
    status: str = "proven"


class ReleaseEvidence(Part, frozen=True):
    """What a release rested on: the admit's body, and its receipt with the exchange's state.

    The sealed key is left out: it proves nothing to anyone but the consumer.
    """

    admit: bytes
    receipt: bytes


@dataclass(frozen=True)
class Case:
    """One exchange with everything that is known of it."""

    evidence: Evidence
    exchange: bytes
    terms: tuple[Leaf, ...] | None
    request: Request | None
    payload: tuple[Leaf, ...] | None
    release: ReleaseEvidence | None

    @property
    def state(self) -> ExchangeState:
        return self.evidence.state(exchange_object(self.exchange), ExchangeState)

    @property
    def consent(self) -> ConsentState:
        return self.evidence.state(consent_object(self.state.consent), ConsentState)

    @property
    def suite(self) -> str:
        return self.evidence.anchor.suite

    def missing(self, name: str, what: str) -> Claim:
        """A claim about content that is not in the pack."""
        for _, record, body in self.evidence.of_kind(ExchangeErase):
            if body.exchange == self.exchange:
                self.evidence.signed_by_member(record, self.state.consumer)
                statement = f"{what} was erased: {self.state.consumer} signed so ({body.basis})"
                return Claim(name, statement, "erased")
        return Claim(name, f"{what} is not opened in this pack", "withheld")


def prove_claims(case: Case) -> tuple[Claim, ...]:
    """Every claim, in the order of the exchange; raises if the evidence contradicts one."""
    claims = [claim for prove in _CLAIMS for claim in prove(case)]
    return tuple(claims)


def _records(case: Case) -> list[Claim]:
    evidence, state = case.evidence, case.state
    if evidence.consent() != state.consent:
        raise InvalidProof("pack is about another consent than its exchange's")
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
            if case.consent.purpose not in body.purposes:
                raise InvalidProof(f"product {name} is not offered for {case.consent.purpose}")
            return [Claim("product", f"{state.provider} offers {name} for {case.consent.purpose}")]
    raise InvalidProof(f"publication of product {name} is missing")


_ASKED = (
    "product",
    "purpose",
    "terms_root",
    "consent_key",
    "expires_ms",
    "max_uses",
    "lapses_ms",
)


def _consented(case: Case) -> list[Claim]:
    evidence, consent = case.evidence, case.consent
    for _, record, asked in evidence.of_kind(ConsentRequest):
        evidence.signed_by_member(record, consent.consumer)
        if any(getattr(asked, name) != getattr(consent, name) for name in _ASKED):
            raise InvalidProof("consent is not the one that was requested")
    for _, record, body in evidence.of_kind(ConsentAuthorise):
        if record.key != consent.consent_key:
            raise UntrustedError("consent is not authorised by its own key")
        network = evidence.anchor.network
        message = endorsement_message(network, consent.consent_key, consent.terms_root)
        provider = evidence.members.get(consent.provider)
        if provider is None:
            raise UntrustedError(f"provider {consent.provider} is not a member")
        verify_signature(provider.signing_key, message, body.endorsement)
        statement = f"the subject authorised it, and {consent.provider} endorsed the subject's key"
        return [Claim("consent", statement)]
    raise InvalidProof("consent was never authorised")


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
            sealed = (body.ciphertext_hash, body.disclosure_root)
            if sealed != (admission.ciphertext_hash, admission.disclosure_root):
                raise InvalidProof("admit is not the one that the state was made by")
            _check_no_revoke_before(case, index)
            statement = f"consent was live when record {index} admitted the exchange"
            return [Claim("live", f"{statement}, at time {admission.time_ms} ms")]
    raise InvalidProof("admit of the exchange is missing")


def _check_no_revoke_before(case: Case, index: int) -> None:
    for at, _, _ in case.evidence.of_kind(ConsentRevoke):
        if at < index:
            raise InvalidProof(f"consent was revoked by record {at}, before the admit {index}")


def _requested(case: Case) -> list[Claim]:
    for _, record, body in case.evidence.of_kind(ExchangeIntent):
        if record.id == case.exchange:
            case.evidence.signed_by_member(record, case.state.consumer)
            if case.request is None:
                return [case.missing("request", "the request")]
            if request_commitment(case.suite, case.request) != body.request_commitment:
                raise InvalidProof("request is not the one that the intent commits to")
            fields = ", ".join(case.request.fields)
            return [Claim("request", f"{case.state.consumer} asked for {fields}")]
    raise InvalidProof("intent of the exchange is missing")


def _scope(case: Case) -> list[Claim]:
    if case.terms is None or case.request is None:
        return [case.missing("scope", "the terms")]
    if any(leaf.use != TERM for leaf in case.terms):
        raise MalformedError("terms hold leaves of another use")
    if commit(case.suite, case.terms) != case.consent.terms_root:
        raise InvalidProof("terms are not the ones that the consent commits to")
    terms, request = Terms.from_leaves(case.terms), case.request
    check_terms(terms, case.consent)
    if case.state.admission is None:
        return [Claim("terms", f"the consent covers {', '.join(terms.fields)}")]
    outside = [field for field in request.fields if field not in terms.fields]
    if outside:
        raise InvalidProof(f"fields {outside} were admitted and are not in the consent")
    if request.purpose != terms.purpose:
        raise InvalidProof(f"purpose of the request is {request.purpose}, want {terms.purpose}")
    return [
        Claim("scope", "every field that was asked for is in the consent"),
        Claim("purpose", f"consent and request have one purpose, {terms.purpose}"),
    ]


def _delivered(case: Case) -> list[Claim]:
    state = case.state
    if state.admission is None:
        return []
    if case.payload is None:
        return [case.missing("payload", "the payload")]
    if commit(case.suite, case.payload) != state.admission.disclosure_root:
        raise InvalidProof("payload is not what the provider committed to")
    names = tuple(leaf.name for leaf in case.payload)
    if any(leaf.use != FIELD for leaf in case.payload):
        raise MalformedError("payload holds leaves of another use")
    if case.request is not None and names != case.request.fields:
        raise InvalidProof("payload answers another question than was asked")
    return [
        Claim("payload", f"{state.provider} committed to these {len(names)} values, unchanged"),
        Claim("answer", "the payload has exactly the fields of the request"),
    ]


def _released(case: Case) -> list[Claim]:
    if case.state.admission is None:
        return []
    if case.release is None:
        return [case.missing("release", "the release")]
    receipt = Receipt.decode(case.release.receipt)
    receipt.verify(case.release.admit, case.evidence.anchor)
    released = admitted_state(receipt, case.exchange)
    if released.admission != case.state.admission:
        raise InvalidProof("release rests on another admit")
    statement = "the key was sealed for a receipt that shows the exchange admitted"
    return [Claim("release", statement)]


def _acknowledged(case: Case) -> list[Claim]:
    for _, record, body in case.evidence.of_kind(ExchangeAcknowledge):
        if body.exchange == case.exchange:
            case.evidence.signed_by_member(record, case.state.consumer)
            return [Claim("delivery", f"{case.state.consumer} acknowledged the delivery")]
    return []


def _decided(case: Case) -> list[Claim]:
    claims = []
    for _, record, body in case.evidence.of_kind(DecisionRecord):
        if case.exchange not in body.inputs:
            continue
        case.evidence.signed_by_member(record, case.state.consumer)
        state = case.evidence.state(decision_object(record.id), DecisionState)
        decided = (body.inputs, body.outcome, body.model_hash)
        if decided != (state.inputs, state.outcome, state.model_hash):
            raise InvalidProof("decision is not the one that the ledger holds")
        count = len(body.inputs)
        claims.append(
            Claim(
                "decision",
                f"decided {body.outcome} on exactly {count} exchange(s), with a "
                f"model of hash {body.model_hash.hex()[:16]}",
            )
        )
    return claims


def _used(case: Case) -> list[Claim]:
    claims = []
    revoked = min((at for at, _, _ in case.evidence.of_kind(ConsentRevoke)), default=None)
    for index, record, body in case.evidence.of_kind(ExchangeUse):
        if body.exchange != case.exchange:
            continue
        case.evidence.signed_by_member(record, case.state.consumer)
        if body.purpose != case.consent.purpose:
            raise InvalidProof(f"data was used for {body.purpose}, want {case.consent.purpose}")
        if revoked is not None and index > revoked:
            raise InvalidProof("data was used after the consent was revoked")
        claims.append(Claim("use", f"the data was used for {body.purpose}, as consented"))
    if revoked is not None:
        claims.append(Claim("revoked", f"consent was revoked by record {revoked}; no use after it"))
    return claims


def _erased(case: Case) -> list[Claim]:
    for _, _, body in case.evidence.of_kind(ExchangeErase):
        if body.exchange == case.exchange:
            statement = (
                f"{case.state.consumer} signed that the data is erased ({body.basis}); "
                "this is a promise, not a proof"
            )
            return [Claim("erased", statement, "proven")]
    return []


_CLAIMS: tuple[Callable[[Case], list[Claim]], ...] = (
    _records,
    _product,
    _consented,
    _live,
    _requested,
    _scope,
    _delivered,
    _released,
    _acknowledged,
    _decided,
    _used,
    _erased,
)
