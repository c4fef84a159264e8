"""Ask for consent, give it, refuse it, take it back.

The subject signs with a key made for one consent, so that no two of its consents can be linked on
the ledger. The terms stay with the parties; the ledger holds their salted root.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Bytes32, Bytes64, Count, Identifier, RecordBody, TimeMs

__all__ = [
    "ConsentAuthorise",
    "ConsentReject",
    "ConsentRequest",
    "ConsentRevoke",
    "ConsentRevokeOnBehalf",
    "endorsement_message",
]

ENDORSEMENT_CONTEXT = b"ledgercore endorsement v1\n"


def endorsement_message(network: bytes, consent_key: bytes, terms_root: bytes) -> bytes:
    """What a provider signs to vouch that a consent key is the subject's.

    Every part has a fixed length, so the parts cannot be cut differently.
    """
    return ENDORSEMENT_CONTEXT + network + consent_key + terms_root


class ConsentRequest(RecordBody, frozen=True):
    """By a consumer. ``consent`` is a random id; the request lapses if nobody answers in time."""

    KIND: ClassVar[str] = "consent.request"

    consent: Bytes32
    product: Identifier
    purpose: Identifier
    terms_root: Bytes32
    consent_key: Bytes32
    expires_ms: TimeMs
    max_uses: Count
    lapses_ms: TimeMs


class ConsentAuthorise(RecordBody, frozen=True):
    """By the consent key. The endorsement is the provider's, over ``endorsement_message``."""

    KIND: ClassVar[str] = "consent.authorise"

    consent: Bytes32
    endorsement: Bytes64


class ConsentReject(RecordBody, frozen=True):
    """By the consent key."""

    KIND: ClassVar[str] = "consent.reject"

    consent: Bytes32


class ConsentRevoke(RecordBody, frozen=True):
    """By the consent key, at any time and from any state."""

    KIND: ClassVar[str] = "consent.revoke"

    consent: Bytes32


class ConsentRevokeOnBehalf(RecordBody, frozen=True):
    """By the provider, for a subject that lost its key; the evidence stays with the provider."""

    KIND: ClassVar[str] = "consent.revoke-on-behalf"

    consent: Bytes32
    evidence_commitment: Bytes32
