"""A ledger's operator signs with a key in a PKCS#11 token, which is SoftHSM's here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes import CDLL, c_ulong
from pathlib import Path

import pkcs11
import pytest

from ledgercore import (
    InvalidError,
    Ledger,
    LedgerError,
    MalformedError,
    SignerAwayError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.keys import sign_record
from ledgercore.keys import token as token_module
from ledgercore.keys.token import TokenKey, open_token_key, parse_uri
from tests.cli.command import run_well

ORIGIN = "keys.example/log"
MODULES = [
    Path(place)
    for place in (
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    )
]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The module of a token named ledger, whose PIN is 1234."""
    module = next(filter(Path.exists, MODULES), None)
    if module is None:
        pytest.skip("no SoftHSM here: apt-get install softhsm2")
    directory = tmp_path_factory.mktemp("tokens")
    settings = directory / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {directory}\nobjectstore.backend = file\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    for label in ("ledger", "spare"):
        subprocess.run(
            [
                *("softhsm2-util", "--init-token", "--free", "--label", label),
                *("--pin", "1234", "--so-pin", "5678"),
            ],
            check=True,
            capture_output=True,
        )
    yield str(module)
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


def uri(module: str, name: str, token: str = "ledger") -> str:
    return f"pkcs11:token={token};object={name}?module-path={module}"


@pytest.fixture
def operator(token: str) -> Iterator[TokenKey]:
    key = open_token_key(uri(token, "operator"), b"1234", make=True)
    yield key
    key.close()


def test_a_ledger_is_signed_in_a_token(operator: TokenKey, token: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    with Ledger.create(path, origin=ORIGIN, key=operator) as ledger:
        ledger.append_many([b"payload %d" % number for number in range(20)])
        receipt, anchor = ledger.receipt(7), ledger.trust_anchor
        ledger.verify()

    receipt.verify(b"payload 6", anchor)
    assert not Path(f"{path}.key").exists()
    again = open_token_key(uri(token, "operator"), b"1234")
    with Ledger.open(path, key=again) as ledger:
        ledger.append(b"opened anew")
    again.close()


def test_the_same_message_has_the_same_signature(operator: TokenKey) -> None:
    assert operator.sign(b"x") == operator.sign(b"x") != operator.sign(b"y")


def test_a_private_key_cannot_be_read_out(operator: TokenKey) -> None:
    from pkcs11 import Attribute
    from pkcs11.exceptions import AttributeSensitive

    assert operator._opened.private[Attribute.NEVER_EXTRACTABLE]
    with pytest.raises(AttributeSensitive):
        operator._opened.private[Attribute.VALUE]


def test_a_key_that_can_be_read_out_is_refused(operator: TokenKey, token: str) -> None:
    from pkcs11 import Attribute, KeyType, Mechanism

    session = open_token_key(uri(token, "operator"), b"1234", make=True)._opened.session
    session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: bytes.fromhex("06032b6570")}, local=True
    ).generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        store=True,
        label="loose",
        id=b"loose",
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
    )

    with pytest.raises(UntrustedError, match="sensitive and not extractable"):
        open_token_key(uri(token, "loose"), b"1234")


def test_keys_of_one_token_share_its_login(operator: TokenKey, token: str) -> None:
    other = open_token_key(uri(token, "other"), b"1234", make=True)

    assert other.public_key != operator.public_key
    assert len(other.sign(b"x")) == 64
    other.close()
    assert len(operator.sign(b"x")) == 64


def test_a_key_logs_in_anew_where_another_one_of_its_process_ended_the_login(token: str) -> None:
    first = open_token_key(uri(token, "first", "spare"), b"1234", make=True)
    second = open_token_key(uri(token, "first", "spare"), b"1234")
    want = first.sign(b"x")
    first.close()

    assert second.sign(b"x") == want
    second.close()
    with pytest.raises(UnavailableError, match="is closed: open it anew"):
        second.sign(b"x")


def end_session(key: TokenKey) -> None:
    key._opened.session.close()


def end_all_sessions(key: TokenKey) -> None:
    """As a library does where its token is pulled out."""
    slot = key._opened.session.token.slot.slot_id
    assert CDLL(key._name.module).C_CloseAllSessions(c_ulong(slot)) == 0


@pytest.mark.parametrize("end", [end_session, end_all_sessions])
def test_a_session_that_is_gone_is_begun_anew(
    operator: TokenKey, end: Callable[[TokenKey], None]
) -> None:
    want = operator.sign(b"x")
    for _ in range(3):
        end(operator)
        assert operator.sign(b"x") == want


