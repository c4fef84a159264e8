"""Turn an answer into an error: what a node says is its word, and proves nothing."""

from __future__ import annotations

import json

import pytest

from ledgercore import Anchor, SigningKey
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
from ledgercore.node.submission import Ordered, decode_ordered, encode_ordered
from ledgercore.rules.codes import CODES, refuse


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


RECORD = bytes(range(32))
ANCHOR = Anchor(
    origin="test.example/answers",
    network=bytes(16),
    suite="std",
    operator_key=SigningKey(b"o" * 32).public_key,
)


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_comes_back_as_the_ledger_raised_it(code: str) -> None:
    with pytest.raises(RefusedError) as raised:
        refuse(code, f"{code}: is (not) a prefix", RECORD)
    bare = RefusedError(code, "without a record or a remedy")

    for error in (raised.value, bare):
        answer = error_answer(error)
        found = error_of(answer.status_code, bytes(answer.body))
        outcomes = decode_ordered(encode_ordered(Ordered([error], {})), [b""], ANCHOR)

        assert answer.status_code == 403
        for each in (found, *outcomes.outcomes):
            assert isinstance(each, RefusedError)
            assert (str(each), vars(each)) == (str(error), vars(error))


@pytest.mark.parametrize("record", ["0", "00", "G" * 64, "00" * 33])
def test_a_refusal_in_no_form_is_said_to_be_malformed(record: str) -> None:
    body = json.dumps({"error": "RefusedError", "code": "E_ROLE", "record": record}).encode()

    assert type(error_of(403, body)) is MalformedError
