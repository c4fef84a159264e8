"""What goes wrong inside a node is in its log, and told to nobody who asks."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from ledgercore import Ledger, errors, testing
from ledgercore.clock import ManualClock
from ledgercore.demo.authority import Authority
from ledgercore.entropy import SystemEntropy
from ledgercore.errors import CorruptError, DiskFullError, LedgerError, UnavailableError
from ledgercore.node.answers import error_answer
from ledgercore.node.faults import Faults
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.seldom import AGAIN_S
from ledgercore.sync.messages import TEXT, Response
from tests.faults.vfs import FailingVFS
from tests.node.running import MEMBERS, OPERATOR, Running, running, serving
from tests.node.test_trust import header, raw
from tests.postgres import running_server

PLACE = "kept/keys/a.ledger"


def logged(log: io.StringIO, event: str = "fault inside") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def operating(ledger: Ledger, directory: Path) -> AsyncIterator[Running]:
    """The operator's node over a ledger that was opened in whatever way."""
    log = io.StringIO()
    node, authority = Node("operator", ledger, make_log(log)), Authority(directory)
    async with serving(node, authority, log, authority.issue("a-member")) as there:
        yield there


async def submit(there: Running, body: bytes) -> tuple[int, bytes]:
    signed = header(there, 1, ("POST", "/v1/records", body), entropy=SystemEntropy())
    return await raw(there, signed, "POST", "/v1/records", body)


def test_a_full_disk_is_told_without_its_path_and_passes(tmp_path: Path) -> None:
    path, vfs = tmp_path / "full.ledger", FailingVFS("full-node", apsw.FullError)
    members = testing.test_members(MEMBERS)
    Ledger.create(path, origin="test.example/node", members=members, key=OPERATOR).close()

    async def act() -> None:
        ledger = Ledger.open(path, key=OPERATOR, vfs="full-node")
        async with operating(ledger, tmp_path) as there:
            (record,) = there.records(1)
            body = len(record).to_bytes(4, "big") + record
            vfs.fail("write", 0)
            for _ in range(3):
                status, answer = await submit(there, body)
                assert (status, str(tmp_path) in answer.decode()) == (507, False)
                assert "its operator has freed space" in json.loads(answer)["message"]
            (line,) = logged(there.log)
            assert (line["error"], line["route"]) == ("DiskFullError", "submit")
            assert f"disk of {path} is full" in line["reason"]
            vfs.mend()
            assert (await submit(there, body))[0] == 200

    asyncio.run(act())
    vfs.unregister()


def test_a_server_that_is_gone_is_told_without_its_address(tmp_path: Path) -> None:
    async def act() -> None:
        with running_server() as server:
            place = server.address(tmp_path)
            ledger = Ledger.create(
                place,
                origin="test.example/node",
                members=testing.test_members(MEMBERS),
                key=OPERATOR,
            )
            async with operating(ledger, tmp_path) as there:
                (record,) = there.records(1)
                body = len(record).to_bytes(4, "big") + record
                server.kill()
                for status, answer in [
                    await raw(there, header(there, 1)),
                    await submit(there, body),
                ]:
                    said = json.loads(answer)["message"]
                    assert said.startswith("node cannot use its store now: its operator must look")
                    assert (status, str(server.directory) in said) == (503, False)
                assert str(server.directory) in logged(there.log)[0]["reason"]

    asyncio.run(act())


def test_a_witness_that_cannot_cosign_says_why_to_its_operator_alone(tmp_path: Path) -> None:
    def add_checkpoint(body: bytes) -> Response:
        return Response(503, f"disk of {PLACE} is full\n".encode(), TEXT)

    async def act() -> None:
        async with running(tmp_path) as there:
            witness: Any = SimpleNamespace(add_checkpoint=add_checkpoint, close=lambda: None)
            there.node.witness = witness

            answer = await raw(there, None, "POST", "/v1/add-checkpoint", b"any")

            assert answer == (503, b"witness cannot cosign now: ask again\n")
            (line,) = logged(there.log)
            assert PLACE in line["reason"]

    asyncio.run(act())


def test_who_asks_without_a_warrant_is_told_nothing_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(call: object) -> None:
        raise errors.StoreError(f"cannot use {PLACE}")

    async def act() -> None:
        async with running(tmp_path) as there:
            with monkeypatch.context() as patch:
                patch.setattr(there.node, "ask", ask)

                status, answer = await raw(there, None, path="/readyz")

            assert (status, PLACE in answer.decode()) == (503, False)
            assert PLACE in logged(there.log)[0]["reason"]

    asyncio.run(act())


def test_what_a_copy_asks_of_a_damaged_ledger_is_told_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: Ledger, *given: object) -> object:
        raise CorruptError(f"{PLACE} is damaged")

    async def act() -> None:
        async with running(tmp_path) as there:
            monkeypatch.setattr(Ledger, "blocks", damaged)
            path = "/v1/blocks?begin=0&end=1"

            status, answer = await raw(there, header(there, 1, ("GET", path, b"")), path=path)

            assert (status, PLACE in answer.decode()) == (500, False)
            assert PLACE in logged(there.log)[0]["reason"]

    asyncio.run(act())


@pytest.mark.parametrize(
    "kind",
    [
        errors.StoreError,
        errors.DiskFullError,
        errors.FencedError,
        errors.BusyError,
        errors.PassphraseError,
        errors.SignerAwayError,
        errors.CorruptError,
        errors.ForkError,
        LedgerError,
    ],
)
def test_no_error_of_the_machine_is_told_in_its_words(kind: type[LedgerError]) -> None:
    answer = bytes(error_answer(kind(f"cannot use {PLACE}")).body).decode()

    assert PLACE not in answer
    assert json.loads(answer)["error"] == kind.__name__


def test_a_fault_is_logged_once_a_minute_and_what_is_told_is_not() -> None:
    log, clock = io.StringIO(), ManualClock(0)
    faults = Faults(make_log(log), clock)

    for _ in range(3):
        faults.note(DiskFullError("full"), "submit")
    faults.note(CorruptError("damaged"), "blocks")
    faults.note(UnavailableError("wait"), "submit")
    clock.advance(int(AGAIN_S * 1000))
    faults.note(DiskFullError("full"), "promise")

    assert [(line["error"], line["left_out"]) for line in logged(log)] == [
        ("DiskFullError", 0),
        ("CorruptError", 0),
        ("DiskFullError", 2),
    ]
    for _ in range(3):
        faults.fail(ValueError("of the program"), "submit")
    faults.fail(ValueError("of the program"), "blocks")
    clock.advance(int(AGAIN_S * 1000))
    faults.fail(ValueError("of the program"), "submit")
    failed = logged(log, "request failed")
    assert [(line["route"], line["left_out"]) for line in failed] == [
        ("submit", 0),
        ("blocks", 0),
        ("submit", 2),
    ]
