"""A node has its member's key: with another it does not begin, or says so and is not ready."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledgercore import Ledger, SigningKey, records
from ledgercore.demo.processes import NodeProcess
from ledgercore.keyfile import store_key
from ledgercore.node.client import Patience
from ledgercore.node.own_key import key_fault
from ledgercore.rules import KeyState, MemberState, key_object, member_object
from ledgercore.rules.view import encode_state
from tests.node.network import COMMAND, network
from tests.node.test_network import key_of, signed

NOBODYS = b"n" * 32
NEW = b"r" * 32
ENOUGH_S = 30.0


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[NodeProcess]]:
    with network(tmp_path) as processes:
        yield processes


def put_key(process: NodeProcess, seed: bytes) -> None:
    place = process.place
    new = place.directory / "new"
    store_key(new, seed)
    new.replace(place.directory / f"{place.member}.key")


def take_key(process: NodeProcess, other: NodeProcess) -> None:
    key = other.place.directory / f"{other.place.member}.key"
    (process.place.directory / f"{process.place.member}.key").write_bytes(key.read_bytes())


def ended(process: NodeProcess, code: int, named: str) -> subprocess.CompletedProcess[str]:
    """What a node's command says that ends with this code."""
    command = [*COMMAND, "node", named, str(process.place.settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == code, done.stderr
    return done


def refusal(process: NodeProcess, code: int = 1, named: str = "run") -> str:
    """What a node says that does not begin."""
    return ended(process, code, named).stderr


def put(process: NodeProcess, body: records.RecordBody) -> None:
    """A member's record, through its own node."""
    with process.place.client() as client:
        key, anchor = key_of(process), client.anchor
        sequence, previous = client.next_position(key.public_key)
        record = key.sign_record(
            *(anchor.suite, anchor.network, body.KIND, records.encode(body)),
            sequence=sequence,
            previous=previous,
        )
        client.submit(record.encode())


def rotate(process: NodeProcess, seed: bytes) -> None:
    """Put ``key.rotate`` on the ledger, through the member's own node."""
    key, member = SigningKey(seed), process.place.member
    with process.place.client() as client:
        network = client.anchor.network
    proof = key.sign(records.key_message(network, key.public_key, member))
    put(process, records.KeyRotate(member, key.public_key, seed[::-1], proof))


def line_of(process: NodeProcess, event: str) -> dict[str, Any]:
    """The newest line of a node's log that says so, when it does."""
    until = time.monotonic() + ENOUGH_S
    while True:
        whole, _, _ = process.log.read_text().rpartition("\n")  # the last line may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        found = [line for line in lines if line["event"] == event]
        if found:
            return dict(found[-1])
        assert process.runs and time.monotonic() < until, lines
        time.sleep(0.02)


def test_the_key_of_another_member_or_of_nobody_is_refused_at_start(
    nodes: list[NodeProcess],
) -> None:
    _, bank, regulator = nodes
    want, got = key_of(bank).public_key.hex()[:16], key_of(regulator).public_key.hex()[:16]
    assert bank.stop() == 0

    take_key(bank, regulator)
    said = refusal(bank)
    assert f"member is 'bank', but {bank.place.directory}/bank.key has key {got}" in said
    assert f"of 'regulator', want {want}: put the key of 'bank' there" in said
    put_key(bank, NOBODYS)
    said = refusal(bank, 4)  # it may become known, and is tried again
    assert f"which is no member's, want {want}: put the key of 'bank' there" in said
    assert "tax says: E_MEMBER: " in said and "(sign with a member's key" in said


def test_a_new_follower_that_is_refused_says_in_whose_words(nodes: list[NodeProcess]) -> None:
    _, bank, _ = nodes
    assert bank.stop() == 0
    put_key(bank, NOBODYS)
    for suffix in ("", ".head", "-wal", "-shm", ".lock"):
        Path(f"{bank.place.ledger}{suffix}").unlink(missing_ok=True)
    bank.log.write_text("")

    nobody = SigningKey(NOBODYS).public_key.hex()[:16]
    for command in ("run", "join"):
        said = refusal(bank, 4, command)  # what nobody can know yet is tried again by a new start

        assert f"no peer that answers takes key {nobody} of this node for that of an active" in said
        assert f"tax says: E_MEMBER: key {nobody} is not a member's (sign with a member's" in said
        assert "ask governance to admit the key's owner)" in said
        assert "no peer has the genesis yet" not in said
    assert not bank.place.ledger.exists()


def test_a_key_that_nobody_can_judge_yet_is_warned_of_and_its_node_is_not_ready(
    nodes: list[NodeProcess],
) -> None:
    tax, bank, _ = nodes
    for process in nodes:
        assert process.stop() == 0
    put_key(bank, NOBODYS)

    bank.start()

    assert "which is no member's, want " in line_of(bank, "own key is not the member's")["reason"]
    bank.log.unlink()
    tax.start()
    try:
        tax.wait()
        # Its log goes on in the file that was removed.
        with tax.place.client() as client:
            client.submit_many(signed(client, key_of(tax), 1))
        with bank.place.client() as client:
            assert not client.ready()
    finally:
        assert bank.stop() == 0


def test_a_rotated_key_is_refused_and_the_new_one_taken_also_where_the_copy_lacks_its_block(
    nodes: list[NodeProcess],
) -> None:
    _, bank, _ = nodes
    old = (bank.place.directory / "bank.key").read_bytes()
    rotate(bank, NEW)
    why = line_of(bank, "peer refuses this node")["reason"]
    assert "E_KEY: " in why and "is ROTATED, want ACTIVE (sign with the member's current" in why
    assert bank.stop() == 0
    with Ledger.open(bank.place.ledger, read_only=True) as copy:
        assert copy.size == 1

    put_key(bank, NEW)
    bank.start()
    bank.wait()
    line_of(bank, "own key is the member's")
    assert bank.stop() == 0

    (bank.place.directory / "bank.key").write_bytes(old)
    said = refusal(bank)
    want = SigningKey(NEW).public_key.hex()[:16]
    assert f"which was the member's and is ROTATED, want {want}: put the key there that" in said


def test_a_key_that_the_ledger_gives_to_another_member_later_makes_its_node_unready(
    nodes: list[NodeProcess],
) -> None:
    _, bank, regulator = nodes
    assert bank.stop() == 0
    rotate(regulator, NEW)
    put_key(bank, NEW)
    bank.log.write_text("")

    bank.start()

    try:
        while "of 'regulator', want" not in line_of(bank, "own key is not the member's")["reason"]:
            time.sleep(0.02)
        with bank.place.client() as client:
            assert not client.ready()
    finally:
        assert bank.stop() == 0


def test_another_members_key_is_not_taken_while_the_node_runs(nodes: list[NodeProcess]) -> None:
    _, bank, regulator = nodes
    take_key(bank, regulator)

    bank.reload()

    assert "of 'regulator', want" in line_of(bank, "not reloaded")["reason"]


def test_a_suspended_members_node_ends_its_commands_as_the_page_says(tmp_path: Path) -> None:
    """4 where its copy lacks the block that says so, which nobody gives it, and 3 where it is."""
    roles = {"tax": ("governance",), "bank": (), "regulator": ("governance",)}
    with network(tmp_path, roles) as (tax, bank, regulator):
        proposal = bytes([7]) * 32
        suspend = records.MemberSuspend(proposal, "bank")
        content, lapses_ms = records.encode(suspend), int(time.time() * 1000) + 3_600_000
        put(tax, records.GovernancePropose(proposal, suspend.KIND, content, lapses_ms))
        put(regulator, records.GovernanceApprove(proposal))
        put(tax, suspend)
        line_of(bank, "peer refuses this node")
        with bank.place.client(Patience(attempts=1)) as client:
            while (reason := client.unready()) is None:
                time.sleep(0.05)

        assert "every peer that answers refuses this node" in reason
        assert "ready   no" in ended(bank, 4, "status").stdout
        assert bank.stop() == 0
        assert "tax: E_MEMBER: member bank is SUSPENDED" in ended(bank, 4, "join").stderr
        assert "was whole      yes" in ended(bank, 0, "repair").stdout
        for suffix in ("", ".head", "-wal", "-shm"):
            Path(f"{bank.place.ledger}{suffix}").unlink(missing_ok=True)
        with Ledger.open(tax.place.ledger, read_only=True) as ledger:
            ledger.backup(bank.place.ledger)
        bank.start()
        line_of(bank, "own key is not the member's")
        assert "E_MEMBER: member bank is SUSPENDED" in ended(bank, 3, "status").stderr


def test_what_a_ledger_has_against_a_key_says_whether_that_can_pass() -> None:
    own, other = SigningKey(NEW).public_key, SigningKey(NOBODYS).public_key

    def fault(status: str, current: bytes = own, member: str = "bank") -> str:
        states = {
            key_object(own): encode_state(KeyState("bank", b"", status)),
            member_object("bank"): encode_state(
                MemberState("ACTIVE", 1, bytes(32), "Bank", (), current, bytes(32), 0)
            ),
        }
        found = key_fault(states.get, member, own, "x.key")
        return "" if found is None else f"{found.kind}: {found.reason}"

    assert fault("ACTIVE") == ""
    assert fault("SUSPENDED") == "inactive: member 'bank' is SUSPENDED, want ACTIVE: ask governance"
    assert "and is COMPROMISED, want another: have governance give" in fault("COMPROMISED")
    taken = fault("COMPROMISED", other)
    assert taken.startswith("over: ") and f"want {other.hex()[:16]}: put the key there" in taken
    assert "of 'bank', 'tax' is no member here: put the key of 'tax' there" in fault(
        "ACTIVE", member="tax"
    )
