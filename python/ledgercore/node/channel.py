"""Carry signed requests to one node over mutual TLS, each within its bounds.

A channel keeps its connections open and opens new ones where they were lost. It verifies nothing of
what comes back, and asks once: who uses it decides what to believe and whether to ask again.

For one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from ledgercore._core import Anchor
from ledgercore.clock import Clock, SystemClock
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import LimitError, MalformedError, UnavailableError
from ledgercore.keys import Signer
from ledgercore.node.answers import failure_in
from ledgercore.node.tls import Context
from ledgercore.node.warrant import sign_request
from ledgercore.records.base import Identifier
from ledgercore.sync.messages import BINARY, Request, Response
from ledgercore.waiting import deadline, sleep

__all__ = ["CLOSED", "Caller", "CertificateError", "Channel"]

CONNECTIONS = 32
"""Connections of one channel at most."""

STREAMS = 16
"""Event streams of one channel at most: each has a connection, and requests need the others."""

CLOSED = "client is closed: make another one"

CONNECT_S = 5.0

GOODBYE_S = 0.02

LINE_BYTES = 64 * 1024
"""Bytes of one line of a stream at most."""


RETIRE_S = 60.0
"""After which the connections of a key or certificate that was replaced are closed."""


class CertificateError(UnavailableError):
    """A node answers, and shows a certificate that is not taken here: nothing was asked of it."""


@dataclass
class Caller:
    """Who asks: a member's key, its TLS, and whom it trusts.

    Keys and contexts may be replaced at any time: the next request goes by connections of its own.
    """

    key: Signer
    anchor: Anchor
    context: Context
    clock: Clock
    entropy: Entropy
    pinned: Mapping[str, Context] = field(default_factory=dict)
    """For members whose nodes may show certain certificates only, by member."""

    def context_for(self, member: str) -> Context:
        """How a connection to a member's node is made."""
        return self.pinned.get(member, self.context)

    @classmethod
    def of(cls, key: Signer, anchor: Anchor, context: Context) -> Caller:
        """A caller by this machine's clock and randomness."""
        return cls(key, anchor, context, SystemClock(), SystemEntropy())


