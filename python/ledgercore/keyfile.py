"""Keep a signing key in a file that only its owner may read.

PKCS#8 PEM without a passphrase: whoever reads the file can sign, so its mode is 0600.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledgercore._core import SigningKey
from ledgercore.disk import read_bytes, write_new
from ledgercore.errors import MalformedError

__all__ = ["load_key", "store_key"]


def store_key(path: str | Path, seed: bytes) -> None:
    """Store a key in a new file by its 32-byte seed; durable when it returns."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, pem, owner_only=True)


def load_key(path: str | Path) -> SigningKey:
    """The key in a file; raise MalformedError where it holds none of ours."""
    try:
        private = load_pem_private_key(read_bytes(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(
            f"{path} is no unencrypted PKCS#8 key as PEM: restore it from a copy"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise MalformedError(f"{path} holds another kind of key, want Ed25519")
    return SigningKey(private.private_bytes_raw())
