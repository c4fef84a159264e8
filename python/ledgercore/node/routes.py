"""Answer what a node is asked: the table of its routes, and a function for each.

The table is the one list: the application and the OpenAPI document are both made from it. What is
answered is proof or leads to one; who asks verifies it against the trust anchor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ledgercore._core import RECORD_BYTES, Checkpoint
from ledgercore.errors import (
    AbsentError,
    InvalidProof,
    LimitError,
    MalformedError,
    StoreError,
    UnavailableError,
)
from ledgercore.node.answers import TooLargeError, json_answer
from ledgercore.node.guard import KEY, inner_path
from ledgercore.node.metrics import METRICS_TYPE
from ledgercore.node.node import Node
from ledgercore.node.openapi import document
from ledgercore.node.submission import encode_ordered
from ledgercore.node.table import Parameter, RouteRow
from ledgercore.rules import parse_object
from ledgercore.sync.messages import BINARY, TEXT, decode_frames, encode_frames
from ledgercore.sync.messages import Request as Carried
from ledgercore.sync.witness import COSIGNING_REFUSALS

__all__ = ["BINARY", "EVENTS", "ROUTES", "TEXT"]

EVENTS = "text/event-stream"
JSON = "application/json"


def _node(request: Request) -> Node:
    node = request.app.state.node
    assert isinstance(node, Node)
    return node


def _connection(scope: Scope) -> dict[str, Any]:
    """What is kept of the request's connection; nothing under a host's own server."""
    found: dict[str, Any] = scope.get("extensions", {}).get("ledgercore", {})
    return found


def _text(text: str) -> Response:
    return Response(text, media_type=TEXT)


def _number(request: Request, name: str, default: int | None = None) -> int:
    """A number in the path or the query."""
    text = request.path_params.get(name, request.query_params.get(name))
    if text is None:
        if default is None:
            raise MalformedError(f"{name} is missing, want a number")
        return default
    if not str(text).isdecimal() or len(str(text)) > 16:
        raise MalformedError(f"{name} is {str(text)[:32]!r}, want a number of at most 16 digits")
    return int(text)


def _range(request: Request, newest: int) -> tuple[int, int]:
    """A half-open range, whose end is the newest where it is not given."""
    begin, end = _number(request, "begin", 0), _number(request, "end", newest)
    if begin > end:
        raise MalformedError(f"begin is {begin} and end {end}, want begin at most end")
    return begin, min(end, newest)


# What copies ask each other.


async def checkpoint(request: Request) -> Response:
    return await _copied(request)


async def anchor(request: Request) -> Response:
    return await _copied(request)


async def consistency(request: Request) -> Response:
    return await _copied(request)


async def blocks(request: Request) -> Response:
    return await _copied(request)


async def snapshot(request: Request) -> Response:
    async with _node(request).drawing:
        return await _copied(request)


async def _copied(request: Request) -> Response:
    """What copies ask each other is answered as ``ledgercore.sync`` does (docs/spec/sync.md)."""
    node, inside = _node(request), inner_path(request.scope)
    query = request.scope["query_string"].decode("latin-1")
    asked = Carried("GET", inside + (f"?{query}" if query else ""), 0, 0)
    try:
        found = await node.ask(partial(node.source.find, asked))
    except InvalidProof as error:  # of sizes that were asked for
        raise MalformedError(str(error)) from error
    except (IndexError, KeyError) as error:
        raise AbsentError(str(error)) from error
    return Response(found.body, media_type=found.content_type)


async def add_checkpoint(request: Request) -> Response:
    """As C2SP tlog-witness has it: the answers are the protocol's own, also where it refuses."""
    node = _node(request)
    if node.witness is None:
        raise AbsentError("this node is no witness")
    found = await node.ask(partial(node.witness.add_checkpoint, await request.body()))
    if found.status == 503:
        # Its words are of files and keys, and nobody's who asks without a warrant.
        reason = StoreError(f"witness cannot cosign: {found.body.decode().rstrip()}")
        request.app.state.faults.note(reason, add_checkpoint.__name__)
        return Response("witness cannot cosign now: ask again\n", 503, media_type=TEXT)
    return Response(found.body, found.status, media_type=found.content_type)


# Records.


async def submit(request: Request) -> Response:
    node = _node(request)
    body, limit = await request.body(), node.limits.records_at_once
    try:
        records = decode_frames(body, limit, "request")
    except LimitError as error:
        raise TooLargeError(str(error)) from None
    if not records:
        raise MalformedError("body has no records, want one at least")
    # A connection whose own submission ends its key is closed after the answer, and not before.
    _connection(request.scope)["submits"] = True
    submitted = await node.submit(records, request.scope[KEY])
    return Response(encode_ordered(submitted), media_type=JSON)


