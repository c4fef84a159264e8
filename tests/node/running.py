"""Run real nodes on loopback, with real TLS, in a test's event loop."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ledgercore import Ledger, SigningKey, testing
from ledgercore.clock import Clock, SystemClock
from ledgercore.demo.authority import Authority
from ledgercore.node.channel import Caller
from ledgercore.node.client import NodeClient, Patience
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.opening import open_node
from ledgercore.node.server import NodeServer, Wrap, serve
from ledgercore.node.settings import Peer, Settings, Tls
from ledgercore.node.tls import client_context, server_context
from ledgercore.records import Member

MEMBERS = 4
OPERATOR = SigningKey(b"o" * 32)


class LaterClock(SystemClock):
    """The machine's, but that more time has passed than it knows of."""

    more_s = 0.0

    def elapsed_s(self) -> float:
        return super().elapsed_s() + self.more_s


IMPATIENT = Patience(attempts=1)


class Running:
    """One operator's node that serves, and what is needed to ask it."""

    def __init__(
        self, node: Node, server: NodeServer, authority: Authority, log: io.StringIO, tls: Tls
    ) -> None:
        self.node = node
        self.server = server
        self.authority = authority
        self.log = log
        self.tls = tls

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.port}"

    def caller(self, number: int = 0, key: SigningKey | None = None) -> Caller:
        key = key or testing.signing_key(number)
        return Caller.of(key, self.node.anchor, client_context(self.tls))

    def client(self, number: int = 0, patience: Patience = IMPATIENT) -> NodeClient:
        return NodeClient(self.url, self.node.member, self.caller(number), patience)

    def records(self, count: int, signers: int = MEMBERS) -> list[bytes]:
        return testing.signed_records(self.node.ledger, signers=signers, count=count)


@asynccontextmanager
async def serving(
    node: Node, authority: Authority, log: io.StringIO, tls: Tls, wrap: Wrap | None = None
) -> AsyncIterator[Running]:
    """A node that was opened, and serves until the end; it is asked with this certificate."""
    await node.start()
    context = server_context(authority.issue(node.member))
    server = NodeServer(node, "127.0.0.1", 0, context, wrap)
    task = asyncio.create_task(serve(server, node))
    began = asyncio.create_task(server.began.wait())
    await asyncio.wait([task, began], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield Running(node, server, authority, log, tls)
    finally:
        server.stop()
        await task


@asynccontextmanager
async def following(
    there: Running,
    caller: Caller,
    directory: Path,
    *peers: Peer,
    number: int = 1,
    ledger: str = "",
    wrap: Wrap | None = None,
    member: str = "",
) -> AsyncIterator[Running]:
    """A member's node, which follows the operator's and others, and asks as ``caller``."""
    member = member or f"member-{number}"
    operator = Peer(member="operator", url=there.url, operator=True)
    settings = Settings(
        member=member,
        role="follower",
        ledger=ledger or str(directory / f"{member}.ledger"),
        anchor="",
        key="",
        listen="127.0.0.1:0",
        tls=there.tls,
        peer=(operator, *peers),
    )
    log = io.StringIO()
    node = await open_node(settings, caller, make_log(log, member=member))
    async with serving(node, there.authority, log, there.tls, wrap) as here:
        yield here


@asynccontextmanager
async def running(
    directory: Path,
    limits: Limits | None = None,
    members: Sequence[Member] | None = None,
    clock: Clock | None = None,
    wrap: Wrap | None = None,
) -> AsyncIterator[Running]:
    """The operator's node, serving until the end."""
    ledger = Ledger.create(
        directory / "operator.ledger",
        origin="test.example/node",
        members=members or testing.test_members(MEMBERS),
        key=OPERATOR,
        clock=clock,
    )
    log = io.StringIO()
    node = Node("operator", ledger, make_log(log, member="operator"), limits=limits, clock=clock)
    authority = Authority(directory)
    async with serving(node, authority, log, authority.issue("a-member"), wrap) as there:
        yield there
