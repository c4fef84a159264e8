"""Keep a signing key, or a vault's key, in a file that only its owner may read.

Without a passphrase whoever reads the file has the key: a signing key is then PKCS#8 PEM, a
vault's key 64 hexadecimal digits. Before the PEM stands the public key, so that a damaged file
opens to no other key; readers of PEM pass it over, and a file of another program has none.

    ledgercore public key 03a107bf…
    -----BEGIN PRIVATE KEY-----

With a passphrase both are sealed (``ledgercore.passphrase``). A key that
a machine keeps elsewhere, such as an HSM, needs no file: ``Ledger`` and ``Vault`` take the key. A
file that others may read or change is refused, sealed or not, as ssh does.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledgercore._core import SigningKey
from ledgercore.disk import read_private, write_new
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import InvalidError, MalformedError, PassphraseError
from ledgercore.passphrase import (
    COST,
    KEY_BYTES,
    SEALED_MARK,
    open_with_passphrase,
    seal_with_passphrase,
)

__all__ = ["load_key", "load_vault_key", "store_key", "store_vault_key"]

_SIGNING, _VAULT = "signing", "vault"
_PUBLIC = b"ledgercore public key "


def store_key(
    path: str | Path,
    seed: bytes,
    passphrase: bytes | None = None,
    *,
    entropy: Entropy | None = None,
    cost: int = COST,
) -> None:
    """Store a signing key in a new file by its 32-byte seed; durable when it returns."""
    _check_secret("seed", seed)
    if passphrase is None:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        text = _public_line(SigningKey(seed)) + pem
    else:
        text = seal_with_passphrase(seed, _SIGNING, passphrase, entropy or SystemEntropy(), cost)
    write_new(path, text, owner_only=True)


def load_key(path: str | Path, passphrase: bytes | None = None) -> SigningKey:
    """The signing key in a file; raise MalformedError where it holds none of ours.

    A passphrase for a file that has none is refused: somebody has put another in its place.
    """
    text = read_private(path)
    sealed = _open_sealed(path, text, _SIGNING, passphrase)
    if sealed is not None:
        return SigningKey(sealed)
    try:
        private = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        raise MalformedError(
            f"{path} is no unencrypted PKCS#8 key as PEM: restore it from a copy"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise MalformedError(f"{path} holds another kind of key, want Ed25519")
    key = SigningKey(private.private_bytes_raw())
    if text.startswith(_PUBLIC) and not text.startswith(_public_line(key)):
        raise MalformedError(f"{path} holds another key than was stored: restore it from a copy")
    return key


def store_vault_key(
    path: str | Path,
    key: bytes,
    passphrase: bytes | None = None,
    *,
    entropy: Entropy | None = None,
    cost: int = COST,
) -> None:
    """Store a vault's key of 32 bytes in a new file; durable when it returns."""
    _check_secret("vault's key", key)
    if passphrase is None:
        text = key.hex().encode() + b"\n"
    else:
        text = seal_with_passphrase(key, _VAULT, passphrase, entropy or SystemEntropy(), cost)
    write_new(path, text, owner_only=True)


def load_vault_key(path: str | Path, passphrase: bytes | None = None) -> bytes:
    """The vault's key in a file; raise MalformedError where it holds none."""
    text = read_private(path)
    sealed = _open_sealed(path, text, _VAULT, passphrase)
    if sealed is not None:
        return sealed
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or text != key.hex().encode() + b"\n":
        raise MalformedError(f"{path} is no vault's key, want 64 hex digits: restore it")
    return key


def _public_line(key: SigningKey) -> bytes:
    return _PUBLIC + key.public_key.hex().encode() + b"\n"


def _check_secret(what: str, secret: object) -> None:
    """Refuse what no file would give back: sealed, it would be found out when it is opened."""
    if not isinstance(secret, bytes):
        raise TypeError(f"{what} is {type(secret).__name__}, want bytes")
    if len(secret) != KEY_BYTES:
        raise MalformedError(f"{what} has {len(secret)} bytes, want {KEY_BYTES}")


def _open_sealed(path: str | Path, text: bytes, use: str, passphrase: bytes | None) -> bytes | None:
    """The key in a sealed file; nothing where the file is not sealed and no passphrase is given."""
    if not text.startswith(SEALED_MARK):
        if passphrase is not None:
            raise InvalidError(f"{path} is not sealed: leave the passphrase out, or restore it")
        return None
    if passphrase is None:
        raise PassphraseError(f"{path} is sealed under a passphrase: give it")
    try:
        return open_with_passphrase(text, use, passphrase)
    except InvalidError as error:
        raise InvalidError(f"{path}: {error}") from error
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}: restore it from a copy") from error
