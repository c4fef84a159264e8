"""Sign bodies as records in their signers' chains, and submit them.

A refused record does not count in its signer's chain, so the signer's later ones, which were
signed as following it, are refused with it. They are signed again and resubmitted; nothing is
lost, and each signer's own order stays. They then stand after what others had submitted behind
them, so that a record which builds on another signer's belongs in a later call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ledgercore import records
from ledgercore._core import SigningKey
from ledgercore.errors import RefusedError
from ledgercore.ledger import Ledger
from ledgercore.records import RecordBody

__all__ = ["Accepted", "Draft", "Outcome", "submit"]


class Draft(NamedTuple):
    """A body, and the key that is to sign it."""

    key: SigningKey
    body: RecordBody


@dataclass(frozen=True)
class Accepted:
    """Where a record stands."""

    id: bytes
    index: int


Outcome = Accepted | RefusedError


def submit(ledger: Ledger, drafts: Sequence[Draft]) -> list[Outcome]:
    """Sign and order the drafts; each one's place, or why it was refused. Durable on return."""
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(drafts)))
    while waiting:
        positions: dict[bytes, tuple[int, bytes]] = {}
        signed = []
        for at in waiting:
            key, body = drafts[at]
            name = key.public_key
            sequence, previous = positions.get(name) or ledger.next_position(name)
            record = key.sign_record(
                ledger.suite,
                ledger.network,
                body.KIND,
                records.encode(body),
                sequence=sequence,
                previous=previous,
            )
            positions[name] = (sequence + 1, record.id)
            signed.append((at, name, record))
        results = ledger.submit_many([record.encode() for _, _, record in signed])
        broken: set[bytes] = set()
        waiting = []
        for (at, name, record), result in zip(signed, results, strict=True):
            if name in broken:
                waiting.append(at)
            elif isinstance(result, RefusedError):
                broken.add(name)
                outcomes[at] = result
            else:
                outcomes[at] = Accepted(record.id, result)
    return [outcomes[at] for at in range(len(drafts))]
