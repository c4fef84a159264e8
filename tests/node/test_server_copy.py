"""A member's node whose copy is on a PostgreSQL server follows as any other does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ledgercore import Ledger, StoreError, UnavailableError, UntrustedError
from ledgercore.node import opening
from ledgercore.node.channel import Channel
from ledgercore.node.following import open_copy
from ledgercore.node.joining import join_network
from ledgercore.node.node import Node
from ledgercore.node.server import NodeServer
from ledgercore.node.settings import Peer, Settings
from tests.node.running import OPERATOR, following, running
from tests.postgres import Server


def test_a_node_follows_with_its_copy_on_a_server(
    server: Server, schema: str, tmp_path: Path
) -> None:
    place = server.address(tmp_path / "beside", schema)

    async def act() -> None:
        async with running(tmp_path) as there:
            caller = there.caller(1)
            async with (
                following(there, caller, tmp_path, ledger=place) as node,
                node.client(1) as client,
                there.client(0) as at_operator,
                asyncio.timeout(30),
            ):
                records = there.records(8)
                assert await client.submit_many(records[:4]) == [1, 2, 3, 4]
                await at_operator.submit_many(records[4:])
                while node.node.ledger.size < 9:
                    await asyncio.sleep(0.02)
                receipt, _ = await client.receipt(8)
                assert receipt.index == 8
            # It goes on from what is there, whoever is asked.
            channel = Channel("https://localhost:1", "operator", caller)
            copy = await open_copy(place, [channel], caller, attempts=1)
            assert copy.checkpoint == there.node.ledger.checkpoint
            copy.close()
            await channel.close()

    asyncio.run(act())
    with Ledger.open(place, read_only=True) as ledger:
        assert ledger.verify().records == 9


def test_a_copy_on_a_server_joins_at_a_snapshot_and_follows_on(
    server: Server, schema: str, tmp_path: Path
) -> None:
    place = server.address(tmp_path / "beside", schema, password="topsecret")

    async def act() -> None:
        async with running(tmp_path) as there, there.client(0) as client:
            for _ in range(6):
                await client.submit_many(there.records(120))
            caller = there.caller(1)
            settings = Settings(
                member="member-1",
                role="follower",
                ledger=place,
                anchor="",
                key="",
                listen="127.0.0.1:0",
                tls=there.tls,
                peer=(Peer(member="operator", url=there.url, operator=True),),
            )
            joined = await join_network(settings, caller)
            assert (joined["size"], joined["no_snapshot"], joined["refused"]) == (721, [], [])
            assert joined["ledger"] == place.partition("?")[0]
            assert joined["blocks_from"] > 1
            async with (
                following(there, caller, tmp_path, ledger=place) as node,
                node.client(1) as at_copy,
                asyncio.timeout(30),
            ):
                await client.submit_many(there.records(8))
                while node.node.ledger.size < 729:
                    await asyncio.sleep(0.02)
                for index in (720, 728):
                    want = there.node.ledger.record(index).encode()
                    assert (await at_copy.receipt(index))[1].encode() == want
                with pytest.raises(UnavailableError, match="this copy began at block"):
                    await at_copy.receipt(1)

    asyncio.run(act())
    with Ledger.open(place, read_only=True) as copy:
        assert copy.size == 729
        with pytest.raises(UnavailableError, match="takes every block"):
            copy.verify()


def test_an_operators_node_whose_server_lost_its_ledger_makes_no_other(
    server: Server, schema: str, tmp_path: Path
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            settings = Settings(
                member="operator",
                role="operator",
                ledger=server.address(tmp_path / "beside", schema),
                anchor="",
                key="",
                listen="127.0.0.1:0",
                tls=there.tls,
            )
            with pytest.raises(StoreError, match="has no ledger in schema") as lost:
                await opening.open_node(settings, there.caller(key=OPERATOR), there.node.log)
            assert "or restore the server; do not make another ledger" in str(lost.value)
            assert "init" not in str(lost.value)

    asyncio.run(act())


def test_an_operators_node_shows_its_server_without_the_password(
    server: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.address(tmp_path / "beside", schema)
    place = place.replace("ledger@", "ledger:secretpw@", 1)
    with Ledger.create(place, origin="test.example/server", key=OPERATOR) as ledger:
        anchor = ledger.trust_anchor

    async def fail(server: NodeServer, node: Node) -> None:
        node.failed.set()
        await node.stop()

    async def act() -> None:
        async with running(tmp_path) as there:
            settings = Settings(
                member="operator",
                role="operator",
                ledger=place,
                anchor=str(tmp_path / "anchor.toml"),
                key="",
                listen="127.0.0.1:0",
                tls=there.tls,
            )
            caller, log = there.caller(key=OPERATOR), there.node.log
            with pytest.raises(UntrustedError, match="is not of the network") as another:
                await opening.open_node(settings, caller, log)
            caller.anchor = anchor
            monkeypatch.setattr(opening, "serve", fail)
            with pytest.raises(StoreError, match="has failed, see its log") as failed:
                await opening.run_node(settings, caller, log)
            for error in (another, failed):
                assert "postgresql://ledger@/" in str(error.value)
                assert "secret" not in str(error.value)

    asyncio.run(act())
