"""Row 13: whoever holds a certificate takes nothing from members, from probes or from witnesses."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

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
LONG_S = 30.0
"""What is waited for at most, on a machine that others use too."""
PROBE = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 12 * 1024 * 1024
"""Bytes that no system holds for a caller who takes none of them."""


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


async def begun(readers: Sequence[asyncio.StreamReader], count: int) -> list[bytes]:
    """The statuses of answers once so many have begun; nothing for each that has not by then."""
    reading = {asyncio.create_task(reader.readexactly(12)): at for at, reader in enumerate(readers)}
    statuses, waiting = [b""] * len(readers), set(reading)
    async with asyncio.timeout(LONG_S):
        while len(reading) - len(waiting) < count:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                statuses[reading[each]] = each.result().removeprefix(b"HTTP/1.1 ")
    for each in waiting:
        each.cancel()
    return statuses


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(LONG_S):
        while not holds():
            await asyncio.sleep(0.01)


async def end(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the node closes the connection."""
    got = b""
    with suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(LONG_S):
            while piece := await reader.read(65_536):
                got += piece
    return got


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
                assert await begun(readers, 4) == [status] * 4
            assert there.node.metrics.body_bytes._value.get() == 0

    asyncio.run(act())


def test_a_length_that_a_member_claims_takes_nothing_from_others(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            idle = [post(there, b"", f"content-length: {HUGE}") for _ in range(4)]
            async with held(there, *idle) as readers:
                await submits(there)
                assert await begun(readers, 0) == [b""] * 4

    asyncio.run(act())


def test_a_member_that_sends_much_and_stalls_holds_its_own_share_alone(tmp_path: Path) -> None:
    limits = Limits(body_bytes=256 * 1024, bodies_bytes=1024 * 1024, member_bodies_bytes=512 * 1024)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            length = f"content-length: {256 * 1024}"
            stalled = [post(there, b"", length) + bytes(200 * 1024) for _ in range(6)]
            async with held(there, *stalled) as readers:
                assert sorted(await begun(readers, 4)) == [b""] * 2 + [b"429"] * 4
                await until(lambda: there.node.metrics.body_bytes._value.get() == 2 * 200 * 1024)
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
                refused = SLOW - Limits().open_requests_under_way
                assert (await begun(readers, refused)).count(b"429") == refused

    asyncio.run(act())


def test_one_certificate_does_not_hold_every_connection(tmp_path: Path) -> None:
    limits = Limits(connections=32, connections_of_certificate=16, streams=8, member_streams=8)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            other, idle = there.authority.issue("another"), b"GET /healthz HTTP/1.1\r\n"
            async with held(there, *[idle] * 40):
                await until(lambda: there.node.metrics.connections_refused._value.get() == 24)
                assert len(there.server.open) == limits.connections_of_certificate
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
            metrics = there.node.metrics
            async with held(there, *[PROBE] * 14, *[b"GET / HTTP/1.1\r\n"] * 2) as readers:
                assert await begun(readers, 14) == [b"200"] * 14 + [b""] * 2
                async with held(there, *[PROBE] * 3) as newer:
                    assert await begun(newer, 3) == [b"200"] * 3
                    for each in readers[:3]:
                        await end(each)
                    assert len(there.server.open) == limits.connections_of_certificate
            assert metrics.connections_replaced._value.get() == 3
            assert metrics.connections_refused._value.get() == 0
            assert said_full(there) == [("the one that was idle longest", 16)]

    asyncio.run(act())


def test_a_request_whose_headers_are_on_their_way_is_not_idle(tmp_path: Path) -> None:
    """It came together with the one before, whose answer ends while it is not whole."""
    limits = Limits(connections_of_certificate=2, member_streams=1)

    async def act() -> None:
        async with running(tmp_path, limits) as there:
            async with held(there, PROBE + PROBE[:-2], PROBE) as readers:
                assert await begun(readers, 2) == [b"200"] * 2
                async with held(there, PROBE) as newer:
                    assert await begun(newer, 1) == [b"200"]
                    await end(readers[1])
                    assert len(there.server.open) == 2
            assert there.node.metrics.connections_refused._value.get() == 0

    asyncio.run(act())


def test_a_large_answer_on_its_way_to_a_slow_caller_is_not_cut_for_another_connection(
    tmp_path: Path,
) -> None:
    limits = Limits(connections_of_certificate=2, member_streams=1)

    def large(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] != "/large":
                await app(scope, receive, send)
                return
            headers = [(b"content-length", str(LARGE).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": bytes(LARGE)})

        return answer

    async def act() -> None:
        async with running(tmp_path, limits, wrap=large) as there:
            context = client_context(there.tls)
            reader, writer = await asyncio.open_connection(
                "localhost", there.server.port, ssl=context, limit=1024
            )
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            await until(lambda: len(there.server.open) == 1)
            (slow,) = there.server.open._all
            await until(lambda: slow._answered_s is not None)
            async with held(there, PROBE) as readers:
                assert await begun(readers, 1) == [b"200"]
                async with held(there, PROBE) as newer:
                    assert await begun(newer, 1) == [b"200"]
                    await end(readers[0])
                    writer.transport.resume_reading()  # type: ignore[attr-defined]
                    await reader.readuntil(b"\r\n\r\n")
                    async with asyncio.timeout(LONG_S):
                        assert len(await reader.readexactly(LARGE)) == LARGE
                    # Taken whole, it is idle like any other.
                    assert slow.idle_since_s is not None
            writer.transport.abort()

    asyncio.run(act())


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
