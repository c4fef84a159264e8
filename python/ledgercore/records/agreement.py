"""Negotiate an agreement between a consumer and a provider, as the Dataspace Protocol does; end it.

The kinds are the protocol's messages; ``suspend``, ``resume`` and ``retire`` are what it lacks: an
end that both sides see. The contract itself stays with the two; the ledger holds its commitment.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Bytes32, Code, Identifier, RecordBody, TimeMs

__all__ = [
    "AgreementAccept",
    "AgreementAgree",
    "AgreementFinalize",
    "AgreementOffer",
    "AgreementRequest",
    "AgreementResume",
    "AgreementRetire",
    "AgreementSuspend",
    "AgreementTerminate",
    "AgreementVerify",
]


class AgreementRequest(RecordBody, frozen=True):
    """By a consumer: what it asks for, first or against an offer. ``agreement`` is a random id."""

    KIND: ClassVar[str] = "agreement.request"

    agreement: Bytes32
    product: Identifier
    purposes: tuple[Identifier, ...]
    contract_commitment: Bytes32
    expires_ms: TimeMs


class AgreementOffer(RecordBody, frozen=True):
    """By the product's provider: what it would agree to, first or against a request."""

    KIND: ClassVar[str] = "agreement.offer"

    agreement: Bytes32
    product: Identifier
    purposes: tuple[Identifier, ...]
    contract_commitment: Bytes32
    expires_ms: TimeMs
    consumer: Identifier


class AgreementAccept(RecordBody, frozen=True):
    """By the consumer: it accepts the offer."""

    KIND: ClassVar[str] = "agreement.accept"

    agreement: Bytes32


class AgreementAgree(RecordBody, frozen=True):
    """By the provider: it agrees to the request, or to its own offer that was accepted."""

    KIND: ClassVar[str] = "agreement.agree"

    agreement: Bytes32


class AgreementVerify(RecordBody, frozen=True):
    """By the consumer: what was agreed is what it asked for or accepted."""

    KIND: ClassVar[str] = "agreement.verify"

    agreement: Bytes32


class AgreementFinalize(RecordBody, frozen=True):
    """By the provider: the agreement is in force."""

    KIND: ClassVar[str] = "agreement.finalize"

    agreement: Bytes32


class AgreementTerminate(RecordBody, frozen=True):
    """By either: the negotiation is over without an agreement."""

    KIND: ClassVar[str] = "agreement.terminate"

    agreement: Bytes32
    code: Code


class AgreementSuspend(RecordBody, frozen=True):
    """By either: no new exchange begins under the agreement until the same party resumes it."""

    KIND: ClassVar[str] = "agreement.suspend"

    agreement: Bytes32
    code: Code


class AgreementResume(RecordBody, frozen=True):
    """By the party that suspended it."""

    KIND: ClassVar[str] = "agreement.resume"

    agreement: Bytes32


class AgreementRetire(RecordBody, frozen=True):
    """By either, for good."""

    KIND: ClassVar[str] = "agreement.retire"

    agreement: Bytes32
    code: Code
