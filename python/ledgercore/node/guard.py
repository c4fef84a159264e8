"""Stand before a node's routes: bound what comes in, and let only members ask.

Everything under ``/v1/`` but what ``OPEN`` names needs a warrant of an active member. What needs
no body is checked before the body is read, so that a stranger costs a signature check at most. Who
asks counts: a member by its warrants, and without one a certificate by what it asks for, so that
nobody's requests take the place of another's. A connection speaks for one member; when that one is
suspended, its connections are closed with the block that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledgercore.clock import Clock
from ledgercore.errors import (
    InvalidError,
    LedgerError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.node.answers import SlowError, TooLargeError, error_answer
from ledgercore.node.bodies import Bodies
from ledgercore.node.faults import Faults
from ledgercore.node.limits import Limits
from ledgercore.node.metrics import Metrics
from ledgercore.node.rates import Allowance, Rates
from ledgercore.node.warrant import Replays, Warrant, parse_warrant
from ledgercore.waiting import deadline

__all__ = ["KEY", "MEMBER", "OPEN", "Guard", "Identity", "inner_path", "route_name"]

OPEN = frozenset({"/v1/add-checkpoint"})
"""Routes without a warrant: what they take is signed in itself (C2SP tlog-witness)."""

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes by which those who run a node look after it: no other request takes their place."""

STREAMS = frozenset({"/v1/events"})
"""Routes whose answers have no end: they count apart, or who listens could ask nothing else."""

MEMBER = "ledgercore.member"
"""Where the scope has the member that asks."""

KEY = "ledgercore.key"
"""Where the scope has the key that the member asks with."""


class Identity:
    """Whom a node serves, and as whom."""

    def __init__(self, network: bytes, member: str, member_of: Callable[[bytes], Any]) -> None:
        """``member_of`` gives, awaited, the member of a key, or raises ``RefusedError``."""
        self.network = network
        self.member = member
        self.member_of = member_of


