"""Name the shapes that record bodies are made of.

A body is a positional MessagePack array: fields in the order of the class; what is absent is nil.
``ProductWithdraw(product="tax.sme.v1")`` is ``91 aa 74 61 78 2e 73 6d 65 2e 76 31``.

The constraints here are checked when bytes are decoded, and by ``records.encode``; building a body
in Python checks nothing.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from ledgercore.arguments import LIMIT_COUNT
from ledgercore.errors import MalformedError

__all__ = [
    "LIMIT_ITEMS",
    "Bytes16",
    "Bytes32",
    "Bytes64",
    "Code",
    "Count",
    "Identifier",
    "Part",
    "RecordBody",
    "Text",
    "TimeMs",
    "Value",
    "encode_array",
]

LIMIT_ITEMS = 256
"""Items of any one list inside a body."""

Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Identifier = Annotated[str, Meta(max_length=64, pattern=r"\A[a-z0-9][a-z0-9._-]*\Z")]
"""A stable name such as ``bank-a`` or ``credit.assess``."""
Code = Annotated[str, Meta(max_length=64, pattern=r"\A[A-Z][A-Z0-9_]*\Z")]
"""A reason that programs act on, such as ``E_SCOPE``."""
Text = Annotated[str, Meta(max_length=256)]
"""Words for people."""
Count = Annotated[int, Meta(ge=0, le=LIMIT_COUNT)]
"""A whole number that every language holds exactly."""
TimeMs = Count
"""Milliseconds since 1970 in UTC."""


Value = int | str
"""A field's value: a whole number, text, or the code of why there is none."""


class Part(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An array inside a body."""


class RecordBody(Part, frozen=True):
    """The body of one kind of record."""

    KIND: ClassVar[str]


_ENCODER = msgspec.msgpack.Encoder()


def encode_array(part: Part | tuple[Part, ...], what: str) -> bytes:
    """An array's one encoding; raise MalformedError for a number or text in it that has none."""
    try:
        return _ENCODER.encode(part)
    except UnicodeEncodeError as error:
        raise MalformedError(f"{what}: {error}") from error
    except OverflowError as error:
        place = _without_encoding(part)
        where = f"{what}: {place.lstrip('.')}" if place else what
        want = "a number of -2^63 to 2^64 - 1"
        raise MalformedError(f"{where} has no encoding, want {want}") from error


def _without_encoding(value: object) -> str | None:
    """Where a number stands that no encoding takes, such as ``.leaves[2].value``, if one does."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return ""
    parts: list[tuple[str, object]] = []
    if isinstance(value, Struct):
        parts = [(f".{name}", getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, tuple | list):
        parts = [(f"[{at}]", each) for at, each in enumerate(value)]
    elif isinstance(value, dict):
        parts = [(f"[{key!r}]", each) for key, each in value.items()]
    for place, each in parts:
        found = _without_encoding(each)
        if found is not None:
            return place + found
    return None
