"""Hold what callers pass to a ledger to its type, before anything is done with it.

A wrong type is the caller's mistake and a ``TypeError``: it says what was got, what is wanted, and
where one makes the other. A value of the right type that is not fit is an error of ours.

By hand, and not as ``ledgercore.arguments`` holds what it is written above: another library's
integer is an index here, a list of thousands is not looked at twice, and words name the remedy.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from os import PathLike

from ledgercore.arguments import check_argument
from ledgercore.errors import MalformedError
from ledgercore.records import Member, Witness
from ledgercore.wording import number_in_words

__all__ = [
    "bytes_of",
    "check_bytes",
    "check_created",
    "check_key",
    "check_origin",
    "check_path",
    "check_text",
    "index_of",
    "indices_of",
]


def index_of(what: str, value: object) -> int:
    """A number of a record, a block or a size, also where it is another library's integer."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # that is what is found out
    except TypeError:
        raise TypeError(f"{what} is {type(value).__name__}, want int") from None


def indices_of(what: str, values: Iterable[int]) -> Sequence[int]:
    """Many of them, in a list where they come one after the other."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{what} are {type(values).__name__}, want a list of int")
    if isinstance(values, Sequence) and not isinstance(values, range):
        for kind in {*map(type, values)} - {int}:
            if not hasattr(kind, "__index__"):
                raise TypeError(f"{what} hold {kind.__name__}, want int")
    return values if isinstance(values, Sequence) else [index_of("index", each) for each in values]


def check_bytes(what: str, value: object) -> None:
    """An id, an object's name, a key."""
    if not isinstance(value, bytes):
        raise TypeError(f"{what} is {type(value).__name__}, want bytes{bytes_of(type(value))}")


def bytes_of(kind: type) -> str:
    """What makes bytes of another type's values, as a message ends."""
    if issubclass(kind, bytearray | memoryview):
        return ": bytes() makes them of it"
    return ": its encode() gives them" if hasattr(kind, "encode") else ""


def check_text(what: str, value: object) -> None:
    """An origin, a suite, a signed checkpoint."""
    if not isinstance(value, str):
        how = ": its decode() gives it" if isinstance(value, bytes) else ""
        raise TypeError(f"{what} is {type(value).__name__}, want str{how}")


def check_origin(origin: object) -> None:
    """The name that a ledger is to have: everybody reads it, so it is no URL with a password."""
    check_text("origin", origin)
    assert isinstance(origin, str)
    if "://" in origin:
        raise MalformedError(
            "origin has ://, as a URL has, want a name such as tax.example/log: it is public"
        )


def check_path(path: object) -> None:
    """Where a ledger is."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path is {type(path).__name__}, want str or Path")


def check_key(key: object, passphrase: object) -> None:
    """The operator's key, or None, and what opens its file."""
    if key is not None and not (hasattr(key, "public_key") and hasattr(key, "sign")):
        raise TypeError(
            f"key is {type(key).__name__}, want a SigningKey or another signer: "
            "ledgercore.keys.load_signer takes one from where it is kept"
        )
    if passphrase is not None:
        check_bytes("passphrase", passphrase)


def check_created(
    path: object,
    origin: object,
    suite: object,
    members: object,
    witnesses: object,
    quorum: object,
) -> None:
    """What a ledger is made with."""
    check_path(path)
    check_origin(origin)
    check_text("suite", suite)
    check_argument("members", Sequence[Member], members)
    check_argument("witnesses", Sequence[Witness], witnesses)
    number = index_of("quorum", quorum)
    if number < 0:
        raise MalformedError(f"quorum is {number_in_words(number)}, want 0 or more")