class Guard:
    """An ASGI application around another."""

    def __init__(
        self,
        app: ASGIApp,
        identity: Identity,
        limits: Limits,
        bodies: Mapping[tuple[str, str], int],
        replays: Replays,
        clock: Clock,
        metrics: Metrics,
        faults: Faults,
    ) -> None:
        """``bodies`` has the bytes of a body at most by method and path; elsewhere none is read."""
        self._app = app
        self._identity = identity
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._faults = faults
        self._replays = replays
        self._rates = Rates(clock)
        often = (limits.requests_per_s, limits.requests_burst)
        seldom = (limits.open_requests_per_s, limits.open_requests_burst)
        self._of_member = Allowance(*often, limits.requests_under_way)
        self._of_listener = Allowance(*often, limits.member_streams, at_a_time="member_streams")
        # An operator's node brings each block to its witnesses, and they come as often as it asks.
        under_way = "open_requests_under_way"
        self._of_operator = Allowance(*often, limits.open_requests_under_way, at_a_time=under_way)
        self._of_stranger = Allowance(
            *seldom, limits.open_requests_under_way, "open_requests", under_way
        )
        self._body_bytes = bodies
        counted = metrics.body_bytes.inc
        self._bodies = Bodies(limits.bodies_bytes, limits.member_bodies_bytes, counted)
        open_bytes = limits.open_bodies_bytes
        self._open_bodies = Bodies(open_bytes, open_bytes, counted, "open_bodies_bytes")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = self._clock.elapsed_s()
        answer = _Answer(send, self._limits.write_s)
        self._metrics.under_way.inc()
        try:
            await self._answer(scope, receive, answer)
        except TimeoutError:
            # A caller that takes no more of its answer; nobody is left to be told.
            _cut(scope)
        except LedgerError as error:
            self._faults.note(error, route_name(scope))
            await _refuse(scope, error, receive, answer)
        except Exception as error:
            self._faults.fail(error, route_name(scope))
            raise
        finally:
            self._metrics.under_way.dec()
            route = route_name(scope)
            self._metrics.requests.labels(route, str(answer.status)).inc()
            self._metrics.seconds.labels(route).observe(self._clock.elapsed_s() - begin)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        path = inner_path(scope)
        most = self._body_bytes.get((scope["method"], path), 0)
        claimed = _claimed_bytes(scope, most)
        with ExitStack() as held:
            warrant: Warrant | None = None
            if path.startswith("/v1/") and path not in OPEN:
                warrant = self._opened(scope)
                member = await self._identity.member_of(warrant.key)
                caller, allowance, bodies = f"member {member}", self._of_member, self._bodies
                if path in STREAMS:
                    caller, allowance = f"{caller} for event streams", self._of_listener
            else:
                caller, bodies = _open_caller(scope, path), self._open_bodies
                allowance = self._of_operator if path in OPEN else self._of_stranger
            held.enter_context(self._rates.request(caller, allowance))
            count = held.enter_context(bodies.body(caller, claimed))
            body = await self._read(receive, most, count)
            if warrant is not None:
                warrant.check_body(body)
                self._replays.take(warrant)
                _bind(scope, member, warrant.key)
            await self._run(scope, _replayed(body, receive), answer)

    def _opened(self, scope: Scope) -> Warrant:
        header = _header(scope, b"authorization")
        if not header:
            raise UntrustedError("request has no warrant, want one of a member: sign the request")
        warrant = parse_warrant(header)
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        warrant.check(self._identity.network, self._identity.member, scope["method"], target)
        connection = scope.get("extensions", {}).get("ledgercore")
        if connection is not None:  # a host's own server does not say which certificate there is
            warrant.check_certificate(connection["certificate"])
        return warrant

    async def _read(self, receive: Receive, most: int, count: Callable[[int], None]) -> bytes:
        """All of the body, in time and within the bounds."""
        limits = self._limits
        pieces: list[bytes] = []
        size = 0
        try:
            async with deadline(limits.body_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise SlowError("caller left before its request was whole")
                    pieces.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    size += len(pieces[-1])
                    if size > most:
                        raise TooLargeError(f"body has {size} bytes or more, want at most {most}")
                    count(len(pieces[-1]))
        except TimeoutError:
            raise SlowError(f"body took more than {limits.body_s} s, want less") from None
        return b"".join(pieces)

    async def _run(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Let the route answer; until its answer begins it has so long."""
        try:
            async with deadline(self._limits.answer_s) as until:
                answer.begun = lambda: until.reschedule(None)
                await self._app(scope, receive, answer)
        except TimeoutError:
            if answer.status:
                raise
            raise UnavailableError(
                f"answer took more than {self._limits.answer_s} s: ask again; to send the same "
                "records again is safe"
            ) from None


class _Answer:
    """Send an answer; each piece must be taken in time."""

    def __init__(self, send: Send, write_s: float) -> None:
        self._send = send
        self._write_s = write_s
        self.status = 0
        self.begun: Callable[[], None] | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.begun is not None:
                self.begun()
        async with deadline(self._write_s):
            await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, and after it what else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def inner_path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _claimed_bytes(scope: Scope, most: int) -> int:
    """The length that the caller claims; 0 where it claims none."""
    text = _header(scope, b"content-length")
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 20:
        raise MalformedError("content-length is no number")
    if int(text) > most:
        raise TooLargeError(f"body has {int(text)} bytes, want at most {most}")
    return int(text)


def _open_caller(scope: Scope, path: str) -> str:
    """Who asks without a warrant, and for what: each has its own bounds.

    A host's own server does not say which certificate there is; there the address counts.
    """
    connection = scope.get("extensions", {}).get("ledgercore")
    if connection is not None:
        caller = f"certificate {connection['certificate'].hex()[:16]}"
    else:
        caller = f"address {(scope.get('client') or ('unknown', 0))[0]}"
    if path in PROBES:
        return f"{caller} for probes"
    return f"{caller} for {'cosignatures' if path in OPEN else 'the rest'}"


def _header(scope: Scope, name: bytes) -> str:
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise MalformedError(f"request has {len(values)} headers {name.decode()}, want one")
    return values[0].decode("latin-1") if values else ""


def _bind(scope: Scope, member: str, key: bytes) -> None:
    """Have the connection speak for this member from now on."""
    scope[MEMBER], scope[KEY] = member, key
    connection = scope.get("extensions", {}).get("ledgercore")
    if connection is None:
        return  # a host's own server: requests and streams are checked, connections stay
    if connection["key"] not in (b"", key):
        raise RefusedError("E_MEMBER", "connection speaks for another key: open one of your own")
    connection["key"] = key


def _cut(scope: Scope) -> None:
    connection = scope.get("extensions", {}).get("ledgercore")
    if connection is not None:
        connection["cut"]()


async def _refuse(scope: Scope, error: LedgerError, receive: Receive, answer: _Answer) -> None:
    """Answer an error, and close the connection where more of the request may follow."""
    if answer.status:
        _cut(scope)  # the answer had begun: only its end can show that it is not whole
        return
    status = 401 if isinstance(error, InvalidError) and MEMBER not in scope else None
    response = error_answer(error, status)
    response.headers["connection"] = "close"
    if response.status_code == 401:
        response.headers["www-authenticate"] = "ledgercore"
    with suppress(asyncio.CancelledError, TimeoutError):
        await response(scope, receive, answer)


def route_name(scope: Scope) -> str:
    """The route's name, never the path that was asked for."""
    endpoint = scope.get("endpoint")
    return str(getattr(endpoint, "__name__", "none"))
