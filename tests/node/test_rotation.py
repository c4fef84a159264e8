"""Row 18: keys and certificates are rotated, and called compromised, while records come in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

import pytest

from ledgercore import Checkpoint, Ledger, RefusedError, SigningKey, UnavailableError, records
from ledgercore.clock import SystemClock
from ledgercore.demo.authority import Authority
from ledgercore.demo.processes import NodeProcess
from ledgercore.keyfile import store_key
from ledgercore.node.blocking import BlockingClient
from ledgercore.node.settings import load_settings
from ledgercore.node.tls import client_context
from ledgercore.rules import MemberState
from tests.faults.row import reliability_row
from tests.node.network import network
from tests.node.test_network import signed, wait_for

SEED = 20261128
ROTATIONS = 10
PER_BATCH = 10
STOPPED_S = 15.0
"""Without an acknowledgement for so long, a member counts as stopped."""
MEMBERS: dict[str, tuple[str, ...]] = {
    "tax": ("provider", "governance"),
    "bank": ("consumer",),
    "regulator": ("supervisor", "governance"),
}


class Load(Thread):
    """One member, that submits at its own node for as long as it may, and does what it is told."""

    def __init__(self, process: NodeProcess) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.caller = process.place.caller()
        self.client = BlockingClient(process.place.url, process.place.member, self.caller)
        self.acknowledged: dict[int, bytes] = {}
        self.again = 0
        self.longest_s = 0.0
        self._done = Event()
        self._told: SimpleQueue[tuple[Callable[[], None], Event]] = SimpleQueue()

    def run(self) -> None:
        last_s = time.monotonic()
        while not self._done.is_set():
            try:
                told, done = self._told.get_nowait()
                told()
                done.set()
            except Empty:
                pass
            if self._submit():
                last_s = time.monotonic()
            self.longest_s = max(self.longest_s, time.monotonic() - last_s)

    def _submit(self) -> bool:
        """Whether some records were acknowledged."""
        key = self.caller.key
        assert isinstance(key, SigningKey)
        try:
            batch = signed(self.client, key, PER_BATCH)
            outcomes = self.client.submit_many(batch)
        except (RefusedError, UnavailableError):
            self.again += 1
            self._done.wait(0.05)
            return False
        found = {at: one for at, one in zip(outcomes, batch, strict=True) if isinstance(at, int)}
        self.acknowledged.update(found)
        return bool(found)

    def have(self, told: Callable[[], None]) -> None:
        """Have it do something between two of its batches, and wait until it has."""
        done = Event()
        self._told.put((told, done))
        assert done.wait(60)

    def stop(self) -> None:
        self._done.set()
        self.join()
        self.client.close()


def typed(load: Load, body: records.RecordBody) -> None:
    """Submit one record of a member's at its own node, also one that ends its key."""
    key, anchor = load.caller.key, load.client.anchor
    assert isinstance(key, SigningKey)
    sequence, previous = load.client.next_position(key.public_key)
    data = records.encode(body)
    record = key.sign_record(
        anchor.suite, anchor.network, body.KIND, data, sequence=sequence, previous=previous
    )
    assert load.client.submit(record.encode()).index > 0


def put_key(load: Load, seed: bytes) -> None:
    """Put another signing key into a node's place, in one step, and have it read."""
    place = load.process.place
    file = place.directory / f"{place.member}.key"
    new = file.with_suffix(".new")
    store_key(new, seed)
    new.replace(file)
    load.caller.key = SigningKey(seed)
    load.process.reload()


def rotate(load: Load, number: int, *, told: bool = True) -> None:
    """Rotate a member's signing and sealing key on the ledger, and at its node."""
    seed = bytes([number + 1]) * 32
    key, network, member = SigningKey(seed), load.client.anchor.network, load.process.place.member
    proof = key.sign(records.key_message(network, key.public_key, member))
    typed(load, records.KeyRotate(member, key.public_key, seed[::-1], proof))
    if told:
        put_key(load, seed)
    else:
        load.caller.key = key


def replace(load: Load, governors: list[Load], number: int) -> None:
    """A member calls its key compromised, and governance gives it another one."""
    seed = bytes([number + 101]) * 32
    key, network, member = SigningKey(seed), load.client.anchor.network, load.process.place.member
    typed(load, records.KeyCompromise(member))
    proof = key.sign(records.key_message(network, key.public_key, member))
    name = bytes([number]) * 32
    change = records.KeyReplace(name, member, key.public_key, seed[::-1], proof)
    lapses_ms = SystemClock().now_ms() + 600_000
    proposal = records.GovernancePropose(name, change.KIND, records.encode(change), lapses_ms)
    first, second = governors
    first.have(lambda: typed(first, proposal))
    second.have(lambda: typed(second, records.GovernanceApprove(name)))
    first.have(lambda: typed(first, change))
    put_key(load, seed)


