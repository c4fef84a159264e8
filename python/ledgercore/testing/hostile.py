"""Behave as a peer must not: each behaviour turns an honest answer into another one.

``HOSTILE`` has them by name, with the offences that a follower scores them for; one without any is
harmless. They know no secret of the operator's: two histories take a second ledger with its key.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ledgercore._core import Checkpoint, SigningKey, sign_checkpoint
from ledgercore.sync import Request, Response
from ledgercore.sync.messages import decode_frames, encode_frames, encode_hashes
from ledgercore.testing.simulation import Answer, Dice

__all__ = ["HOSTILE", "Behaviour"]

STRANGER = SigningKey(bytes([77]) * 32)
ALL = 1 << 30

Change = Callable[[Response, Dice], Response | None]
Blocks = Callable[[list[bytes], Dice], list[bytes]]


class Behaviour(NamedTuple):
    """What makes an answer another one, and what that is scored as: one of these."""

    make: Callable[[Answer, Dice], Answer]
    offences: frozenset[str]


def _on(word: str, change: Change) -> Callable[[Answer, Dice], Answer]:
    """Change what is answered on one path."""

    def make(answer: Answer, dice: Dice) -> Answer:
        def lie(request: Request) -> Response | None:
            response = answer(request)
            if response is None or response.status != 200 or word not in request.path:
                return response
            return change(response, dice)

        return lie

    return make


def _body(data: bytes) -> Change:
    return lambda response, dice: Response(200, data)


def _status(status: int) -> Callable[[Answer, Dice], Answer]:
    return lambda answer, dice: lambda request: Response(status, b"")


def _note(change: Callable[[Checkpoint], str]) -> Change:
    return lambda response, dice: Response(
        200, change(Checkpoint.parse(response.body.decode())).encode()
    )


def _rewritten(word: bytes) -> Change:
    """A note whose text was changed after it was signed."""

    def change(response: Response, dice: Dice) -> Response:
        lines = response.body.split(b"\n")
        at = {b"size": 1, b"root": 2}[word]
        lines[at] = b"99" if word == b"size" else lines[3].split(b" ")[2]
        return Response(200, b"\n".join(lines))

    return change


def _blocks(change: Blocks) -> Change:
    return lambda response, dice: Response(
        200, encode_frames(change(decode_frames(response.body, 1 << 20), dice), ALL)
    )


def _flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _parts(change: Callable[[list[bytes | str | list[bytes]]], object]) -> Blocks:
    """Change the parts of the first block: header, note and bundles."""

    def changed(blocks: list[bytes], dice: Dice) -> list[bytes]:
        parts = msgspec.msgpack.decode(blocks[0])
        change(parts)
        return [msgspec.msgpack.encode(parts), *blocks[1:]]

    return changed


def _header(position: int, value: object) -> Blocks:
    def change(parts: list[bytes | str | list[bytes]]) -> None:
        header = msgspec.msgpack.decode(parts[0])  # type: ignore[arg-type]
        header[position] = value
        parts[0] = msgspec.msgpack.encode(header)

    return _parts(change)


def _other_body(blocks: list[bytes], dice: Dice) -> list[bytes]:
    """The records of the last block under the header of the first."""
    first, last = (msgspec.msgpack.decode(each) for each in (blocks[0], blocks[-1]))
    if len(blocks) == 1:
        last[2] = [_flipped(last[2][0], dice.below(len(last[2][0])))]
    return [msgspec.msgpack.encode([first[0], first[1], last[2]]), *blocks[1:]]


def _high_then_low(answer: Answer, dice: Dice) -> Answer:
    """The newest checkpoint, then the genesis's, and never a block."""
    asked = [0]

    def lie(request: Request) -> Response | None:
        if "blocks" in request.path:
            return Response(404, b"")
        if request.path == "/v1/checkpoint":
            asked[0] += 1
            if asked[0] % 2 == 0:
                path = "/v1/checkpoint/0"
                return answer(Request("GET", path, request.limit_bytes, request.timeout_ms))
        return answer(request)

    return lie


