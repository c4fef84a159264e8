"""A ledger's operator and its parties sign with whatever keeps their key."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from ledgercore import (
    Anchor,
    InvalidError,
    InvalidSignature,
    Ledger,
    LedgerError,
    LimitError,
    MalformedError,
    SigningKey,
    UnavailableError,
    UntrustedError,
    keys,
)
from ledgercore import cosign_checkpoint as cosign_in_core
from ledgercore.clock import ManualClock
from ledgercore.entropy import SeededEntropy
from ledgercore.errors import PassphraseError
from ledgercore.exchange import signer as exchange_signer
from ledgercore.exchange.submission import Draft, submit
from ledgercore.records import Member, SchemaRegister
from ledgercore.vault import Vault

SEED = bytes(range(32))
KEY = SigningKey(SEED)
ORIGIN = "keys.example/log"
NETWORK = bytes(16)
PASSPHRASE = b"a long passphrase"


class Service:
    """A signer as a service's client is one: it answers one message at a time."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.messages: list[bytes] = []
        self.fails_with: LedgerError | None = None

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, message: bytes) -> bytes:
        if self.fails_with is not None:
            raise self.fails_with
        self.messages.append(message)
        return self._key.sign(message)


class WrongService(Service):
    def sign(self, message: bytes) -> bytes:
        return SigningKey(bytes(32)).sign(message)


# The protocol.


def test_a_signer_makes_what_a_key_makes() -> None:
    service, references = Service(KEY), [bytes([number]) * 32 for number in range(3)]
    bodies = [b"body %d" % number for number in range(700)]

    record = keys.sign_record(
        service, "std", NETWORK, "data", b"x", sequence=4, previous=bytes(32),
        references=references, not_before_ms=5, expiry_ms=6,
    )  # fmt: skip
    batch = keys.sign_batch(
        service, "c2sp", NETWORK, "data", bodies, sequence=9, previous=b"\1" * 32
    )

    assert record == KEY.sign_record(
        "std", NETWORK, "data", b"x", sequence=4, previous=bytes(32),
        references=references, not_before_ms=5, expiry_ms=6,
    )  # fmt: skip
    same = KEY.sign_batch("c2sp", NETWORK, "data", bodies, sequence=9, previous=b"\1" * 32)
    assert [batch[at] for at in range(700)] == [same[at] for at in range(700)]
    assert len(service.messages) == 701


def test_a_ledger_is_the_same_whoever_signs(tmp_path: Path) -> None:
    notes = []
    for name, key in (("memory", KEY), ("service", Service(KEY))):
        with Ledger.create(
            tmp_path / name,
            origin=ORIGIN,
            key=key,
            clock=ManualClock(1_700_000_000_000),
            entropy=SeededEntropy(1),
        ) as ledger:
            ledger.append_many([b"payload %d" % number for number in range(300)])
            receipt = ledger.append(b"one more")
            receipt.verify(b"one more", ledger.trust_anchor)
            notes.append([ledger.checkpoint, receipt.encode(), *ledger.blocks()])

    assert notes[0] == notes[1]


def test_a_witness_cosigns_with_a_signer(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY) as ledger:
        note, anchor = ledger.checkpoint, ledger.trust_anchor
    witness = Service(SigningKey(bytes([2]) * 32))

    cosigned = keys.cosign_checkpoint(note, "witness.example", witness, 1_700_000_000)

    key = SigningKey(bytes([2]) * 32)
    assert cosigned == cosign_in_core(note, "witness.example", key, 1_700_000_000)
    Anchor(
        origin=anchor.origin,
        network=anchor.network,
        suite=anchor.suite,
        operator_key=anchor.operator_key,
        witnesses=[("witness.example", witness.public_key)],
        quorum=1,
    ).verify_checkpoint(cosigned)


def test_a_wrong_signature_is_found_before_it_is_stored(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY).close()
    with Ledger.open(tmp_path / "a.ledger", key=WrongService(KEY)) as ledger:
        with pytest.raises(InvalidSignature, match="plain Ed25519 without prehash"):
            ledger.append(b"x")
        assert ledger.size == 1
    with pytest.raises(InvalidSignature):
        Ledger.create(tmp_path / "b.ledger", origin=ORIGIN, key=WrongService(KEY))
    assert not (tmp_path / "b.ledger").exists()


def test_a_signer_that_fails_at_a_record_stops_nothing_but_its_block(tmp_path: Path) -> None:
    service = Service(KEY)
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=service) as ledger:
        service.fails_with = UnavailableError("service is away: try again")
        with pytest.raises(UnavailableError, match="service is away"):
            ledger.append(b"x")
        service.fails_with = None
        ledger.append(b"x")
        ledger.verify()


def test_a_signer_that_fails_at_a_checkpoint_stops_the_writer(tmp_path: Path) -> None:
    """It may have given out a checkpoint that nobody stored, unless it says that it was away."""
    service = Service(KEY)
    path = tmp_path / "a.ledger"
    with Ledger.create(path, origin=ORIGIN, key=service) as ledger:
        record = KEY.sign_record(
            ledger.suite, ledger.network, "data", b"x", sequence=1, previous=ledger.record(0).id
        )
        service.fails_with = UnavailableError("service is away: try again")
        with pytest.raises(UnavailableError, match="service is away"):
            ledger.submit(record.encode())
        service.fails_with = None
        with pytest.raises(UnavailableError, match="writer has stopped"):
            ledger.submit(record.encode())
        assert ledger.size == 1
    with Ledger.open(path, key=service) as ledger:
        assert ledger.submit(record.encode()).index == 1


