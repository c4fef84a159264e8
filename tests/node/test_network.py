"""Run nodes as processes, as ``ledgercore node`` does: submit anywhere, kill, rejoin, stop."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import pytest

from ledgercore import Checkpoint, Ledger, RefusedError, SigningKey, UnavailableError
from ledgercore.demo.processes import NodeProcess
from ledgercore.keyfile import load_key
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.client import Patience
from ledgercore.node.founding import parse_members
from tests.node.network import command, network


def signed(client: BlockingClient, key: SigningKey, count: int) -> list[bytes]:
    sequence, previous = client.next_position(key.public_key)
    bodies = [f"record {sequence + at}".encode() for at in range(count)]
    anchor = client.anchor
    batch = key.sign_batch(
        anchor.suite, anchor.network, "data", bodies, sequence=sequence, previous=previous
    )
    return [batch[at].encode() for at in range(count)]


def key_of(process: NodeProcess) -> SigningKey:
    place = process.place
    return load_key(place.directory / f"{place.member}.key")


def wait_for(client: BlockingClient, size: int) -> None:
    until = time.monotonic() + 20
    while Checkpoint.parse(client.checkpoint()).size < size:
        assert time.monotonic() < until
        time.sleep(0.05)


def stranger(client: BlockingClient) -> bytes:
    key, anchor = SigningKey(b"s" * 32), client.anchor
    record = key.sign_record(
        anchor.suite, anchor.network, "data", b"x", sequence=0, previous=bytes(32)
    )
    return record.encode()


def test_a_record_submitted_at_any_node_is_at_every_node(tmp_path: Path) -> None:
    with network(tmp_path) as processes:
        clients = [process.place.client() for process in processes]
        for process, client in zip(processes, clients, strict=True):
            records = signed(client, key_of(process), 5)
            receipt = client.submit(records[0])
            outcomes = client.submit_many(records)
            assert outcomes == list(range(receipt.index, receipt.index + 5))
            assert client.receipt(receipt.index + 4)[1].encode() == records[-1]
        for client in clients:
            wait_for(client, 16)

        assert len({client.checkpoint() for client in clients}) == 1
        with pytest.raises(RefusedError):
            clients[1].submit(stranger(clients[1]))
        for client in clients:
            client.close()


def test_a_killed_node_comes_back_and_a_joined_copy_is_whole(tmp_path: Path) -> None:
    with network(tmp_path) as (operator, bank, regulator):
        with bank.place.client() as client, operator.place.client() as at_operator:
            client.submit_many(signed(client, key_of(bank), 20))
            regulator.kill()
            at_operator.submit_many(signed(at_operator, key_of(operator), 20))
            regulator.start()
            regulator.wait()
            with regulator.place.client() as late:
                wait_for(late, 41)
        regulator.stop()
        for suffix in ("", ".head", "-wal", "-shm", ".lock"):
            Path(f"{regulator.place.ledger}{suffix}").unlink(missing_ok=True)

        joined = command("node", "join", regulator.place.settings)
        status = command("node", "status", bank.place.settings)

        assert (joined["size"], joined["refused"]) == (41, [])
        assert (status["ready"], status["member"], status["size"]) == (True, "bank", 41)


def test_what_a_stopped_node_acknowledged_is_there(tmp_path: Path) -> None:
    """Records come in while both nodes are told to stop: no answer was a promise too many."""
    with network(tmp_path) as (operator, bank, _):
        acknowledged: dict[int, bytes] = {}
        with bank.place.client(Patience(attempts=1)) as client:
            records = signed(client, key_of(bank), 20_000)

            def submit() -> None:
                for begin in range(0, len(records), 20):
                    some = records[begin : begin + 20]
                    try:
                        outcomes = client.submit_many(some)
                    except UnavailableError:
                        return
                    acknowledged.update(zip(outcomes, some, strict=True))  # type: ignore[arg-type]

            submitting = Thread(target=submit)
            submitting.start()
            time.sleep(1)
            codes = operator.stop(), bank.stop()
            submitting.join()

        assert codes == (0, 0)
        assert 0 < len(acknowledged) < len(records)
        for process in (operator, bank):
            with Ledger.open(process.place.ledger, read_only=True) as ledger:
                ledger.verify()
                kept = {index: ledger.record(index).encode() for index in acknowledged}
            assert kept == acknowledged


def test_members_make_their_keys_and_the_operator_the_network(tmp_path: Path) -> None:
    bank = command("node", "init", tmp_path / "bank", "--member", "bank", "--roles", "consumer")
    (tmp_path / "members.toml").write_text(bank["table"])
    tax = command(
        *("node", "init", tmp_path / "tax", "--member", "tax", "--roles", "provider,supervisor"),
        *("--origin", "test.example/x", "--members", tmp_path / "members.toml"),
    )

    with Ledger.open(tax["ledger"], read_only=True) as ledger:
        genesis = ledger.genesis
    assert [each.member for each in genesis.members] == ["tax", "bank"]
    assert genesis.members[1] == parse_members(bank["table"])[0]
    assert genesis.members[0].roles == ("provider", "supervisor")
    assert genesis.operator_key == genesis.members[0].signing_key
