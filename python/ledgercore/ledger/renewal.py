"""Hash a former ledger anew under another suite, for a record that anchors it in a newer ledger.

First ``renew`` the whole of it, and have members submit the body to the newer ledger; then
``prove_renewed`` shows any record of the former one under the newer one's anchor. Both read every
record; 32 bytes for each are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ledgercore._core import (
    Frontier,
    Record,
    TileTree,
    leaf_hashes,
    multiproof_tiles,
    prove_multi,
    tree_root,
)
from ledgercore.errors import AbsentError, MalformedError, UntrustedError
from ledgercore.ledger.audit import Progress
from ledgercore.ledger.ledger import Ledger
from ledgercore.proofs.renewal import RenewedRecord
from ledgercore.proofs.wire import split_hashes
from ledgercore.records import RenewalAnchor, decode
from ledgercore.rules import KeyState, RenewalState, decode_object, key_object
from ledgercore.rules.view import decode_state

__all__ = ["anchored_whole", "find_renewal", "prove_renewed", "renew"]

BATCH = 4096
"""Records that are hashed together."""


def renew(former: Ledger, suite: str, progress: Progress | None = None) -> RenewalAnchor:
    """Verify all of a ledger, and hash it anew; what a member signs into a newer one.

    Raises as ``Ledger.verify`` does: nothing that is unsound is carried over.
    """
    report = former.verify(progress)
    with former.moment():
        size, note = former.size, former.checkpoint
        if size != report.records:
            raise UntrustedError(f"ledger went on to {size} while it was verified: try again")
        root = tree_root(suite, _leaves(former, suite, size))
    return RenewalAnchor(
        former_network=former.network,
        former_suite=former.suite,  # type: ignore[arg-type]  # a ledger has one of the two
        former_size=size,
        former_checkpoint=note.encode(),
        root=root,
    )


def anchored_whole(former: Ledger, newer: Ledger, key: bytes) -> int | None:
    """Where the member of a key has anchored all that a former ledger has now, if it has."""
    owner = newer.state(key_object(key))
    member = "" if owner is None else decode_state(owner, KeyState).member
    for name, value in newer.states(b"renewal/"):
        state = decode_object(name, value)
        assert isinstance(state, RenewalState)
        if (state.former_network, state.former_size, state.member) == (
            former.network,
            former.size,
            member,
        ):
            return newer.find(name.removeprefix(b"renewal/"))
    return None


def find_renewal(former: Ledger, newer: Ledger, index: int) -> int:
    """Where the newest anchor of a former ledger stands that covers the record at an index."""
    found = []
    for name, value in newer.states(b"renewal/"):
        state = decode_object(name, value)
        assert isinstance(state, RenewalState)
        if state.former_network == former.network and index < state.former_size:
            found.append(newer.find(name.removeprefix(b"renewal/")) or 0)
    if not found:
        raise AbsentError(
            f"record {index} is not anchored in {newer.origin}: anchor its ledger there, with "
            "ledgercore renew or from Python"
        )
    return max(found)


def prove_renewed(former: Ledger, newer: Ledger, anchored_at: int, index: int) -> RenewedRecord:
    """The record at an index of the former ledger, led to the anchor at an index of the newer."""
    anchoring = newer.record(anchored_at)
    if anchoring.kind != RenewalAnchor.KIND:
        raise MalformedError(f"record {anchored_at} is {anchoring.kind}, want {RenewalAnchor.KIND}")
    body = decode(anchoring.kind, anchoring.body)
    assert isinstance(body, RenewalAnchor)
    leaves = _leaves(former, newer.suite, body.former_size)
    return RenewedRecord(
        version=1,
        network=former.network,
        suite=former.suite,  # type: ignore[arg-type]  # a ledger has one of the two
        index=index,
        record=former.record(index).encode(),
        proof=tuple(_prove(newer.suite, leaves, index)),
        body=anchoring.body,
        receipt=newer.receipt(anchored_at).encode(),
    )


def _prove(suite: str, leaves: bytes, index: int) -> list[bytes]:
    """One leaf's proof, from the tiles of the tree over all of them."""
    frontier, full = Frontier(suite).append(leaves)
    size = frontier.size
    hashes = {(level, position): tile for level, position, tile in full}
    for level, tail in enumerate(frontier.tails()):
        hashes[level, size >> 8 * level + 8] = tail
    names = multiproof_tiles([index], size)
    trees = TileTree.build(suite, [hashes[name] for name in names])
    return split_hashes(prove_multi(suite, [index], size, dict(zip(names, trees, strict=True))))


def _leaves(former: Ledger, suite: str, size: int) -> bytes:
    """The leaf hashes of the first records, under a suite that need not be their own."""
    batches = _batches(former.records(0, size))
    return b"".join(leaf_hashes(suite, [each.encode() for each in batch]) for batch in batches)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, BATCH)):
        yield batch
