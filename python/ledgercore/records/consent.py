"""Ask for consent, give it, refuse it, narrow it, stay it, take it back.

The subject signs with a key made for one consent, so that no two of its consents can be linked on
the ledger. The terms stay with the parties; the ledger holds their salted root.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Bytes32, Bytes64, Count, Identifier, RecordBody, TimeMs

__all__ = [
    "ConsentAuthorise",
    "ConsentLift",
    "ConsentNarrow",
    "ConsentReject",
    "ConsentRequest",
    "ConsentRevoke",
    "ConsentRevokeOnBehalf",
    "ConsentStay",
    "endorsement_message",
]

ENDORSEMENT_CONTEXT = b"ledgercore endorsement v1\n"


def endorsement_message(network: bytes, consent_key: bytes, terms_root: bytes) -> bytes:
    """What a provider signs to vouch that a consent key is the subject's.

    Every part has a fixed length, so the parts cannot be cut differently.
    """
    return ENDORSEMENT_CONTEXT + network + consent_key + terms_root


class ConsentRequest(RecordBody, frozen=True):
    """By a consumer. ``consent`` is a random id; the request lapses if nobody answers in time.

    ``processors`` are the members that may act for the consumer under it, and no others.
    ``agreement`` is the one with the provider that it is asked for under, if there is one.
    """

    KIND: ClassVar[str] = "consent.request"

    consent: Bytes32
    product: Identifier
    purpose: Identifier
    terms_root: Bytes32
    consent_key: Bytes32
    expires_ms: TimeMs
    max_uses: Count
    lapses_ms: TimeMs
    processors: tuple[Identifier, ...]
    agreement: Bytes32 | None = None


class ConsentAuthorise(RecordBody, frozen=True):
    """By the consent key. The endorsement is the provider's, over ``endorsement_message``."""

    KIND: ClassVar[str] = "consent.authorise"

    consent: Bytes32
    endorsement: Bytes64


class ConsentReject(RecordBody, frozen=True):
    """By the consent key."""

    KIND: ClassVar[str] = "consent.reject"

    consent: Bytes32


class ConsentNarrow(RecordBody, frozen=True):
    """By the consent key: fewer of the same terms, no later end, no more uses or processors.

    ``leaves`` are the hashes of the terms that are kept, which stood at ``positions`` among
    ``size``; the proof leads them to the root so far. Salted as they are they tell nothing.
    """

    KIND: ClassVar[str] = "consent.narrow"

    consent: Bytes32
    terms_root: Bytes32
    expires_ms: TimeMs
    max_uses: Count
    processors: tuple[Identifier, ...]
    size: Count
    positions: tuple[Count, ...]
    leaves: tuple[Bytes32, ...]
    proof: tuple[Bytes32, ...]


class ConsentStay(RecordBody, frozen=True):
    """By a supervisor, on a legal basis: nothing is given or used under it until it is lifted."""

    KIND: ClassVar[str] = "consent.stay"

    consent: Bytes32
    basis: Identifier
    order_commitment: Bytes32


class ConsentLift(RecordBody, frozen=True):
    """By a supervisor: the stay is over."""

    KIND: ClassVar[str] = "consent.lift"

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
