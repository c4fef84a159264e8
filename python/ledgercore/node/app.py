"""Put a node's routes behind its guard, as one ASGI application.

It stands alone under ``ledgercore.node.server``, or is mounted in a host's own service::

    app = Starlette(routes=[Mount("/ledger", app=make_app(node))], lifespan=...)

whose lifespan starts the node and stops it. Under a host's own server requests and event streams
are checked as ever; closing a suspended member's idle connections is then the host's, and so is
ending where ``node.failed`` is set: the ledger is to be opened anew then.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledgercore.errors import AbsentError, LedgerError
from ledgercore.node.answers import error_answer, json_answer
from ledgercore.node.faults import Faults
from ledgercore.node.guard import Guard, Identity, route_name
from ledgercore.node.node import Node
from ledgercore.node.routes import ROUTES
from ledgercore.node.warrant import Replays

__all__ = ["make_app"]


def make_app(node: Node) -> Starlette:
    """The application of a node that was started, or is about to be."""
    faults = Faults(node.log, node.clock)
    guard = Middleware(
        Guard,
        identity=Identity(node.anchor.network, node.member, node.member_of),
        limits=node.limits,
        bodies={(row.method, row.path): row.body_bytes(node.limits) for row in ROUTES},
        # Made now, and not with the first request as the application's layers are: what was signed
        # before is refused.
        replays=Replays(node.clock, node.limits.skew_s, node.limits.nonces, node.log),
        clock=node.clock,
        metrics=node.metrics,
        faults=faults,
    )
    app = Starlette(
        routes=[Route(row.path, row.answer, methods=[row.method]) for row in ROUTES],
        middleware=[guard],
        exception_handlers={
            LedgerError: _refused,
            HTTPException: _not_routed,
            Exception: _failed,
        },
    )
    # A path has one form: a redirect would lead to whatever host the caller named.
    app.router.redirect_slashes = False
    app.state.node = node
    app.state.faults = faults
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, LedgerError)
    request.app.state.faults.note(error, route_name(request.scope))
    return error_answer(error)


async def _not_routed(request: Request, error: Exception) -> Response:
    """A path or a method that there is none of, said as every other error is."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        reason = f"{request.method} is not taken at this path, but another method is"
    else:
        reason = "nothing is at this path"
    said = {"error": AbsentError.__name__, "message": reason}
    return json_answer(said, error.status_code, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    """A fault that nobody foresaw; the guard has logged it."""
    return error_answer(LedgerError())
