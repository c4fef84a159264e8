"""Begin a copy at a snapshot that a peer serves, fill it up, and repair a damaged one."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path
from time import sleep

import pytest

from ledgercore import Checkpoint, Ledger, Replica, SigningKey, UnavailableError
from ledgercore.clock import ManualClock
from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import NodeProcess, free_ports
from ledgercore.entropy import SeededEntropy
from ledgercore.keyfile import load_key
from ledgercore.ledger.snapshot import decode_head
from ledgercore.node import carrying, joining
from ledgercore.node.answers import JSON
from ledgercore.node.carrying import carry_on_thread
from ledgercore.node.channel import Channel
from ledgercore.node.client import Patience
from ledgercore.node.limits import Limits
from ledgercore.proofs import verify_split_view
from ledgercore.sync import Follower, Request, Response, Source, rebuild_copy
from ledgercore.sync.messages import ask_checkpoint, decode_frames
from ledgercore.testing import test_members as members_of
from tests.node.network import COMMAND, command, network
from tests.node.running import running
from tests.node.test_network import key_of, signed, wait_for

BLOCKS = 6
PER_BLOCK = 120


def grow(process: NodeProcess) -> int:
    """Some blocks of records, submitted at a node; how many records there are then."""
    with process.place.client() as client:
        for _ in range(BLOCKS):
            client.submit_many(signed(client, key_of(process), PER_BLOCK))
        return Checkpoint.parse(client.checkpoint()).size


def lose(process: NodeProcess) -> None:
    """Remove the copy and all that is beside it."""
    for suffix in ("", ".head", "-wal", "-shm", ".lock"):
        Path(f"{process.place.ledger}{suffix}").unlink(missing_ok=True)


def audited(path: Path) -> str:
    with Ledger.open(path, read_only=True) as ledger:
        ledger.verify()
        return ledger.checkpoint


def flip(path: Path, record: bytes) -> None:
    """One bit of a record, in the file and not in its log."""
    with closing(sqlite3.connect(path)) as kept:
        kept.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data, piece = path.read_bytes(), record[60:76]
    at = data.index(piece) + len(piece) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_a_copy_joins_at_a_snapshot_follows_on_and_is_filled_up(tmp_path: Path) -> None:
    with network(tmp_path) as (operator, bank, regulator):
        size = grow(bank)
        regulator.stop()
        lose(regulator)
        joined = command("node", "join", regulator.place.settings)

        assert (joined["size"], joined["refused"], joined["no_snapshot"]) == (size, [], [])
        assert joined["blocks_from"] > 1
        with Ledger.open(regulator.place.ledger, read_only=True) as copy:
            with pytest.raises(UnavailableError, match="this copy began at block"):
                copy.record(1)
            last = copy.record(size - 1).encode()
        regulator.start()
        regulator.wait()
        with operator.place.client() as client, regulator.place.client() as late:
            client.submit_many(signed(client, key_of(operator), 5))
            wait_for(late, size + 5)
            assert late.receipt(size - 1)[1].encode() == last
            with pytest.raises(UnavailableError, match="this copy began at block"):
                late.receipt(1)

        regulator.stop()
        filled = command("node", "repair", regulator.place.settings)

        assert (filled["height"], filled["fetched"] > 0) == (joined["height"] + 1, True)
        assert audited(regulator.place.ledger) == audited(bank.place.ledger)


def test_a_lying_peer_is_passed_over_and_the_genesis_is_there_for_who_wants_it(
    tmp_path: Path,
) -> None:
    with network(tmp_path) as (_, bank, regulator):
        size = grow(bank)
        bank.stop()
        bank.start("ledgercore.demo.liar")
        bank.wait()
        regulator.stop()
        lose(regulator)
        put_first(regulator, "bank")
        joined = command("node", "join", regulator.place.settings)

        assert (joined["size"], joined["blocks_from"] > 1) == (size, True)
        assert [told.partition(":")[0] for told in joined["no_snapshot"]] == ["bank"]
        lose(regulator)
        whole = command("node", "join", regulator.place.settings, "--from-genesis")
        assert (whole["size"], whole["blocks_from"], whole["no_snapshot"]) == (size, 1, [])
        assert audited(regulator.place.ledger)


def put_first(process: NodeProcess, member: str) -> None:
    """Have a peer stand before the others in a node's settings."""
    head, *peers = process.place.settings.read_text().split("\n[[peer]]")
    peers.sort(key=lambda peer: f'"{member}"' not in peer)
    process.place.settings.write_text("\n[[peer]]".join([head, *peers]))


