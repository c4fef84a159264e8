"""A peer that is asked answers what it likes, and gets nothing of the node's but what it was asked.

The peers here are sockets on threads of their own, so that they send while the node's loop works.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from ledgercore import LimitError, testing
from ledgercore.demo.authority import Authority
from ledgercore.node.channel import Caller, Channel
from ledgercore.node.tls import client_context, server_context
from ledgercore.sync.messages import ask_checkpoint, ask_cosignature, ask_events
from tests.node.test_answers import ANCHOR

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
TURN_S = 1.0
"""What others in the loop wait at most, on a machine that others use too."""

Heads = list[bytes]


@contextmanager
def answering(answer: bytes, context: ssl.SSLContext | None) -> Iterator[tuple[int, Heads]]:
    """A port where every request is answered so, and what has been asked there."""
    heads: Heads = []

    def serve(raw: socket.socket) -> None:
        with (
            suppress(OSError),
            raw if context is None else secured(raw, context) as inside,
            inside.makefile("rb") as file,
        ):
            while line := file.readline():
                head = line
                while line not in (b"\r\n", b""):
                    line = file.readline()
                    head += line
                heads.append(head)
                inside.sendall(answer)
                if b"connection: close" in answer:
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(Thread(target=serve, args=(listening.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [Thread(target=accept)]
        threads[0].start()
        try:
            yield listening.getsockname()[1], heads
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def secured(raw: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(raw, server_side=True)
    finally:
        raw.close()  # it is the other's by then


@contextmanager
def peer(tmp_path: Path, answer: bytes) -> Iterator[tuple[Channel, Heads]]:
    """A channel to a peer that answers so, and what it was asked."""
    authority = Authority(tmp_path)
    context = client_context(authority.issue("a-member"))
    caller = Caller.of(testing.signing_key(1), ANCHOR, context)
    with answering(answer, server_context(authority.issue("liar"))) as (port, heads):
        yield Channel(f"https://localhost:{port}", "liar", caller), heads


def asked(channel: Channel, ask: Callable[[], Awaitable[None]]) -> None:
    async def act() -> None:
        try:
            await ask()
        finally:
            await channel.close()

    asyncio.run(act())
    with warnings.catch_warnings():
        # TLS waits for what a peer has not sent yet, and its loop is gone.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("line", [b"\n", b":\n", b"data: x\n\n"])
def test_a_stream_that_never_ceases_leaves_others_their_turn(tmp_path: Path, line: bytes) -> None:
    with peer(tmp_path, STREAM + line * (1024 * 1024 // len(line))) as (channel, _):

        async def longest_turn() -> None:
            loop = asyncio.get_running_loop()
            reading = asyncio.create_task(read())
            waits, end = list[float](), loop.time() + 2 * TURN_S
            while loop.time() < end:
                begin = loop.time()
                await asyncio.sleep(0.01)
                waits.append(loop.time() - begin)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert max(waits) < TURN_S

        async def read() -> None:
            async with aclosing(channel.events(ask_events())) as events:
                async for _ in events:
                    pass

        asked(channel, longest_turn)


def test_an_event_of_empty_lines_is_bounded(tmp_path: Path) -> None:
    with peer(tmp_path, STREAM + b"data:\n" * 50_000) as (channel, _):

        async def first() -> None:
            async with aclosing(channel.events(ask_events())) as events:
                with pytest.raises(LimitError, match="event has more than 65536 bytes"):
                    await anext(events)

        asked(channel, first)


def test_nobody_is_asked_in_a_peer_s_place(tmp_path: Path) -> None:
    """Who sends a node elsewhere could have it ask what only its own host may ask."""
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None) as (port, heads):
        to = f"HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n"
        with peer(tmp_path, to.encode()) as (channel, _):

            async def ask() -> None:
                for request in (ask_checkpoint(), ask_cosignature(0, [], "note")):
                    assert (await channel.send(request)).status == 307
                with pytest.raises(Exception, match="status 307"):
                    async with aclosing(channel.events(ask_events())) as events:
                        await anext(events)

            asked(channel, ask)
        assert heads == []


def test_nothing_is_kept_for_a_peer(tmp_path: Path) -> None:
    """What it would have kept, which has no bound, it does not get back."""
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    with peer(tmp_path, answer) as (channel, heads):

        async def twice() -> None:
            for _ in range(2):
                assert (await channel.send(ask_checkpoint())).status == 200

        asked(channel, twice)
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)
