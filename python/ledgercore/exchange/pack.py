"""Put all evidence of one exchange into one file, and verify it offline.

A pack holds the genesis, every record of the consent, its agreement, its product's publication, the
decisions that rest on the exchange, one multiproof of them all under one signed checkpoint, the
states of the objects, and whatever openings its maker holds. ``verify_pack`` needs nothing else but
the trust anchor. Once the payload is erased its opening is missing and the pack says so; everything
else still verifies.

    [1, exchange, checkpoint, [hash, ...], [[index, record], ...], [state proof, ...],
     terms or nil, request or nil, payload or nil, release or nil, objection or nil]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ledgercore import records
from ledgercore._core import Anchor, Record
from ledgercore.arguments import typed
from ledgercore.errors import AbsentError, LimitError, UntrustedError
from ledgercore.exchange.case import Case, Claim, ReleaseEvidence
from ledgercore.exchange.chains import networks_of
from ledgercore.exchange.claims import prove_claims
from ledgercore.exchange.evidence import Evidence
from ledgercore.exchange.kept import kept_proposal
from ledgercore.exchange.membership import MEMBER_KINDS, is_enacted
from ledgercore.exchange.messages import MessageT, Proposal, Release, Request, decode_message
from ledgercore.exchange.narrowing import leaves_of_root
from ledgercore.exchange.objection import Objection, objection_name
from ledgercore.exchange.reading import read_state
from ledgercore.exchange.salted import FIELD, Leaf, decode_leaves
from ledgercore.proofs import HISTORY_RECORDS
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records import (
    AuditDisclose,
    ConsentRequest,
    DecisionRecord,
    DisputeOpen,
    ExchangeDecline,
    ExchangeIntent,
)
from ledgercore.records.base import Bytes32, Count, Part
from ledgercore.rules import (
    GOVERNANCE,
    ConsentState,
    ExchangeState,
    KeyState,
    agreement_object,
    audit_object,
    consent_object,
    decision_object,
    dispute_object,
    exchange_object,
    key_object,
    member_object,
    product_object,
    proposal_object,
)
from ledgercore.rules.view import decode_state

if TYPE_CHECKING:  # who verifies a pack needs neither
    from ledgercore.ledger import Ledger
    from ledgercore.vault import Vault

__all__ = ["PACK_BYTES", "Claim", "Pack", "build_pack", "verify_pack"]

PACK_BYTES = 32 * 1024 * 1024
"""Bytes of a pack at most."""


class Pack(Part, frozen=True):
    """The evidence of one exchange."""

    version: Literal[1]
    exchange: Bytes32
    checkpoint: bytes
    proof: tuple[bytes, ...]
    records: Annotated[tuple[tuple[Count, bytes], ...], Meta(max_length=HISTORY_RECORDS)]
    states: tuple[bytes, ...]
    terms: tuple[Leaf, ...] | None
    request: Request | None
    payload: tuple[Leaf, ...] | None
    release: ReleaseEvidence | None
    objection: Objection | None


@typed
def build_pack(ledger: Ledger, vault: Vault | None, exchange: bytes) -> bytes:
    """The pack of an exchange, with the openings in one party's vault, if there is one.

    It is of one moment of the ledger, whoever appends meanwhile. Raises ``AbsentError`` for an
    exchange that is not on the ledger, ``UntrustedError`` for a vault of other networks, and
    ``LimitError`` where nobody would take so many bytes.
    """
    state = _exchange(ledger, exchange)
    kept = f"exchange/{exchange.hex()}"
    proposal = None if vault is None else kept_proposal(vault, state.consent)
    release = _opening(vault, f"{kept}/release", Release)
    request = _opening(vault, f"request/{state.request_commitment.hex()}", Request)
    payload = _payload(vault, f"{kept}/payload")
    objection = _objection(ledger, vault, exchange, state)
    if vault is not None and not any((proposal, release, request, payload, objection)):
        _check_network(vault, ledger.network)
    with ledger.moment():
        trail = _Trail(ledger, state)
        indices = sorted(trail.found)
        names = [consent_object(state.consent), exchange_object(exchange), *trail.objects]
        pack = Pack(
            version=1,
            exchange=exchange,
            checkpoint=ledger.checkpoint.encode(),
            proof=tuple(ledger.prove_records(indices)),
            records=tuple((index, trail.found[index]) for index in indices),
            states=tuple(ledger.prove_state(name).encode() for name in names),
            terms=_terms(ledger, proposal, state) if proposal else None,
            request=request,
            payload=payload,
            release=ReleaseEvidence(release.admit, release.receipt) if release else None,
            objection=objection,
        )
    data = encode_part(pack)
    if len(data) > PACK_BYTES:
        raise LimitError(f"pack has {len(data)} bytes, want at most {PACK_BYTES}")
    return data


def _exchange(ledger: Ledger, exchange: bytes) -> ExchangeState:
    value = ledger.state(exchange_object(exchange))
    if value is None:
        raise AbsentError(
            f"exchange {exchange.hex()} does not exist on this ledger: ledgercore show LEDGER "
            "--objects exchange/ lists those that do"
        )
    return decode_state(value, ExchangeState)


def _check_network(vault: Vault, network: bytes) -> None:
    """A vault that opens nothing may be a party's on another ledger: say so, and withhold nothing.

    Whoever signed on this network too may well have no part in the exchange.
    """
    networks = networks_of(vault)
    if networks and network.hex() not in networks:
        raise UntrustedError(
            f"vault {vault.path} is of network {', '.join(networks)}, and the ledger of "
            f"{network.hex()}: give the vault of a party to the exchange, or none, for a pack "
            "without content"
        )


class _Trail:
    """The genesis, a consent's product, and every record that concerns the consent so far.

    The history of a consent has its own records and those of its exchanges; the histories of its
    exchanges have the decisions that rest on them.
    """

    def __init__(self, ledger: Ledger, exchange: ExchangeState) -> None:
        self.found: dict[int, bytes] = {0: ledger.record(0).encode()}
        self.objects: list[bytes] = []
        own = dict(ledger.history(consent_object(exchange.consent)))
        decisions: dict[int, Record] = {}
        for record in own.values():
            if record.kind == ExchangeIntent.KIND:
                decisions.update(ledger.history(exchange_object(record.id)))
        for index, record in sorted((own | decisions).items()):
            self.found[index] = record.encode()
            if record.kind == ConsentRequest.KIND:
                self._add_product(ledger, record)
            elif record.kind == AuditDisclose.KIND:
                body = records.decode(record.kind, record.body)
                assert isinstance(body, AuditDisclose)
                self.objects.append(audit_object(body.audit))
            elif record.kind == DisputeOpen.KIND:
                self._add_dispute(record)
            elif record.kind == DecisionRecord.KIND:
                self.objects.append(decision_object(record.id))
        self._add_members(ledger)

    def _add_members(self, ledger: Ledger) -> None:
        """Whoever signed anything after the genesis, with every record that touched the member.

        Where governance changed one of them: the proposal with its votes, and who governed when.
        """
        seen = {0}
        while waiting := sorted(self.found.keys() - seen):
            seen.update(waiting)
            called = {
                name
                for index in waiting
                for name in _objects_of(ledger, Record.decode(self.found[index]))
            }
            for name in sorted(called.difference(self.objects)):
                self.objects.append(name)
                self.found |= {index: each.encode() for index, each in ledger.history(name)}

    def _add_dispute(self, opened: Record) -> None:
        body = records.decode(opened.kind, opened.body)
        assert isinstance(body, DisputeOpen)
        if (name := dispute_object(body.exchange)) not in self.objects:  # it was disputed before
            self.objects.append(name)

    def _add_product(self, ledger: Ledger, request: Record) -> None:
        """The product that a consent is for with its publication, which begins its history.

        So that nothing of it is left out, the whole history of the agreement, where there is one.
        """
        body = records.decode(request.kind, request.body)
        assert isinstance(body, ConsentRequest)
        name = product_object(body.product)
        index, published = ledger.history(name)[0]
        self.found[index] = published.encode()
        self.objects.append(name)
        if body.agreement is not None:
            self.objects.append(agreement_object(body.agreement))
            history = ledger.history(agreement_object(body.agreement))
            self.found |= {at: each.encode() for at, each in history}


def _objects_of(ledger: Ledger, record: Record) -> Iterator[bytes]:
    """The members whom a record is by and about, and what its quorum is shown by."""
    member = read_state(ledger, key_object(record.key), KeyState).member
    if member:
        yield member_object(member)
    body = records.decode(record.kind, record.body)
    if isinstance(body, MEMBER_KINDS):
        yield member_object(body.member)
    if is_enacted(body):
        yield proposal_object(getattr(body, "proposal", b""))
        yield GOVERNANCE


def _terms(ledger: Ledger, proposal: Proposal, exchange: ExchangeState) -> tuple[Leaf, ...]:
    """The terms that were in force at the admit, or are now where nothing was admitted."""
    root = exchange.admission.terms_root if exchange.admission else b""
    if not root:
        root = read_state(ledger, consent_object(exchange.consent), ConsentState).terms_root
    return leaves_of_root(ledger, proposal, root)


def _opening(vault: Vault | None, name: str, kind: type[MessageT]) -> MessageT | None:
    kept = None if vault is None else vault.load(name)
    return None if kept is None else decode_message(kept, kind)


def _objection(
    ledger: Ledger, vault: Vault | None, exchange: bytes, state: ExchangeState
) -> Objection | None:
    """The objection that the decline on the ledger commits to, if there is one and it is kept."""
    if vault is None or not state.code:  # no decline, which has a code that the state keeps
        return None
    for _, record in ledger.history(exchange_object(exchange)):
        body = records.decode(record.kind, record.body)
        if isinstance(body, ExchangeDecline):
            name = objection_name(exchange, body.objection_commitment)
            return _opening(vault, name, Objection)
    return None


def _payload(vault: Vault | None, name: str) -> tuple[Leaf, ...] | None:
    kept = None if vault is None else vault.load(name)
    return None if kept is None else decode_leaves(kept, FIELD)


@typed
def verify_pack(data: bytes, anchor: Anchor) -> tuple[Claim, ...]:
    """What a pack proves, claim by claim; raises if anything in it is not as it should be."""
    pack = decode_part(data, Pack, "pack", PACK_BYTES)
    evidence = Evidence(anchor, pack.checkpoint, pack.proof, pack.records, pack.states)
    opened = (pack.terms, pack.request, pack.payload, pack.release, pack.objection)
    return prove_claims(Case(evidence, pack.exchange, *opened))
