"""Read back what the ledger says is gone of a key's content, and settle what is destroyed.

A vault that was restored, or whose key signs elsewhere too, may be far behind the ledger. A key's
records are read the newest first, as each names the one before it, ``READ_RECORDS`` at a time: what
these say is gone is destroyed before more are read, and how far that went is kept, so that whoever
is cut off goes on from there. No lock is held meanwhile.

    reading/<network>/<key>: [sequence, previous, reached, before]

The records of the key from number ``reached``, the one before which is ``before``, up to
``sequence``, the one before which is ``previous``, were read, and what they say is gone is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledgercore._core import Record
from ledgercore.exchange.content import PROMISES, destroy_promised
from ledgercore.exchange.messages import decode_message, encode_message
from ledgercore.exchange.signer import Kept, RecordSigner, is_settled, outstanding
from ledgercore.exchange.untrue import doubt
from ledgercore.ledger import Ledger
from ledgercore.records.base import Bytes32, Count, Part
from ledgercore.vault import Vault

__all__ = ["READ_RECORDS", "Owed", "read_back", "settle"]

READ_RECORDS = 4_096
"""Records of one key that are read, and held in memory as far as they are promises, at a time."""

_BESIDE = ("data", "genesis", "governance", "key", "member", "renewal")
"""Families of kinds that no party of an exchange signs: its key does for its ledger or its node,
beside the vault."""

_Position = tuple[int, bytes]
"""A number of a key's records, and the id of the record before it."""


class _Reading(Part, frozen=True):
    """How far a key's records were read back, and from where."""

    sequence: Count
    previous: Bytes32
    reached: Count
    before: Bytes32


class Owed(NamedTuple):
    """What a signer kept, and what records of its key say is gone that are not settled yet.

    ``reached`` is the oldest of them that was read, and where the last piece of them began. One of
    another vault casts doubt on what this one knows.
    """

    signer: RecordSigner
    kept: Kept | None
    position: _Position
    reached: _Position
    promises: list[Record]
    casts_doubt: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be read."""
        return self.reached[0] <= (0 if self.kept is None else self.kept.sequence)


def read_back(ledger: Ledger, signer: RecordSigner) -> Owed | None:
    """What the ledger says to be gone since the signer kept a row; None where all is settled.

    It reads every record of the key from there on, whether the signer knows of it or not. What all
    pieces but the last say is destroyed already; where another vault signed some of them, what was
    admitted by now is doubted (``untrue``). Raises ``UnavailableError`` where this copy of the
    ledger began after one.
    """
    doubted = False
    while (owed := _read_piece(ledger, signer)) is not None:
        if owed.casts_doubt and not doubted:
            doubt(ledger, signer.vault)
            doubted = True
        if owed.is_whole:
            return owed
        destroy_promised(ledger, signer.vault, owed.promises)
        # A crash before this leaves a piece to be read again, and what is destroyed twice is gone.
        reading = _Reading(*owed.position, *owed.reached)
        signer.vault.store([(_name(ledger, signer), encode_message(reading))])
    return None


def _read_piece(ledger: Ledger, signer: RecordSigner) -> Owed | None:
    if is_settled(ledger, signer):
        return None
    # While nobody reserves: what another process signs in between would look like another vault's.
    with signer.vault.transaction(), ledger.moment():
        kept, position = signer.load(ledger.network), ledger.next_position(signer.public_key)
        data = signer.vault.load(_name(ledger, signer))
    done = None if data is None else decode_message(data, _Reading)
    sequence, previous = position
    promises, casts_doubt, left = [], False, READ_RECORDS
    while left and sequence > (0 if kept is None else kept.sequence):
        if done is not None and (sequence, previous) == (done.sequence, done.previous):
            sequence, previous = done.reached, done.before
            continue
        index = ledger.find(previous)
        assert index is not None, "a key's state names a record that was ordered"
        record = ledger.record(index)
        if record.kind in PROMISES:
            promises.append(record)
        known = _is_beside(record.kind) or _is_kept(kept, record)
        casts_doubt = casts_doubt or not known
        sequence, previous, left = record.sequence, record.previous, left - 1
    return Owed(signer, kept, position, (sequence, previous), promises, casts_doubt)


def _is_beside(kind: str) -> bool:
    return kind.partition(".")[0] in _BESIDE


def _is_kept(kept: Kept | None, record: Record) -> bool:
    """Whether a record is one that a vault kept before it was signed."""
    at = -1 if kept is None else record.sequence - kept.sequence
    return kept is not None and kept.contents[at : at + 1] == ((record.kind, record.body),)


def settle(ledger: Ledger, vault: Vault, destroyed: Iterable[Owed]) -> None:
    """Forget what a vault's signers kept, once all is destroyed that the ledger says is gone.

    What is still to be ordered stays, and what another process reserved meanwhile. So does a row of
    which more was ordered since its promises were read: past the position it would look like
    another vault's. What else was ordered since is behind the position that is kept in its place.
    """
    destroyed = list(destroyed)
    with vault.transaction(), ledger.moment():
        for owed in destroyed:
            signer, kept = owed.signer, owed.kept
            if signer.load(ledger.network) != kept or outstanding(ledger, signer):
                continue
            if not _passed(ledger, owed):
                vault.store([signer.item(ledger.network, Kept(*owed.position, 0, ()))])
    # A crash before this leaves what no reading comes to again: they end at what is settled.
    names = [_name(ledger, owed.signer) for owed in destroyed]
    if read := [name for name in names if vault.load(name) is not None]:
        vault.erase(read)


def _passed(ledger: Ledger, owed: Owed) -> bool:
    """Whether the ledger has ordered more since, and that may be of what the signer kept."""
    within = owed.kept is not None and owed.position[0] < owed.kept.end
    return within and ledger.next_position(owed.signer.public_key) != owed.position


def _name(ledger: Ledger, signer: RecordSigner) -> str:
    return f"reading/{ledger.network.hex()}/{signer.public_key.hex()}"
