"""Arguments of a wrong type are said to be so, with nothing lost; what is shown holds no secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledgercore import (
    AsyncLedger,
    Checkpoint,
    Ledger,
    MalformedError,
    SigningKey,
    format_anchor,
    parse_anchor,
    testing,
)
from ledgercore.keyfile import store_key, store_vault_key
from ledgercore.keys import load_signer

ORIGIN = "tax.example/log"
SEED = bytes(range(32))
MEMBER = testing.test_members(1)[0]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger of three records, whose operator's key is known."""
    path = tmp_path_factory.mktemp("arguments") / "a.ledger"
    with Ledger.create(path, origin=ORIGIN, key=SigningKey(SEED)) as made:
        made.append_many([b"one", b"two"])
        yield made


CREATED: list[tuple[dict[str, Any], str]] = [
    ({"key": "k"}, "key is str, want a SigningKey or another signer"),
    ({"key": SEED}, "key is bytes, want a SigningKey or another signer"),
    ({"passphrase": "secret"}, r"passphrase is str, want bytes: its encode\(\) gives them"),
    ({"origin": b"a"}, r"origin is bytes, want str: its decode\(\) gives it"),
    ({"suite": 3}, "suite is int, want str"),
    ({"members": "abc"}, "members are str, want a list of Member"),
    ({"members": [MEMBER, b"b"]}, "members hold bytes, want Member"),
    ({"witnesses": [MEMBER]}, "witnesses hold Member, want Witness"),
    ({"quorum": "2"}, "quorum is str, want int"),
    ({"path": 3}, "path is int, want str or Path"),
    ({"path": b"x"}, "path is bytes, want str or Path"),
]


