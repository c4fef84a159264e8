"""Put all evidence of one exchange into one file, and verify it offline.

A pack holds the genesis, every record of the consent and of the product and the decisions it rests
on, one multiproof of them all under one signed checkpoint, the states of the objects, and whatever
openings its maker holds. ``verify_pack`` needs nothing else but the trust anchor. Once the payload
is erased its opening is missing and the pack says so; everything else still verifies.

    [1, exchange, checkpoint, [hash, ...], [[index, record], ...], [state proof, ...],
     terms or nil, request or nil, payload or nil, release or nil]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from ledgercore import records
from ledgercore._core import Anchor, Record
from ledgercore.errors import MalformedError, RefusedError
from ledgercore.exchange.case import Case, Claim, ReleaseEvidence
from ledgercore.exchange.claims import prove_claims
from ledgercore.exchange.evidence import Evidence, concerns
from ledgercore.exchange.messages import MessageT, Proposal, Release, Request, decode_message
from ledgercore.exchange.salted import FIELD, Leaf, decode_leaves
from ledgercore.records import ConsentRequest, DecisionRecord, ExchangeIntent, ProductPublish
from ledgercore.records.base import Bytes32, Count, Part
from ledgercore.rules import (
    ExchangeState,
    consent_object,
    decision_object,
    exchange_object,
    product_object,
)
from ledgercore.rules.view import decode_state

if TYPE_CHECKING:  # who verifies a pack needs neither
    from ledgercore.ledger import Ledger
    from ledgercore.vault import Vault

__all__ = ["PACK_BYTES", "Claim", "Pack", "build_pack", "verify_pack"]

PACK_BYTES = 16 * 1024 * 1024
"""Bytes of a pack at most."""


class Pack(Part, frozen=True):
    """The evidence of one exchange."""

    version: Literal[1]
    exchange: Bytes32
    checkpoint: bytes
    proof: tuple[bytes, ...]
    records: tuple[tuple[Count, bytes], ...]
    states: tuple[bytes, ...]
    terms: tuple[Leaf, ...] | None
    request: Request | None
    payload: tuple[Leaf, ...] | None
    release: ReleaseEvidence | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Pack)


def build_pack(ledger: Ledger, vault: Vault | None, exchange: bytes) -> bytes:
    """The pack of an exchange, with the openings in one party's vault, if there is one."""
    value = ledger.state(exchange_object(exchange))
    if value is None:
        raise RefusedError("E_UNKNOWN", f"exchange {exchange.hex()[:16]} does not exist")
    state = decode_state(value, ExchangeState)
    found = dict(_records_of(ledger, state.consent))
    bodies = {index: records.decode(record.kind, record.body) for index, record in found.items()}
    names = [consent_object(state.consent), exchange_object(exchange)]
    names += [product_object(b.product) for b in bodies.values() if isinstance(b, ProductPublish)]
    names += [
        decision_object(found[index].id)
        for index, body in bodies.items()
        if isinstance(body, DecisionRecord)
    ]
    indices = sorted(found)
    kept = f"exchange/{exchange.hex()}"
    proposal = _opening(vault, f"proposal/{state.consent.hex()}", Proposal)
    release = _opening(vault, f"{kept}/release", Release)
    pack = Pack(
        version=1,
        exchange=exchange,
        checkpoint=ledger.checkpoint.encode(),
        proof=tuple(ledger.prove_records(indices)),
        records=tuple((index, found[index].encode()) for index in indices),
        states=tuple(ledger.prove_state(name).encode() for name in names),
        terms=proposal.terms if proposal else None,
        request=_opening(vault, f"request/{state.request_commitment.hex()}", Request),
        payload=_payload(vault, f"{kept}/payload"),
        release=ReleaseEvidence(release.admit, release.receipt) if release else None,
    )
    return _ENCODER.encode(pack)


def _records_of(ledger: Ledger, consent: bytes) -> Iterator[tuple[int, Record]]:
    """The genesis, the consent's product, and every record that touched the consent."""
    yield 0, ledger.record(0)
    exchanges: set[bytes] = set()
    products: dict[str, tuple[int, Record]] = {}
    for index, record in enumerate(ledger.records()):
        if record.kind in (records.DATA, records.Genesis.KIND):
            continue
        body = records.decode(record.kind, record.body)
        if isinstance(body, ProductPublish):
            products[body.product] = (index, record)
        elif isinstance(body, ConsentRequest) and body.consent == consent:
            yield products[body.product]
            yield index, record
        elif concerns(body, consent, exchanges):
            if isinstance(body, ExchangeIntent):
                exchanges.add(record.id)
            yield index, record


def _opening(vault: Vault | None, name: str, kind: type[MessageT]) -> MessageT | None:
    kept = None if vault is None else vault.load(name)
    return None if kept is None else decode_message(kept, kind)


def _payload(vault: Vault | None, name: str) -> tuple[Leaf, ...] | None:
    kept = None if vault is None else vault.load(name)
    return None if kept is None else decode_leaves(kept, FIELD)


def verify_pack(data: bytes, anchor: Anchor) -> tuple[Claim, ...]:
    """What a pack proves, claim by claim; raises if anything in it is not as it should be."""
    if len(data) > PACK_BYTES:
        raise MalformedError(f"pack has {len(data)} bytes, want at most {PACK_BYTES}")
    try:
        pack = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"pack: {error}") from error
    if _ENCODER.encode(pack) != data:
        raise MalformedError("pack is not in its canonical form")
    evidence = Evidence(anchor, pack.checkpoint, pack.proof, pack.records, pack.states)
    opened = (pack.terms, pack.request, pack.payload, pack.release)
    return prove_claims(Case(evidence, pack.exchange, *opened))
