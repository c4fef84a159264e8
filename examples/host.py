"""Mount a node in an institution's own ASGI service, beside what the service does already.

    uvicorn --factory examples.host:service --ssl-certfile ... --ssl-ca-certs ... --ssl-cert-reqs 2

The service starts the node and stops it. Members ask it at /ledger/v1/...; what is behind the other
paths is the service's own. Its own code appends to the same ledger without a request.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from ledgercore import Ledger
from ledgercore.node import Node, make_app, make_log

__all__ = ["make_service", "service"]


async def book(request: Request) -> JSONResponse:
    """The service's own business: whatever comes in is recorded under the operator's key."""
    node: Node = request.app.state.node
    receipt = await node.ask(partial(node.ledger.append, await request.body()))
    await node.announce()
    return JSONResponse({"index": receipt.index})


def make_service(node: Node) -> Starlette:
    """The service around a node."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await node.start()
        try:
            yield
        finally:
            await node.stop()

    routes = [Route("/book", book, methods=["POST"]), Mount("/ledger", app=make_app(node))]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.node = node
    return app


def service() -> Starlette:
    """The service over the ledger in this directory."""
    ledger = Ledger.open("service.ledger")
    return make_service(Node("operator", ledger, make_log(sys.stderr, member="operator")))