async def promise(request: Request) -> Response:
    node = _node(request)
    frames = decode_frames(await request.body(), node.limits.records_at_once, "request")
    if len(frames) != 1:
        raise MalformedError(f"body has {len(frames)} records, want one")
    made = await node.promise(frames[0], request.scope[KEY])
    return Response(made.encode(), media_type=BINARY)


async def record(request: Request) -> Response:
    node = _node(request)
    if "index" in request.path_params:
        index = _number(request, "index")
        await _check_there(node, index)
    else:
        text = request.query_params.get("id", "")
        if len(text) != 64 or text.strip("0123456789abcdef"):
            raise MalformedError(f"id is {text[:80]!r}, want 64 lower-case hexadecimal digits")
        found = await node.ask(partial(node.ledger.find, bytes.fromhex(text)))
        if found is None:
            raise AbsentError("record with this id is not there")
        index = found
    kept = await node.ask(partial(node.ledger.record, index))
    return Response(kept.encode(), media_type=BINARY, headers={"ledgercore-index": str(index)})


async def receipt(request: Request) -> Response:
    node, index = _node(request), _number(request, "index")
    await _check_there(node, index)
    made = await node.receipt(index)
    return Response(made.encode(), media_type=BINARY)


async def receipts(request: Request) -> Response:
    node = _node(request)
    begin, end = _range(request, await node.ask(lambda: node.ledger.size))
    limit = node.limits.receipts_at_once
    if end - begin > limit:
        raise LimitError(f"receipts asked for are {end - begin}, want at most {limit}")
    made = await node.ask(partial(node.ledger.receipts, range(begin, end)))
    frames = encode_frames(each.encode() for each in made)
    return Response(frames, media_type=BINARY)


async def _check_there(node: Node, index: int) -> None:
    size = await node.ask(lambda: node.ledger.size)
    if index >= size:
        raise AbsentError(f"record {index} is not there, want 0 to {size - 1}")


# Objects.


async def state(request: Request) -> Response:
    node, name = _node(request), parse_object(request.path_params["name"])
    made = await node.prove(partial(node.ledger.state_receipt, name))
    return Response(made.encode(), media_type=BINARY)


async def history(request: Request) -> Response:
    node, name = _node(request), parse_object(request.path_params["name"])
    height = _number(request, "height", -1)
    at = None if height < 0 else height
    if await node.ask(partial(node.ledger.state, name)) is None:
        raise AbsentError("object has no history: no record has touched it")
    newest = await node.ask(lambda: node.ledger.height)
    if height > newest:
        raise AbsentError(f"block {height} is not there, want at most {newest}")
    made = await node.prove(partial(node.ledger.prove_history, name, height=at))
    return Response(made.encode(), media_type=BINARY)


# What is new.


async def events(request: Request) -> Response:
    node = _node(request)
    if node.streams >= node.limits.streams:
        raise UnavailableError(f"event streams are {node.limits.streams}, want at most that: wait")
    return _Stream(node, request.scope)


class _Stream(StreamingResponse):
    """An event stream, which counts from when it is made: two at once are two."""

    def __init__(self, node: Node, scope: Scope) -> None:
        super().__init__(
            _events(node, scope), media_type=EVENTS, headers={"cache-control": "no-store"}
        )
        self._node = node
        self._count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._node.streams += more
        self._node.metrics.streams.set(self._node.streams)


async def _events(node: Node, scope: Scope) -> AsyncIterator[bytes]:
    """Each newer published checkpoint, and a sign of life where there is none."""
    seen, sent, key = -1, "", scope[KEY]
    connection = _connection(scope)
    while not (node.feed.closed or connection.get("leaves")):
        seen = await node.feed.newer(seen, node.limits.heartbeat_s)
        if not await node.admits(key):
            return
        note = node.feed.published
        if note is None or note == sent:
            yield b": nothing new\n\n"
            continue
        sent = note
        lines = "".join(f"data: {line}\n" for line in note.split("\n"))
        yield f"event: checkpoint\nid: {Checkpoint.parse(note).height}\n{lines}\n".encode()


# The node itself.


async def healthz(request: Request) -> Response:
    return _text("ok\n")


