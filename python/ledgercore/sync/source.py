"""Answer what copies ask, from a ledger or a copy of one.

No I/O of its own but reading the ledger: a server, a test or a simulator hands requests in. What is
asked wrongly is answered with 400, what is not there or not kept with 404, and what cannot be had
now with 503: no request raises for what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from ledgercore._core import Anchor
from ledgercore.anchor import format_anchor
from ledgercore.errors import InvalidProof, LedgerError, MalformedError
from ledgercore.sync.messages import (
    BINARY,
    BLOCKS_AT_ONCE,
    TEXT,
    Request,
    Response,
    encode_frames,
    encode_hashes,
)

__all__ = ["Readable", "Source"]

_DIGITS = 20


class Readable(Protocol):
    """What is asked of a ledger, or of a copy."""

    @property
    def trust_anchor(self) -> Anchor: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def height(self) -> int: ...
    def note(self, height: int) -> str: ...
    def prove_consistency(self, first_size: int, second_size: int) -> list[bytes]: ...
    def blocks(self, begin: int, end: int) -> Iterator[bytes]: ...


class Source:
    """One ledger's answers; as safe between threads as the ledger is."""

    def __init__(self, ledger: Readable) -> None:
        self._ledger = ledger

    def answer(self, request: Request) -> Response:
        """The answer to a GET; POST is for witnesses."""
        path, query = _split(request.path)
        word, _, rest = path.removeprefix("/v1/").partition("/")
        show = _ANSWERS.get((word, bool(rest)))
        if request.method != "GET" or show is None or not path.startswith("/v1/"):
            return _refused(404, f"nothing is at {path}")
        try:
            return show(self._ledger, query | ({"height": rest} if rest else {}))
        except (MalformedError, InvalidProof) as error:
            return _refused(400, str(error))
        except (IndexError, KeyError) as error:
            return _refused(404, str(error))
        except LedgerError as error:
            return _refused(503, str(error))


def _split(path: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(path)
    return parts.path, dict(parse_qsl(parts.query))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise MalformedError(f"{name} is {text!r:.40}, want a number")
    return int(text)


def _checkpoint(ledger: Readable, query: Mapping[str, str]) -> Response:
    return Response(200, ledger.checkpoint.encode(), TEXT)


def _note(ledger: Readable, query: Mapping[str, str]) -> Response:
    return Response(200, ledger.note(_number(query, "height")).encode(), TEXT)


def _anchor(ledger: Readable, query: Mapping[str, str]) -> Response:
    return Response(200, format_anchor(ledger.trust_anchor).encode(), TEXT)


def _consistency(ledger: Readable, query: Mapping[str, str]) -> Response:
    proof = ledger.prove_consistency(_number(query, "first"), _number(query, "second"))
    return Response(200, encode_hashes(proof), TEXT)


def _blocks(ledger: Readable, query: Mapping[str, str]) -> Response:
    begin, end = _number(query, "begin"), _number(query, "end")
    if end <= begin:
        raise MalformedError(f"blocks are [{begin}, {end}), want at least one")
    if begin > ledger.height:
        raise IndexError(f"block {begin} is not here yet, want at most {ledger.height}")
    end = min(end, begin + BLOCKS_AT_ONCE)
    return Response(200, encode_frames(ledger.blocks(begin, end)), BINARY)


def _refused(status: int, reason: str) -> Response:
    return Response(status, reason.encode(errors="replace") + b"\n", TEXT)


_ANSWERS: dict[tuple[str, bool], Callable[[Readable, Mapping[str, str]], Response]] = {
    ("checkpoint", False): _checkpoint,
    ("checkpoint", True): _note,
    ("anchor", False): _anchor,
    ("consistency", False): _consistency,
    ("blocks", False): _blocks,
}
"""What answers a path, by its word and whether more follows it."""
