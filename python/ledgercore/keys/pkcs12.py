"""Keep a signing key in a PKCS#12 file (RFC 7292), as key stores and browsers take it.

    PFX ::= SEQUENCE { version 3, authSafe, macData OPTIONAL }

The key stands in a shrouded bag under PBES2: AES-256-CBC, with PBKDF2 over HMAC-SHA-256 and
600,000 rounds. ``macData`` is left out: it would let anyone try passphrases with the 2,048 rounds
that the library gives it, and the 600,000 would protect nothing. In its place the bag's name, which
is not sealed, says the public key: a file that was damaged opens to no other key. What other
programs wrote is read with whatever name, rounds and MAC it has.

The library is loaded by the first file: with it come certificates, which take a tenth of the time
in which a command starts, and few keys are kept so.
"""

from __future__ import annotations

from pathlib import Path

from ledgercore._core import SigningKey
from ledgercore.disk import read_private, write_new
from ledgercore.errors import InvalidError, LimitError, MalformedError, PassphraseError
from ledgercore.passphrase import PASSPHRASE_BYTES

__all__ = ["PKCS12_ROUNDS", "load_pkcs12", "store_pkcs12"]

PKCS12_ROUNDS = 600_000
"""Rounds of PBKDF2 in what is written: OWASP's figure for HMAC-SHA-256."""

_NAME = "ledgercore ed25519 "
_SEQUENCE = 0x30


def store_pkcs12(path: str | Path, seed: bytes, passphrase: bytes) -> None:
    """Store a signing key in a new file by its 32-byte seed; durable when it returns."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

    _check_passphrase(path, passphrase)
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(PKCS12_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase)
    )
    private = Ed25519PrivateKey.from_private_bytes(seed)
    name = f"{_NAME}{SigningKey(seed).public_key.hex()}".encode()
    data = pkcs12.serialize_key_and_certificates(name, private, None, None, encryption)
    write_new(path, _without_mac(data), owner_only=True)


def load_pkcs12(path: str | Path, passphrase: bytes | None) -> SigningKey:
    """The signing key in a file; its certificates are passed over."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import pkcs12

    data = read_private(path)
    if passphrase is None:
        raise PassphraseError(f"{path} is sealed under a passphrase: give it")
    _check_passphrase(path, passphrase)
    if data[:1] != bytes([_SEQUENCE]):
        raise MalformedError(f"{path} is no PKCS#12 file: restore it from a copy")
    try:
        private, _, _ = pkcs12.load_key_and_certificates(data, passphrase)
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise InvalidError(
            f"{path}: passphrase does not open the key, or its file was changed"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise MalformedError(f"{path} holds no Ed25519 key: choose another file")
    key = SigningKey(private.private_bytes_raw())
    name, encoding = f"{_NAME}{key.public_key.hex()}", "utf-16-be"  # of a BMPString
    if _NAME.encode(encoding) in data and name.encode(encoding) not in data:
        raise InvalidError(f"{path} holds another key than was stored: restore it from a copy")
    return key


def _check_passphrase(path: str | Path, passphrase: bytes) -> None:
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES:
        raise LimitError(
            f"passphrase of {path} has {len(passphrase)} bytes, want 1 to {PASSPHRASE_BYTES}"
        )


def _without_mac(pfx: bytes) -> bytes:
    """The same file without its last part, the MAC."""
    begin, _ = _content(pfx, 0)
    _, version_end = _content(pfx, begin)
    _, safe_end = _content(pfx, version_end)
    kept = pfx[begin:safe_end]
    size = len(kept)
    length = bytes([size]) if size < 0x80 else bytes([0x82, *size.to_bytes(2, "big")])
    if 0x80 <= size < 0x100:
        length = bytes([0x81, size])
    return bytes([_SEQUENCE]) + length + kept


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of a DER value begins and ends."""
    first = data[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    begin = at + 2 + (first & 0x7F)
    return begin, begin + int.from_bytes(data[at + 2 : begin], "big")