class Channel:
    """One member's connections to one node; ``member`` is whose node it is.

    What is signed for that node is worth nothing at another one.
    """

    def __init__(self, url: str, member: str, caller: Caller) -> None:
        if not url.startswith("https://"):
            raise MalformedError(
                f"url is {url!r:.80}, want https://HOST:PORT: nodes speak TLS alone"
            )
        try:
            self._url = str(URL(url)).rstrip("/")
        except ValueError as error:
            raise MalformedError(f"url is {url!r:.80}: {error}: want https://HOST:PORT") from None
        try:
            msgspec.convert(member, Identifier)
        except msgspec.ValidationError:
            raise MalformedError(
                f"member is {member!r:.80}, want the id of whose node is asked, such as bank-a"
            ) from None
        self.member = member
        self.caller = caller
        self.closed = False
        self._streams = 0
        self._base = urlsplit(self._url).path
        self._session: aiohttp.ClientSession | None = None
        self._made_with: tuple[Signer, Context] | None = None
        self._retiring: dict[aiohttp.ClientSession, asyncio.Task[None]] = {}

    async def send(self, request: Request) -> Response:
        """The answer, whatever its status; ``UnavailableError`` where there is none in time."""
        headers = self._signed(request.method, request.path, request.body)
        url, body = self._at(request.path), request.body or None
        try:
            async with (
                deadline(request.timeout_ms / 1000),
                self._opened().request(
                    request.method, url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                data = await _read(answer, request.limit_bytes)
                content_type = answer.headers.get("content-type", BINARY)
                wait_s = _seconds(answer.headers.get("retry-after", ""))
                return Response(answer.status, data, content_type, wait_s)
        except TimeoutError as error:
            raise UnavailableError(
                f"node of {self.member} did not answer within {request.timeout_ms} ms"
            ) from error
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from error

    async def events(self, request: Request) -> AsyncGenerator[str, None]:
        """The data of each event of the node's stream, until it ends.

        Raises ``UnavailableError`` where it breaks off, or is silent for too long, and
        ``LimitError`` where ``STREAMS`` of them are open here.
        """
        if self._streams >= STREAMS:
            raise LimitError(
                f"client has {STREAMS} event streams open, want at most that: close one, or make "
                "another client"
            )
        self._streams += 1
        try:
            async with aclosing(self._events(request)) as events:
                async for data in events:
                    yield data
        finally:
            self._streams -= 1

    async def _events(self, request: Request) -> AsyncGenerator[str, None]:
        headers = self._signed(request.method, request.path, request.body)
        url, silence_s = self._at(request.path), request.timeout_ms / 1000
        try:
            async with self._opened().get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    said = await _read(answer, request.limit_bytes)
                    reason = failure_in(Response(answer.status, said))
                    raise UnavailableError(
                        f"event stream of {self.member} is refused with status {answer.status}: "
                        f"{reason}"
                    )
                data, size = list[str](), 0
                while True:
                    async with deadline(silence_s):
                        line = (await answer.content.readline()).decode()
                    # A line that has come already is given without a turn of the loop: a peer that
                    # never ceases to send would have the loop for itself.
                    await sleep(0)
                    if not line:
                        return
                    if line.startswith("data:"):
                        data.append(line.removeprefix("data:").removeprefix(" ").rstrip("\n"))
                        size += len(line)
                        if size > request.limit_bytes:
                            raise LimitError(f"event has more than {request.limit_bytes} bytes")
                    elif line == "\n" and data:
                        yield "\n".join(data)
                        data, size = [], 0
        except TimeoutError as error:
            raise UnavailableError(
                f"event stream of {self.member} is silent for {silence_s} s"
            ) from error
        except (aiohttp.ClientError, ValueError) as error:  # a line without end is a ValueError
            raise self._unreachable(error) from error

    def _at(self, path: str) -> URL:
        """Where a path is, as it was signed: no part of it is taken for a step back."""
        return URL(self._url + path, encoded=True)

    def _unreachable(self, error: Exception) -> UnavailableError:
        if self.closed:
            return UnavailableError(CLOSED)
        node = f"node of {self.member} at {self._url}"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            reason = error.certificate_error
            said = reason.args[-1] if reason.args else type(reason).__name__
            return CertificateError(
                f"{node} is there, and shows a certificate that is not taken here: {said}: see "
                "that the authorities here have its issuer, that it is for this address and not "
                "over, and whose node it is"
            )
        if isinstance(error, aiohttp.ServerDisconnectedError):
            # TLS 1.3 refuses a client's certificate when its first request is under way.
            return UnavailableError(
                f"{node} is there, and broke the connection off without an answer: it stops, or, "
                "where that lasts, does not take this certificate: see that it is not over, and "
                "that the authorities there have its issuer"
            )
        return UnavailableError(
            f"{node}: {type(error).__name__}: {error}: is it there, and does it take this "
            "certificate?"
        )

    def _signed(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        caller = self.caller
        warrant = sign_request(
            caller.key,
            caller.anchor.network,
            self.member,
            caller.context_for(self.member).certificate,
            (method, self._base + path, body),
            caller.clock,
            caller.entropy,
        )
        return {"authorization": warrant, "content-type": BINARY}

    def _opened(self) -> aiohttp.ClientSession:
        if self.closed:
            raise UnavailableError(CLOSED)
        context = self.caller.context_for(self.member)
        made_with = (self.caller.key, context)
        if self._session is not None and self._made_with != made_with:
            # What is under way ends with the old key and certificate.
            retired, self._session = self._session, None
            self._retiring[retired] = asyncio.create_task(self._retire(retired))
        if self._session is None:
            self._made_with = made_with
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                # What is not asked for is not unpacked: an answer has the size that it has.
                auto_decompress=False,
                trust_env=False,
                # What a node would have kept for it and said again is not.
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("user-agent", "accept-encoding", "accept"),
                read_bufsize=LINE_BYTES,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection, and ask no more; closing again does nothing."""
        self.closed = True
        session, self._session = self._session, None
        for task in self._retiring.values():
            task.cancel()
        for each in [*self._retiring, *([] if session is None else [session])]:
            await each.close()
            self._retiring.pop(each, None)
        if session is not None:
            # TLS says goodbye in a later turn of the loop, which may end with this call.
            await sleep(GOODBYE_S)

    async def _retire(self, session: aiohttp.ClientSession) -> None:
        await sleep(RETIRE_S)
        await session.close()
        del self._retiring[session]


def _seconds(text: str) -> int | None:
    """What a retry-after says; nothing where it is a date, or no time to wait."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


async def _read(answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """All of an answer, and of one that is too large no more than shows it."""
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            answer.close()
            break
    return b"".join(pieces)
