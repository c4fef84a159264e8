"""Run nodes as processes, as ``ledgercore node`` does: submit anywhere, kill, rejoin, stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import Checkpoint, Ledger, RefusedError, SigningKey
from ledgercore.keyfile import load_key
from ledgercore.node.blocking import BlockingClient
from tests.node.network import Member, Network, command

NAMES = ("tax", "bank", "regulator")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path, NAMES)
    try:
        network.start()
        yield network
    finally:
        network.stop()


def signed(client: BlockingClient, key: SigningKey, count: int) -> list[bytes]:
    sequence, previous = client.next_position(key.public_key)
    bodies = [f"record {sequence + at}".encode() for at in range(count)]
    anchor = client.anchor
    batch = key.sign_batch(
        anchor.suite, anchor.network, "data", bodies, sequence=sequence, previous=previous
    )
    return [batch[at].encode() for at in range(count)]


def key_of(member: Member) -> SigningKey:
    return load_key(member.directory / f"{member.name}.key")


def height_of(client: BlockingClient) -> int:
    return Checkpoint.parse(client.checkpoint()).height


def test_a_record_submitted_at_any_node_is_at_every_node(network: Network) -> None:
    clients = [member.client() for member in network.members]
    try:
        for member, client in zip(network.members, clients, strict=True):
            records = signed(client, key_of(member), 5)
            receipt = client.submit(records[0])
            outcomes = client.submit_many(records)
            assert outcomes == list(range(receipt.index, receipt.index + 5))
            assert client.receipt(outcomes[-1])[1].encode() == records[-1]
        size = Checkpoint.parse(clients[-1].checkpoint()).size
        for client in clients:
            wait_for(client, size)
        found = {client.checkpoint() for client in clients}

        assert len(found) == 1
        with pytest.raises(RefusedError):
            clients[1].submit(stranger(clients[1]))
    finally:
        for client in clients:
            client.close()


def stranger(client: BlockingClient) -> bytes:
    key, anchor = SigningKey(b"s" * 32), client.anchor
    return key.sign_record(
        anchor.suite, anchor.network, "data", b"x", sequence=0, previous=bytes(32)
    ).encode()


def wait_for(client: BlockingClient, size: int) -> None:
    until = time.monotonic() + 20
    while Checkpoint.parse(client.checkpoint()).size < size:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_node_comes_back_and_a_stopped_one_loses_nothing(network: Network) -> None:
    operator, bank, regulator = network.members
    with bank.client() as client, operator.client() as at_operator:
        first = signed(client, key_of(bank), 20)
        assert all(isinstance(each, int) for each in client.submit_many(first))

        regulator.stop(signal.SIGKILL)
        more = signed(at_operator, key_of(operator), 20)
        at_operator.submit_many(more)
        regulator.start()
        regulator.wait()
        with regulator.client() as late:
            wait_for(late, 41)

        # While records come in, the operator is told to stop: what it acknowledged is there.
        records = signed(client, key_of(bank), 400)
        acknowledged: list[int] = []
        for begin in range(0, 100, 10):
            acknowledged += client.submit_many(records[begin : begin + 10])  # type: ignore[arg-type]
    assert operator.stop(signal.SIGTERM) == 0
    assert bank.stop() == 0

    with Ledger.open(operator.ledger, read_only=True) as ledger:
        report = ledger.verify()
        kept = [ledger.record(index).encode() for index in acknowledged]
    assert kept == records[:100]
    assert report.records >= 141
    with Ledger.open(bank.ledger, read_only=True) as copy:
        assert [copy.record(index).encode() for index in acknowledged] == kept


def test_a_copy_is_joined_by_a_command_and_status_is_told(network: Network) -> None:
    operator, bank, regulator = network.members
    with operator.client() as client:
        client.submit_many(signed(client, key_of(operator), 30))
    regulator.stop()
    for suffix in ("", ".head", "-wal", "-shm", ".lock"):
        Path(f"{regulator.ledger}{suffix}").unlink(missing_ok=True)

    joined = command("node", "join", regulator.settings)
    status = command("node", "status", bank.settings)

    assert (joined["size"], joined["refused"]) == (31, [])
    assert status["ready"] is True
    assert status["member"] == "bank"
