"""A node opens whole or leaves nothing open, says what it waits for, and ends when it is told."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from ledgercore import Ledger, MalformedError, Replica, UnavailableError
from ledgercore.demo.network import Place, lay_out
from ledgercore.demo.processes import NodeProcess, free_ports
from ledgercore.errors import LedgerError, PassphraseError, StoreError
from ledgercore.keyfile import load_key
from ledgercore.node import following
from ledgercore.node.carrying import carry_on_thread, run_on_thread
from ledgercore.node.channel import Channel
from ledgercore.node.entrance import Entrance
from ledgercore.node.founding import make_witness
from ledgercore.node.joining import join_network
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.opening import caller_of, open_node
from ledgercore.node.settings import Settings, load_settings
from ledgercore.node.tls import server_context
from ledgercore.sync import Request, Response, Transport

WITNESS = '\n[witness]\nname = "w.example"\nkey = "w.key"\nstore = "w.store"\n'


@pytest.fixture
def places(tmp_path: Path) -> list[Place]:
    """The operator's and a follower's, who are not running."""
    members: dict[str, tuple[str, ...]] = {"tax": ("provider",), "bank": ("consumer",)}
    return lay_out(tmp_path / "n", members, free_ports(2), origin="test.example/opening")


def with_witness(place: Place, passphrase: bytes | None = None) -> Settings:
    place.settings.write_text(place.settings.read_text() + WITNESS)
    settings = load_settings(place.settings)
    make_witness(settings, passphrase)
    return settings


def begun(places: list[Place]) -> Settings:
    """The follower's settings, beside a copy that holds the genesis."""
    with Ledger.open(places[0].ledger, read_only=True) as ledger:
        first = next(ledger.blocks())
    Replica.create(places[1].ledger, places[1].anchor, first).close()
    return load_settings(places[1].settings)


async def opened(settings: Settings, passphrase: bytes | None = None) -> tuple[Node, str]:
    log = io.StringIO()
    node = await open_node(settings, caller_of(settings), make_log(log), passphrase)
    return node, log.getvalue()


@pytest.mark.parametrize("number", [0, 1])
def test_a_peer_who_is_no_member_is_warned_of(places: list[Place], number: int) -> None:
    begun(places)
    with places[number].settings.open("a") as settings:
        settings.write('\n[[peer]]\nmember = "hospitl"\nurl = "https://localhost:1"\n')

    async def act() -> str:
        node, log = await opened(load_settings(places[number].settings))
        await node.stop()
        return log

    (line,) = asyncio.run(act()).splitlines()
    said = json.loads(line)
    assert (said["event"], said["peer"]) == ("peer is no member here", "hospitl")
    assert f"ledgercore show {places[number].ledger} --objects member/ lists" in said["remedy"]


def test_a_peer_that_is_marked_as_the_operator_and_is_not_is_refused(places: list[Place]) -> None:
    begun(places)
    text = places[1].settings.read_text().replace('member = "tax"', 'member = "hospital"')
    places[1].settings.write_text(text)

    with pytest.raises(
        MalformedError, match=r"\[\[peer\]\] 'hospital' has operator = true, but .* is 'tax'"
    ):
        asyncio.run(opened(load_settings(places[1].settings)))
    Replica.open(places[1].ledger, places[1].anchor).close()


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_opened_is_closed_where_a_later_step_fails(
    places: list[Place], number: int
) -> None:
    begun(places)
    place = places[number]
    settings = with_witness(place)
    Path(str(settings.witness and settings.witness.store)).unlink()

    with pytest.raises(StoreError, match="retire its key"):
        asyncio.run(opened(settings))

    if number:  # whoever opens it next would find it taken
        Replica.open(place.ledger, place.anchor).close()
    else:
        Ledger.open(place.ledger, key=load_key(settings.key)).close()


