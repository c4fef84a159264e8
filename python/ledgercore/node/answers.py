"""Turn what goes wrong into an answer, and an answer back into what went wrong.

An error is a JSON object: ``{"error": "MalformedError", "message": "record 3 is short", "index":
3}``; one of a rule has the fields of ``ledgercore.node.refusal``. The status says who has to act:
4xx the caller, 5xx the node.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response as Answer

from ledgercore.errors import (
    AbsentError,
    BusyError,
    DiskFullError,
    InconsistentError,
    InvalidError,
    InvalidSignature,
    LedgerError,
    LimitError,
    MalformedError,
    PassphraseError,
    RefusedError,
    SignerAwayError,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.node.rates import TooManyError
from ledgercore.node.refusal import Refusal
from ledgercore.sync.messages import Response

__all__ = [
    "JSON",
    "REASON_CHARACTERS",
    "STATUSES",
    "SlowError",
    "TooLargeError",
    "error_answer",
    "error_of",
    "failure_in",
    "json_answer",
    "refusal_in",
    "status_of",
    "told_instead",
    "too_many_in",
]

JSON = "application/json"

REASON_CHARACTERS = 500
"""What is shown of another node's words at most."""


class SlowError(LedgerError):
    """The caller took too long."""


class TooLargeError(LimitError):
    """A body passes what is taken at once."""


_STATUSES: tuple[tuple[type[LedgerError], int], ...] = (
    (AbsentError, 404),
    (SlowError, 408),
    (TooLargeError, 413),
    (TooManyError, 429),
    (MalformedError, 400),
    (InvalidError, 400),
    (RefusedError, 403),
    (DiskFullError, 507),
    (UnavailableError, 503),
    (InconsistentError, 500),
)


STATUSES = frozenset({401, 405, 500} | {status for _, status in _STATUSES})
"""Every status that an error may be answered with; 401 is of the guard, 405 of the router."""


_INSIDE: tuple[tuple[type[LedgerError], str], ...] = (
    (InconsistentError, "node has found damage and says no more: its operator must look"),
    (DiskFullError, "node's disk is full: ask again when its operator has freed space"),
    (StoreError, "node cannot use its store now: its operator must look; to ask again is safe"),
    (BusyError, "node's store is in use: ask again"),
    (PassphraseError, "node's key is not at hand: its operator must look"),
    (SignerAwayError, "node's key is not at hand now: ask again"),
)
"""Errors whose words are of the node's machine, of its files and keys, and what is told instead."""


def told_instead(error: LedgerError) -> str | None:
    """What is told of an error inside the node; None where whoever asks is told all of it."""
    found = next((told for kind, told in _INSIDE if isinstance(error, kind)), None)
    if found is None and status_of(error) == 500:
        return "node has failed at this: its operator must look"
    return found


def status_of(error: LedgerError) -> int:
    """The HTTP status that an error is answered with."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A value as JSON."""
    return Answer(msgspec.json.encode(value), status, headers, JSON)


def error_answer(error: LedgerError, status: int | None = None) -> Answer:
    """An error as an answer; what went wrong inside the node is not told in detail."""
    status = status_of(error) if status is None else status
    told = told_instead(error)
    message = str(error) if told is None else told
    body: dict[str, Any] = {"error": type(error).__name__, "message": message}
    headers = {}
    if isinstance(error, RefusedError):
        body |= msgspec.to_builtins(Refusal.of(error))
    if isinstance(error, TooManyError):
        headers["retry-after"] = str(error.wait_s)
    elif status == 503:
        headers["retry-after"] = "1"
    index = getattr(error, "index", None)
    if index is not None:
        body["index"] = index
    if isinstance(error, InvalidSignature):
        body["indices"] = list(error.indices)[:1024]
    return json_answer(body, status, headers)


class _Body(msgspec.Struct):
    """What an error's answer may have."""

    error: str = ""
    message: str = ""
    index: int | None = None
    indices: tuple[int, ...] = ()


_MALFORMED = {kind.__name__: kind for kind in (MalformedError, LimitError, TooLargeError)}


def error_of(status: int, body: bytes, wait_s: float | None = None) -> LedgerError:
    """The error that an answer stands for; an answer of others is one too.

    ``wait_s`` is when to ask again, as its header says.

    A node says what was wrong with a request, that it does not trust who asks, and that it has
    something or not. What it says of histories and of damage is no proof and of no file here: it
    is ``UnavailableError`` or ``MalformedError``, by the status.
    """
    try:
        said = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError:
        said = _Body(message=f"answer has status {status} and no reason")
    message = said.message or f"answer has status {status}"
    if said.error == "RefusedError":
        return _refused(body)
    if said.error == "InvalidSignature":
        return InvalidSignature(message, said.indices)
    kind = _MALFORMED.get(said.error)
    if kind is not None:
        return kind(message, said.index)
    if status == 429:
        return TooManyError(message, 1 if wait_s is None else wait_s)
    if status == 401:
        return UntrustedError(message)
    if status == 404 or said.error == "AbsentError":
        return AbsentError(message)
    return UnavailableError(message) if status >= 500 else MalformedError(message)


def refusal_in(answer: Response) -> LedgerError | None:
    """Why a node does not let whoever asks ask, with its remedy; None where it does."""
    if answer.status not in (401, 403):
        return None
    error = error_of(answer.status, answer.body)
    if isinstance(error, RefusedError):
        return RefusedError(error.code, _short(error.message), remedy=_short(error.remedy))
    return UntrustedError(_short(str(error)))


def too_many_in(answer: Response) -> TooManyError | None:
    """That a node wants to be asked later, and when; None where it does not."""
    if answer.status != 429:
        return None
    wait_s = 1 if answer.wait_s is None else answer.wait_s
    return TooManyError(_short(str(error_of(answer.status, answer.body))), wait_s)


def failure_in(answer: Response) -> UnavailableError | None:
    """Why a node did not answer as asked, in its own words; None where it did."""
    if answer.status == 200:
        return None
    return UnavailableError(_short(str(error_of(answer.status, answer.body))))


def _short(text: str) -> str:
    return text if len(text) <= REASON_CHARACTERS else f"{text[:REASON_CHARACTERS]}..."


def _refused(body: bytes) -> LedgerError:
    try:
        return msgspec.json.decode(body, type=Refusal).error()
    except msgspec.DecodeError as error:
        return MalformedError(f"answer of a refusal: {error}")
