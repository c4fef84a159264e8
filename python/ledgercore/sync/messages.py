"""Say what copies of a ledger ask each other, as requests and responses of HTTP.

Nothing here sends anything: a request is a value with the bounds that its answer is held to, and
whoever carries it gives back a status and bytes. Lists of hashes are base64, a line each. Lists of
byte strings, such as blocks, are frames: four bytes of length, big endian, then the bytes. The
paths are described in docs/spec/sync.md.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ledgercore.errors import LimitError, MalformedError
from ledgercore.ledger.transfer import TRANSFER_BYTES

__all__ = [
    "ANSWER_BYTES",
    "BINARY",
    "BLOCKS_AT_ONCE",
    "NOTE_BYTES",
    "SIZE",
    "TEXT",
    "Request",
    "Response",
    "ask_blocks",
    "ask_checkpoint",
    "ask_consistency",
    "ask_cosignature",
    "ask_events",
    "ask_snapshot",
    "decode_frames",
    "decode_hashes",
    "decode_text",
    "encode_answers",
    "encode_frames",
    "encode_hashes",
    "split_frames",
]

ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes of an answer from which on no further frame is put in it."""

FRAMES_BYTES = max(ANSWER_BYTES, 4 + TRANSFER_BYTES)
"""Bytes of an answer in frames at most: one so filled, or one block that is larger."""

NOTE_BYTES = 64 * 1024
"""Bytes of a checkpoint or of an anchor at most."""

CONSISTENCY_HASHES = 63
"""Hashes of a consistency proof at most (C2SP tlog-witness)."""

HASHES_BYTES = CONSISTENCY_HASHES * 45

BLOCKS_AT_ONCE = 1024
"""Blocks that are asked for at once, and taken from one answer, at most."""

SHORT_MS = 3_000
LONG_MS = 10_000
SILENCE_MS = 60_000

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
SIZE = "text/x.tlog.size"

_LENGTH_BYTES = 4


Kind = Literal["", "checkpoint", "consistency", "blocks", "snapshot", "cosignature"]


@dataclass(frozen=True)
class Request:
    """What is asked of a peer: ``limit_bytes`` and ``timeout_ms`` bound the whole answer.

    Of a stream they bound each event, and the silence before it.
    """

    method: Literal["GET", "POST"]
    path: str
    limit_bytes: int
    timeout_ms: int
    body: bytes = b""
    kind: Kind = ""
    """What it asks for, to whoever takes the answer; it does not travel."""


@dataclass(frozen=True)
class Response:
    """What a peer answered."""

    status: int
    body: bytes
    content_type: str = BINARY
    wait_s: int | None = None
    """After how many seconds the peer wants to be asked again, where it says so."""


def ask_checkpoint(height: int | None = None) -> Request:
    """The newest signed checkpoint, or that of a height."""
    path = "/v1/checkpoint" if height is None else f"/v1/checkpoint/{height}"
    return Request("GET", path, NOTE_BYTES, SHORT_MS, kind="checkpoint")


def ask_events(silence_ms: int = SILENCE_MS) -> Request:
    """Each newer checkpoint as soon as there is one, in a stream without end."""
    return Request("GET", "/v1/events", NOTE_BYTES, silence_ms, kind="checkpoint")


def ask_consistency(first: int, second: int) -> Request:
    """That the tree of the second size begins with that of the first."""
    path = f"/v1/consistency?first={first}&second={second}"
    return Request("GET", path, HASHES_BYTES, SHORT_MS, kind="consistency")


def ask_blocks(begin: int, end: int) -> Request:
    """Blocks of heights ``[begin, end)`` in frames, or as many of the first as fit."""
    path = f"/v1/blocks?begin={begin}&end={end}"
    return Request("GET", path, FRAMES_BYTES, LONG_MS, kind="blocks")


def ask_snapshot(height: int, part: int) -> Request:
    """One part of the snapshot at a height, in frames."""
    path = f"/v1/snapshot/{height}?part={part}"
    return Request("GET", path, FRAMES_BYTES, LONG_MS, kind="snapshot")


def ask_cosignature(old_size: int, proof: Sequence[bytes], note: str) -> Request:
    """That a witness, who knows the tree of the old size, cosigns a note (C2SP tlog-witness)."""
    body = f"old {old_size}\n".encode() + encode_hashes(proof) + b"\n" + note.encode()
    return Request("POST", "/v1/add-checkpoint", NOTE_BYTES, SHORT_MS, body, "cosignature")


def encode_hashes(hashes: Iterable[bytes]) -> bytes:
    """Hashes as lines of base64."""
    return b"".join(b64encode(each) + b"\n" for each in hashes)


def decode_hashes(body: bytes) -> list[bytes]:
    """The hashes of a proof, or ``MalformedError``."""
    lines = body.split(b"\n")
    if lines.pop() != b"":
        raise MalformedError("hashes end within a line")
    if len(lines) > CONSISTENCY_HASHES:
        raise LimitError(f"proof has {len(lines)} hashes, want at most {CONSISTENCY_HASHES}")
    return [_decode_hash(line) for line in lines]


def _decode_hash(line: bytes) -> bytes:
    try:
        data = b64decode(line, validate=True)
    except binascii.Error:
        data = b""
    if len(data) != 32 or b64encode(data) != line:
        raise MalformedError(f"{line[:48]!r} is no hash in base64")
    return data


def encode_frames(items: Iterable[bytes], limit_bytes: int = ANSWER_BYTES) -> bytes:
    """The first item, and those after it that fit below the limit; nothing of no items.

    No item is drawn after the one that did not fit.
    """
    body = bytearray()
    for item in items:
        if body and len(body) + _LENGTH_BYTES + len(item) > limit_bytes:
            break
        body += len(item).to_bytes(_LENGTH_BYTES, "big") + item
    return bytes(body)


def encode_answers(items: Iterable[bytes]) -> list[bytes]:
    """All items in frames, in as many answers as they take."""
    answers, answer = list[bytes](), bytearray()
    for item in items:
        frame = len(item).to_bytes(_LENGTH_BYTES, "big") + item
        if answer and len(answer) + len(frame) > ANSWER_BYTES:
            answers.append(bytes(answer))
            answer.clear()
        answer += frame
    return [*answers, bytes(answer)] if answer else answers


def decode_frames(body: bytes, most: int, what: str = "answer") -> list[bytes]:
    """The items of what is in frames, such as an answer, or ``MalformedError``."""
    return [bytes(item) for item in split_frames(body, most, what)]


def split_frames(body: bytes, most: int, what: str = "answer") -> list[memoryview]:
    """The same without copies: where the items stand in the answer, which they keep in memory."""
    items: list[memoryview] = []
    view, at = memoryview(body), 0
    while at < len(body):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(view[at:begin], "big")
        if at > len(body) or begin > len(body):
            raise MalformedError(f"frame {len(items)} ends after the {what}")
        if len(items) == most:
            raise LimitError(f"{what} has more than {most} frames, want at most that")
        items.append(view[begin:at])
    return items


def decode_text(body: bytes) -> str:
    """The text of an answer, or ``MalformedError``."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise MalformedError("answer is not UTF-8 text") from None
