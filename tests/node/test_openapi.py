"""The OpenAPI document and the specification name every status that a node answers."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ledgercore import Ledger, errors, testing
from ledgercore.errors import LedgerError, RefusedError
from ledgercore.node import answers, rates
from ledgercore.node.answers import STATUSES, status_of
from ledgercore.node.app import make_app
from ledgercore.node.guard import KEY
from ledgercore.node.limits import Limits
from ledgercore.node.logs import make_log
from ledgercore.node.node import Node
from ledgercore.node.openapi import document
from ledgercore.node.routes import ROUTES
from ledgercore.node.table import RouteRow
from ledgercore.sync.messages import TEXT
from ledgercore.sync.witness import COSIGNING_REFUSALS
from tests.conftest import REPOSITORY
from tests.node.running import MEMBERS, OPERATOR

KINDS = [
    kind
    for module in (errors, answers, rates)
    for kind in vars(module).values()
    if isinstance(kind, type)
    and issubclass(kind, LedgerError)
    and kind.__module__ == module.__name__
]
ASKED = {"height": "0", "index": "1", "name": "member/member-1", "part": "0"}
QUERY = b"id=" + b"00" * 32 + b"&first=1&second=1&begin=0&end=1&part=0"
WARRANTED = {401, 403}


def described(row: RouteRow) -> set[int]:
    path = row.path.replace(":path}", "}")
    operation = document(ROUTES, Limits())["paths"][path][row.method.lower()]
    return {int(status) for status in operation["responses"]}


def made(kind: type[LedgerError]) -> LedgerError:
    if kind is RefusedError:
        return RefusedError("E_MEMBER", "no member")
    return rates.TooManyError("wait", 1) if kind is rates.TooManyError else kind("wrong")


class Failing:
    """A node's ledger and witness, of which whatever is asked raises one error."""

    def __init__(self, kind: type[LedgerError]) -> None:
        self.error = made(kind)
        self.asked = 0

    async def __call__(self, *given: object) -> None:
        self.asked += 1
        raise self.error


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    ledger = Ledger.create(
        tmp_path_factory.mktemp("openapi") / "a.ledger",
        origin="test.example/openapi",
        members=testing.test_members(MEMBERS),
        key=OPERATOR,
    )
    yield Node("operator", ledger, make_log(io.StringIO()))
    ledger.close()


async def answered(node: Node, row: RouteRow) -> int:
    """The status of what a route answers behind the guard, which lets everybody through here."""
    app, found = make_app(node), list[int]()
    app.user_middleware.clear()
    if row.path == "/v1/events":
        return 200  # what it meets comes after its status: the stream breaks off
    path = re.sub(r"\{(\w+)(:path)?\}", lambda match: ASKED[match[1]], row.path)
    scope: dict[str, Any] = {
        "type": "http",
        "method": row.method,
        "path": path,
        "query_string": QUERY,
        "headers": [],
        KEY: testing.signing_key(1).public_key,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"\0\0\0\1x", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    await app(scope, receive, send)  # type: ignore[arg-type]
    (status,) = found
    return status


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_what_goes_wrong_in_a_route_is_answered_with_a_status_that_is_described(
    node: Node, row: RouteRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "witness", SimpleNamespace(add_checkpoint=print))
    for kind in KINDS:
        if issubclass(kind, errors.AbsentError) and not row.absent:
            continue  # such a route says what it has, and never that it has it not
        failing = Failing(kind)
        monkeypatch.setattr(node, "ask", failing)
        monkeypatch.setattr(node, "submit", failing)

        status = asyncio.run(answered(node, row))

        assert status == (status_of(failing.error) if failing.asked else 200)
        if kind is not RefusedError or row.path.startswith("/v1/"):
            assert status in described(row), kind.__name__


def test_the_guard_answers_nothing_that_is_not_described() -> None:
    for row in ROUTES:
        warranted = row.path.startswith("/v1/") and row.path != "/v1/add-checkpoint"
        want = STATUSES - {404, 405} - (set() if warranted else WARRANTED)
        assert described(row) >= want, row.path


def test_what_a_witness_refuses_with_is_described_as_text() -> None:
    operation = document(ROUTES, Limits())["paths"]["/v1/add-checkpoint"]["post"]
    (row,) = (row for row in ROUTES if row.path == "/v1/add-checkpoint")

    assert described(row) >= COSIGNING_REFUSALS.keys()
    for status in COSIGNING_REFUSALS:
        assert list(operation["responses"][str(status)]["content"]) == [TEXT.partition(";")[0]]


def test_the_specification_has_every_status() -> None:
    text = (REPOSITORY / "docs" / "spec" / "node.md").read_text()

    assert {int(each) for each in re.findall(r"^\| (\d{3}) \|", text, re.MULTILINE)} == STATUSES