def _stale(answer: Answer, dice: Dice) -> Answer:
    """The genesis's checkpoint for ever."""

    def lie(request: Request) -> Response | None:
        path = "/v1/checkpoint/0" if request.path == "/v1/checkpoint" else request.path
        return answer(Request("GET", path, request.limit_bytes, request.timeout_ms))

    return lie


def _replayed(answer: Answer, dice: Dice) -> Answer:
    """The first blocks, whatever is asked for."""

    def lie(request: Request) -> Response | None:
        path = "/v1/blocks?begin=0&end=2" if "/blocks" in request.path else request.path
        return answer(Request("GET", path, request.limit_bytes, request.timeout_ms))

    return lie


def _one_by_one(answer: Answer, dice: Dice) -> Answer:
    """One block an answer, which is allowed."""
    return _on("blocks", _blocks(lambda blocks, dice: blocks[:1]))(answer, dice)


def _by_turns(answer: Answer, dice: Dice) -> Answer:
    """The truth, and noise, as it comes."""

    def lie(request: Request) -> Response | None:
        response = answer(request)
        if response is None or dice.chance(50):
            return response
        noise = bytes(dice.below(256) for _ in range(dice.below(200)))
        return Response(200, noise)

    return lie


def _stalls(answer: Answer, dice: Dice) -> Answer:
    """Everything but blocks, which never come, or not whole in time."""
    return lambda request: None if "/blocks" in request.path else answer(request)


def _stalls_by_turns(answer: Answer, dice: Dice) -> Answer:
    """A block at a time, and every second time none."""
    given = [0]

    def lie(request: Request) -> Response | None:
        if "/blocks" not in request.path:
            return answer(request)
        given[0] += 1
        return None if given[0] % 2 else _one_by_one(answer, dice)(request)

    return lie


def _silent(answer: Answer, dice: Dice) -> Answer:
    return lambda request: None


def _echo(answer: Answer, dice: Dice) -> Answer:
    return lambda request: Response(200, request.path.encode())


def _stranger(checkpoint: Checkpoint) -> str:
    return sign_checkpoint(checkpoint, STRANGER)


def _other_origin(checkpoint: Checkpoint) -> str:
    parts = {"size": checkpoint.size, "height": checkpoint.height}
    other = Checkpoint(
        origin="other.example",
        root=checkpoint.root,
        block_hash=checkpoint.block_hash,
        state_root=checkpoint.state_root,
        **parts,
    )
    return sign_checkpoint(other, STRANGER)


def _known(make: Callable[[Answer, Dice], Answer], *offences: str) -> Behaviour:
    return Behaviour(make, frozenset(offences))


def _fewer_records(parts: list[bytes | str | list[bytes]]) -> None:
    bundles = parts[2]
    assert isinstance(bundles, list)
    records = msgspec.msgpack.decode(bundles[0], type=list[msgspec.Raw])
    bundles[0] = msgspec.msgpack.encode(records[:-1] or [*records, *records])


def _other_note(blocks: list[bytes], dice: Dice) -> list[bytes]:
    first, last = (msgspec.msgpack.decode(each) for each in (blocks[0], blocks[-1]))
    note = last[1] if len(blocks) > 1 else first[1].replace("\n", "\n\n", 1)
    return [msgspec.msgpack.encode([first[0], note, first[2]]), *blocks[1:]]


_NOTE, _PROOF, _BLOCKS = "checkpoint", "consistency", "blocks"
_NESTED = b"\x91" * 100_000