@pytest.mark.parametrize(("given", "message"), CREATED)
def test_create_refuses_a_wrong_type_before_anything_is_made(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Ledger.create(**{"path": tmp_path / "x", "origin": ORIGIN} | given)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quorum", [-1, 1])
def test_create_refuses_a_quorum_of_no_witnesses(tmp_path: Path, quorum: int) -> None:
    with pytest.raises(MalformedError, match=f"quorum is {quorum}, want "):
        Ledger.create(tmp_path / "x", origin=ORIGIN, quorum=quorum)

    assert list(tmp_path.iterdir()) == []


CALLS: list[tuple[Callable[[Any], object], str]] = [
    (lambda ledger: ledger.record("1"), "index is str, want int"),
    (lambda ledger: ledger.record(1.0), "index is float, want int"),
    (lambda ledger: ledger.receipt("1"), "index is str, want int"),
    (lambda ledger: ledger.receipt(1, state_of="member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.receipts("1"), "indices are str, want a list of int"),
    (lambda ledger: ledger.receipts(1), "indices are int, want a list of int"),
    (lambda ledger: ledger.receipts([1, "2"]), "indices hold str, want int"),
    (lambda ledger: ledger.prove_records(["1"]), "indices hold str, want int"),
    (lambda ledger: ledger.records("1"), "begin is str, want int"),
    (lambda ledger: ledger.records(0, "1"), "end is str, want int"),
    (lambda ledger: list(ledger.blocks("1")), "begin is str, want int"),
    (lambda ledger: ledger.block("1"), "height is str, want int"),
    (lambda ledger: ledger.note(None), "height is NoneType, want int"),
    (lambda ledger: ledger.prove_consistency("1"), "size is str, want int"),
    (lambda ledger: ledger.prove_consistency(1, "2"), "size is str, want int"),
    (lambda ledger: ledger.find("1"), r"id is str, want bytes: its encode\(\) gives them"),
    (lambda ledger: ledger.state("member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.states("member/"), "prefix is str, want bytes"),
    (lambda ledger: ledger.prove_state("member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.state_receipt("member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.history("member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.prove_history("member/a"), "object's name is str, want bytes"),
    (lambda ledger: ledger.prove_history(b"governance", height="1"), "height is str, want int"),
    (lambda ledger: ledger.submit(ledger.record(1)), "record is Record, want bytes: its encode"),
    (lambda ledger: ledger.submit(None), "record is NoneType, want bytes"),
    (lambda ledger: ledger.submit_many([ledger.record(1)]), "records hold Record, want bytes: its"),
    (
        lambda ledger: list(ledger.submit_batches([[b"x", None]])),
        "records hold NoneType, want bytes",
    ),
    (lambda ledger: ledger.append("x"), "payload is str, want bytes or bytearray"),
    (
        lambda ledger: ledger.append_many([memoryview(b"x")]),
        r"payloads hold memoryview, want bytes or bytearray: bytes\(\) makes them",
    ),
    (
        lambda ledger: ledger.submit(bytearray(b"x")),
        r"record is bytearray, want bytes: bytes\(\) makes them of it",
    ),
    (
        lambda ledger: ledger.submit_many([bytearray(b"x")]),
        r"records hold bytearray, want bytes: bytes\(\) makes them of it",
    ),
    (
        lambda ledger: ledger.history(bytearray(b"member/a")),
        r"object's name is bytearray, want bytes: bytes\(\) makes them of it",
    ),
    (lambda ledger: ledger.append_many([b"x", 3]), "payloads hold int, want bytes"),
    (lambda ledger: ledger.add_cosignatures(b"x"), "checkpoint is bytes, want str: its decode"),
    (lambda ledger: ledger.verify_since(b"x"), "checkpoint is bytes, want str: its decode"),
    (lambda ledger: ledger.next_position("x"), "key is str, want bytes"),
    (lambda ledger: Ledger.open(b"x"), "path is bytes, want str or Path"),  # type: ignore[arg-type]
    (lambda ledger: Ledger.open(3), "path is int, want str or Path"),  # type: ignore[arg-type]
    (lambda ledger: ledger.backup(None), "path is NoneType, want str or Path"),
    (lambda ledger: load_signer(b"x"), "place of a key is bytes, want str"),  # type: ignore[arg-type]
    (lambda ledger: store_key("x", "y"), "seed is str, want bytes"),  # type: ignore[arg-type]
    (lambda ledger: parse_anchor(b"x"), "anchor is bytes, want str"),  # type: ignore[arg-type]
    (lambda ledger: format_anchor("x"), "anchor is str, want an Anchor"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_wrong_type_is_said_and_nothing_is_lost(
    ledger: Ledger, call: Callable[[Ledger], object], message: str
) -> None:
    size = ledger.size

    with pytest.raises(TypeError, match=message):
        call(ledger)

    assert ledger.size == size
    ledger.append(b"it goes on")


@pytest.mark.parametrize("store", [store_key, store_vault_key])
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_that_no_file_would_give_back_is_not_stored(
    tmp_path: Path, store: Callable[..., None], passphrase: bytes | None
) -> None:
    with pytest.raises(MalformedError, match="has 31 bytes, want 32"):
        store(tmp_path / "key", SEED[1:], passphrase, cost=10)

    assert list(tmp_path.iterdir()) == []


def test_a_key_is_loaded_from_a_path(tmp_path: Path) -> None:
    store_key(tmp_path / "key", SEED)

    for place in (tmp_path / "key", str(tmp_path / "key")):
        assert load_signer(place).public_key == SigningKey(SEED).public_key


def test_another_librarys_integer_is_an_index(ledger: Ledger) -> None:
    class Integer:
        def __index__(self) -> int:
            return 1

    number: Any = Integer()

    assert ledger.record(number) == ledger.record(1)
    assert ledger.receipt(number) == ledger.receipt(1)
    assert ledger.prove_records([number]) == ledger.prove_records([1])


def test_what_is_shown_in_a_session_is_short_and_holds_no_secret(tmp_path: Path) -> None:
    key = SigningKey(SEED)
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=key) as ledger:
        receipts = ledger.append_many([b"a private payload", b"another"])
        shown = {
            "ledger": repr(ledger),
            "asyncio": repr(AsyncLedger(ledger)),
            "receipts": repr(receipts),
            "receipt": repr(receipts[0]),
            "record": repr(ledger.record(1)),
            "verified": repr(receipts[0].verify(b"a private payload", ledger.trust_anchor)),
            "block": repr(ledger.block(1)),
            "checkpoint": repr(Checkpoint.parse(ledger.checkpoint)),
            "anchor": repr(ledger.trust_anchor),
            "key": repr(key),
        }
    with Ledger.open(tmp_path / "a.ledger", read_only=True) as reader:
        shown["reader"] = repr(reader)
    shown["closed"] = repr(reader)

    assert shown["ledger"] == f"<ledger {ORIGIN} in {tmp_path / 'a.ledger'}: 3 records, to write>"
    assert shown["reader"].endswith(": 3 records, read only>")
    assert shown["closed"].endswith(": 3 records, closed>")
    assert shown["receipts"] == "<receipts of 2 records: indices 1 to below 3>"
    assert shown["receipt"] == "<receipt of record 1>"
    for text in shown.values():
        assert re.fullmatch(r"<\S.*>", text) and len(text) < 100 + len(str(tmp_path)), text
        for secret in (SEED, b"a private payload"):
            assert secret.hex() not in text and repr(secret)[2:-1] not in text


@pytest.mark.parametrize("suffix", ["", " sslmode=require"])
def test_what_libpq_takes_in_its_other_form_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """It would be a file of that name, with a password in it."""
    monkeypatch.chdir(tmp_path)
    for place in (f"host=x password=y{suffix}", f"dbname=a host = x{suffix}"):
        for call in (partial(Ledger.create, origin=ORIGIN), Ledger.open):
            with pytest.raises(MalformedError, match=r"want postgresql://USER@HOST/DATABASE\?dir"):
                call(place)
    assert list(tmp_path.iterdir()) == []

    Ledger.create(f"./host=x{suffix}", origin=ORIGIN).close()
    assert (tmp_path / f"host=x{suffix}").exists()


def test_one_record_is_one(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a", origin=ORIGIN) as ledger:
        assert ": 1 record, to write>" in repr(ledger)
        ledger.append(bytearray(b"two"))
        assert ": 2 records, to write>" in repr(ledger)
