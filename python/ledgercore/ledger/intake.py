"""Decode and verify what was submitted, all of it before anything is ordered.

A malformed record or a bad signature refuses the whole submission, and the error names every one,
by its position in what was submitted.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import BODY_BYTES, Batch, Record, VerifiedBatch
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidSignature, LimitError, MalformedError
from ledgercore.ledger.arguments import bytes_of

__all__ = [
    "BLOCK_BYTES",
    "BLOCK_RECORDS",
    "check_list",
    "check_payload",
    "cut",
    "decode_records",
    "fits",
    "verify_batches",
    "weight",
]

BLOCK_RECORDS = 16_384
"""Records in one block at most: what is submitted at once beyond it goes into more blocks."""

BLOCK_BYTES = 16 * 1024 * 1024
"""Bytes of the records in one block at most."""

_HEADER_BYTES = 256
"""More than a record's header and signature have."""

_SHOWN = 8

_BYTES = bytes | bytearray
_LONE = _BYTES | str
_MANY = (list, Sequence)  # a list is one, but whether anything is a sequence takes long to find out


def check_payload(payload: bytes) -> None:
    """Refuse a payload that no record holds, before others share its block."""
    if not isinstance(payload, _BYTES):
        raise TypeError(f"payload is {type(payload).__name__}, want bytes or bytearray")
    if len(payload) > BODY_BYTES:
        raise LimitError(f"body bytes are {len(payload)}, want at most {BODY_BYTES}")


def check_sequence(what: str, items: object, one: str) -> None:
    """Refuse a lone item, which ``one`` takes, and what can be read only once."""
    if isinstance(items, _LONE) or not isinstance(items, _MANY):
        raise TypeError(
            f"{what} are {type(items).__name__}, want a list of bytes: {one} takes one alone, and "
            "list makes a list of an iterator"
        )


def check_list(what: str, items: Sequence[object], one: str) -> None:
    """Refuse what is no list of bytes before anything of it is taken.

    ``one`` is the method that takes a lone item.
    """
    check_sequence(what, items, one)
    wanted = _BYTES if one == "append" else bytes  # a payload is copied into a record anyway
    words = "bytes or bytearray" if one == "append" else "bytes"
    for kind in {*map(type, items)} - {bytes}:
        if not issubclass(kind, wanted):
            raise TypeError(f"{what} hold {kind.__name__}, want {words}{bytes_of(kind)}")


def decode_records(records: Sequence[bytes], *, ahead: bool = False) -> tuple[int, list[Batch]]:
    """What the records weigh, and the records, decoded, cut into one batch a block.

    What is done ``ahead`` of need gives way to the block before it. Each look at many objects of
    Python takes a while, so that those of one block are looked at once.
    """
    check_sequence("records", records, "submit")
    count = len(records)
    headers = _HEADER_BYTES * count
    if fits(count, headers):
        try:
            decoded = Batch.decode_within(records, BLOCK_BYTES - headers, ahead=ahead)
        except TypeError:
            check_list("records", records, "submit")  # which says what was got and is wanted
            raise
        except MalformedError:
            raise _malformed(records) from None
        if decoded is not None:
            total, batch = decoded
            if len(batch) != count:
                raise TypeError(f"records were {count} and then {len(batch)}: hand over a list")
            return total + headers, [batch]
    check_list("records", records, "submit")
    total = weight(records)
    batches, malformed = [], False
    for piece in cut(records, total):
        try:
            batches.append(Batch.decode(piece, ahead=ahead))
        except MalformedError:
            malformed = True
    if malformed:
        raise _malformed(records)
    return total, batches


def verify_batches(
    batches: Sequence[Batch], entropy: Entropy, *, ahead: bool = False
) -> list[VerifiedBatch]:
    """The same batches, verified."""
    verified: list[VerifiedBatch] = []
    bad: list[int] = []
    begin = 0
    for batch in batches:
        try:
            verified.append(batch.verify(entropy.bytes(32), ahead=ahead))
        except InvalidSignature as error:
            bad += [begin + index for index in error.indices]
        begin += len(batch)
    if bad:
        message = f"{len(bad)} of {begin} signatures do not verify: at {_shown(bad)}"
        raise InvalidSignature(message, tuple(bad))
    return verified


def _malformed(records: Sequence[bytes]) -> MalformedError:
    """The error that names every malformed record: of the first one's type, with its reason."""
    found: list[tuple[int, MalformedError]] = []
    for index, record in enumerate(records):
        try:
            Record.decode(record)
        except MalformedError as error:
            found.append((index, error))
    first, reason = found[0]
    indices = [index for index, _ in found]
    message = f"{len(found)} of {len(records)} records are malformed: at {_shown(indices)}"
    return type(reason)(f"{message}; record {first}: {reason}", first)


def _shown(indices: Sequence[int]) -> str:
    more = ", ..." if len(indices) > _SHOWN else ""
    return ", ".join(map(str, indices[:_SHOWN])) + more


def weight(items: Sequence[bytes]) -> int:
    """Bytes that these take in a block, at most."""
    return sum(map(len, items)) + _HEADER_BYTES * len(items)


def fits(count: int, total: int) -> bool:
    """Whether so many items of that weight make one block."""
    return 0 < count <= BLOCK_RECORDS and total <= BLOCK_BYTES


def cut(items: Sequence[bytes], total: int) -> list[Sequence[bytes]]:
    """Pieces of consecutive items, which weigh so much, each small enough for a block."""
    if fits(len(items), total):
        return [items]
    pieces: list[Sequence[bytes]] = []
    begin = total = 0
    for at, item in enumerate(items):
        total += len(item) + _HEADER_BYTES
        if at - begin == BLOCK_RECORDS or (total > BLOCK_BYTES and at > begin):
            pieces.append(items[begin:at])
            begin, total = at, len(item) + _HEADER_BYTES
    if begin < len(items):
        pieces.append(items[begin:])
    return pieces
