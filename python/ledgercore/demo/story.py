"""Tell one exchange of a demonstration as its records, in the ledger's order."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from ledgercore._core import Checkpoint
from ledgercore.ledger import Ledger
from ledgercore.rules import (
    ConsentState,
    ExchangeState,
    KeyState,
    agreement_object,
    consent_object,
    decode_state,
    exchange_object,
    key_object,
)

__all__ = ["ENTERPRISE", "Step", "tell"]

ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Step:
    """One record, as base64 with its receipt; who signed it, where and when it was ordered."""

    index: int
    kind: str
    signer: str
    height: int
    time_ms: int
    id: bytes
    record: str
    receipt: str


def tell(ledger: Ledger, exchange: bytes) -> list[Step]:
    """Every record of an exchange, its consent and its agreement; the lists are complete."""
    name = exchange_object(exchange)
    value = ledger.state(name)
    assert value is not None, "the exchange is of this ledger"
    consent = consent_object(decode_state(value, ExchangeState).consent)
    records = dict([*ledger.history(consent), *ledger.history(name)])
    value = ledger.state(consent)
    assert value is not None, "an exchange has a consent"
    agreement = decode_state(value, ConsentState).agreement
    if agreement is not None:
        records |= ledger.history(agreement_object(agreement))
    indices = sorted(records)
    steps = []
    for index, receipt in zip(indices, ledger.receipts(indices), strict=True):
        record, height = records[index], Checkpoint.parse(receipt.checkpoint).height
        steps.append(
            Step(
                index=index,
                kind=record.kind,
                signer=_signer(ledger, record.key),
                height=height,
                time_ms=ledger.block(height).time_ms,
                id=record.id,
                record=b64encode(record.encode()).decode(),
                receipt=b64encode(receipt.encode()).decode(),
            )
        )
    return steps


def _signer(ledger: Ledger, key: bytes) -> str:
    """The member's name; a key that is a consent's own is the enterprise's."""
    value = ledger.state(key_object(key))
    assert value is not None, "whoever signed is known"
    return decode_state(value, KeyState).member or ENTERPRISE
