"""Take one exchange from its intent to its erasure.

The exchange's id is the id of its intent. Payload, keys and salts stay off the ledger: it holds
only hashes and salted roots, and the size rounded up to a bucket.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Bytes32, Code, Count, Identifier, RecordBody, TimeMs

__all__ = [
    "ExchangeAcknowledge",
    "ExchangeAdmit",
    "ExchangeCorrect",
    "ExchangeDecline",
    "ExchangeErase",
    "ExchangeForget",
    "ExchangeIntent",
    "ExchangeRefuse",
    "ExchangeRelease",
    "ExchangeRestrict",
    "ExchangeTimeOut",
    "ExchangeUse",
    "ExchangeVoid",
]


class ExchangeIntent(RecordBody, frozen=True):
    """By the consumer or its processor: a hidden request, the key to deliver to, and its end."""

    KIND: ClassVar[str] = "exchange.intent"

    consent: Bytes32
    request_commitment: Bytes32
    delivery_key: Bytes32
    lapses_ms: TimeMs


class ExchangeAdmit(RecordBody, frozen=True):
    """By the provider: the sealed payload exists, one use is taken, and the key comes in time.

    ``audit_copy`` is the hash of the payload's key as it is sealed to the audit key, if it is.
    """

    KIND: ClassVar[str] = "exchange.admit"

    exchange: Bytes32
    ciphertext_hash: Bytes32
    disclosure_root: Bytes32
    size_bucket_bytes: Count
    deadline_ms: TimeMs
    audit_copy: Bytes32 | None


class ExchangeRefuse(RecordBody, frozen=True):
    """By the provider, with the reason: one of ``rules.codes`` or its own."""

    KIND: ClassVar[str] = "exchange.refuse"

    exchange: Bytes32
    code: Code


class ExchangeRelease(RecordBody, frozen=True):
    """By the provider: the key was sent, sealed as this hash says; who holds it can show it."""

    KIND: ClassVar[str] = "exchange.release"

    exchange: Bytes32
    release_commitment: Bytes32


class ExchangeTimeOut(RecordBody, frozen=True):
    """By whom it was for: no key came until the deadline of the admit; the use is given back."""

    KIND: ClassVar[str] = "exchange.time-out"

    exchange: Bytes32


class ExchangeVoid(RecordBody, frozen=True):
    """By the provider: a signed statement that no key was sent, which gives the use back."""

    KIND: ClassVar[str] = "exchange.void"

    exchange: Bytes32
    code: Code


class ExchangeAcknowledge(RecordBody, frozen=True):
    """By the consumer or its processor: what came is what was asked for."""

    KIND: ClassVar[str] = "exchange.acknowledge"

    exchange: Bytes32


class ExchangeDecline(RecordBody, frozen=True):
    """By the consumer or its processor: what came is not what was asked for; it can show it."""

    KIND: ClassVar[str] = "exchange.decline"

    exchange: Bytes32
    code: Code
    objection_commitment: Bytes32


class ExchangeUse(RecordBody, frozen=True):
    """By the consumer: the data served this decision, for this purpose."""

    KIND: ClassVar[str] = "exchange.use"

    exchange: Bytes32
    decision: Bytes32
    purpose: Identifier


class ExchangeRestrict(RecordBody, frozen=True):
    """By the consumer: a signed promise to do nothing with the data but keep it, as a law asks."""

    KIND: ClassVar[str] = "exchange.restrict"

    exchange: Bytes32
    basis: Identifier
    until_ms: TimeMs


class ExchangeErase(RecordBody, frozen=True):
    """By the consumer: a signed promise that the data, its key and its salts are destroyed."""

    KIND: ClassVar[str] = "exchange.erase"

    exchange: Bytes32
    basis: Identifier


class ExchangeForget(RecordBody, frozen=True):
    """By the provider: a signed promise that it keeps neither what it sealed nor the key."""

    KIND: ClassVar[str] = "exchange.forget"

    exchange: Bytes32
    basis: Identifier


class ExchangeCorrect(RecordBody, frozen=True):
    """By the provider: what it delivered is corrected since, and the consumer is told how."""

    KIND: ClassVar[str] = "exchange.correct"

    exchange: Bytes32
    correction_commitment: Bytes32
