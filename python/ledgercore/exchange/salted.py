"""Commit to named values so that each can be shown alone and none can be guessed.

Every value is a leaf of a history tree with a salt of 32 random bytes. A leaf binds its use, its
scope, its name and its position, so that no value can be shown as another. The leaf
``["ledgercore field v1", "tax.sme.v1", "tax.paid", 3, salt, 1200]`` says that field 3 of the
product is ``tax.paid`` and its value 1200.

Without its salt a commitment cannot be opened, nor a guess at its value be tested: erasing the
salts erases what the commitment says.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledgercore._core import (
    TileTree,
    check_canonical,
    leaf_hashes,
    prove_multi,
    tree_root,
    verify_multi,
)
from ledgercore.entropy import Entropy
from ledgercore.errors import MalformedError
from ledgercore.proofs.wire import split_hashes
from ledgercore.records.base import Count, Part, Value, encode_array

__all__ = [
    "FIELD",
    "TERM",
    "Leaf",
    "check_leaves",
    "commit",
    "decode_leaves",
    "encode_leaf",
    "encode_leaves",
    "make_leaves",
    "prove_leaves",
    "verify_leaves",
]

FIELD = "ledgercore field v1"
TERM = "ledgercore term v1"


class Leaf(Part, frozen=True):
    """One value with all that its commitment binds."""

    use: str
    scope: str
    name: str
    position: Count
    salt: bytes
    value: Value


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[Leaf, ...])


def make_leaves(
    use: str, scope: str, values: Sequence[tuple[str, Value]], entropy: Entropy
) -> tuple[Leaf, ...]:
    """Salt the values in their order."""
    salts = entropy.bytes(32 * len(values))
    return tuple(
        Leaf(use, scope, name, position, salts[32 * position : 32 * position + 32], value)
        for position, (name, value) in enumerate(values)
    )


def commit(suite: str, leaves: Sequence[Leaf]) -> bytes:
    """The root that commits to all leaves."""
    return tree_root(suite, _hashes(suite, leaves))


def prove_leaves(suite: str, leaves: Sequence[Leaf], shown: Sequence[int]) -> list[bytes]:
    """Prove the leaves at ascending positions, and show nothing of the others."""
    [tile] = TileTree.build(suite, [_hashes(suite, leaves)])
    return split_hashes(prove_multi(suite, shown, len(leaves), {(0, 0): tile}))


def verify_leaves(
    suite: str, shown: Sequence[Leaf], size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Accept that the shown leaves are among the ``size`` that the root commits to."""
    positions = [leaf.position for leaf in shown]
    verify_multi(suite, _hashes(suite, shown), positions, size, proof, root)


def _hashes(suite: str, leaves: Sequence[Leaf]) -> bytes:
    return leaf_hashes(suite, [encode_leaf(leaf) for leaf in leaves])


def encode_leaf(leaf: Leaf) -> bytes:
    """What a leaf's hash is of, or ``MalformedError`` for text or a number without encoding."""
    return encode_array(leaf, "leaf")


def encode_leaves(leaves: Sequence[Leaf]) -> bytes:
    """The leaves with their salts, for a vault or a sealed payload.

    Raises ``MalformedError`` for text or a number that has no encoding.
    """
    return encode_array(tuple(leaves), "leaves")


def decode_leaves(data: bytes, use: str) -> tuple[Leaf, ...]:
    """The leaves in an encoding, each of this use, salted, and at its position."""
    try:
        leaves = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"leaves: {error}") from error
    if _ENCODER.encode(leaves) != data:
        raise MalformedError("leaves are not in their canonical form")
    check_leaves(leaves, use)
    return leaves


def check_leaves(leaves: Sequence[Leaf], use: str, *, gaps: bool = False) -> None:
    """Hold each leaf to its form, its use, its position, and to a salt of 32 bytes.

    With gaps, for leaves of which some are left out, positions must only ascend.
    """
    check_canonical(encode_leaves(leaves))
    least = 0
    for number, leaf in enumerate(leaves):
        placed = leaf.position >= least if gaps else leaf.position == number
        if leaf.use != use or not placed or len(leaf.salt) != 32:
            raise MalformedError(f"leaf {number} is not a salted {use} at its position")
        least = leaf.position + 1
