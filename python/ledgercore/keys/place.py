"""Take a key from where its owner says it is: a key file, a PKCS#12 file, or a token.

A place is a path, whose ending ``.p12`` or ``.pfx`` means PKCS#12, or a PKCS#11 URI. The
passphrase is the token's PIN where it is a token.
"""

from __future__ import annotations

from pathlib import Path

from ledgercore._core import SigningKey
from ledgercore.disk import exists
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import PassphraseError
from ledgercore.keyfile import load_key, store_key
from ledgercore.keys.pkcs12 import load_pkcs12, store_pkcs12
from ledgercore.keys.signing import Signer
from ledgercore.keys.token import TOKEN_SCHEME, open_token_key

__all__ = ["ensure_signer", "load_signer"]

_PKCS12 = (".p12", ".pfx")


def load_signer(place: str | Path, passphrase: bytes | None = None) -> Signer:
    """The key that is there."""
    place = _text(place)
    if place.startswith(TOKEN_SCHEME):
        return open_token_key(place, passphrase)
    if Path(place).suffix.lower() in _PKCS12:
        return load_pkcs12(place, passphrase)
    return load_key(place, passphrase)


def ensure_signer(
    place: str | Path, passphrase: bytes | None = None, entropy: Entropy | None = None
) -> Signer:
    """The key that is there, or a new one that is made there."""
    place, entropy = _text(place), entropy or SystemEntropy()
    if place.startswith(TOKEN_SCHEME):
        return open_token_key(place, passphrase, make=True)
    if exists(place):
        return load_signer(place, passphrase)
    seed = entropy.bytes(32)
    if Path(place).suffix.lower() in _PKCS12:
        if passphrase is None:
            raise PassphraseError(f"{place} needs a passphrase: PKCS#12 seals the key under one")
        store_pkcs12(place, seed, passphrase)
    else:
        store_key(place, seed, passphrase, entropy=entropy)
    return SigningKey(seed)


def _text(place: object) -> str:
    if not isinstance(place, str | Path):
        raise TypeError(f"place of a key is {type(place).__name__}, want str or Path")
    return str(place)
