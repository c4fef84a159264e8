"""Seal a key of 32 bytes under a passphrase, as text.

The passphrase goes through scrypt with a salt of its own for each sealing, and what comes out
seals this one key with AES-256-GCM: so the nonce is always 12 zero bytes, and no key of the cipher
meets it twice. What the key is for, the cost and the salt are bound to it as associated data.
docs/spec/vault.md has the form and an instance.

    -----BEGIN LEDGERCORE SEALED KEY-----
    base64 of [1, "vault", 17, salt(bin16), sealed(bin48)]
    -----END LEDGERCORE SEALED KEY-----

A passphrase that can be guessed protects nothing: the file lets anyone try, at the cost of one
scrypt a guess.
"""

from __future__ import annotations

import base64
import binascii
from textwrap import wrap
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidError, LimitError, MalformedError
from ledgercore.wording import in_words, number_in_words

__all__ = [
    "COST",
    "KEY_BYTES",
    "MAX_COST",
    "MIN_COST",
    "PASSPHRASE_BYTES",
    "SEALED_MARK",
    "open_with_passphrase",
    "seal_with_passphrase",
]

KEY_BYTES = 32
COST = 17
"""The logarithm of scrypt's N: 2^17 with r = 8 and p = 1 takes 128 MiB and some tenths of a second.
"""
MIN_COST, MAX_COST = 10, 20
"""What a file may ask of its reader: at most 1 GiB."""
PASSPHRASE_BYTES = 1024
"""Bytes of a passphrase at most."""

SEALED_MARK = b"-----BEGIN LEDGERCORE SEALED KEY-----"
_END = b"-----END LEDGERCORE SEALED KEY-----"
_NONCE = bytes(12)
_SALT_BYTES = 16


class _Sealed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    use: str
    cost: Annotated[int, msgspec.Meta(ge=MIN_COST, le=MAX_COST)]
    salt: Annotated[bytes, msgspec.Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]
    sealed: Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES + 16, max_length=KEY_BYTES + 16)]


def seal_with_passphrase(
    key: bytes, use: str, passphrase: bytes, entropy: Entropy, cost: int = COST
) -> bytes:
    """The text of a sealed key; ``use`` says what the key is for."""
    if not MIN_COST <= cost <= MAX_COST:
        raise LimitError(f"cost is {number_in_words(cost)}, want {MIN_COST} to {MAX_COST}")
    salt = entropy.bytes(_SALT_BYTES)
    cipher = AESGCM(_stretch(passphrase, salt, cost))
    sealed = cipher.encrypt(_NONCE, key, _bound(use, cost, salt))
    encoded = msgspec.msgpack.encode(_Sealed(1, use, cost, salt, sealed))
    lines = wrap(base64.b64encode(encoded).decode(), 64)
    return b"\n".join([SEALED_MARK, *(line.encode() for line in lines), _END, b""])


def open_with_passphrase(text: bytes, use: str, passphrase: bytes) -> bytes:
    """The key, or ``InvalidError`` if the passphrase does not open it."""
    found = _parse(text)
    if found.use != use:
        raise InvalidError(f"key is a {found.use} key, want a {use} key")
    cipher = AESGCM(_stretch(passphrase, found.salt, found.cost))
    try:
        return cipher.decrypt(_NONCE, found.sealed, _bound(use, found.cost, found.salt))
    except InvalidTag as error:
        raise InvalidError("passphrase does not open the key, or its file was changed") from error


def _parse(text: bytes) -> _Sealed:
    lines = text.rstrip(b"\r\n").splitlines()
    if len(lines) < 3 or lines[0] != SEALED_MARK or lines[-1] != _END:
        raise MalformedError(f"sealed key does not stand between {SEALED_MARK!r} and its end")
    try:
        data = base64.b64decode(b"".join(lines[1:-1]), validate=True)
        return msgspec.msgpack.decode(data, type=_Sealed)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"sealed key: {in_words(error)}") from error


def _stretch(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES:
        raise LimitError(f"passphrase has {len(passphrase)} bytes, want 1 to {PASSPHRASE_BYTES}")
    return Scrypt(salt=salt, length=KEY_BYTES, n=1 << cost, r=8, p=1).derive(passphrase)


def _bound(use: str, cost: int, salt: bytes) -> bytes:
    return msgspec.msgpack.encode(["ledgercore sealed key v1", use, cost, salt])
