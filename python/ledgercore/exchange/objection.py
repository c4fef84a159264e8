"""Show why a delivery was declined, by opening the leaves that are wrong and nothing else.

The provider's admit commits to every value that it sealed. A consumer that was sent a field it did
not ask for, or another firm's data, opens just those leaves: they convict the provider, whose
signature is on the root. The decline on the ledger commits to the objection, which has a nonce.

    [exchange, code, nonce, size, [leaf, ...], [hash, ...]]

Without leaves an objection says no more than its code: what came could not be opened at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import check_canonical, hash_domain
from ledgercore.errors import InvalidProof, MalformedError
from ledgercore.exchange.messages import encode_message
from ledgercore.exchange.salted import FIELD, Leaf, prove_leaves, verify_leaves
from ledgercore.records.base import Bytes32, Code, Count, Part

__all__ = [
    "Objection",
    "make_objection",
    "objection_commitment",
    "objection_name",
    "verify_objection",
]


class Objection(Part, frozen=True):
    """What the consumer objects to, with the opened leaves and their proof."""

    exchange: Bytes32
    code: Code
    nonce: Bytes32
    size: Count
    leaves: tuple[Leaf, ...]
    proof: tuple[Bytes32, ...]


def make_objection(
    suite: str, intent: bytes, code: str, nonce: bytes, opened: tuple[Sequence[Leaf], Sequence[int]]
) -> Objection:
    """The objection that opens, of all leaves, those at ascending positions."""
    leaves, shown = opened
    proof = prove_leaves(suite, leaves, shown) if shown else []
    chosen = tuple(leaves[position] for position in shown)
    return Objection(intent, code, nonce, len(leaves), chosen, tuple(proof))


def objection_commitment(suite: str, objection: Objection) -> bytes:
    """What a decline says of its objection."""
    return hash_domain(suite, "commitment", encode_message(objection))


def objection_name(intent: bytes, commitment: bytes = b"") -> str:
    """Where a vault keeps the objection behind a commitment, or all objections of an exchange."""
    return f"exchange/{intent.hex()}/objection/{commitment.hex()}"


def verify_objection(
    suite: str, objection: Objection, commitment: bytes, disclosure_root: bytes
) -> None:
    """Hold an objection to its decline, and its leaves to what the provider committed to."""
    if objection_commitment(suite, objection) != commitment:
        raise InvalidProof("objection is not the one that the decline commits to")
    check_canonical(encode_message(objection))
    for leaf in objection.leaves:
        if leaf.use != FIELD or len(leaf.salt) != 32:
            raise MalformedError(f"leaf {leaf.position} of the objection is not a salted {FIELD}")
    if objection.leaves:
        verify_leaves(suite, objection.leaves, objection.size, objection.proof, disclosure_root)
    elif objection.proof:
        raise InvalidProof("objection opens no leaf, and has a proof")
