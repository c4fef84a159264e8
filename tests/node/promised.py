"""Ask an operator's node over a town's ledger for promises: it is honest, or holds back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ledgercore import Receipt, RefusedError
from ledgercore.demo.authority import Authority
from ledgercore.demo.parties import BANK
from ledgercore.exchange.messages import Proposal
from ledgercore.exchange.submission import sign
from ledgercore.keyfile import load_key
from ledgercore.node.channel import Caller
from ledgercore.node.client import NodeClient
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.submission import Ordered
from ledgercore.node.tls import client_context
from ledgercore.proofs import BrokenPromise, Promise
from tests.node.running import IMPATIENT, Running, serving
from tests.town import Town

PROMISE_MS = 60_000
"""From a promise to its end, where the node is not told otherwise."""


class Withholding:
    """Drops what it is to order: the operator that holds back what it promised."""

    async def submit(self, records: Sequence[bytes]) -> Ordered:
        return Ordered([RefusedError("E_SEQUENCE", "lost") for _ in records], {})


@asynccontextmanager
async def asking(
    town: Town, directory: Path, limits: Limits | None = None
) -> AsyncIterator[tuple[Running, NodeClient]]:
    """The operator's node over a town's ledger, and the bank, which asks it."""
    log, authority = io.StringIO(), Authority(directory)
    node = Node("operator", town.parties.ledger, make_log(log), limits=limits)
    async with (
        serving(node, authority, log, authority.issue("a-member")) as there,
        NodeClient(there.url, "operator", bank(town, there), IMPATIENT) as client,
    ):
        yield there, client


def bank(town: Town, there: Running) -> Caller:
    """The bank, as it asks a node."""
    ledger = town.parties.ledger
    key = load_key(ledger.path.parent / f"{BANK}.key")
    return Caller.of(key, ledger.trust_anchor, client_context(there.tls))


def revocation(town: Town, proposal: Proposal) -> bytes:
    (record,) = sign(town.parties.ledger, [town.subject.revoke(proposal)])
    return record.encode()


async def ordered(client: NodeClient, promise: Promise) -> Receipt:
    """The promised record's receipt, when it is there."""
    while (await client.next_position(promise.key))[0] <= promise.sequence:
        await asyncio.sleep(0.01)
    record = await client.find(promise.record)
    return await client.submit(record.encode())


async def one_kept_and_one_held_back(
    town: Town, directory: Path
) -> tuple[BrokenPromise | None, BrokenPromise | None]:
    """What evidence there is of two promises after their time, of which the node kept the first."""
    first, second = (revocation(town, town.consent()) for _ in range(2))
    async with asking(town, directory) as (there, client):
        kept = await client.promise(first)
        await ordered(client, kept)
        there.node.ordering = Withholding()
        held_back = await client.promise(second)
        town.later(PROMISE_MS + 1)
        return await client.broken_promise(kept), await client.broken_promise(held_back)
