"""Answer what copies ask, from a ledger or a copy of one.

No I/O of its own but reading the ledger: a server, a test or a simulator hands requests in. What is
asked wrongly is answered with 400, what is not there or not kept with 404, and what cannot be had
now with 503: no request raises for what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Protocol
from urllib.parse import parse_qsl

from ledgercore._core import Anchor
from ledgercore.anchor import format_anchor
from ledgercore.errors import (
    InvalidProof,
    LedgerError,
    LimitError,
    MalformedError,
    UnavailableError,
)
from ledgercore.ledger.snapshot import SNAPSHOT_BYTES, decode_head
from ledgercore.sync.messages import (
    BINARY,
    BLOCKS_AT_ONCE,
    TEXT,
    Request,
    Response,
    encode_answers,
    encode_frames,
    encode_hashes,
)

__all__ = ["Readable", "Source"]

_DIGITS = 20

SNAPSHOT_BLOCKS = 1024
"""Blocks after which a snapshot that is kept is made anew."""

Query = Mapping[str, str]


class Readable(Protocol):
    """What is asked of a ledger, or of a copy."""

    @property
    def trust_anchor(self) -> Anchor: ...
    @property
    def checkpoint(self) -> str: ...
    @property
    def published(self) -> str | None: ...
    @property
    def height(self) -> int: ...
    def note(self, height: int) -> str: ...
    def snapshot(self, limit_bytes: int) -> list[bytes]: ...
    def prove_consistency(self, first_size: int, second_size: int) -> list[bytes]: ...
    def blocks(self, begin: int, end: int) -> Iterator[bytes]: ...


class Source:
    """One ledger's answers; as safe between threads as the ledger is.

    One snapshot is kept in memory, until blocks enough have come for another one to be made.
    """

    def __init__(self, ledger: Readable, snapshot_bytes: int = SNAPSHOT_BYTES) -> None:
        """``snapshot_bytes`` bounds the snapshot that is kept: a larger one is not given."""
        self._ledger = ledger
        self._snapshot_bytes = snapshot_bytes
        self._lock = Lock()
        self._height = -1
        self._parts: list[bytes] = []

    def answer(self, request: Request) -> Response:
        """The answer to a GET; POST is for witnesses."""
        try:
            return self.find(request)
        except (MalformedError, InvalidProof) as error:
            return _refused(400, str(error))
        except (IndexError, KeyError) as error:
            return _refused(404, str(error))
        except LedgerError as error:
            return _refused(503, str(error))

    def find(self, request: Request) -> Response:
        """What a GET asks for; what goes wrong is raised, of the ledger as of the request.

        Raises ``IndexError`` or ``KeyError`` for what is not there.
        """
        path, query = _split(request.path)
        word, _, rest = path.removeprefix("/v1/").partition("/")
        show = _ANSWERS.get((word, bool(rest)))
        if request.method != "GET" or show is None or not path.startswith("/v1/"):
            raise IndexError(f"nothing is at {path}")
        return show(self, query | ({"height": rest} if rest else {}))

    def checkpoint(self, query: Query) -> Response:
        """The newest that is published: what is newer waits for witnesses, and nobody takes it."""
        note = self._ledger.published or self._ledger.checkpoint
        return Response(200, note.encode(), TEXT)

    def note(self, query: Query) -> Response:
        return Response(200, self._ledger.note(_number(query, "height")).encode(), TEXT)

    def anchor(self, query: Query) -> Response:
        return Response(200, format_anchor(self._ledger.trust_anchor).encode(), TEXT)

    def consistency(self, query: Query) -> Response:
        first, second = _number(query, "first"), _number(query, "second")
        proof = self._ledger.prove_consistency(first, second)
        return Response(200, encode_hashes(proof), TEXT)

    def blocks(self, query: Query) -> Response:
        begin, end = _number(query, "begin"), _number(query, "end")
        if end <= begin:
            raise MalformedError(f"blocks are [{begin}, {end}), want at least one")
        if begin > self._ledger.height:
            raise IndexError(f"block {begin} is not here yet, want at most {self._ledger.height}")
        end = min(end, begin + BLOCKS_AT_ONCE)
        return Response(200, encode_frames(self._ledger.blocks(begin, end)), BINARY)

    def snapshot(self, query: Query) -> Response:
        """A part of the snapshot of a height; part 0 may be of a later one, and names it."""
        height, part = _number(query, "height"), _number(query, "part")
        with self._lock:
            newest = self._ledger.height
            if height > newest:
                raise IndexError(f"block {height} is not here yet, want at most {newest}")
            if part == 0 and (height > self._height or newest > self._height + SNAPSHOT_BLOCKS):
                self._parts, self._height = self._draw()
            if part and height != self._height:
                raise IndexError(f"snapshot of {height} is not kept any more: begin again")
            if part >= len(self._parts):
                raise IndexError(f"part is {part}, want less than {len(self._parts)}")
            return Response(200, self._parts[part], BINARY)

    def _draw(self) -> tuple[list[bytes], int]:
        """The parts of a new snapshot, and its height; the one before is let go first.

        Nobody begins at a checkpoint that is not published: while there is none, that one stays.
        """
        if self._ledger.published != self._ledger.checkpoint:
            raise UnavailableError("newest block waits for its witnesses: ask again")
        self._parts, self._height = [], -1
        try:
            items = self._ledger.snapshot(self._snapshot_bytes)
        except LimitError as error:
            raise UnavailableError(str(error)) from error  # nothing is wrong with what was asked
        return encode_answers(items), decode_head(items[0])[0]


def _split(path: str) -> tuple[str, dict[str, str]]:
    """A path and its query, whatever else a URL that begins so would be taken for."""
    path, _, query = path.partition("?")
    return path, dict(parse_qsl(query))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise MalformedError(f"{name} is {text!r:.40}, want a number")
    return int(text)


def _refused(status: int, reason: str) -> Response:
    return Response(status, reason.encode(errors="replace") + b"\n", TEXT)


_ANSWERS: dict[tuple[str, bool], Callable[[Source, Query], Response]] = {
    ("checkpoint", False): Source.checkpoint,
    ("checkpoint", True): Source.note,
    ("anchor", False): Source.anchor,
    ("consistency", False): Source.consistency,
    ("blocks", False): Source.blocks,
    ("snapshot", True): Source.snapshot,
}
"""What answers a path, by its word and whether more follows it."""
