"""A ledger outlives the hash of its suite: what stood in it is shown by another suite's tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import structs

from ledgercore import (
    AbsentError,
    InvalidProof,
    Ledger,
    LedgerError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UntrustedError,
    format_anchor,
    records,
    rules,
)
from ledgercore._core import Record
from ledgercore.cli import root
from ledgercore.clock import ManualClock
from ledgercore.keyfile import store_key
from ledgercore.ledger import renewal
from ledgercore.ledger.renewal import prove_renewed, renew
from ledgercore.proofs import RenewedRecord, verify_renewed
from ledgercore.rules import View
from tests import network, reference
from tests.cli.command import objects, run, run_well
from tests.network import KEYS, NETWORKS, START, ZERO, begin, code_of, sign
from tests.test_history import create, fill

PAIRS = [("c2sp", "std"), ("std", "c2sp"), ("std", "std")]
"""From which suite to which; the last is a network that begins anew under another operator."""


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """A former ledger, and a newer one of another network."""
    former_suite, suite = request.param
    with (
        create(tmp_path / "former.ledger", former_suite) as former,
        Ledger.create(
            tmp_path / "newer.ledger",
            origin="example.org/newer",
            suite=suite,
            members=network.genesis_body(suite).members,
            clock=ManualClock(START),
        ) as newer,
    ):
        fill(former)
        newer.append(b"before")
        yield former, newer
        assert newer.verify()


def submit(ledger: Ledger, body: records.RecordBody) -> int:
    record = sign(View(ledger.state), "supervisor", body, network=ledger.network)
    return ledger.submit(record.encode()).index


def test_every_record_of_the_former_ledger_is_shown_under_the_newer_anchor(pair: Any) -> None:
    former, newer = pair
    body = renew(former, newer.suite)
    at = submit(newer, body)
    former.append(b"after: it is not anchored")

    for index in range(body.former_size):
        data = prove_renewed(former, newer, at, index).encode()
        renewed = verify_renewed(data, newer.trust_anchor)
        assert (renewed.index, renewed.record.id) == (index, former.record(index).id)
        assert renewed.anchored_by.key == KEYS["supervisor"].public_key
        assert renewed.former == body
    with pytest.raises(LedgerError):
        prove_renewed(former, newer, at, body.former_size)


def test_records_of_many_tiles_are_shown(tmp_path: Path) -> None:
    with (
        create(tmp_path / "former.ledger", "std") as former,
        create(tmp_path / "newer.ledger", "c2sp") as newer,
    ):
        former.append_many([b"%d" % number for number in range(700)])
        body = renew(former, newer.suite)
        at = submit(newer, body)
        assert body.former_size > 2 * 256
        for index in (0, 255, 256, 511, 512, body.former_size - 1):
            renewed = prove_renewed(former, newer, at, index)
            verify_renewed(renewed.encode(), newer.trust_anchor)


def test_the_root_is_over_the_bytes_by_an_independent_hash(pair: Any) -> None:
    former, newer = pair
    body = renew(former, newer.suite)

    leaves = [reference.leaf(newer.suite, record.encode()) for record in former]
    assert body.root == reference.root(newer.suite, leaves)
    assert body.former_checkpoint.decode() == former.checkpoint


def test_a_broken_hash_of_the_former_suite_forges_nothing(pair: Any) -> None:
    """What a broken hash would let in: another record that its key signed, in the same place."""
    former, newer = pair
    at = submit(newer, renew(former, newer.suite))
    index = former.size - 1
    evidence = prove_renewed(former, newer, at, index)
    old = former.record(index)
    forged = KEYS["consumer"].sign_record(
        old.suite, old.network, "data", b"forged", sequence=old.sequence, previous=old.previous
    )

    assert forged.verify()
    with pytest.raises(InvalidProof):
        structs.replace(evidence, record=forged.encode()).verify(newer.trust_anchor)
    assert evidence.verify(newer.trust_anchor).record.id == old.id


def test_what_is_not_of_the_anchored_ledger_is_refused(pair: Any) -> None:
    former, newer = pair
    at = submit(newer, renew(former, newer.suite))
    sound, anchor = prove_renewed(former, newer, at, 3), newer.trust_anchor
    own = newer.record(1)
    changes: list[tuple[type[Exception], dict[str, Any]]] = [
        (InvalidProof, {"index": 2}),
        (LedgerError, {"index": 2**40}),
        (InvalidProof, {"network": bytes(16)}),
        (InvalidProof, {"suite": "std" if former.suite == "c2sp" else "c2sp"}),
        (LedgerError, {"proof": sound.proof[1:]}),
        (LedgerError, {"proof": (*sound.proof, bytes(32))}),
        (UntrustedError, {"record": own.encode()}),
        (MalformedError, {"body": own.body, "receipt": newer.receipt(1).encode()}),
        (LedgerError, {"body": sound.body[:-1] + bytes([sound.body[-1] ^ 1])}),
    ]

    for error, change in changes:
        with pytest.raises(error):
            structs.replace(sound, **change).verify(anchor)
    with pytest.raises(LedgerError):
        sound.verify(former.trust_anchor)
    with pytest.raises(MalformedError, match="want renewal"):
        prove_renewed(former, newer, 1, 3)


def test_every_changed_byte_is_refused(pair: Any) -> None:
    former, newer = pair
    at = submit(newer, renew(former, newer.suite))
    data, anchor = prove_renewed(former, newer, at, 1).encode(), newer.trust_anchor
    assert RenewedRecord.decode(data).encode() == data

    for place in range(len(data)):
        with pytest.raises(LedgerError):
            verify_renewed(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], anchor)


def test_a_ledger_that_does_not_verify_is_not_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rules find a record that they refuse, as they would after a forgery by its operator."""
    with create(tmp_path / "former.ledger") as former:
        fill(former)

        def refuse(*given: object) -> None:
            raise RefusedError("E_ROLE", "record is refused")

        monkeypatch.setattr("ledgercore.rules.apply", refuse)
        with pytest.raises(LedgerError):
            renew(former, "c2sp")


