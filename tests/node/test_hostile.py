"""Row 13: hostile callers get bounded answers, and honest ones go on being answered."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ledgercore import UnavailableError
from ledgercore.entropy import SystemEntropy
from ledgercore.node.client import Patience
from ledgercore.node.limits import Limits
from ledgercore.node.settings import Peer, Tls
from ledgercore.node.tls import client_context
from ledgercore.sync import messages
from tests.node.running import Running, following, running
from tests.node.test_trust import header, raw

STRICT = Limits(
    body_bytes=256 * 1024,
    member_bodies_bytes=512 * 1024,
    bodies_bytes=1024 * 1024,
    requests_per_s=10,
    requests_burst=50,
    connections=24,
    connections_of_certificate=24,
    streams=3,
    member_streams=3,
    header_bytes=8 * 1024,
    handshakes_of_address=16,
    handshake_s=0.5,
    headers_s=0.5,
    body_s=0.5,
    write_s=0.5,
)
PATIENT = Patience(attempts=4)
"""An honest caller's, who shares an address with those who are not."""
HONEST_S = 3.0
"""What an honest caller waits at most for one answer, on a machine that others use too."""


async def opened(there: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection, to say on it whatever one likes."""
    context = client_context(there.tls)
    return await asyncio.open_connection(
        "127.0.0.1", there.server.port, ssl=context, server_hostname="localhost"
    )


async def said(there: Running, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """All that is answered to some bytes, until the node closes the connection."""
    reader, writer = await opened(there)
    answer = b""
    with suppress(ConnectionError, ssl.SSLError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
    with suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(10):
            while piece := await reader.read(65_536):
                answer += piece
    writer.transport.abort()
    await asyncio.sleep(0.02)
    return answer


def post(there: Running, body: bytes, *headers: str, number: int = 1) -> bytes:
    """A signed submission, with other headers beside its own."""
    signed = header(there, number, ("POST", "/v1/records", body), entropy=SystemEntropy())
    lines = ["POST /v1/records HTTP/1.1", "host: localhost", f"authorization: {signed}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def oversize(there: Running) -> None:
    body = bytes(300 * 1024)
    assert b" 413 " in await said(there, post(there, body, f"content-length: {len(body)}"))
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    chunked = post(there, b"", "transfer-encoding: chunked")
    assert b" 413 " in await said(there, chunked, *[chunk] * 5)


async def slow_drip(there: Running) -> None:
    begin = time.monotonic()
    dripped = await asyncio.gather(
        said(there, post(there, b"x" * 99, "content-length: 99"), *[b"x"] * 20, pause_s=0.05),
        said(there, *[b"G", b"E", b"T", b" "] * 5, pause_s=0.05),
    )
    assert b" 408 " in dripped[0]
    assert dripped[1] == b"" or b" 400 " in dripped[1]
    assert time.monotonic() - begin < 5


async def long_headers(there: Running) -> None:
    line = f"x-filler: {'x' * 4000}"
    assert b" 400 " in await said(there, post(there, b"", "content-length: 0", *[line] * 3))
    endless = [f"x-{at}: {'y' * 60_000}\r\n".encode() for at in range(20)]
    assert b" 200 " not in await said(there, b"GET /healthz HTTP/1.1\r\n", *endless)
    assert b" 400 " in await said(there, b"\0\1\2\3 no request\r\n\r\n")


async def long_trailers(there: Running) -> None:
    """What comes behind a body in chunks is held to the bound of headers, and not kept."""
    chunked = post(there, b"", "transfer-encoding: chunked") + b"0\r\n"
    assert await said(there, chunked, *[f"x: {'y' * 60_000}\r\n".encode()] * 20) == b""
    assert await said(there, chunked + b"x: ", *[b"y" * 60_000] * 20) == b""


async def pipelined(there: Running) -> None:
    """Some requests may wait for the answer before; with more the connection is closed."""
    request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    last = request[:-2] + b"connection: close\r\n\r\n"
    assert (await said(there, request * 4 + last)).count(b"HTTP/1.1 200 ") == 5
    assert await said(there, request * 3000) == b""


async def new_lines(there: Running) -> None:
    """Empty lines after an answer begin no request, and keep no connection."""
    answer = await said(there, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", pause_s=0.1)
    assert answer.count(b" 200 ") == 1


async def half_open(there: Running) -> None:
    """Connections that never begin TLS, or begin no request, are closed in time."""
    held = [await asyncio.open_connection("127.0.0.1", there.server.port) for _ in range(40)]
    begin = time.monotonic()
    for reader, writer in held:
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.transport.abort()
    assert time.monotonic() - begin < 5
    assert await said(there) == b""


async def many_handshakes(there: Running) -> None:
    """Beyond the bound of one address connections are closed at once; another address is let in."""
    held = [await asyncio.open_connection("127.0.0.1", there.server.port) for _ in range(40)]
    closed = await asyncio.gather(*[closes(reader, 0.25) for reader, _ in held])
    assert closed.count(True) >= 40 - STRICT.handshakes_of_address
    assert there.node.metrics.turned_away._value.get() >= closed.count(True)
    context = client_context(there.tls)
    place = {"server_hostname": "localhost", "local_addr": ("127.0.0.2", 0)}
    _, writer = await asyncio.open_connection("127.0.0.1", there.server.port, ssl=context, **place)
    for each in (writer, *[writer for _, writer in held]):
        each.transport.abort()
    await asyncio.sleep(STRICT.handshake_s)


async def closes(reader: asyncio.StreamReader, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def bad_tls(there: Running) -> None:
    """What is no handshake, or none that ends, is closed and nothing is answered to it."""
    hello = ssl.MemoryBIO()
    inside = client_context(there.tls).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        inside.do_handshake()
    begun = hello.read()
    for data in (
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(600),
        bytes(range(256)) * 4,
        begun[: len(begun) // 2],
        begun[:20] + bytes([begun[20] ^ 1]) + begun[21:40] + b"\xff" * len(begun[40:]),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", there.server.port)
        writer.write(data)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert b"HTTP" not in await reader.read()
        writer.transport.abort()


async def forged(there: Running) -> None:
    """A signature that does not verify, a warrant sent again, or one for another's certificate."""
    scheme, _, text = header(there, 1, entropy=SystemEntropy()).partition(" ")
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    changed = f"{scheme} {base64.b64encode(data).decode()}"
    seen = header(there, 1, entropy=SystemEntropy())
    other = header(there, 1, entropy=SystemEntropy(), certificate=bytes(32))
    got = [await raw(there, each) for each in (changed, seen, seen, other)]
    assert [status for status, _ in got] == [401, 200, 401, 401], got


async def deep_nesting(there: Running) -> None:
    async with there.client(1) as client:
        for record in (b"\x91" * 50_000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b""):
            with pytest.raises(Exception, match=r"record|item|want|body"):
                await client.submit_many([record])
        lying = b"\xff\xff\xff\xff" + b"x" * 10
        with pytest.raises(Exception, match="frame"):
            await client.fetch("POST", "/v1/records", lying)


async def compressed(there: Running) -> None:
    """Nothing is unpacked: a bomb is a malformed body of its own size."""
    bomb = b"\x1f\x8b" + bytes(1000)
    length = f"content-length: {len(bomb)}"
    sent = post(there, bomb, length, "content-encoding: gzip", "connection: close")
    assert b" 400 " in await said(there, sent + bomb)


async def many_requests(there: Running) -> None:
    async with there.client(2) as busy:

        async def ask() -> str:
            try:
                await busy.fetch("GET", "/v1/anchor")
            except UnavailableError as error:
                return "many" if "times a second" in str(error) else "other"
            return "answered"

        answers = list[str]()
        while answers.count("many") < 100:  # however slow this machine is just now
            answers.append(await ask())
            assert len(answers) < 3000
    assert "other" not in answers


async def many_strangers(there: Running) -> None:
    answers = [await said(there, b"GET /v1/anchor HTTP/1.1\r\nhost: x\r\n\r\n") for _ in range(50)]
    assert all(b" 401 " in answer for answer in answers)


async def many_connections(there: Running) -> None:
    """Beyond the bound connections are closed; those that are open go on."""
    held = []
    for _ in range(40):
        try:
            held.append(await opened(there))
        except (ConnectionError, ssl.SSLError):
            break
    assert len(there.server.open) <= STRICT.connections
    for _, writer in held:
        writer.transport.abort()
    await asyncio.sleep(0.1)


async def many_streams(there: Running) -> None:
    async with there.client(3) as client, there.client(2) as other:
        streams = [client.events() for _ in range(STRICT.streams)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(UnavailableError, match="503"):
            await anext(other.events())
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]


async def never_reads(there: Running) -> None:
    """Who asks for much and takes nothing is closed, and its answer given up."""
    writers = []
    for _ in range(20):
        _, writer = await opened(there)
        signed = header(there, 1, ("GET", "/v1/receipts", b""), entropy=SystemEntropy())
        request = f"GET /v1/receipts HTTP/1.1\r\nhost: x\r\nauthorization: {signed}\r\n\r\n"
        writer.write(request.encode())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writers.append(writer)
    await asyncio.sleep(2)
    for writer in writers:
        writer.transport.abort()


ATTACKS: list[Callable[[Running], Awaitable[None]]] = [
    oversize,
    slow_drip,
    long_headers,
    long_trailers,
    pipelined,
    new_lines,
    half_open,
    many_handshakes,
    bad_tls,
    forged,
    deep_nesting,
    compressed,
    many_requests,
    many_strangers,
    many_connections,
    many_streams,
    never_reads,
]


def test_hostile_callers_are_answered_in_bounds_and_honest_ones_as_ever(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path, STRICT) as there, there.client(0, PATIENT) as honest:
            await honest.submit_many(there.records(200))
            waited: dict[str, list[float]] = {}

            async def ask(name: str, done: asyncio.Event) -> None:
                while not done.is_set():
                    begin = time.monotonic()
                    await honest.fetch("GET", "/v1/checkpoint")
                    waited.setdefault(name, []).append(time.monotonic() - begin)
                    await asyncio.sleep(0.15)

            quiet = asyncio.Event()
            asyncio.get_running_loop().call_later(1, quiet.set)
            await ask("quiet", quiet)
            for attack in ATTACKS:
                done = asyncio.Event()
                asking = asyncio.create_task(ask(attack.__name__, done))
                try:
                    await attack(there)
                finally:
                    done.set()
                    await asking
            await honest.submit_many(there.records(5))
            assert there.node.ledger.size == 206
            assert await honest.ready()
            assert there.node.metrics.body_bytes._value.get() == 0
            assert there.node.metrics.under_way._value.get() <= 1

            for name, seconds in waited.items():
                print(f"row 13 {name}: {len(seconds)} honest answers, {max(seconds):.3f} s at most")
                assert max(seconds) < HONEST_S, name
            assert len(waited) == len(ATTACKS) + 1
            await asyncio.sleep(0.1)  # what was aborted is closed in a later turn of the loop

    asyncio.run(act())


def test_without_the_bound_a_drip_is_waited_for(tmp_path: Path) -> None:
    """The control: with a longer time the same slow body is taken, and answered otherwise."""

    async def act() -> None:
        async with running(tmp_path) as there:
            body = b"x" * 20
            sent = post(there, body, "content-length: 20", "connection: close")
            answer = await said(there, sent, *[b"x"] * 20, pause_s=0.05)
            assert b" 400 " in answer
            assert b" 408 " not in answer

    asyncio.run(act())


def test_each_certificate_without_a_warrant_has_a_rate_of_its_own(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:

            async def ask(tls: Tls, count: int) -> list[int]:
                connector = aiohttp.TCPConnector(ssl=client_context(tls), limit=4)
                async with aiohttp.ClientSession(connector=connector) as session:

                    async def one() -> int:
                        async with session.get(there.url + "/healthz") as response:
                            return response.status

                    return await asyncio.gather(*[one() for _ in range(count)])

            many = Limits().open_requests_burst
            statuses = await ask(there.tls, 3 * many)
            assert statuses.count(200) >= many
            assert 429 in statuses
            assert await ask(there.authority.issue("another"), 10) == [200] * 10

    asyncio.run(act())


async def left_by(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("stalling", ["never", "a byte at a time"])
def test_a_peer_that_stalls_on_blocks_alone_is_left_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stalling: str
) -> None:
    """It answers checkpoints and proofs at once; blocks it promises, and they do not come."""
    monkeypatch.setattr(messages, "LONG_MS", 600)
    asked = []

    def wrap(app: ASGIApp) -> ASGIApp:
        async def stall(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith("/v1/blocks"):
                await app(scope, receive, send)
                return
            asked.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            left = asyncio.create_task(left_by(receive))
            while not left.done():
                if stalling != "never":
                    await send({"type": "http.response.body", "body": b"\0", "more_body": True})
                await asyncio.wait([left], timeout=0.05)

        return stall

    async def act() -> None:
        async with (
            running(tmp_path) as there,
            following(there, there.caller(2), tmp_path, number=2, wrap=wrap) as liar,
        ):
            peer = Peer(member="member-2", url=liar.url)
            async with (
                following(there, there.caller(1), tmp_path, peer) as node,
                there.client(0) as client,
                asyncio.timeout(60),
            ):
                records, begin = there.records(2_000), len(asked)
                while len(asked) < begin + 1:
                    # Behind by some blocks: of who tells of the next one first it is asked alone.
                    for _ in range(10):
                        await client.submit(records.pop(0))
                    await asyncio.sleep(0.1)
                await client.submit(records.pop(0))
                until = time.monotonic() + HONEST_S
                while node.node.feed.height < there.node.feed.height:
                    assert time.monotonic() < until
                    await asyncio.sleep(0.02)

    asyncio.run(act())