def put_certificate(load: Load, authority: Authority, directory: Path) -> None:
    """Put another certificate and its key into a node's place, and have both read."""
    place = load.process.place
    directory.mkdir()
    made = authority.issue(place.member, directory=directory)
    Path(made.certificate).replace(place.directory / f"{place.member}.crt")
    Path(made.key).replace(place.directory / f"{place.member}.tls.key")
    load.process.reload()


def reloaded(process: NodeProcess) -> int:
    events = [json.loads(line)["event"] for line in process.log.read_text().splitlines()]
    assert "not reloaded" not in events
    return events.count("reloaded")


def test_rotation_and_compromise_under_load_lose_nothing_and_stop_nothing(tmp_path: Path) -> None:
    with network(tmp_path, MEMBERS) as processes:
        loads = [Load(process) for process in processes]
        tax, bank, regulator = loads
        first = bank.caller.key
        issuing = Reissuing(processes)
        for load in loads:
            load.start()
        numbers = [process.id for process in processes]
        with reliability_row(18, "rotation under load", seed=SEED, want=ROTATIONS) as row:
            for number in range(ROTATIONS):
                if number % 5 == 4:
                    bank.have(lambda at=number: replace(bank, [tax, regulator], at))  # type: ignore[misc]
                    row.count("keys compromised and replaced")
                elif number % 5 in (0, 2):
                    bank.have(lambda at=number: rotate(bank, at))  # type: ignore[misc]
                    row.count("signing and sealing keys rotated")
                else:
                    for load in loads:
                        issuing.renew(load, number)
                    row.count("certificates of all nodes")
                time.sleep(1)
            time.sleep(2)
            for load in loads:
                load.stop()
                row.count(f"acknowledged to {load.process.place.member}", 0)
                row.details[f"acknowledged to {load.process.place.member}"] = len(load.acknowledged)
            row.details["asked again"] = sum(load.again for load in loads)
            longest_s = max(load.longest_s for load in loads)
            row.details["longest without one, ms"] = round(1000 * longest_s)
        assert longest_s < STOPPED_S
        assert [process.id for process in processes] == numbers
        assert (
            reloaded(processes[1]) == 1 + ROTATIONS
            and reloaded(processes[0]) == 1 + ROTATIONS * 2 // 5
        )
        with processes[0].place.client() as client:
            wait_for(client, 1 + max(map(max, (load.acknowledged for load in loads))))
            size = Checkpoint.parse(client.checkpoint()).size
            state = client.state(b"member/bank").state
            assert isinstance(state, MemberState)
            assert state.signing_key == bank.caller.key.public_key != first.public_key
        for process in processes:
            with process.place.client() as client:
                wait_for(client, size)
                with pytest.raises(RefusedError):  # at every node, whoever carries it
                    client.submit(signed(client, first, 1)[0])  # type: ignore[arg-type]
        for process in processes:
            process.stop()
            with Ledger.open(process.place.ledger, read_only=True) as ledger:
                ledger.verify()
                for load in loads:
                    kept = {at: ledger.record(at).encode() for at in load.acknowledged}
                    assert kept == load.acknowledged
                old = min(bank.acknowledged)
                receipt = ledger.receipt(old)
                assert receipt.verify(ledger.record(old).body, ledger.trust_anchor)


class Reissuing:
    """The members' authority, which goes on issuing; all nodes trust it from here on."""

    def __init__(self, processes: list[NodeProcess]) -> None:
        self._directory = processes[0].place.directory.parent / "again"
        self._directory.mkdir()
        self._authority = Authority(self._directory, "again")
        for process in processes:
            with (process.place.directory / "authority.crt").open("a") as trusted:
                trusted.write(self._authority.path.read_text())
            process.reload()
        for process in processes:
            process.wait()

    def renew(self, load: Load, number: int) -> None:
        """Another certificate for a node, and the same for who asks it."""
        place = load.process.place
        put_certificate(load, self._authority, self._directory / f"{number}-{place.member}")
        load.caller.context = client_context(load_settings(place.settings).tls)


def test_a_node_that_is_not_told_of_its_members_new_key_stops(tmp_path: Path) -> None:
    """The control: the row notices a member that is cut off for good."""
    with network(tmp_path, MEMBERS) as processes:
        bank = Load(processes[1])
        bank.start()
        bank.have(lambda: rotate(bank, 1, told=False))
        before = len(bank.acknowledged)
        time.sleep(4)
        bank.stop()
        assert len(bank.acknowledged) == before
        assert bank.longest_s > 3
