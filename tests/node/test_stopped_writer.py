"""An operator's node whose writer has stopped for good ends, so that a service manager may act."""

from __future__ import annotations

import asyncio
import configparser
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledgercore import (
    CorruptError,
    FencedError,
    Ledger,
    LedgerError,
    SignerAwayError,
    SigningKey,
    StoreError,
    UnavailableError,
)
from ledgercore.cli import exit_code
from ledgercore.cli.node import command
from ledgercore.demo.network import lay_out
from ledgercore.demo.processes import free_ports
from ledgercore.disk import HeadFile
from ledgercore.keys import cosign_checkpoint, sign_record
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.opening import caller_of, run_node
from ledgercore.node.settings import load_settings
from ledgercore.records import Witness
from ledgercore.store.sqlite import SqliteStore
from tests.conftest import REPOSITORY
from tests.node.running import LaterClock

WITNESS = SigningKey(b"w" * 32)


class Token:
    """The operator's key, in what can be pulled out."""

    def __init__(self) -> None:
        self._key, self.fault = SigningKey(b"o" * 32), ""
        self.kind: type[LedgerError] = UnavailableError
        self.public_key = self._key.public_key

    def sign(self, message: bytes) -> bytes:
        if self.fault:
            raise self.kind(self.fault)
        return self._key.sign(message)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (StoreError, "cannot use its store now"),
        (CorruptError, "node has found damage"),
        (FencedError, "cannot use its store now"),
    ],
)
def test_a_node_whose_writer_has_stopped_ends_when_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LedgerError], told: str
) -> None:
    members: dict[str, tuple[str, ...]] = {"tax": ("provider",), "bank": ("consumer",)}
    place = lay_out(tmp_path / "n", members, free_ports(2), origin="test.example/stopped")[0]
    settings, log = load_settings(place.settings), io.StringIO()
    caller = caller_of(settings)
    url = f"https://localhost:{settings.address[1]}"

    def fail(self: HeadFile, note: str) -> None:
        raise kind("disk has failed")

    async def act() -> None:
        running = asyncio.create_task(run_node(settings, caller, make_log(log)))
        async with asyncio.timeout(30):
            async with NodeClient(url, "tax", caller, Patience(attempts=40)) as client:
                sequence, previous = await client.next_position(caller.key.public_key)
            record = sign_record(
                caller.key,
                caller.anchor.suite,
                caller.anchor.network,
                "data",
                b"any",
                sequence=sequence,
                previous=previous,
            )
            async with NodeClient(url, "tax", caller, Patience(attempts=1)) as client:
                monkeypatch.setattr(HeadFile, "store", fail)
                with pytest.raises(UnavailableError, match=told):
                    await client.submit_many([record.encode()])
            with pytest.raises(kind) as ended:
                await running
        assert "log" in str(ended.value) and "writer has stopped" in log.getvalue()
        if kind is CorruptError:
            assert "ledgercore node repair" in ended.value.__notes__[0]

    asyncio.run(act())


async def start(directory: Path, log: io.StringIO, key: Token, clock: LaterClock) -> Node:
    """The operator's node of a network with a witness, which nobody asks over TLS."""
    ledger = Ledger.create(
        directory / "a.ledger",
        origin="test.example/a",
        key=key,
        witnesses=[Witness("w.example", WITNESS.public_key)],
        quorum=1,
    )
    node = Node("a", ledger, make_log(log, member="a"), clock=clock)
    await node.start()
    return node


def own_record(node: Node, key: Token) -> bytes:
    ledger = node.ledger
    sequence, previous = ledger.next_position(key.public_key)
    suite, network = ledger.trust_anchor.suite, ledger.network
    return sign_record(
        key, suite, network, "data", b"x", sequence=sequence, previous=previous
    ).encode()


def test_a_node_whose_token_fails_at_a_checkpoint_ends_and_is_never_ready_again(
    tmp_path: Path,
) -> None:
    """A start opens the token anew, which this process cannot."""
    token, clock, log = Token(), LaterClock(), io.StringIO()

    async def act() -> None:
        node = await start(tmp_path, log, token, clock)
        record = own_record(node, token)
        token.fault = "token is locked"
        with pytest.raises(UnavailableError, match="locked"):
            await node.ordering.submit([record])
        assert node.failed.is_set() and not node.damaged
        token.fault, clock.more_s = "", node.limits.ready_s + 1
        assert not node.ready()
        await node.stop()

    asyncio.run(act())
    said = [each for each in map(json.loads, log.getvalue().splitlines()) if "writ" in str(each)]
    assert [each["event"] for each in said] == ["ledger cannot be written", "writer has stopped"]
    assert {each["reason"] for each in said} == {"token is locked"}


