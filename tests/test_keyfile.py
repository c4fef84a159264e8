"""A key file gives back its key, or says what it is not."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from ledgercore import (
    InvalidError,
    Ledger,
    LimitError,
    MalformedError,
    PassphraseError,
    SigningKey,
    StoreError,
    UnavailableError,
)
from ledgercore.entropy import SeededEntropy, SystemEntropy
from ledgercore.keyfile import load_key, load_vault_key, store_key, store_vault_key
from ledgercore.passphrase import (
    COST,
    MAX_COST,
    MIN_COST,
    SEALED_MARK,
    open_with_passphrase,
    seal_with_passphrase,
)
from tests.examples import examples

SEED = bytes(range(32))


def pem(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def put(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read."""
    path.touch(0o600)
    path.write_bytes(data)


def test_a_key_comes_back_and_is_its_owners_only(tmp_path: Path) -> None:
    store_key(tmp_path / "key", SEED)

    assert load_key(tmp_path / "key").public_key == SigningKey(SEED).public_key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="exists already"):
        store_key(tmp_path / "key", bytes(32))


def test_a_key_file_with_a_bit_changed_opens_to_no_other_key(tmp_path: Path) -> None:
    """Every bit of it: with the public key before it. The control is the same file without."""
    store_key(tmp_path / "key", SEED)
    text, others = (tmp_path / "key").read_bytes(), {True: 0, False: 0}
    public = SigningKey(SEED).public_key

    for has_public, kept in ((True, text), (False, text.partition(b"\n")[2])):
        for at in range(8 * len(kept)):
            changed = bytearray(kept)
            changed[at // 8] ^= 1 << at % 8
            put(tmp_path / "changed", bytes(changed))
            try:
                others[has_public] += load_key(tmp_path / "changed").public_key != public
            except MalformedError as error:
                assert "restore it from a copy" in str(error) or "want Ed25519" in str(error)

    assert others[True] == 0 < others[False]


def test_a_key_file_of_another_program_opens_as_it_is(tmp_path: Path) -> None:
    """Bare, or below what else stands before a PEM."""
    bare = pem(Ed25519PrivateKey.from_private_bytes(SEED))

    for name, text in (("bare", bare), ("named", b"Bag Attributes\n" + bare)):
        put(tmp_path / name, text)
        assert load_key(tmp_path / name).public_key == SigningKey(SEED).public_key
    store_key(tmp_path / "ours", SEED)
    begun = f"ledgercore public key {SigningKey(SEED).public_key.hex()}\n".encode()
    assert (tmp_path / "ours").read_bytes() == begun + bare


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o644, 0o666])
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_that_others_may_read_is_refused(
    tmp_path: Path, mode: int, passphrase: bytes | None
) -> None:
    """It is taken once only its owner may, whose mode may be less than that of a new file."""
    signing, vault = tmp_path / "key", tmp_path / "vault.key"
    store_key(signing, SEED, passphrase, cost=MIN_COST)
    store_vault_key(vault, SEED, passphrase, cost=MIN_COST)

    for path, load in ((signing, load_key), (vault, load_vault_key)):
        path.chmod(mode)
        with pytest.raises(UnavailableError, match=f"its mode is {mode:o}.: chmod 600 {path}"):
            load(path, passphrase)
        for private in (0o600, 0o400):
            path.chmod(private)
            load(path, passphrase)


