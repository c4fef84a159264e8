"""A client holds what a node shows to what it had shown before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ledgercore import ForkError, Ledger, MalformedError, RollbackError, UntrustedError
from ledgercore.node.client import NodeClient
from ledgercore.node.node import Node
from ledgercore.rules import member_object
from ledgercore.sync import Source
from tests.node.running import OPERATOR, Running, running

NAME = member_object("member-1")
ASKS: dict[str, Callable[[NodeClient], Awaitable[object]]] = {
    "checkpoint": lambda client: client.checkpoint(),
    "state": lambda client: client.state(NAME),
    "history": lambda client: client.history(NAME),
}


def show(node: Node, ledger: Ledger) -> None:
    """Have the node answer from another ledger."""
    node.ledger, node.source = ledger, Source(ledger)


async def twin(there: Running, directory: Path) -> Ledger:
    """The node's ledger as it is now, of which the operator makes another one."""
    await asyncio.to_thread(there.node.ledger.backup, directory / "twin.ledger")
    return Ledger.open(directory / "twin.ledger", key=OPERATOR)


@pytest.mark.parametrize("asked", ASKS)
def test_what_goes_back_or_is_of_another_history_is_refused(tmp_path: Path, asked: str) -> None:
    ask = ASKS[asked]

    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            node, ledger = there.node, there.node.ledger
            with await twin(there, tmp_path) as other:
                await client.submit_many(there.records(2))
                await ask(client)
                show(node, other)
                with pytest.raises(RollbackError, match="shows size 1, was 3"):
                    await ask(client)
                other.append_many([b"another"] * 4)
                with pytest.raises(ForkError, match="of size 5 does not go on from the one of"):
                    await ask(client)
                show(node, ledger)
                await ask(client)

    asyncio.run(act())


def test_events_are_of_one_history_and_do_not_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            ledger = there.node.ledger
            with await twin(there, tmp_path) as other:
                for record in there.records(3):  # a block each
                    await client.submit_many([record])
                other.append(b"another")
                shown = [ledger.note(1), ledger.note(2)]

                async def events(*given: object) -> AsyncIterator[str]:
                    for note in shown:
                        yield note

                monkeypatch.setattr(client._channel, "events", events)
                await client.checkpoint()  # of height 3: what comes late is no going back
                assert [note async for note in client.events()] == shown
                shown[:] = [ledger.note(2), ledger.note(1)]
                with pytest.raises(RollbackError):
                    [note async for note in client.events()]
                shown[:] = [ledger.note(2), other.note(1)]
                with pytest.raises(RollbackError):
                    [note async for note in client.events()]
                shown[:] = [other.note(1)]
                with pytest.raises(ForkError):
                    [note async for note in client.events()]

    asyncio.run(act())


def test_a_history_of_another_object_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there, there.client() as client:
            body = there.node.ledger.prove_history(member_object("member-2")).encode()

            async def fetch(*given: object) -> bytes:
                return body

            monkeypatch.setattr(client, "fetch", fetch)
            with pytest.raises(UntrustedError, match="history is of b'member/member-2'"):
                await client.history(NAME)

    asyncio.run(act())


def test_an_address_without_tls_is_refused_as_one(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            with pytest.raises(MalformedError, match="url is 'http://localhost:1', want https://"):
                NodeClient("http://localhost:1", "operator", there.caller())

    asyncio.run(act())
