"""Number what a party signs: each sequence is reserved in its vault before anything is signed.

Two records of one key with one sequence convict their signer, whatever the reason. So before a
party signs it keeps what it is about to sign, durable, in one row of its vault:

    chain/<network>/<key>: [sequence, previous, expiry_ms, [[kind, body], ...]]

Signing gives the same bytes each time, so the row is as good as the records. They expire some
minutes after they were reserved, so that nobody who kept one that was refused has it ordered when
its signer no longer means it. What a crash leaves,
and a restored backup, is settled by the ledger's view of the key's chain, which shows ``next``:

- before ``sequence``: the ledger has lost what it once had; nothing is signed (``RollbackError``);
- within what is kept: the same records are signed and submitted again;
- behind it: everything kept was ordered, or others were in its place. The party goes on from there.

A refused record does not count in its signer's chain, and the next one takes its sequence: that
is done only once the ledger has refused the first. What an ordered one says is gone from the vault
is destroyed before the row is written over; then the row is, so that what comes under the same
names afterwards is not destroyed with it. Which were ordered says the ledger, from ``sequence`` on:
a restored backup has content of which its row says nothing, and later records that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from ledgercore import keys
from ledgercore._core import Record, UnsignedBatch
from ledgercore.arguments import LIMIT_COUNT
from ledgercore.errors import InconsistentError, RollbackError
from ledgercore.exchange.chains import chain_name
from ledgercore.exchange.content import (
    PROMISES,
    holds_content,
    named_exchange,
)
from ledgercore.exchange.untrue import check_true, doubt
from ledgercore.ledger import Ledger
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import Bytes32, Count, Part, TimeMs
from ledgercore.rules import WITHOUT_WINDOW, refuse
from ledgercore.vault import Vault

__all__ = [
    "LIFETIME_MS",
    "Content",
    "Kept",
    "RecordSigner",
    "is_settled",
    "outstanding",
    "release",
    "reserve",
]

LIFETIME_MS = 600_000
"""How long after it was reserved a record can be ordered, unless its signer says otherwise: time
for an orderer that is started anew, and none to think twice of what was refused."""

Content = tuple[str, bytes]
"""A record's kind and its encoded body."""


class Kept(Part, frozen=True):
    """What a key was last to sign, from a sequence on; without contents all is settled.

    No record of it is ordered from ``expiry_ms`` on; 0 where they have no end, which a revocation
    never has.
    """

    sequence: Count
    previous: Bytes32
    expiry_ms: TimeMs
    contents: tuple[Content, ...]

    @property
    def end(self) -> int:
        """The sequence after all that is kept."""
        return self.sequence + len(self.contents)

    def expiry_of(self, kind: str) -> int:
        """When records of a kind expire: a revocation says nothing that no rule would read."""
        return 0 if kind in WITHOUT_WINDOW else self.expiry_ms


class RecordSigner:
    """A signing key, and the vault that numbers what it signs."""

    def __init__(self, key: keys.Signer, vault: Vault) -> None:
        self._key = key
        self.vault = vault
        self._signed: dict[int, tuple[object, Record]] = {}

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, message: bytes) -> bytes:
        """Sign what is no record, such as an endorsement."""
        return keys.sign_message(self._key, message)

    def remember(self, signed: Iterable[tuple[object, Record]]) -> None:
        """Know the drafts that were signed last again, as long as the program has them."""
        self._signed = {id(draft): (draft, record) for draft, record in signed}

    def ordered(self, ledger: Ledger, draft: object) -> Record | None:
        """The record that this very draft was signed as last, if the ledger has it.

        An equal draft that was made anew is another one: the subject may be told twice.
        """
        _, record = self._signed.get(id(draft), (None, None))
        return None if record is None or ledger.find(record.id) is None else record

    def load(self, network: bytes) -> Kept | None:
        """What the key was last to sign on a network."""
        data = self.vault.load(self._name(network))
        return None if data is None else decode_part(data, Kept, "kept records")

    def promises(self, network: bytes, kind: str) -> set[bytes]:
        """The exchanges of the promises of a kind that are kept: each may be ordered at any time.

        Once one is, and is fulfilled, the exchange's state says so in its place.
        """
        data = self.vault.load(self._name(network))
        if data is None or kind.encode() not in data:  # of many records, at the price of none
            return set()
        contents = decode_part(data, Kept, "kept records").contents
        return {named_exchange(kind, body) for each, body in contents if each == kind}

    def check_unpromised(self, network: bytes, kind: str, intent: bytes) -> None:
        """Refuse what a promise of a kind bars, from when it is kept, before it is signed."""
        if intent in self.promises(network, kind):
            message = f"{kind} of the exchange was signed here and is not settled: resume first"
            refuse("E_EXCHANGE_STATE", message, intent)

    def item(self, network: bytes, kept: Kept) -> tuple[str, bytes]:
        """What the vault keeps before the key signs it."""
        return self._name(network), encode_part(kept)

    def records(self, ledger: Ledger, kept: Kept) -> list[Record]:
        """The records of what is kept, the same at each call."""
        signed: list[Record] = []
        for kind, contents in groupby(kept.contents, itemgetter(0)):
            batch = keys.sign_batch(
                self._key,
                ledger.suite,
                ledger.network,
                kind,
                [body for _, body in contents],
                sequence=kept.sequence + len(signed),
                previous=signed[-1].id if signed else kept.previous,
                expiry_ms=kept.expiry_of(kind),
            )
            signed += [batch[at] for at in range(len(batch))]
        return signed

    def position_after(self, ledger: Ledger, kept: Kept) -> tuple[int, bytes]:
        """The next sequence and the last id once all that is kept is ordered; signs nothing."""
        sequence, previous = kept.sequence, kept.previous
        for kind, contents in groupby(kept.contents, itemgetter(0)):
            unsigned = UnsignedBatch(
                ledger.suite,
                ledger.network,
                kind,
                [body for _, body in contents],
                self.public_key,
                sequence=sequence,
                previous=previous,
                expiry_ms=kept.expiry_of(kind),
            )
            # An id is of what is signed, so that any signatures give it.
            ids = unsigned.attach([bytes(64)] * len(unsigned)).ids()
            sequence, previous = sequence + len(ids), ids[-1]
        return sequence, previous

    def _name(self, network: bytes) -> str:
        return chain_name(network, self.public_key)