def node_run(place: Place) -> str:
    """What `node run` says as it ends with 4."""
    command = [sys.executable, "-m", "ledgercore", "node", "run", str(place.settings)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    return done.stderr.decode()


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_ledger_beside_its_head_file_is_for_repair(places: list[Place], number: int) -> None:
    """A follower says so at once, also where no peer answers it."""
    begun(places)
    place = places[number]
    Path(place.ledger).unlink()

    said = node_run(place)

    assert "was lost" in said and "ledgercore node repair" in said
    assert "ledgercore init" not in said
    assert not Path(place.ledger).exists()
    settings = load_settings(place.settings)
    with pytest.raises(
        LedgerError, match="ledgercore node repair" if number else "is the operator"
    ):
        asyncio.run(join_network(settings, caller_of(settings)))


def test_an_operator_of_whose_ledger_nothing_is_left_makes_no_second_history(
    places: list[Place],
) -> None:
    ledger = Path(places[0].ledger)
    ledger.unlink()
    Path(f"{ledger}.head").unlink()
    before = sorted(ledger.parent.iterdir())

    said = node_run(places[0])

    assert f"{ledger} does not exist, nor does its .head file: see that the settings name" in said
    assert "ledgercore node repair SETTINGS" in said and "sign a second history" in said
    assert "ledgercore init" not in said
    assert sorted(ledger.parent.iterdir()) == before


def test_the_witness_is_closed_with_its_node(places: list[Place]) -> None:
    settings = with_witness(places[0])

    async def act() -> None:
        node, _ = await opened(settings)
        await node.start()
        assert node.witness is not None
        assert node.witness.split_views() == []
        await node.stop()
        with pytest.raises(LedgerError):
            node.witness.split_views()

    asyncio.run(act())


def test_a_part_that_fails_to_stop_keeps_nothing_else_open(places: list[Place]) -> None:
    class Failing:
        def start(self) -> None: ...

        async def stop(self) -> None:
            raise RuntimeError("nobody foresaw this")

    async def act() -> None:
        node, _ = await opened(with_witness(places[0]))
        node.background = [Failing()]
        await node.start()
        with pytest.raises(RuntimeError):
            await node.stop()

    asyncio.run(act())
    Ledger.open(places[0].ledger, key=load_key(load_settings(places[0].settings).key)).close()


def test_the_witness_key_is_read_with_the_passphrase(places: list[Place]) -> None:
    settings = with_witness(places[0], b"correct horse")

    async def act() -> None:
        with pytest.raises(PassphraseError):
            await opened(settings)
        node, _ = await opened(settings, b"correct horse")
        await node.stop()

    asyncio.run(act())


def test_a_witness_that_the_network_does_not_know_is_warned_of(places: list[Place]) -> None:
    place = places[0]
    operator = with_witness(place)
    peer = '\n[[peer]]\nmember = "bank"\nurl = "https://localhost:1"\nwitness = "b.example"\n'
    place.settings.write_text(place.settings.read_text() + peer)

    async def act() -> str:
        node, log = await opened(load_settings(place.settings))
        await node.stop()
        return log

    of_peer, own = map(json.loads, asyncio.run(act()).splitlines())
    assert operator.witness is not None
    assert of_peer["event"] == "peer is no witness of the network, and is not asked to cosign"
    assert (of_peer["peer"], of_peer["witness"]) == ("bank", "b.example")
    assert own["event"].startswith("witness is not in the network's policy")
    assert own["key"] == load_key(operator.witness.key).public_key.hex()
    for line in (of_peer, own):
        assert line["level"] == "warning"
        assert line["remedy"].startswith("the anchor's witnesses are none: ")


def test_a_call_that_nobody_waits_for_has_ended_and_is_closed() -> None:
    @dataclass
    class Opened:
        closed: bool = False

        def close(self) -> None:
            self.closed = True

    made, may_end = Opened(), Event()

    def open_slowly() -> Opened:
        assert may_end.wait(10)
        return made

    async def act() -> None:
        task = asyncio.create_task(run_on_thread(open_slowly, may_end.set))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.closed

    asyncio.run(act())


def test_what_is_asked_is_given_up_with_whoever_waits() -> None:
    asked: list[str] = []

    class Silent(Channel):
        def __init__(self, member: str) -> None:
            self.member = member

        async def send(self, request: Request) -> Response:
            asked.append(self.member)
            await asyncio.sleep(60)
            raise AssertionError("nobody waits so long")

    def ask_all(transport: Transport) -> str:
        for member in ("a", "b"):
            transport(member, Request("GET", "/", 1, 1))
        raise AssertionError("nobody answered")

    async def act() -> None:
        task = asyncio.create_task(carry_on_thread([Silent("a"), Silent("b")], ask_all))
        while not asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(act())
    assert asked == ["a"]


def test_each_attempt_to_begin_names_who_was_tried_and_why_it_failed(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RETRY_S", 0.01)
    settings, log = load_settings(places[1].settings), io.StringIO()
    caller = caller_of(settings)

    async def act() -> None:
        channel = Channel(settings.peer[0].url, "tax", caller)
        try:
            with pytest.raises(UnavailableError, match="no peer gave the genesis"):
                await following.open_copy(
                    settings.ledger, [channel], caller, make_log(log), attempts=4
                )
        finally:
            await channel.close()

    asyncio.run(act())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["again_s"] for line in lines] == [0.01, 0.02, 0.04]
    for line in lines:
        assert line["event"] == "no peer has the genesis yet"
        (tried,) = line["tried"]
        assert tried.startswith("tax: node of tax at https://127.0.0.1:")
        assert "ClientConnectorError" in tried


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_new_follower_that_waits_for_its_peers_ends_when_it_is_told(
    places: list[Place], told: signal.Signals
) -> None:
    process = NodeProcess(places[1])
    process.start()
    try:
        until = time.monotonic() + 30
        while not (process.log.exists() and b"no peer has" in process.log.read_bytes()):
            assert process.runs and time.monotonic() < until
            time.sleep(0.02)

        process.reload()  # there is nothing to reload yet, and no reason to end
        time.sleep(0.05)
        assert process.runs
        assert process.stop(told) == 0
    finally:
        if process.runs:
            process.kill()
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"


def caught_signals(process: NodeProcess) -> int:
    """The signals that a process has handlers for, as a mask."""
    status = Path(f"/proc/{process.id}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16)


def stop_once_it_listens(process: NodeProcess, told: signal.Signals) -> int:
    try:
        until = time.monotonic() + 30
        while not caught_signals(process) >> (signal.SIGTERM - 1) & 1:
            assert process.runs and time.monotonic() < until
            time.sleep(0.02)
        return process.stop(told)
    finally:
        if process.runs:
            process.kill()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_told_to_end_while_it_imports_ends_as_it_would_later(
    places: list[Place], told: signal.Signals
) -> None:
    process = NodeProcess(places[0])
    process.start("tests.node.slow_start")
    assert stop_once_it_listens(process, told) == 0
    assert process.log.read_text() == ""


def test_a_node_that_is_told_to_end_inside_a_callback_is_told_again(places: list[Place]) -> None:
    """Python prints what is raised there, and goes on: here to wait for settings for ever."""
    places[0].settings.unlink()
    os.mkfifo(places[0].settings)
    process = NodeProcess(places[0])
    process.start("tests.node.told_in_callback")
    try:
        assert process._process is not None and process._process.wait(30) == 0
    finally:
        if process.runs:
            process.kill()
    assert "Exception ignored in" in process.log.read_text()


def test_a_node_that_waits_for_its_settings_can_be_told_to_end(
    places: list[Place],
) -> None:
    places[0].settings.unlink()
    os.mkfifo(places[0].settings)
    process = NodeProcess(places[0])
    process.start()
    assert stop_once_it_listens(process, signal.SIGTERM) == 0


def test_status_ends_with_0_only_where_the_node_is_ready(places: list[Place]) -> None:
    """A script that waits for a node waits until it is ready, and not until it answers."""

    def status() -> tuple[int, bool, str]:
        command = [sys.executable, "-m", "ledgercore", "node", "status", str(bank.place.settings)]
        done = subprocess.run([*command, "--json"], capture_output=True, timeout=30, check=False)
        told = json.loads(done.stdout or b"{}")
        return done.returncode, told.get("ready", False), told.get("reason", "")

    begun(places)
    tax, bank = map(NodeProcess, places)
    try:
        bank.start()
        while '"listening"' not in bank.log.read_text():
            time.sleep(0.02)
        code, ready, reason = status()
        assert (code, ready) == (4, False)
        assert "copy is not caught up with its peers yet" in reason

        tax.start()
        bank.wait()
        assert status() == (0, True, "")

        bank.place.settings.write_text("member = = bank")
        assert status() == (5, False, "")
    finally:
        for process in (bank, tax):
            if process.runs:
                process.stop()


def test_a_listening_socket_is_closed_without_waiting_for_what_is_under_way(
    places: list[Place],
) -> None:
    settings = load_settings(places[0].settings)

    async def act() -> None:
        entrance = Entrance(
            ("127.0.0.1", 0),
            server_context(settings.tls),
            Limits(),
            asyncio.Protocol,
            lambda: None,
        )
        (listening,) = entrance.sockets
        await asyncio.sleep(0)
        entrance.close()
        for _ in range(4):
            await asyncio.sleep(0)
        assert listening.fileno() == -1

    asyncio.run(act())