HOSTILE: dict[str, Behaviour] = {
    "never answers": _known(_silent, "unreachable"),
    "fails": _known(_status(500), "refused"),
    "sends elsewhere": _known(_status(302), "refused"),
    "has nothing": _known(_status(404), "behind"),
    "echoes the request": _known(_echo, "malformed"),
    "stale head": _known(_stale),
    "high, then low": _known(_high_then_low, "went-back", "behind"),
    "one block an answer": _known(_one_by_one),
    "truth and noise by turns": _known(
        _by_turns, "malformed", "wrong-proof", "empty", "wrong-block", "went-back"
    ),
    "empty checkpoint": _known(_on(_NOTE, _body(b"")), "malformed"),
    "binary checkpoint": _known(_on(_NOTE, _body(bytes(range(256)))), "malformed"),
    "cut checkpoint": _known(_on(_NOTE, lambda r, d: Response(200, r.body[:-9])), "malformed"),
    "endless checkpoint": _known(_on(_NOTE, _body(bytes(70_000))), "malformed"),
    "changed size": _known(_on(_NOTE, _rewritten(b"size")), "forged"),
    "changed root": _known(_on(_NOTE, _rewritten(b"root")), "forged"),
    "signed by a stranger": _known(_on(_NOTE, _note(_stranger)), "forged"),
    "of another origin": _known(_on(_NOTE, _note(_other_origin)), "forged"),
    "no proof": _known(_on(_PROOF, _body(b"")), "wrong-proof"),
    "wrong proof": _known(_on(_PROOF, _body(encode_hashes([bytes(32)] * 3))), "wrong-proof"),
    "malformed proof": _known(_on(_PROOF, _body(b"AAAA\n")), "malformed"),
    "endless proof": _known(_on(_PROOF, _body(encode_hashes([bytes(32)] * 64))), "malformed"),
    "withheld blocks": _known(_on(_BLOCKS, lambda r, d: Response(404, b"")), "behind"),
    "stalls on blocks": _known(_stalls, "unreachable"),
    "stalls on blocks by turns": _known(_stalls_by_turns, "unreachable"),
    "empty page": _known(_on(_BLOCKS, _body(b"")), "empty"),
    "endless page": _known(_on(_BLOCKS, _body(bytes(18 << 20))), "malformed"),
    "compressed bomb": _known(_on(_BLOCKS, _body(gzip.compress(bytes(1 << 20)))), "malformed"),
    "giant length": _known(_on(_BLOCKS, _body(b"\xff" * 64)), "malformed"),
    "giant count": _known(_on(_BLOCKS, _body(bytes(4 * 2000))), "malformed"),
    "cut page": _known(_on(_BLOCKS, lambda r, d: Response(200, r.body[:-1])), "malformed"),
    "deep nesting": _known(
        _on(_BLOCKS, _blocks(lambda blocks, dice: [_NESTED])), "wrong-block", "malformed"
    ),
    "empty blocks": _known(_on(_BLOCKS, _blocks(lambda blocks, dice: [b""])), "wrong-block"),
    "flipped bit": _known(
        _on(_BLOCKS, _blocks(lambda b, d: [_flipped(b[0], d.below(len(b[0]))), *b[1:]])),
        "wrong-block",
    ),
    "reversed": _known(_on(_BLOCKS, _blocks(lambda b, d: b[::-1])), "wrong-block"),
    "every block twice": _known(
        _on(_BLOCKS, _blocks(lambda b, d: [each for one in b for each in (one, one)])),
        "malformed",
    ),
    "first blocks again": _known(_replayed, "wrong-block", "malformed"),
    "other body": _known(_on(_BLOCKS, _blocks(_other_body)), "wrong-block"),
    "a record less": _known(_on(_BLOCKS, _blocks(_parts(_fewer_records))), "wrong-block"),
    "no records": _known(_on(_BLOCKS, _blocks(_parts(lambda p: p.pop()))), "wrong-block"),
    "other note": _known(_on(_BLOCKS, _blocks(_other_note)), "wrong-block"),
    "unknown version": _known(_on(_BLOCKS, _blocks(_header(0, 9))), "wrong-block"),
    "other height": _known(_on(_BLOCKS, _blocks(_header(1, 99))), "wrong-block"),
    "other parent": _known(_on(_BLOCKS, _blocks(_header(2, bytes(32)))), "wrong-block"),
    "future time": _known(_on(_BLOCKS, _blocks(_header(3, 1 << 62))), "wrong-block"),
    "count of millions": _known(_on(_BLOCKS, _blocks(_header(5, 1 << 40))), "wrong-block"),
}
"""Every behaviour by its name."""
