"""What parties say to each other off the ledger, and its one encoding.

Messages are canonical arrays like record bodies. None of them is secret by itself but for
``Delivery``, which is sealed, and the terms, which name the subject.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ledgercore._core import hash_domain
from ledgercore.arguments import check_count
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidError, LimitError, MalformedError
from ledgercore.exchange.salted import TERM, Leaf, check_leaves, commit, make_leaves
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import Bytes32, Count, Part, TimeMs, Value
from ledgercore.rules import ConsentState
from ledgercore.wording import in_words

__all__ = [
    "MESSAGE_BYTES",
    "Correction",
    "Delivery",
    "Handover",
    "MessageT",
    "Proposal",
    "Release",
    "Request",
    "Terms",
    "check_terms",
    "decode_message",
    "encode_message",
    "request_commitment",
]

MESSAGE_BYTES = 1024 * 1024
"""Bytes of one message: leaves have 64 KiB at most, as has a record, a receipt 256 KiB, and a
contract's text 512 KiB."""

MessageT = TypeVar("MessageT", bound=Part)


class Terms(Part, frozen=True):
    """What the subject agrees to: who may give whom what, for what, until when.

    The period is months such as ``2025-01``, its last one included. ``onward`` says to whom the
    data may be passed on, or ``none``.
    ``processors`` may act for the consumer. Where the subject is an institution, ``signatory`` is
    who agrees for it, and ``mandate`` the reference of what entitles that person to; both are empty
    where the subject agrees itself.
    """

    subject: str
    provider: str
    consumer: str
    product: str
    purpose: str
    fields: tuple[str, ...]
    period_begin: str
    period_end: str
    expires_ms: TimeMs
    max_uses: Count
    retain_until_ms: TimeMs
    onward: str
    signatory: str = ""
    mandate: str = ""
    processors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ``MalformedError`` for a number that no consent on the ledger could have."""
        for name in ("expires_ms", "max_uses", "retain_until_ms"):
            if isinstance(value := getattr(self, name), int):  # else its type is refused later
                check_count(name, value)

    def leaves(self, entropy: Entropy) -> tuple[Leaf, ...]:
        """The terms as salted leaves, one a value and one a field."""
        values: list[tuple[str, Value]] = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            parts = value if isinstance(value, tuple) else (value,)
            values += [(name, part) for part in parts]
        return make_leaves(TERM, self.product, values, entropy)

    @classmethod
    def from_leaves(cls, leaves: tuple[Leaf, ...], *, narrowed: bool = False) -> Terms:
        """The terms that leaves state, each of which must be salted.

        Narrowed terms have lost some leaves, so that the positions of the others have gaps.
        """
        check_leaves(leaves, TERM, gaps=narrowed)
        values: dict[str, list[Value]] = {}
        for leaf in leaves:
            values.setdefault(leaf.name, []).append(leaf.value)
        parts = [
            values.get(name, []) if name in _LISTS else _single(name, values.get(name, []))
            for name in cls.__struct_fields__
        ]
        try:
            return msgspec.convert(parts, cls)
        except msgspec.ValidationError as error:
            raise MalformedError(f"terms: {in_words(error)}") from error


_LISTS = ("fields", "processors")
"""Terms of which there is one leaf for each item."""


def _single(name: str, values: list[Value]) -> Value:
    if len(values) != 1:
        raise MalformedError(f"terms have {len(values)} values of {name}, want 1")
    return values[0]


_EQUAL = ("consumer", "provider", "product", "purpose", "processors")
_AT_MOST = ("expires_ms", "max_uses")


def check_terms(terms: Terms, consent: ConsentState) -> None:
    """Hold the consent on the ledger to the terms, in all that both state, or raise InvalidError.

    It may end earlier and have fewer uses than they say, never later or more.

    The ledger sees no more of the terms than their root. Without this a consumer could agree on
    one use with the subject, and ask the ledger for a thousand under the same root.
    """
    for name in (*_EQUAL, *_AT_MOST):
        got, want = getattr(consent, name), getattr(terms, name)
        if got > want if name in _AT_MOST else got != want:
            raise InvalidError(f"{name} of the consent is {got}, want {want} as in the terms")


class Proposal(Part, frozen=True):
    """By the consumer to subject and provider: the terms with their salts, and the consent."""

    consent: Bytes32
    consent_key: Bytes32
    terms: tuple[Leaf, ...]

    def root(self, suite: str) -> bytes:
        """What the ledger knows of the terms."""
        return commit(suite, self.terms)


class Request(Part, frozen=True):
    """By the consumer to the provider: which of the consented fields it wants now."""

    consent: Bytes32
    fields: tuple[str, ...]
    period_begin: str
    period_end: str
    purpose: str
    nonce: Bytes32


class Delivery(Part, frozen=True):
    """By the provider to the consumer: the sealed payload, useless without its key.

    With it comes the audit copy of that key, or nothing where the provider makes none.
    """

    exchange: Bytes32
    ciphertext: bytes
    audit_copy: bytes = b""


class Correction(Part, frozen=True):
    """By the provider to the consumer: fields of a delivery as they are now, each salted anew."""

    exchange: Bytes32
    leaves: tuple[Leaf, ...]


class Release(Part, frozen=True):
    """By the provider to the consumer: the sealed key, bound to the receipt that allowed it."""

    exchange: Bytes32
    admit: bytes
    receipt: bytes
    sealed_key: bytes


class Handover(Part, frozen=True):
    """By a processor to its consumer: what it received, with what shows that it is this."""

    exchange: Bytes32
    request: Request
    payload: bytes
    release: Release


def request_commitment(suite: str, request: Request) -> bytes:
    """What the intent says of a request; its nonce keeps it from being guessed."""
    return hash_domain(suite, "commitment", encode_message(request))


def encode_message(message: Part) -> bytes:
    """The message's bytes; ``LimitError`` where they are more than ``MESSAGE_BYTES``."""
    encoded = encode_part(message)
    _check_size(encoded, type(message))
    return encoded


def decode_message(data: bytes, kind: type[MessageT]) -> MessageT:
    """The message in its one encoding, or ``MalformedError``.

    One of more than ``MESSAGE_BYTES`` is refused with ``LimitError`` before any of it is read.
    """
    _check_size(data, kind)
    return decode_part(data, kind, kind.__name__.lower())


def _check_size(data: bytes, kind: type[Part]) -> None:
    if len(data) > MESSAGE_BYTES:
        what = kind.__name__.lower()
        raise LimitError(f"{what} has {len(data)} bytes, want at most {MESSAGE_BYTES}")