def test_a_party_signs_with_a_service(tmp_path: Path) -> None:
    service = Service(SigningKey(bytes([3]) * 32))
    members = [Member("tax", "tax", ("provider",), service.public_key, bytes(32))]
    with (
        Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY, members=members) as ledger,
        closing(Vault(tmp_path / "a.vault", bytes(32))) as vault,
    ):
        signer = exchange_signer.RecordSigner(service, vault)
        drafts = [
            Draft(signer, SchemaRegister(f"schema-{number}", 1, "", ())) for number in range(3)
        ]
        submit(ledger, drafts)
        signed = [ledger.record(index) for index in range(1, 4)]

    assert [record.key for record in signed] == [service.public_key] * 3
    assert len(service.messages) == 3


def test_another_key_is_not_the_operators(tmp_path: Path) -> None:
    Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY).close()

    with pytest.raises(UntrustedError, match="not the one of this ledger's operator"):
        Ledger.open(tmp_path / "a.ledger", key=Service(SigningKey(bytes(32))))


@pytest.mark.parametrize("count", [0, 2])
def test_signatures_are_as_many_as_records(count: int) -> None:
    from ledgercore._core import UnsignedBatch

    batch = UnsignedBatch(
        "std", NETWORK, "data", [b"x"], KEY.public_key, sequence=0, previous=bytes(32)
    )
    assert len(batch) == 1

    with pytest.raises(MalformedError, match=f"batch has {count} signatures, want 1"):
        batch.attach([bytes(64)] * count)


# PKCS#12.


def test_a_pkcs12_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "operator.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)

    assert keys.load_pkcs12(path, PASSPHRASE).public_key == KEY.public_key
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pkcs12_file_has_600_000_rounds_and_no_way_around_them(tmp_path: Path) -> None:
    """A MAC of fewer rounds would let anyone try passphrases faster."""
    path = tmp_path / "operator.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    usual = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(600_000)
        .hmac_hash(hashes.SHA256())
        .build(PASSPHRASE)
    )
    with_mac = pkcs12.serialize_key_and_certificates(b"x", private, None, None, usual)

    rounds, mac = b"\x02\x03" + (600_000).to_bytes(3, "big"), b"\x02\x02\x08\x00"
    assert path.read_bytes().count(rounds) == 1
    assert mac in with_mac, "the control has what is looked for"
    assert mac not in path.read_bytes()


def test_openssl_reads_a_pkcs12_file(tmp_path: Path) -> None:
    path = tmp_path / "operator.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)
    command = [
        "openssl",
        "pkcs12",
        "-in",
        path,
        "-nodes",
        "-info",
        "-passin",
        "pass:a long passphrase",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("no openssl command here")

    assert "Iteration 600000" in done.stderr
    assert "BEGIN PRIVATE KEY" in done.stdout


def test_the_pkcs12_file_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.pfx"
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048).build(PASSPHRASE)
    path.touch(0o600)
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", private, None, None, encryption))

    assert keys.load_signer(str(path), PASSPHRASE).public_key == KEY.public_key


def test_a_pkcs12_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operator.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)
    path.chmod(0o644)

    with pytest.raises(UnavailableError, match=f"chmod 600 {path}"):
        keys.load_signer(str(path), PASSPHRASE)

    path.chmod(0o600)
    assert keys.load_signer(str(path), PASSPHRASE).public_key == KEY.public_key


def test_what_is_wrong_with_a_pkcs12_file_is_said(tmp_path: Path) -> None:
    path, other = tmp_path / "operator.p12", tmp_path / "other.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)
    encryption = PrivateFormat.PKCS12.encryption_builder().build(PASSPHRASE)
    other.touch(0o600)
    other.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", generate_private_key(SECP256R1()), None, None, encryption
        )
    )

    with pytest.raises(InvalidError, match="passphrase does not open"):
        keys.load_pkcs12(path, b"another")
    with pytest.raises(PassphraseError, match="give it"):
        keys.load_pkcs12(path, None)
    with pytest.raises(MalformedError, match="no Ed25519 key"):
        keys.load_pkcs12(other, PASSPHRASE)
    with pytest.raises(LimitError, match="want 1 to 1024"):
        keys.store_pkcs12(tmp_path / "c.p12", SEED, b"")
    path.write_bytes(b"-----BEGIN")
    with pytest.raises(MalformedError, match=r"no PKCS#12 file"):
        keys.load_pkcs12(path, PASSPHRASE)


def test_no_flip_of_a_pkcs12_file_gives_the_key_silently(tmp_path: Path) -> None:
    path = tmp_path / "operator.p12"
    keys.store_pkcs12(path, SEED, PASSPHRASE)
    whole, wrong = path.read_bytes(), 0
    for at in range(0, len(whole), 15):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        try:
            key = keys.load_pkcs12(path, PASSPHRASE)
        except LedgerError:
            wrong += 1
        else:  # the name beside the key is of no matter
            assert key.public_key == KEY.public_key

    assert wrong > len(whole) / 15 / 2


# Commands.


def run(*arguments: str, lines: str = "", code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ledgercore", *arguments],
        input=lines, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_the_commands_sign_with_a_pkcs12_file(tmp_path: Path) -> None:
    ledger, key, passphrase = (str(tmp_path / name) for name in ("a.ledger", "a.p12", "pass"))
    Path(passphrase).write_bytes(PASSPHRASE + b"\n")

    made = run(
        "init", ledger, "--origin", ORIGIN, "--key", key, "--passphrase-file", passphrase, "--json"
    )
    assert json.loads(made)["key"] == key
    assert not Path(f"{ledger}.key").exists()
    run(
        "append", ledger, "--lines", "-", "--key", key, "--passphrase-file", passphrase, lines="x\n"
    )
    answer = run("append", ledger, "--lines", "-", "--key", key, lines="x\n", code=4)
    assert "is sealed under a passphrase: give it" in answer
