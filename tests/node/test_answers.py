"""Turn an answer into an error: what a node says is its word, and proves nothing."""

from __future__ import annotations

import json

import pytest

from ledgercore.errors import (
    AbsentError,
    InvalidSignature,
    LedgerError,
    LimitError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.node.answers import TooLargeError, error_answer, error_of


@pytest.mark.parametrize(
    "error",
    [
        MalformedError("record 3 is short", 3),
        LimitError("too many"),
        TooLargeError("too large"),
        InvalidSignature("2 of 4", (1, 3)),
        AbsentError("record is not there"),
        UnavailableError("node is stopping"),
    ],
)
def test_what_was_wrong_with_a_request_comes_back_as_it_was(error: LedgerError) -> None:
    answer = error_answer(error)

    found = error_of(answer.status_code, bytes(answer.body))

    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("said", ["ForkError", "CorruptError", "RollbackError", "LedgerError"])
def test_a_node_makes_no_caller_raise_what_only_a_proof_shows(said: str) -> None:
    body = json.dumps({"error": said, "message": "believe me"}).encode()

    assert type(error_of(503, body)) is UnavailableError
    assert type(error_of(400, body)) is MalformedError
    assert type(error_of(401, body)) is UntrustedError


def test_a_refusal_keeps_its_code() -> None:
    answer = error_answer(RefusedError("E_MEMBER", "no member", remedy="ask for admission"))

    found = error_of(answer.status_code, bytes(answer.body))

    assert isinstance(found, RefusedError)
    assert found.code == "E_MEMBER"