def reserve(
    ledger: Ledger,
    vault: Vault,
    asked: Sequence[tuple[RecordSigner, Sequence[Content]]],
    lifetime_ms: int,
) -> dict[bytes, list[Record]] | None:
    """The records of a vault's signers by key, each kept durable before it was signed.

    They expire ``lifetime_ms`` from now by the ledger's time; 0 sets no end. None where a signer
    has other records ``outstanding``, or the ledger may say of something that it is gone:
    ``resume`` goes first, and nothing was kept. To ask again for what is outstanding gives the same
    records, which expire when they did. No two processes reserve one sequence. Raises
    ``RefusedError`` with ``E_EXCHANGE_STATE``, with nothing kept, for a time-out of what was opened
    meanwhile, or may have been, and a void of what was released, or may have been.
    """
    signed: dict[bytes, list[Record]] = {}
    new = []
    with vault.transaction(), ledger.moment():
        for signer, contents in asked:
            left = outstanding(ledger, signer)
            again = [(record.kind, record.body) for record in left] == list(contents)
            if left and again and not _ordered_promise(ledger, signer):
                signed[signer.public_key] = left
            elif left or not is_settled(ledger, signer):
                return None
            else:
                position = ledger.next_position(signer.public_key)
                if position[0] and signer.load(ledger.network) is None:
                    doubt(ledger, vault)  # it was begun anew, in the place of one that was lost
                for kind, body in contents:
                    if kind in PROMISES:
                        check_true(ledger, vault, kind, named_exchange(kind, body))
                end_ms = min(ledger.now_ms + lifetime_ms, LIMIT_COUNT)
                expiry_ms = end_ms if lifetime_ms else 0
                new.append((signer, Kept(*position, expiry_ms, tuple(contents))))
        vault.store([signer.item(ledger.network, kept) for signer, kept in new])
    for signer, kept in new:
        signed[signer.public_key] = signer.records(ledger, kept)
    return signed


def outstanding(ledger: Ledger, signer: RecordSigner) -> list[Record]:
    """Records that the signer kept, and may have sent, and that the ledger has not ordered.

    Raises ``RollbackError`` where the ledger is behind what it once showed this signer.
    """
    kept = signer.load(ledger.network)
    if kept is None:
        return []
    sequence, previous = ledger.next_position(signer.public_key)
    key = signer.public_key.hex()[:16]
    if sequence < kept.sequence:
        raise RollbackError(
            f"ledger has {sequence} records of key {key}, want at least {kept.sequence}: "
            "it is an older one, or is not caught up yet"
        )
    if sequence == kept.sequence and previous != kept.previous:
        raise InconsistentError(
            f"ledger's record of sequence {sequence - 1} of key {key} is another than it once had"
        )
    if sequence >= kept.end:
        return []
    records = signer.records(ledger, kept)
    begin = sequence - kept.sequence
    if begin and records[begin - 1].id != previous:
        return []  # refused once, and others ordered since: what is left can follow nothing
    return records[begin:]


def is_settled(ledger: Ledger, signer: RecordSigner) -> bool:
    """Whether what was kept is all that the ledger has since, and none of it is a promise.

    Nothing is read for it but the key's position: the last record's id is of all that are before
    it. Another is there where the vault was restored, or others sign with its key.
    """
    kept = signer.load(ledger.network)
    position = ledger.next_position(signer.public_key)
    if kept is None:
        return position[0] == 0 or not holds_content(signer.vault)
    if position[0] != kept.end or any(kind in PROMISES for kind, _ in kept.contents):
        return False
    return position == signer.position_after(ledger, kept)


def _ordered_promise(ledger: Ledger, signer: RecordSigner) -> bool:
    """Whether a promise is among what was kept and ordered, where the rest is outstanding."""
    kept = signer.load(ledger.network)
    assert kept is not None, "what is outstanding is kept"
    ordered = ledger.next_position(signer.public_key)[0] - kept.sequence
    return any(kind in PROMISES for kind, _ in kept.contents[:ordered])


def release(ledger: Ledger, vault: Vault, refused: Iterable[tuple[RecordSigner, Record]]) -> None:
    """Forget records of a vault's signers that the ledger has refused, and what follows them.

    Their sequences can then be reserved again. What another process reserved meanwhile stays.
    """
    with vault.transaction():
        for signer, record in refused:
            kept = signer.load(ledger.network)
            if kept is None or ledger.next_position(signer.public_key)[0] != record.sequence:
                continue
            at = record.sequence - kept.sequence
            if at >= 0 and (record.kind, record.body) in kept.contents[at : at + 1]:
                settled = Kept(record.sequence, record.previous, 0, ())
                vault.store([signer.item(ledger.network, settled)])
