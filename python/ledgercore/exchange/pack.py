"""Put all evidence of one exchange into one file, and verify it offline.

A pack holds the genesis, every record of the consent and of the product and the decisions it rests
on, one multiproof of them all under one signed checkpoint, the states of the objects, and whatever
openings its maker holds. ``verify_pack`` needs nothing else but the trust anchor. Once the payload
is erased its opening is missing and the pack says so; everything else still verifies.

    [1, exchange, checkpoint, [hash, ...], [[index, record], ...], [state proof, ...],
     terms or nil, request or nil, payload or nil, release or nil]
"""

from __future__ import annotations

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
    """The pack of an exchange, with the openings in one party's vault, if there is one.

    It is of one moment of the ledger, whoever appends meanwhile.
    """
    value = ledger.state(exchange_object(exchange))
    if value is None:
        raise RefusedError("E_UNKNOWN", f"exchange {exchange.hex()[:16]} does not exist")
    state = decode_state(value, ExchangeState)
    kept = f"exchange/{exchange.hex()}"
    proposal = _opening(vault, f"proposal/{state.consent.hex()}", Proposal)
    release = _opening(vault, f"{kept}/release", Release)
    trail = _Trail(state.consent)
    trail.read(ledger)
    with ledger.moment():  # others wait for the newest records only
        trail.read(ledger)
        indices = sorted(trail.found)
        names = [consent_object(state.consent), exchange_object(exchange), *trail.objects]
        pack = Pack(
            version=1,
            exchange=exchange,
            checkpoint=ledger.checkpoint.encode(),
            proof=tuple(ledger.prove_records(indices)),
            records=tuple((index, trail.found[index]) for index in indices),
            states=tuple(ledger.prove_state(name).encode() for name in names),
            terms=proposal.terms if proposal else None,
            request=_opening(vault, f"request/{state.request_commitment.hex()}", Request),
            payload=_payload(vault, f"{kept}/payload"),
            release=ReleaseEvidence(release.admit, release.receipt) if release else None,
        )
    return _ENCODER.encode(pack)


class _Trail:
    """The genesis, a consent's product, and every record that concerns the consent so far."""

    def __init__(self, consent: bytes) -> None:
        self.found: dict[int, bytes] = {}
        self.objects: list[bytes] = []
        self._consent = consent
        self._exchanges: set[bytes] = set()
        self._products: dict[str, tuple[int, bytes]] = {}
        self._size = 0

    def read(self, ledger: Ledger) -> None:
        """Go on from where the last reading ended, up to the newest record."""
        for record in ledger.records(self._size):
            self._take(self._size, record)
            self._size += 1

    def _take(self, index: int, record: Record) -> None:
        if record.kind == records.DATA:
            return
        body = records.decode(record.kind, record.body)
        if isinstance(body, ProductPublish):
            self._products[body.product] = (index, record.encode())
        elif index == 0 or concerns(body, self._consent, self._exchanges):
            self.found[index] = record.encode()
        if index not in self.found:
            return
        if isinstance(body, ConsentRequest):
            published, encoded = self._products[body.product]
            self.found[published] = encoded
            self.objects.append(product_object(body.product))
        elif isinstance(body, ExchangeIntent):
            self._exchanges.add(record.id)
        elif isinstance(body, DecisionRecord):
            self.objects.append(decision_object(record.id))


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
