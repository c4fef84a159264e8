"""Ordering is one interface: an engine in the writer's place gives the receipts that it gave."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

from ledgercore import Ledger, Replica, testing
from ledgercore.demo.authority import Authority
from ledgercore.ledger.writer import Outcome
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.submission import Ordered
from tests.node.running import MEMBERS, OPERATOR, serving


class Engine:
    """Orders elsewhere, its own way: the last record first, a block each; the node has a copy."""

    def __init__(self, node: Node, elsewhere: Ledger, copy: Replica) -> None:
        self._node = node
        self._elsewhere = elsewhere
        self._copy = copy

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        outcomes: list[Outcome] = []
        for record in reversed(records):
            outcomes += self._elsewhere.submit_many([record])
        self._copy.append(self._elsewhere.blocks(self._copy.height + 1))
        await self._node.announce()
        return Ordered(outcomes[::-1], {})


def test_an_engine_in_the_writers_place_leaves_receipts_as_they_are(tmp_path: Path) -> None:
    async def act() -> None:
        with Ledger.create(
            tmp_path / "engine.ledger",
            origin="test.example/ordering",
            members=testing.test_members(MEMBERS),
            key=OPERATOR,
        ) as elsewhere:
            anchor = elsewhere.trust_anchor
            (first,) = elsewhere.blocks()
            with Replica.create(tmp_path / "copy.ledger", anchor, first) as copy:
                ledger = Ledger.open(tmp_path / "copy.ledger", read_only=True)
                log, authority = io.StringIO(), Authority(tmp_path)
                node = Node("operator", ledger, make_log(log))
                node.ordering = Engine(node, elsewhere, copy)
                tls = authority.issue("a-member")
                records = testing.signed_records(elsewhere, signers=3, count=3)
                async with serving(node, authority, log, tls) as there, there.client() as client:
                    assert await client.submit_many(records) == [3, 2, 1]
                    for index, record in zip((3, 2, 1), records, strict=True):
                        receipt, verified = await client.receipt(index)
                        assert verified.encode() == record
                        assert receipt.encode() == elsewhere.receipt(index).encode()
                    assert await client.checkpoint() == elsewhere.checkpoint

    asyncio.run(act())