def test_a_key_of_another_user_may_be_its_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an administrator gives a secret to the group of a service."""
    store_key(tmp_path / "key", SEED)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)

    (tmp_path / "key").chmod(0o640)
    load_key(tmp_path / "key")
    for mode in (0o644, 0o660):
        (tmp_path / "key").chmod(mode)
        with pytest.raises(UnavailableError, match=f"is {mode:o}.: its owner .* chmod 640"):
            load_key(tmp_path / "key")


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
    put(tmp_path / "key", data)

    with pytest.raises(MalformedError, match=r"is no unencrypted PKCS#8 key .* restore it"):
        load_key(tmp_path / "key")


@pytest.mark.parametrize(
    "other", [ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()]
)
def test_another_kind_of_key_is_refused(
    tmp_path: Path, other: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
) -> None:
    put(tmp_path / "key", pem(other))

    with pytest.raises(MalformedError, match="another kind of key, want Ed25519"):
        load_key(tmp_path / "key")


def test_a_key_under_a_passphrase_comes_back_with_it_only(tmp_path: Path) -> None:
    store_key(tmp_path / "key", SEED, b"correct horse", cost=10)
    store_vault_key(tmp_path / "vault", SEED, b"correct horse", cost=10)

    assert load_key(tmp_path / "key", b"correct horse").public_key == SigningKey(SEED).public_key
    assert load_vault_key(tmp_path / "vault", b"correct horse") == SEED
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert SEED not in (tmp_path / "key").read_bytes()
    for load, name in ((load_key, "key"), (load_vault_key, "vault")):
        with pytest.raises(InvalidError, match="passphrase does not open the key"):
            load(tmp_path / name, b"wrong")
        with pytest.raises(PassphraseError, match="sealed under a passphrase: give it"):
            load(tmp_path / name)
    with pytest.raises(InvalidError, match="key is a signing key, want a vault key"):
        load_vault_key(tmp_path / "key", b"correct horse")


def test_a_vaults_key_comes_back_or_is_named(tmp_path: Path) -> None:
    store_vault_key(tmp_path / "key", SEED)

    assert load_vault_key(tmp_path / "key") == SEED
    with pytest.raises(InvalidError, match="is not sealed: leave the passphrase out"):
        load_vault_key(tmp_path / "key", b"passphrase")
    for number, text in enumerate((b"", SEED, SEED.hex().encode(), b"0" * 62 + b"\n", b"\xff")):
        put(tmp_path / f"wrong-{number}", text)
        with pytest.raises(MalformedError, match="is no vault's key, want 64 hex digits"):
            load_vault_key(tmp_path / f"wrong-{number}")


def test_two_sealings_share_nothing_and_the_default_cost_is_the_documented_one() -> None:
    sealed = [seal_with_passphrase(SEED, "vault", b"x", SystemEntropy(), 10) for _ in range(2)]
    default = seal_with_passphrase(SEED, "vault", b"x", SeededEntropy(1))

    assert sealed[0].splitlines()[2] != sealed[1].splitlines()[2]
    assert msgpack.unpackb(base64.b64decode(b"".join(default.splitlines()[1:-1])))[2] == COST == 17


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@examples(150)
def test_every_changed_byte_of_a_sealed_key_is_refused(at: int, bit: int) -> None:
    text = seal_with_passphrase(SEED, "vault", b"x", SeededEntropy(1), MIN_COST)
    encoded = bytearray(base64.b64decode(b"".join(text.splitlines()[1:-1])))
    encoded[at % len(encoded)] ^= 1 << bit
    # A flipped cost is refused or makes another key; the largest would take a gibibyte.
    assume(encoded[8] in range(MIN_COST, 15) or encoded[8] > MAX_COST)
    changed = b"\n".join([SEALED_MARK, base64.b64encode(encoded), text.splitlines()[-1], b""])

    with pytest.raises((InvalidError, MalformedError)):
        open_with_passphrase(changed, "vault", b"x")


@pytest.mark.parametrize("cost", [MIN_COST - 1, MAX_COST + 1, 63])
def test_a_file_cannot_ask_for_any_cost(cost: int) -> None:
    encoded = msgpack.packb([1, "vault", cost, bytes(16), bytes(48)])
    text = b"\n".join(
        [SEALED_MARK, base64.b64encode(encoded), SEALED_MARK.replace(b"BEGIN", b"END")]
    )

    with pytest.raises(MalformedError, match="sealed key: "):
        open_with_passphrase(text, "vault", b"x")


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1025])
def test_an_empty_or_endless_passphrase_is_refused(passphrase: bytes) -> None:
    with pytest.raises(LimitError, match=r"passphrase has \d+ bytes, want 1 to 1024"):
        seal_with_passphrase(SEED, "vault", passphrase, SystemEntropy(), MIN_COST)


def test_a_ledger_whose_key_is_sealed_opens_with_the_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin="example.org/log", passphrase=b"correct horse").close()

    with pytest.raises(PassphraseError, match=r"a\.ledger\.key is sealed under a passphrase"):
        Ledger.open(path)
    with Ledger.open(path, passphrase=b"correct horse") as ledger:
        assert ledger.append(b"hello").index == 1
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.size == 2
