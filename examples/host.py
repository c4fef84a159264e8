"""Mount a node in an institution's own ASGI service, beside what the service does already.

    uvicorn --factory examples.host:service --ssl-certfile ... --ssl-ca-certs ... --ssl-cert-reqs 2

The service starts the node and stops it, and ends where the node has failed for good, as after a
failed flush: have whatever runs it start it anew also after SIGTERM (systemd: ``Restart=always``),
for a start verifies the ledger and goes on. Members ask it at /ledger/v1/...; what is behind the
other paths is the service's own. Its own code appends to the same ledger without a request, under
the operator's key: so it says itself who may have that done, and bounds what they send. A
certificate of the members' authority is not enough for that, nor a warrant that it does not look
at.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from ledgercore import Ledger, LedgerError, MalformedError, UntrustedError
from ledgercore.node import Node, make_app, make_log
from ledgercore.node.answers import SlowError, TooLargeError, error_answer

__all__ = ["make_service", "service"]


DOCUMENT_BYTES = 64 * 1024
DOCUMENT_S = 20.0
TOKEN_BYTES = 16


async def book(request: Request) -> JSONResponse:
    """The service's own business: a document's hash is recorded under the operator's key."""
    node: Node = request.app.state.node
    given = request.headers.get("authorization", "")
    if not compare_digest(given.encode(), b"Bearer " + request.app.state.token):
        raise UntrustedError("request has no token of the service's, want its own clients' alone")
    receipt = await node.ask(partial(node.ledger.append, await _hash(request)))
    await node.announce()
    return JSONResponse({"index": receipt.index})


async def _hash(request: Request) -> bytes:
    """The SHA-256 of a body, of which no more is read than the limit and a piece."""
    digest, size = sha256(), 0
    try:
        async with asyncio.timeout(DOCUMENT_S):
            async for piece in request.stream():
                size += len(piece)
                if size > DOCUMENT_BYTES:
                    raise TooLargeError(f"document has more than {DOCUMENT_BYTES} bytes")
                digest.update(piece)
    except TimeoutError:
        raise SlowError(f"document took more than {DOCUMENT_S} s, want less") from None
    return digest.digest()


async def refused(request: Request, error: Exception) -> Response:
    """What the service or the ledger refuses, as the node says it of its own routes."""
    assert isinstance(error, LedgerError)
    return error_answer(error, 401 if isinstance(error, UntrustedError) else None)


def stop_server() -> None:
    """Have the server that runs this process answer what is under way, and end."""
    signal.raise_signal(signal.SIGTERM)


def make_service(node: Node, token: bytes, end: Callable[[], None] = stop_server) -> Starlette:
    """The service around a node; ``token`` is what its own clients show, and ``end`` ends the
    service, whose node has failed."""
    if len(token) < TOKEN_BYTES:
        raise MalformedError(
            f"token has {len(token)} bytes, want {TOKEN_BYTES} random ones or more"
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async def watch() -> None:
            await node.failed.wait()
            end()

        await node.start()
        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await node.stop()

    routes = [Route("/book", book, methods=["POST"]), Mount("/ledger", app=make_app(node))]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={LedgerError: refused})
    app.state.node, app.state.token = node, token
    return app


def service() -> Starlette:
    """The service over the ledger in this directory, with the token in ``service.token``."""
    ledger = Ledger.open("service.ledger")
    node = Node("operator", ledger, make_log(sys.stderr, member="operator"))
    return make_service(node, Path("service.token").read_bytes().strip())
