"""Seal a payload under a key of its own, and that key for one recipient.

The payload is under AES-256-GCM; the key is sealed with HPKE (RFC 9180: X25519, HKDF-SHA256,
AES-256-GCM, base mode), which names no sender: who sent it follows from the signed records. Both
are bound to the network and the exchange, and the key to the receipt that allowed its release.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidError

__all__ = [
    "check_delivery_key",
    "open_key",
    "open_payload",
    "public_delivery_key",
    "release_info",
    "seal_key",
    "seal_payload",
    "size_bucket",
]

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCE_BYTES = 12
_ANY_KEY = X25519PrivateKey.from_private_bytes(bytes(32))
"""With a key of small order every private key comes to nothing, and with another none does."""


def public_delivery_key(private: bytes) -> bytes:
    """The public half of a delivery key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def check_delivery_key(delivery_key: bytes) -> None:
    """Raise ``InvalidError`` for a key of small order, with which nobody shares a secret (RFC 9180
    section 7.1.4)."""
    try:
        _ANY_KEY.exchange(X25519PublicKey.from_public_bytes(delivery_key))
    except ValueError as error:
        raise InvalidError("delivery key is of small order: nothing can be sealed to it") from error


def seal_payload(payload: bytes, key: bytes, context: bytes, entropy: Entropy) -> bytes:
    """The payload sealed under a key that is used this once: nonce, then ciphertext."""
    nonce = entropy.bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, payload, context)


def open_payload(ciphertext: bytes, key: bytes, context: bytes) -> bytes:
    """The payload, or ``InvalidError`` if it is not what was sealed for this exchange."""
    nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError) as error:
        raise InvalidError("payload is not what was sealed under this key") from error


def release_info(network: bytes, intent: bytes, admit: bytes, receipt_hash: bytes) -> bytes:
    """What a sealed key is bound to; every part has a fixed length."""
    return b"ledgercore release v1\n" + network + intent + admit + receipt_hash


def seal_key(key: bytes, delivery_key: bytes, info: bytes) -> bytes:
    """A payload's key for whoever holds the private half of the delivery key."""
    return _HPKE.encrypt(key, X25519PublicKey.from_public_bytes(delivery_key), info=info)


def open_key(sealed_key: bytes, private: bytes, info: bytes) -> bytes:
    """The payload's key, or ``InvalidError`` if it was sealed for another or for something else."""
    try:
        return _HPKE.decrypt(sealed_key, X25519PrivateKey.from_private_bytes(private), info=info)
    except (InvalidTag, ValueError) as error:
        raise InvalidError("key was not sealed for this exchange and receipt") from error


def size_bucket(count: int) -> int:
    """The size as the ledger tells it: up to the next power of two, 1024 at least."""
    return max(1024, 1 << (count - 1).bit_length())