def anchor_of(view: View, **changes: Any) -> records.RenewalAnchor:
    return structs.replace(network.renewal(), **changes)


REFUSALS: dict[str, dict[str, Callable[[View], records.RenewalAnchor]]] = {
    "E_NET": {"its own network": lambda view: anchor_of(view, former_network=NETWORKS["std"])},
    "E_CANON": {
        "another size": lambda view: anchor_of(view, former_size=2),
        "no checkpoint": lambda view: anchor_of(view, former_checkpoint=b"none"),
        "no text": lambda view: anchor_of(view, former_checkpoint=b"\xff"),
        "nothing": lambda view: anchor_of(
            view, former_size=0, former_checkpoint=network.renewal_note(0)
        ),
    },
}


@pytest.mark.parametrize(
    ("code", "case"), [(code, case) for code, cases in REFUSALS.items() for case in cases]
)
def test_refusal_has_its_code(code: str, case: str) -> None:
    view = begin()

    assert code_of(view, sign(view, "supervisor", REFUSALS[code][case](view))) == code
    assert code_of(view, sign(view, "supervisor", anchor_of(view))) == ""
    assert [name for name, _ in view.changes() if name.startswith(b"renewal/")]
    assert rules.CODES[code].remedy


def test_documented_bytes() -> None:
    assert records.encode(network.renewal()).hex().startswith("95c410")
    with pytest.raises(LedgerError):
        Record.decode(b"\x98\x01\xc4\x10")


def test_the_command_verifies_a_renewed_record(tmp_path: Path) -> None:
    with (
        create(tmp_path / "former.ledger", "c2sp") as former,
        Ledger.create(
            tmp_path / "newer.ledger",
            origin="example.org/newer",
            members=network.genesis_body().members,
        ) as newer,
    ):
        at = submit(newer, renew(former, "std"))
        data = prove_renewed(former, newer, at, 2).encode()
        (tmp_path / "anchor.toml").write_text(format_anchor(newer.trust_anchor))
        record = former.record(2)
    (tmp_path / "proof").write_bytes(data)
    (tmp_path / "bad").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    given = ("--anchor", "anchor.toml", "--json")

    (facts,) = objects(run_well("verify", "proof", *given, directory=tmp_path))

    assert (facts["id"], facts["index"]) == (record.id.hex(), 2)
    assert (facts["former_suite"], facts["former_size"]) == ("c2sp", 3)
    assert run("verify", "bad", *given, directory=tmp_path).returncode != 0