def test_a_short_ledger_is_joined_from_its_genesis(tmp_path: Path) -> None:
    with network(tmp_path) as (_, _, regulator):
        regulator.stop()
        lose(regulator)
        joined = command("node", "join", regulator.place.settings)

        assert (joined["size"], joined["blocks_from"]) == (1, 1)
        assert all("503" in reason for reason in joined["no_snapshot"])


def test_a_damaged_copy_and_a_damaged_ledger_are_repaired_from_peers(tmp_path: Path) -> None:
    with network(tmp_path) as (operator, bank, regulator):
        grow(bank)
        with bank.place.client() as client:
            record = client.receipt(40)[1].encode()
        refused = subprocess.run(
            [*COMMAND, "node", "repair", str(bank.place.settings)], capture_output=True, check=False
        )
        assert refused.returncode == 4 and b"another" in refused.stderr  # it runs

        bank.stop()
        flip(bank.place.ledger, record)
        with pytest.raises(Exception, match="record"):
            audited(bank.place.ledger)
        done = command("node", "repair", bank.place.settings)
        assert (done["fetched"], len(done["first_fetched"])) == (1, 1)
        assert Path(done["damaged"]).exists()
        assert audited(bank.place.ledger) == audited(regulator.place.ledger)

        bank.start()
        operator.stop()
        flip(operator.place.ledger, record)
        with operator.place.settings.open("a") as settings:
            for peer in (bank, regulator):
                name, url = peer.place.member, peer.place.url
                settings.write(f'\n[[peer]]\nmember = "{name}"\nurl = "{url}"\n')
        bank_up(bank)
        assert command("node", "repair", operator.place.settings)["fetched"] == 1
        operator.start()
        operator.wait()
        with operator.place.client() as client:
            client.submit_many(signed(client, key_of(operator), 1))


def test_a_repair_waits_where_a_peer_wants_to_be_asked_later(tmp_path: Path) -> None:
    """The control: who does not wait is told to."""

    async def act() -> None:
        async with running(tmp_path, Limits(requests_per_s=2, requests_burst=1)) as there:
            there.node.ledger.submit_many(there.records(4))
            anchor, path = there.node.anchor, tmp_path / "copy.ledger"
            shutil.copy(tmp_path / "operator.ledger.head", f"{path}.head")
            (channel,) = channels = [Channel(there.url, "operator", there.caller())]
            rebuild = partial(rebuild_copy, path, anchor, ["operator"])
            try:
                done = await carry_on_thread(channels, rebuild)
                statuses = {(await channel.send(ask_checkpoint())).status for _ in range(4)}
            finally:
                await channel.close()
            assert done.height == there.node.ledger.height
            assert 429 in statuses

    asyncio.run(act())