class Slot:
    """Where a token is pulled out; SoftHSM's is not, so that the library's answer is made here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.empty = False
        library = pkcs11.lib
        monkeypatch.setattr(pkcs11, "lib", lambda module: self if self.empty else library(module))

    def get_token(self, **names: object) -> None:
        raise pkcs11.TokenNotPresent

    def pull(self, key: TokenKey) -> None:
        end_all_sessions(key)
        self.empty = True


def test_a_ledger_goes_on_when_its_token_is_there_again(
    operator: TokenKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = Slot(monkeypatch)
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=operator) as ledger:
        record = sign_record(
            operator, ledger.suite, ledger.network, "data", b"x",
            sequence=1, previous=ledger.record(0).id,
        ).encode()  # fmt: skip
        slot.pull(operator)
        for _ in range(2):
            with pytest.raises(SignerAwayError, match="is not there: plug it in"):
                ledger.submit(record)  # asks for a checkpoint alone
        with pytest.raises(SignerAwayError, match="is not there: plug it in"):
            ledger.append(b"y")
        assert (ledger.size, ledger.stopped) == (1, None)
        slot.empty = False

        receipts = [ledger.submit(record), ledger.append(b"y")]

        assert [each.index for each in receipts] == [1, 2]
        ledger.verify()


def test_a_pin_that_was_changed_is_tried_once(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some tokens lock after three wrong ones."""
    tries = []
    pin_of = token_module._pin
    monkeypatch.setattr(token_module, "_pin", lambda *given: tries.append(1) or pin_of(*given))
    pin = tmp_path / "pin"
    pin.write_bytes(b"1234\n")
    place = f"{uri(token, 'own', 'spare')}&pin-source=file:{pin}"
    key, other = open_token_key(place, make=True), open_token_key(place)
    pin.write_bytes(b"9999\n")
    end_all_sessions(key)

    with pytest.raises(InvalidError, match="PIN does not open the token"):
        key.sign(b"x")
    for _ in range(3):
        with pytest.raises(UnavailableError, match="is closed: open it anew"):
            key.sign(b"x")

    assert len(tries) == 3
    pin.write_bytes(b"1234\n")
    assert len(other.sign(b"x")) == 64, "a PIN's file is read each time"
    other.close()


def test_another_key_in_the_place_of_the_one_that_was_opened_is_refused(token: str) -> None:
    key = open_token_key(uri(token, "changed", "spare"), b"1234", make=True)
    for each in key._opened.session.get_objects({pkcs11.Attribute.LABEL: "changed"}):
        each.destroy()
    end_session(key)
    open_token_key(uri(token, "changed", "spare"), b"1234", make=True).close()

    with pytest.raises(UntrustedError, match="another key than before: put the right token back"):
        key.sign(b"x")
    with pytest.raises(UnavailableError, match="is closed: open it anew"):
        key.sign(b"x")


def in_new_process(arguments: str, environment: dict[str, str]) -> str:
    """The error's type and message, in a process that has no login."""
    program = (
        "from ledgercore import LedgerError\n"
        "from ledgercore.keys import load_signer\n"
        f"try:\n    load_signer({arguments})\n"
        "except LedgerError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_what_is_wrong_with_a_token_is_said(token: str, operator: TokenKey) -> None:
    right = uri(token, "operator")
    for arguments, want in [
        (f"{right!r}, b'9999'", "InvalidError PIN does not open the token"),
        (f"{right!r}", "PassphraseError .* needs the token's PIN"),
        (f"{uri(token, 'operator', 'gone')!r}, b'1234'", "SignerAwayError token .* is not there"),
        (f"{uri(token, 'absent')!r}, b'1234'", "UnavailableError .* is not in the token: .* init"),
        (
            f"{uri('/absent/lib.so', 'operator')!r}, b'1234'",
            "UnavailableError library .* cannot be loaded: .* module-path",
        ),
    ]:
        assert re.match(want, in_new_process(arguments, {})), arguments


@pytest.mark.parametrize(
    ("failure", "kind", "want"),
    [
        ("DeviceRemoved", SignerAwayError, "is not there: plug it in"),
        ("DeviceError", SignerAwayError, "DeviceError; see that it is there, then try again"),
        ("PinLocked", UnavailableError, "locked after wrong PINs: its security officer"),
        ("MechanismInvalid", UnavailableError, "cannot do Ed25519"),
    ],
)
def test_what_softhsm_never_says_is_said_as_well(
    operator: TokenKey,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    kind: type[LedgerError],
    want: str,
) -> None:
    """A software token does not lock and is not pulled out, so its answers are made here."""

    class Pulled:
        def sign(self, message: bytes, mechanism: object) -> bytes:
            asked.append(message)
            raise getattr(pkcs11, failure)

    asked: list[bytes] = []
    pulled = operator._opened._replace(private=Pulled())
    monkeypatch.setattr(token_module, "_open_key", lambda *given: pulled)
    key = TokenKey(operator._name, b"1234", pulled)

    with pytest.raises(LedgerError, match=want) as raised:
        key.sign(b"x")

    assert type(raised.value) is kind
    assert len(asked) == (2 if kind is SignerAwayError else 1)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("pkcs11:object=a?module-path=/x", "names no token"),
        ("pkcs11:token=a?module-path=/x", "has no object or id"),
        ("pkcs11:token=a;object=b", "has no module-path"),
        ("pkcs11:token=a;object=b?module-path=/x&pin-value=1", "'pin-value' .* is unknown"),
        ("pkcs11:token=a;token=b;object=c?module-path=/x", "'token' .* twice"),
    ],
)
def test_a_name_that_is_none_is_refused(text: str, want: str) -> None:
    with pytest.raises(MalformedError, match=want):
        parse_uri(text)


def test_a_name_has_its_parts() -> None:
    name = parse_uri(
        "pkcs11:token=a%20b;serial=12;object=c;id=%01%ff?module-path=/x.so&pin-source=file:/pin"
    )

    assert name[1:] == ("a b", b"12", "c", b"\x01\xff", "/x.so", "file:/pin")


def test_the_commands_sign_in_a_token(token: str, tmp_path: Path) -> None:
    ledger, pin = str(tmp_path / "a.ledger"), tmp_path / "pin"
    pin.write_bytes(b"1234\n")
    key = f"{uri(token, 'commands')}&pin-source=file:{pin}"

    made = run_well("init", ledger, "--origin", ORIGIN, "--key", key)
    assert b"pkcs11:token=ledger;object=commands" in made and b"module-path" not in made
    assert run_well("append", ledger, "--lines", "-", "--key", key, data=b"x\n").startswith(b"1 ")
    run_well("audit", ledger)
