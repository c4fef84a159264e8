"""What is asked in another form than HTTP/1.1 with these routes is refused in the one form."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.node.running import running
from tests.node.test_hostile import said

HOST = b"host: x\r\n"


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.lower().partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name: value for name, _, value in pairs}, body


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"\0\1\2\r\n\r\n", 400, "invalid HTTP request received"),
        (b"FOO /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400, "invalid HTTP request received"),
        (
            b"GET /healthz HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 40_000 + b"\r\n\r\n",
            400,
            "headers",
        ),
        (
            b"GET /healthz HTTP/0.9\r\n" + HOST + b"\r\n",
            400,
            "request is of HTTP/0.9, want HTTP/1.1",
        ),
        (b"GET /metrics/ HTTP/1.1\r\n" + HOST + b"\r\n", 404, "nothing is at this path"),
        (b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404, "nothing is at this path"),
        (b"PUT /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405, "PUT is not taken at this path"),
    ],
)
def test_an_error_is_json_whatever_was_asked(
    tmp_path: Path, sent: bytes, status: int, reason: str
) -> None:
    async def act() -> None:
        async with running(tmp_path) as there:
            # What is answered and not closed goes on until the connection is said to end.
            found = await said(there, sent.replace(HOST, HOST + b"connection: close\r\n"))

            got, headers, body = parts(found)

            assert (got, headers["content-type"]) == (status, "application/json")
            assert int(headers["content-length"]) == len(body)
            assert json.loads(body)["message"].startswith(reason)
            assert "location" not in headers

    asyncio.run(act())


def test_a_fault_that_nobody_foresaw_is_json_and_says_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("kept/keys")

    async def act() -> None:
        async with running(tmp_path) as there:
            monkeypatch.setattr(there.node, "unready", fail)
            sent = b"GET /readyz HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n"

            status, headers, body = parts(await said(there, sent))

            assert (status, headers["content-type"]) == (500, "application/json")
            assert json.loads(body)["message"] == "node has failed at this: its operator must look"
            assert '"error": "ZeroDivisionError"' in there.log.getvalue()

    asyncio.run(act())
