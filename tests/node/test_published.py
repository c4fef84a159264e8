"""A node of a network with a quorum shows what witnesses have cosigned, and nothing before."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from ledgercore import Checkpoint, Ledger, UntrustedError, cosign_checkpoint, testing
from ledgercore.demo.authority import Authority
from ledgercore.errors import UnavailableError
from ledgercore.node import node as node_module
from ledgercore.node.client import NodeClient
from ledgercore.node.guard import KEY
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.relaying import Relay
from ledgercore.node.routes import events
from ledgercore.records import KeyCompromise, Witness, encode
from tests.node.running import (
    IMPATIENT,
    MEMBERS,
    OPERATOR,
    Running,
    following,
    running,
    serving,
)

WITNESS = testing.signing_key(50)


@asynccontextmanager
async def witnessed(directory: Path) -> AsyncIterator[Running]:
    """The operator's node of a network that wants one witness's cosignature."""
    ledger = Ledger.create(
        directory / "operator.ledger",
        origin="test.example/published",
        members=testing.test_members(MEMBERS),
        witnesses=[Witness("w.example", WITNESS.public_key)],
        quorum=1,
        key=OPERATOR,
    )
    log, authority = io.StringIO(), Authority(directory)
    node = Node("operator", ledger, make_log(log))
    async with serving(node, authority, log, authority.issue("a-member")) as there:
        yield there


async def cosign(node: Node) -> None:
    """What the witness answers, kept as publishing does."""
    ledger = node.ledger
    ledger.add_cosignatures(cosign_checkpoint(ledger.checkpoint, "w.example", WITNESS, 1))
    await node.announce()


def test_checkpoints_events_and_receipts_are_under_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with witnessed(tmp_path) as there, there.client() as client:
            node, records = there.node, there.records(4)
            with pytest.raises(UntrustedError, match="cosigned by 0 witnesses, want 1"):
                await client.checkpoint()
            stream = client.events()
            first = asyncio.ensure_future(anext(stream))
            for record in records[:3]:  # a block each
                await client.submit_many([record])
            await cosign(node)

            assert Checkpoint.parse(await first).height == 3
            assert Checkpoint.parse(await client.checkpoint()).height == 3
            for index in (1, 2, 3):
                assert (await client.receipt(index))[1].encode() == records[index - 1]
            again = asyncio.ensure_future(anext(stream))
            await client.submit_many(records[3:])
            assert Checkpoint.parse(await client.checkpoint()).height == 3
            monkeypatch.setattr(node_module, "PUBLISHED_S", 0.01)
            with pytest.raises(UntrustedError, match="cosigned by 0 witnesses, want 1"):
                await client.receipt(4)
            monkeypatch.setattr(node_module, "PUBLISHED_S", 10.0)
            waiting = asyncio.ensure_future(client.submit(records[3]))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await cosign(node)
            assert (await waiting).index == 4
            assert Checkpoint.parse(await again).height == 4
            assert (await client.receipt(4))[1].encode() == records[3]
            await stream.aclose()

    asyncio.run(act())


def test_states_and_histories_wait_for_the_witnesses_and_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with witnessed(tmp_path) as there, there.client() as client:
            name, (record,) = b"member/operator", there.records(1)
            await client.submit_many([record])
            monkeypatch.setattr(node_module, "PUBLISHED_S", 0.01)
            for asked in (client.state, client.history):
                with pytest.raises(UnavailableError, match="is not published yet: too few"):
                    await asked(name)
            monkeypatch.setattr(node_module, "PUBLISHED_S", 10.0)
            waiting = [
                asyncio.ensure_future(asked) for asked in (client.state(name), client.history(name))
            ]
            await asyncio.sleep(0.05)
            assert not any(each.done() for each in waiting)
            await cosign(there.node)
            state, history = await asyncio.gather(*waiting)
            assert state.state is not None and len(history.records) == 1

    asyncio.run(act())


def test_a_submission_that_ends_its_key_is_answered_while_the_witnesses_are_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the member's own node too, whose copy cannot have the block: it waits for nothing."""
    monkeypatch.setattr(node_module, "PUBLISHED_S", 0.01)

    async def act() -> None:
        async with witnessed(tmp_path) as there:
            await cosign(there.node)
            caller, key = there.caller(1), testing.signing_key(1)
            async with following(there, caller, tmp_path) as own:
                relay = own.node.ordering
                assert isinstance(relay, Relay)
                relay._operator._patience = IMPATIENT
                body = KeyCompromise("member-1")
                record = key.sign_record(
                    suite=there.node.ledger.suite,
                    network=there.node.ledger.network,
                    kind=body.KIND,
                    body=encode(body),
                    sequence=0,
                    previous=bytes(32),
                ).encode()
                client = NodeClient(own.url, "member-1", there.caller(1), IMPATIENT)
                async with client, asyncio.timeout(10):
                    with pytest.raises(UnavailableError, match="ask any other member's node"):
                        await client.submit(record)
            assert there.node.ledger.size == 2

    asyncio.run(act())


def test_two_event_streams_that_are_opened_at_once_are_two(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path, Limits(streams=1, member_streams=1)) as there:
            app = SimpleNamespace(state=SimpleNamespace(node=there.node))
            scope = {"type": "http", "app": app, KEY: testing.signing_key(1).public_key}
            answer = await events(Request(scope))

            with pytest.raises(UnavailableError, match="event streams are 1"):
                await events(Request(scope))

            async def leaves() -> dict[str, str]:
                return {"type": "http.disconnect"}

            async def take(message: object) -> None: ...

            await answer(scope, leaves, take)  # type: ignore[arg-type]
            assert there.node.streams == 0
            assert (await events(Request(scope))).status_code == 200

    asyncio.run(act())