async def readyz(request: Request) -> Response:
    node = _node(request)
    if (reason := node.unready()) is not None:
        raise UnavailableError(f"node is not ready: {reason}")
    await node.ask(lambda: node.ledger.checkpoint)
    return _text("ready\n")


async def metrics(request: Request) -> Response:
    return Response(_node(request).metrics.exposition(), media_type=METRICS_TYPE)


async def openapi(request: Request) -> Response:
    return json_answer(document(ROUTES, _node(request).limits))


_HEIGHT = Parameter("height", "A block's height.")
_INDEX = Parameter("index", "A record's index.")
_BEGIN = Parameter("begin", "The first; 0 where it is left out.", required=False)
_END = Parameter("end", "The one after the last; the newest where it is left out.", required=False)
_NAME = Parameter("name", "A family, a slash and an id: member/bank, consent/<64 hex>.", "string")
_ID = Parameter("id", "A record's id, 64 hexadecimal digits.", "string")

ROUTES = (
    RouteRow("GET", "/v1/checkpoint", checkpoint, "The newest published checkpoint.", TEXT),
    RouteRow(
        "GET",
        "/v1/checkpoint/{height}",
        checkpoint,
        "The signed checkpoint of a block.",
        TEXT,
        (_HEIGHT,),
        absent=True,
    ),
    RouteRow("GET", "/v1/anchor", anchor, "The trust anchor, to be compared.", TEXT),
    RouteRow(
        "GET",
        "/v1/consistency",
        consistency,
        "The proof that one size goes on from another: hashes in base64, a line each.",
        TEXT,
        (Parameter("first", "The smaller size."), Parameter("second", "The greater size.")),
        absent=True,
    ),
    RouteRow(
        "GET",
        "/v1/blocks",
        blocks,
        "Blocks for a copy, in frames; fewer than asked for where they are large.",
        BINARY,
        (_BEGIN, _END),
        absent=True,
    ),
    RouteRow(
        "GET",
        "/v1/snapshot/{height}",
        snapshot,
        "A part of the snapshot from which a copy begins, in frames; part 0 may be of a later one.",
        BINARY,
        (_HEIGHT, Parameter("part", "The part, from 0 on.")),
        absent=True,
    ),
    RouteRow(
        "POST",
        "/v1/add-checkpoint",
        add_checkpoint,
        "A cosignature, where this node is a witness (C2SP tlog-witness).",
        TEXT,
        takes=TEXT,
        refuses=COSIGNING_REFUSALS,
    ),
    RouteRow(
        "POST",
        "/v1/records",
        submit,
        "Order signed records, in frames; durable here when it answers, or proven by receipts.",
        JSON,
        takes=BINARY,
    ),
    RouteRow(
        "POST",
        "/v1/promises",
        promise,
        "The operator's signed promise to order a revocation, before it does.",
        BINARY,
        takes=BINARY,
        most_bytes=len(encode_frames([bytes(RECORD_BYTES)])),
    ),
    RouteRow("GET", "/v1/records", record, "The record with an id.", BINARY, (_ID,), absent=True),
    RouteRow(
        "GET",
        "/v1/records/{index}",
        record,
        "The record at an index.",
        BINARY,
        (_INDEX,),
        absent=True,
    ),
    RouteRow(
        "GET",
        "/v1/receipts",
        receipts,
        "Receipts, in frames; fewer than asked for where they are large.",
        BINARY,
        (_BEGIN, _END),
    ),
    RouteRow(
        "GET",
        "/v1/receipts/{index}",
        receipt,
        "The receipt of a record.",
        BINARY,
        (_INDEX,),
        absent=True,
    ),
    RouteRow(
        "GET",
        "/v1/states/{name:path}",
        state,
        "The state receipt of an object, or of its absence.",
        BINARY,
        (_NAME,),
    ),
    RouteRow(
        "GET",
        "/v1/history/{name:path}",
        history,
        "The complete history of an object, as of the newest block or of a height.",
        BINARY,
        (_NAME, Parameter("height", "A block's height.", required=False)),
        absent=True,
    ),
    RouteRow(
        "GET", "/v1/events", events, "Each published checkpoint, as server-sent events.", EVENTS
    ),
    RouteRow("GET", "/healthz", healthz, "Whether the node runs.", TEXT),
    RouteRow("GET", "/readyz", readyz, "Whether the node is caught up.", TEXT),
    RouteRow("GET", "/metrics", metrics, "Figures for Prometheus.", METRICS_TYPE),
    RouteRow("GET", "/openapi.json", openapi, "This document.", JSON),
)
