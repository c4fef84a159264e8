"""Decode what proofs and packs are made of: one canonical array, and the checkpoint inside."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ledgercore._core import Anchor, Checkpoint
from ledgercore.errors import LimitError, MalformedError
from ledgercore.records.base import Part, encode_array
from ledgercore.wording import in_words

__all__ = ["decode_part", "encode_part", "holds_records", "split_hashes", "verify_note"]

_HASH_BYTES = 32

PartT = TypeVar("PartT", bound=Part)


def encode_part(part: Part) -> bytes:
    """The one encoding of an array; raise MalformedError where there is none."""
    return encode_array(part, type(part).__name__.lower())


def decode_part(data: bytes, kind: type[PartT], what: str, limit_bytes: int | None = None) -> PartT:
    """The array in ``data``; raise MalformedError where it is not one in its only form."""
    if limit_bytes is not None and len(data) > limit_bytes:
        raise LimitError(f"{what} has {len(data)} bytes, want at most {limit_bytes}")
    try:
        part = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"{what}: {in_words(error)}") from error
    if encode_part(part) != data:
        raise MalformedError(f"{what} is not in its canonical form")
    return part


def split_hashes(joined: bytes) -> list[bytes]:
    """Hashes that stand one after the other, each by itself, as records and packs have them."""
    return [joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES)]


def holds_records(data: bytes) -> bool:
    """Whether an encoded array of three is an equivocation, and not a state receipt.

    Its second item begins as a record does, with ``92``; no text does, so no checkpoint.
    """
    skipped = {b"\xc4": 4, b"\xc5": 5, b"\xc6": 7}.get(data[2:3], len(data))
    return data[skipped : skipped + 1] == b"\x92"


def verify_note(anchor: Anchor, note: bytes) -> Checkpoint:
    """The checkpoint in a signed note's bytes, if the anchor trusts it."""
    try:
        text = note.decode()
    except UnicodeDecodeError:
        raise MalformedError("checkpoint is not UTF-8") from None
    return anchor.verify_checkpoint(text)