def call(*arguments: object) -> Any:
    """What a command in this process says, or the error that it raises."""
    done = CliRunner().invoke(root, [*map(str, arguments), "--json"])
    if isinstance(done.exception, LedgerError):
        raise done.exception
    return objects(done.stdout_bytes)[0] if done.exit_code == 0 else done.exit_code


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A former and a newer ledger, as their operators have them, and a member's key."""
    with create(tmp_path / "former.ledger", "c2sp") as former:
        fill(former)
    members = network.genesis_body().members
    Ledger.create(tmp_path / "newer.ledger", origin="example.org/newer", members=members).close()
    store_key(tmp_path / "member.key", bytes([network.NAMES.index("supervisor") + 1]) * 32)
    with Ledger.open(tmp_path / "newer.ledger") as newer:
        (tmp_path / "anchor.toml").write_text(format_anchor(newer.trust_anchor))
    return tmp_path


def test_the_command_renews_a_ledger_and_proves_each_record_of_it(directory: Path) -> None:
    former, newer = directory / "former.ledger", directory / "newer.ledger"
    proven = ("prove", former, "--index", 1, "--renewed-in", newer)
    with pytest.raises(AbsentError, match="is not anchored in example"):
        call(*proven)

    facts = call("renew", former, newer, "--member-key", directory / "member.key")
    call(*proven, "--output", directory / "proof")
    shown = call("verify", directory / "proof", "--anchor", directory / "anchor.toml")
    (directory / "base64").write_text(call(*proven)["renewed"])

    with Ledger.open(former, read_only=True) as ledger:
        assert (facts["former_suite"], facts["former_size"]) == ("c2sp", ledger.size)
        assert shown["id"] == ledger.record(1).id.hex()
        beyond = ledger.size
    assert shown["anchored_by"] == facts["id"]
    assert call("verify", directory / "base64", "--anchor", directory / "anchor.toml") == shown
    with pytest.raises(AbsentError, match="want 0 or more and below"):
        call("prove", former, "--index", beyond, "--renewed-in", newer)
    assert call("prove", former, "--since", 1, "--renewed-in", newer) == 2
    assert call("prove", former, "--index", 1, "--anchored-at", 1) == 2


def test_the_command_proves_nothing_by_an_anchor_of_another_history(directory: Path) -> None:
    former, newer = directory / "former.ledger", directory / "newer.ledger"
    with Ledger.open(former, read_only=True) as old, Ledger.open(newer) as ledger:
        body = renew(old, ledger.suite)
        good = submit(ledger, body)
        submit(ledger, structs.replace(body, root=ZERO))
    proven = ("prove", former, "--index", 1, "--renewed-in", newer)

    with pytest.raises(InvalidProof, match="name another anchor with --anchored-at"):
        call(*proven)

    assert call(*proven, "--anchored-at", good)["index"] == 1


def test_the_command_leaves_the_newer_ledger_to_others_while_it_verifies(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renew_while_others_write(*given: Any) -> records.RenewalAnchor:
        with Ledger.open(directory / "newer.ledger") as newer:
            newer.append(b"meanwhile")
        return renew(*given)

    monkeypatch.setattr(renewal, "renew", renew_while_others_write)

    assert call("renew", directory / "former.ledger", directory / "newer.ledger")["index"] == 2


def test_the_command_renews_only_what_a_member_answers_for(directory: Path) -> None:
    """The operator is one; for another key's word it is refused, and nothing is there."""
    given = ("renew", directory / "former.ledger", directory / "newer.ledger")
    store_key(directory / "stranger.key", bytes([99]) * 32)

    with pytest.raises(RefusedError, match="E_"):
        call(*given, "--member-key", directory / "stranger.key")
    index = call(*given)["index"]

    with Ledger.open(directory / "newer.ledger", read_only=True) as newer:
        assert (index, newer.size) == (1, 2)


def test_a_ledger_that_is_anchored_whole_is_not_anchored_again_by_the_same_member(
    directory: Path,
) -> None:
    given = ("renew", directory / "former.ledger", directory / "newer.ledger")
    at = call(*given)["index"]

    with pytest.raises(UnavailableError, match=f"record {at} of .* anchors all of .* already"):
        call(*given)

    with Ledger.open(directory / "newer.ledger", read_only=True) as newer:
        assert newer.size == at + 1
    assert call(*given, "--member-key", directory / "member.key")["index"] == at + 1
    with Ledger.open(directory / "former.ledger", key=KEYS["operator"]) as former:
        former.append(b"one more")
    assert call(*given)["index"] == at + 2