@pytest.mark.parametrize("wait_s", [None, 2, 3_600])
def test_a_peer_that_puts_a_repair_off_for_ever_is_named_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_s: int | None
) -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    class Later(Channel):
        def __init__(self) -> None:
            self.member = "tax"

        async def send(self, request: Request) -> Response:
            return Response(429, b'{"message": "member bank asks too often: wait"}', JSON, wait_s)

    with Ledger.create(
        tmp_path / "a.ledger",
        origin="test.example/a",
        members=members_of(1),
        key=SigningKey(bytes(32)),
    ) as ledger:
        anchor = ledger.trust_anchor
        (tmp_path / "b.ledger.head").write_bytes((tmp_path / "a.ledger.head").read_bytes())
    monkeypatch.setattr(carrying, "sleep", sleep)
    rebuild = partial(rebuild_copy, tmp_path / "b.ledger", anchor, ["tax"])

    with pytest.raises(UnavailableError, match="tax: member bank asks too often: wait"):
        asyncio.run(carry_on_thread([Later()], rebuild))

    assert (sum(waited), len(waited)) == {None: (30, 30), 2: (30, 15), 3_600: (0, 0)}[wait_s]


@pytest.mark.parametrize("status", [503, 500, 404, 400])
def test_a_join_ends_where_its_only_peer_answers_nothing_but_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The control: the same peer, once it answers, is followed to its newest block."""
    clock, told, broken = ManualClock(0), list[str](), True

    async def sleep(seconds: float) -> None:
        clock.advance(max(1, round(seconds * 1000)))
        assert clock.elapsed_s() < 120

    with Ledger.create(
        tmp_path / "a.ledger", origin="a.example", members=members_of(1), key=SigningKey(bytes(32))
    ) as ledger:
        ledger.append(b"one")
        source = Source(ledger)

        class Peer(Channel):
            def __init__(self) -> None:
                self.member = "tax"

            async def send(self, request: Request) -> Response:
                if broken:
                    return Response(status, b'{"message": "no disk here"}', JSON)
                return source.answer(request)

        monkeypatch.setattr(joining, "sleep", sleep)
        first = next(ledger.blocks())
        with Replica.create(tmp_path / "b.ledger", ledger.trust_anchor, first) as copy:
            for broken in (True, False):
                follower = Follower(copy, ["tax"], clock, SeededEntropy(1))
                catching_up = joining._catch_up(
                    follower, copy, {"tax": Peer()}, lambda peer, why: told.append(f"{peer}: {why}")
                )
                if broken:
                    with pytest.raises(
                        UnavailableError, match=r"no peer gives .* tax: no disk here: call its memb"
                    ):
                        asyncio.run(catching_up)
                    assert told[0] == "tax: no disk here"
                else:
                    asyncio.run(catching_up)
            assert copy.height == ledger.height


def test_a_repair_says_whom_it_waits_for_and_takes_no_end_that_is_past(tmp_path: Path) -> None:
    tax, _ = lay_out(
        tmp_path / "n", {"tax": (), "bank": ()}, free_ports(2), origin="test.example/waits"
    )
    with Ledger.open(tax.ledger, key=load_key(tax.directory / "tax.key")) as ledger:
        for number in range(3):
            ledger.append(bytes([number]))
    with tax.settings.open("a") as settings:
        settings.write('\n[[peer]]\nmember = "bank"\nurl = "https://127.0.0.1:1"\n')

    def repair(*more: str) -> tuple[int, str]:
        command = [*COMMAND, "node", "repair", str(tax.settings), *more]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode, done.stderr.decode()

    past = repair("--end", "1")
    Path(f"{tax.ledger}.head").unlink()
    code, said = repair()

    assert past[0] == 5 and "end is 1, and block 3 was here: leave it out, or give" in past[1]
    waiting, refused = said.splitlines()
    assert waiting.startswith("waiting: peer bank gives no answer now: node of bank at https://127")
    assert code == 4 and "bank does not say which block is its newest" in refused


def bank_up(process: NodeProcess) -> None:
    """A follower whose operator is away answers, and is not caught up."""
    with process.place.client(Patience(attempts=40, longest_wait_s=1.0)) as client:
        client.checkpoint()


def test_nothing_is_repaired_where_a_peer_has_another_signed_history(tmp_path: Path) -> None:
    """The operator's key was used twice: no block of either history takes the damaged one's place.

    The control: without the peer that has the other history the same repair goes through.
    """
    with network(tmp_path) as (operator, bank, regulator):
        grow(bank)
        with bank.place.client() as client:
            record = client.receipt(40)[1].encode()
        for process in (operator, bank, regulator):
            process.stop()
        with Ledger.open(operator.place.ledger, read_only=True) as ledger:
            ledger.backup(tmp_path / "fork.ledger")
        key = load_key(operator.place.directory / "tax.key")
        with Ledger.open(operator.place.ledger, key=key) as ledger:
            ledger.append(b"one history")
        operator.start()
        operator.wait()
        bank.start()
        bank.wait()  # although the regulator's node is away
        with bank.place.client() as client, operator.place.client() as ordering:
            wait_for(client, Checkpoint.parse(ordering.checkpoint()).size)
        operator.stop()
        with Ledger.open(tmp_path / "fork.ledger", key=key) as ledger:
            ledger.append(b"another history")
        lose(operator)
        (tmp_path / "fork.ledger").rename(operator.place.ledger)
        operator.start()
        operator.wait()
        with bank.place.client() as client:
            while (reason := client.unready()) is None:
                sleep(0.05)
        assert "node is not ready: operator signed two histories: see its COPY.evidence" in reason
        assert str(tmp_path) not in reason  # whoever asks is told
        status = command("node", "status", bank.place.settings, code=4)
        assert (status["ready"], status["reason"]) == (False, reason)
        kept = Path(f"{bank.place.ledger}.evidence") / "0.split-view"
        assert verify_split_view(kept.read_bytes(), bank.place.anchor)
        damaged = regulator.place.ledger
        flip(damaged, record)
        before = damaged.read_bytes()
        refused = subprocess.run(
            [*COMMAND, "node", "repair", str(regulator.place.settings), "--json"],
            capture_output=True,
            check=False,
        )

        assert (refused.returncode, damaged.read_bytes() == before) == (1, True)
        assert json.loads(refused.stderr or refused.stdout)["error"] == "ForkError"
        evidence = Path(f"{damaged}.split-view")
        assert verify_split_view(evidence.read_bytes(), regulator.place.anchor)
        operator.stop()
        assert command("node", "repair", regulator.place.settings)["fetched"] >= 1


def test_a_snapshot_is_drawn_once_a_node_and_bounded(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client(1) as client:
            for _ in range(BLOCKS):
                await client.submit_many(there.records(PER_BLOCK))
            height = there.node.ledger.height
            draw, drawn = there.node.ledger.snapshot, []

            def counted(limit_bytes: int) -> list[bytes]:
                drawn.append(height)
                return draw(limit_bytes)

            there.node.ledger.snapshot = counted  # type: ignore[method-assign]
            path = f"/v1/snapshot/{height}?part=0"
            answers = await asyncio.gather(*[client.fetch("GET", path) for _ in range(9)])
            assert len(set(answers)) == len(drawn) == 1
            assert decode_head(decode_frames(answers[0], 1 << 20)[0])[0] == height
            for wrong, reason in {
                f"/v1/snapshot/{height + 9}?part=0": "not here yet",
                f"/v1/snapshot/{height}?part=99": "part is 99, want less than 1",
                f"/v1/snapshot/{height}": "part",
                "/v1/snapshot/x?part=0": "height",
            }.items():
                with pytest.raises(Exception, match=reason):
                    await client.fetch("GET", wrong)

    asyncio.run(act())

    async def bounded() -> None:
        (tmp_path / "small").mkdir()
        limits = Limits(snapshot_bytes=20_000)
        async with running(tmp_path / "small", limits) as there, there.client(1) as client:
            for _ in range(BLOCKS):
                await client.submit_many(there.records(PER_BLOCK))
            with pytest.raises(UnavailableError, match="more than 20000 bytes: ask for blocks"):
                await client.fetch("GET", f"/v1/snapshot/{there.node.ledger.height}?part=0")

    asyncio.run(bounded())
