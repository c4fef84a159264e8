"""Accept connections, with bounds on handshakes, and certificates that are reloaded while it does.

A handshake costs the node more than its caller, who may never end it: so many are under way at a
time, and of one address fewer, so that one caller does not take all places. What comes beyond is
closed unanswered. Each handshake is with the certificate and the authorities of that moment.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ledgercore.errors import StoreError
from ledgercore.node.limits import Limits
from ledgercore.node.tls import Context
from ledgercore.waiting import sleep

__all__ = ["Entrance"]

AGAIN_S = 0.1
"""After an accept that failed, as where no descriptor is left."""


class Entrance:
    """One listening socket; what ``uvicorn`` takes for a server."""

    def __init__(
        self,
        address: tuple[str, int],
        context: Context,
        limits: Limits,
        made: Callable[[], asyncio.Protocol],
        refused: Callable[[], None],
    ) -> None:
        """``made`` makes a connection's protocol; ``refused`` is told of each that is closed."""
        self.context = context
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server(address, family=family, backlog=2048)
        except OSError as error:
            raise StoreError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._socket.setblocking(False)
        self._limits = limits
        self._made = made
        self._refused = refused
        self._under_way: set[asyncio.Task[None]] = set()
        self._of_address: Counter[str] = Counter()
        self._accepting = asyncio.create_task(self._accept())

    @property
    def sockets(self) -> tuple[socket.socket]:
        """What is listened on."""
        return (self._socket,)

    async def _accept(self) -> None:
        loop, limits = asyncio.get_running_loop(), self._limits
        while True:
            try:
                connection, (host, *_) = await loop.sock_accept(self._socket)
            except OSError:
                await sleep(AGAIN_S)
                continue
            many = len(self._under_way) >= limits.handshakes
            # Else the end of an answer waits for the caller's acknowledgement, which is 40 ms late.
            # asyncio sees to that only where a listening socket was made with a protocol's number.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if many or self._of_address[host] >= limits.handshakes_of_address:
                connection.close()
                self._refused()
                continue
            task = loop.create_task(self._shake(connection, host))
            self._of_address[host] += 1
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _shake(self, connection: socket.socket, host: str) -> None:
        """One handshake, in its time; what fails is closed, and nobody is left to be told."""
        try:
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._made,
                    connection,
                    ssl=self.context,
                    ssl_handshake_timeout=self._limits.handshake_s,
                )
        finally:
            self._of_address[host] -= 1
            if not self._of_address[host]:
                del self._of_address[host]

    def close(self) -> None:
        """Take no more connections; the socket is closed as soon as nobody accepts on it."""
        self._accepting.add_done_callback(lambda _: self._socket.close())
        for task in [self._accepting, *self._under_way]:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until nothing is accepted any more."""
        tasks: list[asyncio.Task[Any]] = [self._accepting, *self._under_way]
        await asyncio.gather(*tasks, return_exceptions=True)
