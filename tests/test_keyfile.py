"""A key file gives back its key, or says what it is not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ledgercore import MalformedError, SigningKey, StoreError
from ledgercore.keyfile import load_key, store_key

SEED = bytes(range(32))


def pem(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_comes_back_and_is_its_owners_only(tmp_path: Path) -> None:
    store_key(tmp_path / "key", SEED)

    assert load_key(tmp_path / "key").public_key == SigningKey(SEED).public_key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="exists already"):
        store_key(tmp_path / "key", bytes(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        Ed25519PrivateKey.from_private_bytes(SEED).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    ],
)
def test_what_is_no_key_is_named_with_the_remedy(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)

    with pytest.raises(MalformedError, match=r"is no unencrypted PKCS#8 key .* restore it"):
        load_key(tmp_path / "key")


@pytest.mark.parametrize(
    "other", [ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()]
)
def test_another_kind_of_key_is_refused(
    tmp_path: Path, other: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
) -> None:
    (tmp_path / "key").write_bytes(pem(other))

    with pytest.raises(MalformedError, match="another kind of key, want Ed25519"):
        load_key(tmp_path / "key")
