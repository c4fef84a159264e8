"""Seal a payload's key to the audit key as well, so that the consumer can tell that it is.

The ephemeral number is drawn from the payload's key and the exchange: whoever has that key makes
the same copy again, byte for byte, and so sees whether the provider's is right. The copy stays off
the ledger, beside the payload, and is erased with it; the admit has its hash.

    [audit_key, ephemeral, sealed, proof]

The proof shows that whoever made the copy knows the ephemeral number, for this exchange: parts of a
multiple of another copy's point would open the other copy, under an order that never named it.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledgercore._core import group_prove_seal, group_seal, group_verify_seal, hash_domain
from ledgercore.errors import InvalidError
from ledgercore.exchange.messages import encode_message
from ledgercore.records.base import Bytes32, Bytes64, Part

__all__ = [
    "AuditCopy",
    "copy_hash",
    "make_copy",
    "open_copy",
    "verify_copy",
    "verify_ephemeral",
]

_NONCE = bytes(12)
"""A key that seals one copy needs no other."""


class AuditCopy(Part, frozen=True):
    """A payload's key, for whoever finds the point that ephemeral and audit key have in common."""

    audit_key: Bytes32
    ephemeral: Bytes32
    sealed: bytes
    proof: Bytes64


def make_copy(key: bytes, audit_key: bytes, context: bytes) -> AuditCopy:
    """The one copy of a payload's key; the context is the network and the exchange."""
    label = b"ledgercore audit ephemeral v1\n" + audit_key + context
    drawn = hmac.digest(key, label, "sha512")
    ephemeral, common = group_seal(audit_key, drawn)
    sealed = AESGCM(_sealing_key(common, ephemeral, audit_key)).encrypt(_NONCE, key, context)
    nonce_label = b"ledgercore audit copy nonce v1\n" + audit_key + context + sealed
    nonce = hmac.digest(key, nonce_label, "sha512")
    proof = group_prove_seal(audit_key, drawn, nonce, context + sealed)
    return AuditCopy(audit_key, ephemeral, sealed, proof)


def verify_ephemeral(copy: AuditCopy, context: bytes) -> None:
    """Accept a copy whose maker knows its ephemeral number, or raise ``InvalidProof``."""
    group_verify_seal(copy.audit_key, copy.ephemeral, copy.proof, context + copy.sealed)


def verify_copy(copy: AuditCopy, key: bytes, context: bytes) -> None:
    """Accept a copy by the key that it must be of, or raise ``InvalidError``."""
    if copy != make_copy(key, copy.audit_key, context):
        raise InvalidError("audit copy is not of the payload's key")


def open_copy(copy: AuditCopy, common: bytes, context: bytes) -> bytes:
    """The payload's key, or ``InvalidError`` if the parts did not lead to the point in common."""
    sealing_key = _sealing_key(common, copy.ephemeral, copy.audit_key)
    try:
        key = AESGCM(sealing_key).decrypt(_NONCE, copy.sealed, context)
    except (InvalidTag, ValueError) as error:
        raise InvalidError("audit copy does not open with the combined parts") from error
    verify_copy(copy, key, context)
    return key


def copy_hash(suite: str, copy: AuditCopy) -> bytes:
    """What an admit says of the copy."""
    return hash_domain(suite, "commitment", encode_message(copy))


def _sealing_key(common: bytes, ephemeral: bytes, audit_key: bytes) -> bytes:
    return hmac.digest(common, b"ledgercore audit copy v1\n" + ephemeral + audit_key, "sha256")
