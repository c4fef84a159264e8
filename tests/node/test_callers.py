"""Row 13: whoever holds a certificate takes nothing from members, from probes or from witnesses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from ledgercore import testing
from ledgercore.node.channel import Caller
from ledgercore.node.client import NodeClient
from ledgercore.node.limits import Limits
from ledgercore.node.settings import Tls
from ledgercore.node.tls import client_context
from tests.node.running import IMPATIENT, Running, running
from tests.node.test_hostile import HONEST_S, opened, post

HUGE = Limits().body_bytes
SLOW = 64


@asynccontextmanager
async def held(there: Running, *requests: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections of one certificate, on each a request that never ends."""
    streams = []
    for request in requests:
        reader, writer = await opened(there)
        with suppress(ConnectionError):  # it may be closed already
            writer.write(request)
            await writer.drain()
        streams.append((reader, writer))
    await asyncio.sleep(0.2)
    try:
        yield [reader for reader, _ in streams]
    finally:
        for _, writer in streams:
            writer.transport.abort()
        await asyncio.sleep(0.05)


def asked(request: str, length: int) -> bytes:
    """A request without a warrant that says how long its body will be."""
    return f"{request} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode()


async def begun(reader: asyncio.StreamReader) -> bytes:
    """The status of an answer; nothing where none comes."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(0.2):
            return (await reader.read(12)).removeprefix(b"HTTP/1.1 ")
    return b""


async def submits(there: Running, tls: Tls | None = None, number: int = 0) -> None:
    """An honest member, who is answered at once and asks no second time."""
    key = testing.signing_key(number)
    caller = Caller.of(key, there.node.anchor, client_context(tls or there.tls))
    begin = time.monotonic()
    async with NodeClient(there.url, there.node.member, caller, IMPATIENT) as client:
        await client.submit_many(there.records(5))
    assert time.monotonic() - begin < HONEST_S


async def answers(there: Running, tls: Tls, method: str, path: str) -> int:
    """The status that another certificate is answered with."""
    connector = aiohttp.TCPConnector(ssl=client_context(tls))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, there.url + path) as response,
    ):
        return response.status


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /healthz", b"413"),
        ("POST /nothing", b"413"),
        ("POST /v1/add-checkpoint", b"413"),
        ("GET /v1/anchor", b"413"),
        ("POST /v1/records", b"401"),
    ],
)
def test_a_length_that_a_stranger_claims_takes_nothing_from_members(
    tmp_path: Path, request_line: str, status: bytes
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            async with held(there, *[asked(request_line, HUGE)] * 4) as readers:
                await submits(there)
                assert [await begun(each) for each in readers] == [status] * 4
            assert there.node.metrics.body_bytes._value.get() == 0

    asyncio.run(act())


def test_a_length_that_a_member_claims_takes_nothing_from_others(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            idle = [post(there, b"", f"content-length: {HUGE}") for _ in range(4)]
            async with held(there, *idle) as readers:
                await submits(there)
                assert [await begun(each) for each in readers] == [b""] * 4

    asyncio.run(act())


def test_a_member_that_sends_much_and_stalls_holds_its_own_share_alone(tmp_path: Path) -> None:
    limits = Limits(body_bytes=256 * 1024, bodies_bytes=1024 * 1024, member_bodies_bytes=512 * 1024)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            length = f"content-length: {256 * 1024}"
            stalled = [post(there, b"", length) + bytes(200 * 1024) for _ in range(6)]
            async with held(there, *stalled) as readers:
                statuses = [await begun(each) for each in readers]
                assert sorted(statuses) == [b""] * 2 + [b"429"] * 4
                assert there.node.metrics.body_bytes._value.get() == 2 * 200 * 1024
                await submits(there)
            assert there.node.metrics.body_bytes._value.get() == 0

    asyncio.run(act())


def test_slow_checkpoints_of_one_certificate_take_neither_probes_nor_cosignatures(
    tmp_path: Path,
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            other, slow = there.authority.issue("another"), asked("POST /v1/add-checkpoint", 10)
            async with held(there, *[slow] * SLOW) as readers:
                for path in ("/healthz", "/readyz", "/metrics"):
                    assert await answers(there, other, "GET", path) == 200
                    assert await answers(there, there.tls, "GET", path) == 200
                # It is no witness, and gets as far as to say so; the other has its own under way.
                assert await answers(there, other, "POST", "/v1/add-checkpoint") == 404
                assert await answers(there, there.tls, "POST", "/v1/add-checkpoint") == 429
                await submits(there)
                statuses = [await begun(each) for each in readers]
                assert statuses.count(b"429") == SLOW - Limits().open_requests_under_way

    asyncio.run(act())


def test_one_certificate_does_not_hold_every_connection(tmp_path: Path) -> None:
    limits = Limits(connections=32, connections_of_certificate=16, streams=8, member_streams=8)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            other, idle = there.authority.issue("another"), b"GET /healthz HTTP/1.1\r\n"
            async with held(there, *[idle] * 40):
                assert len(there.server.open) == limits.connections_of_certificate
                assert there.node.metrics.connections_refused._value.get() == 24
                await submits(there, other)
            await submits(there)  # its places are free again
            assert said_full(there) == [("the new one", 16)]

    asyncio.run(act())


def said_full(there: Running) -> list[tuple[str, int]]:
    lines = map(json.loads, there.log.getvalue().splitlines())
    full = [each for each in lines if each["event"] == "connections are full"]
    return [(each["closed"], each["of_certificate"]) for each in full]


def test_connections_that_are_idle_make_room_oldest_first_and_are_logged_once(
    tmp_path: Path,
) -> None:
    """A member whose programs leave connections open can still ask how its node is."""
    limits = Limits(connections_of_certificate=16, member_streams=8)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            probe, begun_only = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\n"
            async with held(there, *[probe] * 14, *[begun_only] * 2) as readers:
                assert [await begun(each) for each in readers[:14]] == [b"200"] * 14
                async with held(there, *[probe] * 3) as newer:
                    assert [await begun(each) for each in newer] == [b"200"] * 3
                    left = [await ends(each) for each in readers]
                assert left == [True] * 3 + [False] * 13
            assert there.node.metrics.connections_replaced._value.get() == 3
            assert there.node.metrics.connections_refused._value.get() == 0
            assert said_full(there) == [("the one that was idle longest", 16)]

    asyncio.run(act())


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether nothing more can come."""
    try:
        async with asyncio.timeout(0.1):
            while await reader.read(4096):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_checkpoints_come_as_often_as_blocks(tmp_path: Path) -> None:
    """An operator's node brings each block to its witnesses, many a second for a while."""

    async def act() -> None:
        async with running(tmp_path) as there:
            connector = aiohttp.TCPConnector(ssl=client_context(there.tls))
            async with aiohttp.ClientSession(connector=connector) as session:

                async def ask() -> int:
                    async with session.post(there.url + "/v1/add-checkpoint") as response:
                        return response.status

                statuses = [await ask() for _ in range(2 * Limits().open_requests_burst)]
            assert statuses == [404] * len(statuses)  # it is no witness

    asyncio.run(act())
