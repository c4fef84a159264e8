"""State what an evidence pack proves about the consent: given, narrowed, stayed, revoked."""

from __future__ import annotations

from ledgercore._core import verify_signature
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.case import Case, Claim
from ledgercore.records import (
    ConsentAuthorise,
    ConsentLift,
    ConsentNarrow,
    ConsentRequest,
    ConsentRevoke,
    ConsentRevokeOnBehalf,
    ConsentStay,
    endorsement_message,
)
from ledgercore.rules.consent import verify_bounds_within, verify_terms_within

__all__ = ["bounds_at", "prove_consent", "revocations", "stays_of"]

_ASKED = ("product", "purpose", "consent_key", "lapses_ms", "agreement")
_BOUNDS = ("terms_root", "expires_ms", "max_uses", "processors")


def prove_consent(case: Case) -> list[Claim]:
    """The subject gave it, under a key that the provider endorsed; and how it was narrowed."""
    evidence, consent = case.evidence, case.consent
    (_, record, asked), *_ = evidence.of_kind(ConsentRequest)
    evidence.signed_by_member(record, consent.consumer)
    bounds: ConsentRequest | ConsentNarrow = asked
    narrowed = _narrowings(case)
    for _, body in narrowed:
        verify_terms_within(case.suite, bounds.terms_root, body)
        verify_bounds_within(bounds, body)
        bounds = body
    same = all(getattr(asked, name) == getattr(consent, name) for name in _ASKED)
    if not same or any(getattr(bounds, name) != getattr(consent, name) for name in _BOUNDS):
        raise InvalidProof("consent is not the one that was requested")
    for index, record, given in evidence.of_kind(ConsentAuthorise):
        if record.key != consent.consent_key:
            raise UntrustedError("consent is not authorised by its own key")
        network = evidence.anchor.network
        message = endorsement_message(network, consent.consent_key, asked.terms_root)
        verify_signature(
            evidence.member(consent.provider).key_at(index), message, given.endorsement
        )
        statement = f"the subject authorised it, and {consent.provider} endorsed the subject's key"
        claims = [Claim("consent", statement)]
        return claims + [
            Claim("narrowed", f"the subject narrowed it by record {at}") for at, _ in narrowed
        ]
    raise InvalidProof("consent was never authorised")


def _narrowings(case: Case) -> list[tuple[int, ConsentNarrow]]:
    """Where the subject narrowed the consent, in order: its own key alone may."""
    found = []
    for index, record, body in case.evidence.of_kind(ConsentNarrow):
        if record.key != case.consent.consent_key:
            raise UntrustedError("consent is not narrowed by its own key")
        found.append((index, body))
    return found


def bounds_at(case: Case, index: int) -> ConsentRequest | ConsentNarrow:
    """The record by which the consent reached as far as it did for the record at an index."""
    (_, _, asked), *_ = case.evidence.of_kind(ConsentRequest)
    narrowed = [body for at, body in _narrowings(case) if at < index]
    return narrowed[-1] if narrowed else asked


def stays_of(case: Case) -> list[tuple[int, int]]:
    """Between which records a supervisor stayed the consent; the size where it still does."""
    stays: list[tuple[int, int]] = []
    size = case.evidence.checkpoint.size
    for index, record, body in case.evidence.entries:
        if not isinstance(body, ConsentStay | ConsentLift):
            continue
        if not case.evidence.signed_by_role(record, "supervisor"):
            raise UntrustedError(f"record {record.kind} is not signed by a supervisor")
        if isinstance(body, ConsentStay):
            stays.append((index, size))
        elif stays:
            stays[-1] = (stays[-1][0], index)
    return stays


def revocations(case: Case) -> list[int]:
    """Where the consent was revoked: by its own key or by the provider, for nobody else may."""
    found = []
    for index, record, _ in case.evidence.of_kind(ConsentRevoke):
        if record.key != case.consent.consent_key:
            raise UntrustedError("consent is not revoked by its own key")
        found.append((index, ""))
    for index, record, _ in case.evidence.of_kind(ConsentRevokeOnBehalf):
        case.evidence.signed_by_member(record, case.consent.provider)
        found.append((index, case.consent.provider))
    found.sort()
    if tuple(who for _, who in found) != case.consent.revoked_by:
        raise InvalidProof("revocations of the consent are not those that the ledger holds")
    return [index for index, _ in found]