def test_a_node_goes_on_when_its_token_is_back_and_ends_where_it_stays_away(
    tmp_path: Path,
) -> None:
    token, clock, log = Token(), LaterClock(), io.StringIO()
    token.kind = SignerAwayError

    async def act() -> None:
        node = await start(tmp_path, log, token, clock)

        async def away() -> None:
            token.fault = "token is not there: plug it in"
            with pytest.raises(SignerAwayError, match="plug it in"):
                await node.ordering.submit([record])
            assert not node.ready()

        for _ in range(2):
            record = own_record(node, token)
            await away()
            token.fault = ""
            assert (await node.ordering.submit([record])).places
            assert node.ready() and not node.failed.is_set()
            clock.more_s += node.limits.ready_s + 1
        record = own_record(node, token)
        for late_s, failed in (
            (0, False),
            (node.limits.ready_s / 2, False),
            (node.limits.ready_s, True),
        ):
            clock.more_s += late_s
            await away()
            assert node.failed.is_set() is failed
        assert not node.damaged and not node.fenced
        await node.stop()

    asyncio.run(act())
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    again = ["ledger cannot be written", "ledger is written again"]
    stays = ["ledger cannot be written", "signer stays away"]
    assert [each for each in events if "writ" in each or "away" in each] == 2 * again + stays


def appended(ledger: Ledger) -> None:
    ledger.append(b"the host's own")


def cosigned(ledger: Ledger) -> None:
    ledger.add_cosignatures(cosign_checkpoint(ledger.checkpoint, "w.example", WITNESS, 1))


@pytest.mark.parametrize(
    ("write", "seam", "name"), [(appended, HeadFile, "store"), (cosigned, SqliteStore, "put_note")]
)
def test_a_writer_that_stopped_where_no_record_was_submitted_ends_the_node(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Ledger], None],
    seam: type,
    name: str,
) -> None:
    log = io.StringIO()

    def fail(*given: object) -> None:
        raise StoreError("disk has failed")

    async def act() -> None:
        node = await start(tmp_path, log, Token(), LaterClock())
        with monkeypatch.context() as patched:
            patched.setattr(seam, name, fail)
            with pytest.raises(StoreError, match="disk has failed"):
                await asyncio.to_thread(write, node.ledger)
        async with asyncio.timeout(20):
            await node.failed.wait()
        assert not node.ready()
        await node.stop()

    asyncio.run(act())
    assert log.getvalue().count("writer has stopped") == 1


def prevented() -> set[int]:
    """The exit codes after which the unit does not start a node anew."""
    unit = configparser.RawConfigParser()
    unit.read(REPOSITORY / "examples" / "ledgercore-node.service")
    service = dict(unit["Service"])
    assert service["restart"] == "on-failure"
    # Nor does systemd give up after a while.
    assert unit["Unit"]["startlimitintervalsec"] == "0"
    return {int(each) for each in service["restartpreventexitstatus"].split()}


def test_the_service_starts_a_node_anew_but_not_after_damage_nor_where_another_one_writes() -> None:
    """A start mends what a failed flush has left, and would fail of damage again and again. One
    that was fenced would take the ledger back from the other."""
    assert {exit_code(CorruptError("damaged")), exit_code(FencedError("fenced"))} <= prevented()
    assert exit_code(StoreError("failed")) not in prevented()


def no_settings(place: Path) -> None:
    (place / "node.toml").unlink()


def no_key(place: Path) -> None:
    (place / "bank.key").unlink()


def open_key(place: Path) -> None:
    (place / "bank.key").chmod(0o644)


def open_tls_key(place: Path) -> None:
    (place / "bank.tls.key").chmod(0o640)


def contradicting_limits(place: Path) -> None:
    with (place / "node.toml").open("a") as file:
        file.write("[limits]\nready_s = 1\n")


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        (no_settings, True),
        (no_key, True),
        (open_key, True),
        (open_tls_key, True),
        (contradicting_limits, False),
    ],
)
def test_the_service_tries_again_what_needs_no_other_settings(
    tmp_path: Path, fault: Callable[[Path], None], again: bool
) -> None:
    """As the unit and docs/cli.md have it."""
    members: dict[str, tuple[str, ...]] = {"tax": ("provider",), "bank": ("consumer",)}
    place = lay_out(tmp_path / "n", members, free_ports(2), origin="test.example/faults")[1]
    fault(place.directory)

    done = CliRunner().invoke(command, ["run", str(place.settings)])

    assert isinstance(done.exception, LedgerError)
    assert (exit_code(done.exception) not in prevented()) is again
