"""The example: a node mounted in a host's own service, served by the host's own server."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ledgercore import Checkpoint, Ledger, RefusedError, StoreError, testing
from ledgercore.clock import ManualClock
from ledgercore.demo.authority import Authority
from ledgercore.demo.processes import free_ports
from ledgercore.disk import HeadFile
from ledgercore.node import (
    Caller,
    Node,
    NodeClient,
    Patience,
    client_context,
    make_app,
    make_log,
)
from ledgercore.node.limits import Limits
from tests.conftest import REPOSITORY
from tests.node.running import MEMBERS, OPERATOR

sys.path.insert(0, str(REPOSITORY / "examples"))

import host

TOKEN = b"a token of the service's own"


async def endless(size: int) -> AsyncIterator[bytes]:
    """A body that is said to have any length, in pieces."""
    for _ in range(-(-size // 65_536)):
        yield bytes(min(size, 65_536))
        size -= 65_536


def test_a_node_mounted_in_a_service_answers_members_beside_it(tmp_path: Path) -> None:
    async def act() -> None:
        ledger = Ledger.create(
            tmp_path / "service.ledger",
            origin="test.example/service",
            members=testing.test_members(MEMBERS),
            key=OPERATOR,
        )
        node = Node("operator", ledger, make_log(io.StringIO(), member="operator"))
        authority, (port,) = Authority(tmp_path), free_ports(1)
        tls = authority.issue("service")
        config = uvicorn.Config(
            host.make_service(node, TOKEN),
            port=port,
            ssl_certfile=tls.certificate,
            ssl_keyfile=tls.key,
            ssl_ca_certs=tls.authorities,
            ssl_cert_reqs=2,
            log_config=None,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        context = client_context(authority.issue("member-1"))
        url = f"https://localhost:{port}/ledger"
        caller = Caller.of(testing.signing_key(1), ledger.trust_anchor, context)
        async with NodeClient(url, "operator", caller, Patience(attempts=1)) as client:
            seen = client.events()
            await anext(seen)
            receipt = await client.submit(testing.signed_records(ledger, signers=2, count=2)[1])

            async def book(document: bytes | AsyncIterator[bytes], token: bytes) -> tuple[int, str]:
                headers = {"authorization": f"Bearer {token.decode()}"}
                async with (
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
                    session.post(
                        f"https://localhost:{port}/book", data=document, headers=headers
                    ) as response,
                ):
                    return response.status, await response.text()

            # A certificate of the members' authority has nobody sign as the operator.
            assert (await book(b"booked", b"guessed"))[0] == 401
            for size in (host.DOCUMENT_BYTES + 1, 64 * 1024 * 1024):
                large = await book(endless(size), TOKEN)
                assert large[0] == 413 and "TooLargeError" in large[1]
            status, text = await book(b"booked", TOKEN)
            booked = json.loads(text)
            assert status == 200
            notes = [await anext(seen), await anext(seen)]

            assert (receipt.index, booked) == (1, {"index": 2})
            assert [Checkpoint.parse(note).size for note in notes] == [2, 3]
            assert (await client.receipt(2))[1].body == sha256(b"booked").digest()
            # What was signed for the path without the prefix is another request.
            bare = NodeClient(url.removesuffix("/ledger"), "operator", caller, Patience(attempts=1))
            async with bare:
                with pytest.raises(Exception, match="404"):
                    await bare.checkpoint()
            stranger = Caller.of(testing.signing_key(9), ledger.trust_anchor, context)
            async with NodeClient(url, "operator", stranger, Patience(attempts=1)) as other:
                with pytest.raises(RefusedError):
                    await other.checkpoint()
        server.should_exit = True
        await serving

    asyncio.run(act())


def test_a_service_whose_node_has_failed_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own append has stopped the writer, which only a start of the service mends."""
    ended = asyncio.Event()

    def fail(self: HeadFile, note: str) -> None:
        raise StoreError("disk has failed")

    async def act() -> None:
        ledger = Ledger.create(tmp_path / "a.ledger", origin="test.example/a", key=OPERATOR)
        node = Node("a", ledger, make_log(io.StringIO(), member="a"))
        app = host.make_service(node, TOKEN, ended.set)
        async with app.router.lifespan_context(app), asyncio.timeout(30):
            monkeypatch.setattr(HeadFile, "store", fail)
            with pytest.raises(StoreError):
                await node.ask(partial(ledger.append, b"booked"))
            await ended.wait()

    asyncio.run(act())


def test_behind_a_proxy_callers_count_by_the_address_that_it_alone_gives(tmp_path: Path) -> None:
    """As docs/network.md has it: uvicorn puts the address there, of a proxy that it was told of."""
    proxy, elsewhere, ours = "10.0.0.1", "10.0.0.2", ["192.0.2.1"] * 5

    async def act() -> None:
        ledger = Ledger.create(tmp_path / "a.ledger", origin="test.example/a", key=OPERATOR)
        limits, clock = Limits(open_requests_burst=3, open_requests_per_s=1), ManualClock(0)
        log = make_log(io.StringIO(), member="a")
        node = Node("a", ledger, log, limits=limits, clock=clock)
        app = make_app(node)
        told: Any = ProxyHeadersMiddleware(app, proxy)

        async def asked(app: Any, address: str, forwarded: str) -> int:
            statuses: list[int] = []
            scope = {"type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz"}
            headers = [(b"x-forwarded-for", forwarded.encode())]
            scope |= {"query_string": b"", "headers": headers, "client": (address, 1)}

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await app(scope, receive, send)
            return statuses[0]

        assert [await asked(told, proxy, each) for each in ours] == [200] * 3 + [429] * 2
        assert await asked(told, proxy, "192.0.2.2") == 200
        forged = [f"192.0.2.{number}" for number in range(9, 14)]
        assert [await asked(told, elsewhere, each) for each in forged] == [200] * 3 + [429] * 2
        # The control: a server that is told of no proxy has one budget for all of its callers.
        app = make_app(node)
        assert [await asked(app, proxy, each) for each in forged] == [200] * 3 + [429] * 2
        await node.stop()

    asyncio.run(act())
