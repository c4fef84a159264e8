"""Say what became of submitted records: the one form that a node answers and a client reads.

A submission can end the key that asks: ``key.rotate``, ``key.compromise``, a record that suspends
or retires its member. Nothing more may be asked with it then, so that the answer brings receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledgercore._core import Anchor, Receipt, Record
from ledgercore.errors import MalformedError, RefusedError, UntrustedError
from ledgercore.ledger.writer import Outcome
from ledgercore.node.refusal import Refusal

__all__ = ["Ordered", "check_receipt", "decode_ordered", "encode_ordered"]


class Ordered(NamedTuple):
    """Each record's index, or the rule it was refused by; receipts by index, if they came along."""

    outcomes: list[Outcome]
    receipts: dict[int, Receipt]

    @property
    def places(self) -> list[int]:
        """The indices of the records that were taken."""
        return [each for each in self.outcomes if isinstance(each, int)]


class _Answer(msgspec.Struct, omit_defaults=True):
    outcomes: list[int | Refusal]
    receipts: list[bytes] = []


_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(_Answer)


def encode_ordered(submitted: Ordered) -> bytes:
    """The JSON of docs/spec/node.md; receipts in base64."""
    outcomes = [
        Refusal.of(each) if isinstance(each, RefusedError) else each for each in submitted.outcomes
    ]
    receipts = [receipt.encode() for receipt in submitted.receipts.values()]
    return _ENCODER.encode(_Answer(outcomes, receipts))


def decode_ordered(body: bytes, records: Sequence[bytes], anchor: Anchor) -> Ordered:
    """What a node says of these records: an index is its word, a receipt is verified.

    Raises ``MalformedError``, or what is wrong with a receipt: ``InvalidError``.
    """
    try:
        said = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise MalformedError(f"answer to a submission: {error}") from error
    if len(said.outcomes) != len(records):
        raise MalformedError(f"answer has {len(said.outcomes)} outcomes, want {len(records)}")
    outcomes: list[Outcome] = [
        each if isinstance(each, int) else each.error() for each in said.outcomes
    ]
    by_index: dict[int, bytes] = {}
    for outcome, record in zip(outcomes, records, strict=True):
        if isinstance(outcome, int) and by_index.setdefault(outcome, record) != record:
            raise UntrustedError(f"two records are said to be at {outcome}: one is there at most")
    receipts = {receipt.index: receipt for receipt in map(Receipt.decode, said.receipts)}
    for index, receipt in receipts.items():
        check_receipt(receipt, by_index.get(index, b""), anchor)
    return Ordered(outcomes, receipts)


def check_receipt(receipt: Receipt, record: bytes, anchor: Anchor) -> None:
    """Raise unless a receipt is of this record, and verifies."""
    verified = receipt.verify(Record.decode(record).body, anchor) if record else None
    if verified is None or verified.encode() != record:
        raise UntrustedError(f"receipt {receipt.index} is of another record than was submitted")
