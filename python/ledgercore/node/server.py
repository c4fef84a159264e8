"""Serve a node with uvicorn: mutual TLS, bounds on connections, a stop that loses nothing.

uvicorn has no bound on how long a handshake or a request's headers take, and does not say who a
connection is of; ``Connection`` adds that. On SIGTERM the node takes no more connections, ends
event streams, answers what is under way, and then closes its ledger.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledgercore.clock import Clock
from ledgercore.errors import MalformedError
from ledgercore.node.answers import JSON, error_answer
from ledgercore.node.app import make_app
from ledgercore.node.entrance import Entrance
from ledgercore.node.limits import Limits
from ledgercore.node.logs import Log
from ledgercore.node.metrics import Metrics
from ledgercore.node.node import Node
from ledgercore.node.tls import Context, certificate_of

__all__ = ["STOP_SIGNALS", "NodeServer", "Wrap", "serve"]


Wrap = Callable[[ASGIApp], ASGIApp]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

AGAIN_S = 60.0
"""After which it is logged again that a certificate has enough connections."""

_ONE_READ_BYTES = 256 * 1024
"""What the loop reads at once: a body that comes together with its headers is no large header."""

_PIPELINED = 8
"""Requests that may wait on one connection for the answer to the one before."""


class _ClosedError(Exception):
    """The rest of what was read is of no use: raised to the parser, which would go on with it."""


class Connection(HttpToolsProtocol):
    """One caller's connection: what is slow or too much is closed, and it speaks for one key."""

    def __init__(self, *args: Any, open_connections: OpenConnections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open = open_connections
        self._until: asyncio.TimerHandle | None = None
        self._beside_bytes = 0
        """Bytes of this request that are none of its body: headers, trailers, sizes of chunks."""
        self._answered_s: float | None = None
        """When the last answer ended, by the loop's time, where nothing has come since."""
        self.bound: dict[str, Any] = {
            "key": b"",
            "certificate": b"",
            "cut": self.cut,
            "leaves": False,
            "submits": False,
        }

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.bound["certificate"] = certificate_of(transport)
        if not self._open.add(self):
            transport.abort()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        self._open.discard(self)
        super().connection_lost(exc)

    @property
    def idle_since_s(self) -> float | None:
        """Since when nothing has come, and its answers are on their way whole; None where not."""
        return None if self._until is not None or self._unsent() else self._answered_s

    def _unsent(self) -> bool:
        """Whether closing now would lose some of an answer.

        asyncio's TLS transport counts what is to be encrypted, and nothing of what the transport
        below it has not handed to the system: most of a large answer to a slow caller.
        """
        transport: Any = self.transport
        below = transport._ssl_protocol._transport  # there is no public way
        counted = [transport] if below is None else [transport, below]
        return any(each.get_write_buffer_size() for each in counted)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._answered_s = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._answered_s = None
        asked = self.cycle is not None and not self.cycle.response_complete
        if self._until is None and not asked:
            self._expect_headers()
        self._beside_bytes += len(data)
        super().data_received(data)
        if self._beside_bytes > self._open.limits.header_bytes + _ONE_READ_BYTES:
            self.cut()  # the parser itself would keep any number of headers, and of trailers

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            self.cut()  # any number of them would be held in memory
        if self.transport.is_closing():
            raise _ClosedError
        super().on_message_begin()
        if self._until is None:
            self._expect_headers()
        self.bound["submits"] = False
        scope: Any = self.scope
        scope["extensions"] = {"ledgercore": self.bound}

    def on_headers_complete(self) -> None:
        self._headers_came()
        if not (version := self.parser.get_http_version()).startswith("1."):
            self.send_400_response(f"request is of HTTP/{version}, want HTTP/1.1")
            return
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._open.limits.header_bytes:
            self.send_400_response(f"headers have {size} bytes, want fewer")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside_bytes -= len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """What is no request is refused as every other error is, and the connection closed."""
        if self.transport.is_closing():
            return
        body = bytes(error_answer(MalformedError(msg[:1].lower() + msg[1:].rstrip("."))).body)
        head = ("HTTP/1.1 400 Bad Request", f"content-type: {JSON}", f"content-length: {len(body)}")
        lines = "\r\n".join([*head, "connection: close", "", ""])
        self.transport.write(lines.encode() + body)
        self.transport.close()

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self.transport.abort()

    def leave(self) -> None:
        """Close when what is under way has been answered; an event stream ends itself."""
        self.bound["leaves"] = True
        self.shutdown()

    def _expect_headers(self) -> None:
        self._beside_bytes = 0
        self._until = self.loop.call_later(self._open.limits.headers_s, self.cut)

    def _headers_came(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None


class OpenConnections:
    """Every open connection of a server, counted by the callers' certificates.

    Where there are enough, one that has no request under way makes room for a new one of the same
    certificate: who leaves connections open must not be shut out by them.
    """

    def __init__(self, limits: Limits, metrics: Metrics, log: Log, clock: Clock) -> None:
        self.limits = limits
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._logged_s: dict[bytes, float] = {}
        """When it was logged of a certificate that there are enough, if not long ago."""
        self._all: set[Connection] = set()
        self._of_certificate: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: Connection) -> bool:
        """Count one more, unless there are enough, of all or with its certificate."""
        limits, certificate = self.limits, connection.bound["certificate"]
        many = self._of_certificate[certificate] >= limits.connections_of_certificate
        if (many or len(self._all) >= limits.connections) and not self._make_room(certificate):
            return False
        self._all.add(connection)
        self._of_certificate[certificate] += 1
        return True

    def _make_room(self, certificate: bytes) -> bool:
        """Close the connection of a certificate that has been idle for longest; if there is one."""
        found = [
            (idle_s, id(each), each)
            for each in self._all
            if each.bound["certificate"] == certificate
            and (idle_s := each.idle_since_s) is not None
        ]
        self._say(certificate, closed="the one that was idle longest" if found else "the new one")
        if not found:
            self._metrics.connections_refused.inc()
            return False
        oldest = min(found)[-1]
        self._metrics.connections_replaced.inc()
        self.discard(oldest)
        oldest.cut()
        return True

    def _say(self, certificate: bytes, closed: str) -> None:
        """Log that there are enough, once a minute of a certificate."""
        now_s, logged = self._clock.elapsed_s(), self._logged_s.items()
        self._logged_s = {each: at_s for each, at_s in logged if now_s < at_s + AGAIN_S}
        if certificate not in self._logged_s:
            self._logged_s[certificate] = now_s
            self._log.warning(
                "connections are full",
                certificate=certificate.hex()[:16],
                of_certificate=self._of_certificate[certificate],
                of_all=len(self._all),
                closed=closed,
            )

    def discard(self, connection: Connection) -> None:
        """Count one less; one that was not counted stays so."""
        if connection not in self._all:
            return
        self._all.remove(connection)
        certificate = connection.bound["certificate"]
        self._of_certificate[certificate] -= 1
        if not self._of_certificate[certificate]:
            del self._of_certificate[certificate]

    def bound_keys(self) -> set[bytes]:
        """The keys that connections speak for."""
        return {connection.bound["key"] for connection in self._all} - {b""}

    def cut(self, key: bytes) -> int:
        """Close every connection of a key; how many there were.

        One by which records were submitted is closed when it has been told what became of them:
        they may be what ended the key.
        """
        found = [connection for connection in self._all if connection.bound["key"] == key]
        for connection in found:
            if connection.bound["submits"]:
                connection.leave()
            else:
                connection.cut()
        return len(found)

    def leave(self) -> None:
        """Have everybody connect anew."""
        for connection in list(self._all):
            connection.leave()


class NodeServer(uvicorn.Server):
    """A server of one node, which has started; the node is stopped with it."""

    def __init__(
        self, node: Node, host: str, port: int, context: Context, wrap: Wrap | None = None
    ) -> None:
        """``wrap`` puts an application of one's own around the node's."""
        limits, app = node.limits, make_app(node)
        config = uvicorn.Config(
            app if wrap is None else wrap(app),
            http=HttpToolsProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # its messages may quote requests; the node logs for itself
            access_log=False,
            server_header=False,
            timeout_keep_alive=round(limits.idle_s) or 1,
            timeout_graceful_shutdown=round(limits.stop_s) or 1,
        )
        super().__init__(config)
        self._node = node
        self._address = (host, port)
        self._context = context
        self.open = OpenConnections(limits, node.metrics, node.log, node.clock)
        """Every connection that was made and is not closed."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.began = asyncio.Event()
        node.connections = self.open

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    def reload(self, context: Context) -> None:
        """Take what connects from now on with other certificates, and have the others do so too."""
        self._context = context
        for server in self.servers:
            assert isinstance(server, Entrance)
            server.context = context
        self.open.leave()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await self.lifespan.startup()
        self._loop = asyncio.get_running_loop()
        protocol = partial(
            Connection,
            config=self.config,
            server_state=self.server_state,
            app_state={},
            open_connections=self.open,
        )
        limits, refused = self._node.limits, self._node.metrics.turned_away.inc
        entrance: Any = Entrance(self._address, self._context, limits, protocol, refused)
        self.servers = [entrance]
        self.started = True
        self._node.log.info("listening", host=self._address[0], port=self.port)
        self.began.set()

    def stop(self) -> None:
        """Take no more requests, answer those that are under way, and end; again does nothing."""
        self.should_exit = True
        self._node.feed.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        assert self._loop is not None, "signals are handled once it runs"
        self._loop.call_soon_threadsafe(self.stop)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on SIGINT and SIGTERM, and then end as any program that is done."""
        self._loop = asyncio.get_running_loop()
        try:
            before = {sig: signal.signal(sig, self.handle_exit) for sig in STOP_SIGNALS}
        except ValueError:  # not the main thread: whoever runs it there calls stop
            before = {}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


async def serve(server: NodeServer, node: Node) -> None:
    """Serve until told to stop; what is acknowledged by then is durable, and the ledger closed."""
    try:
        await server.serve()
    finally:
        await node.stop()
        node.log.info("stopped")
