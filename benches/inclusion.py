"""Prove and verify inclusion from Python, in a tree of 2^20 leaves, suite c2sp.

Each leaf with a proof of its own, many in one call; and many leaves with one multiproof. Tiles are
at hand with the nodes over their hashes, as a reader keeps those it has verified, and as the peer
keeps its whole tree; what hashing them first takes is a row of its own. The peer's tree is
smaller, for it takes a gigabyte for a million leaves: that is to its advantage.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import peers
from ledgercore._core import (
    Frontier,
    TileTree,
    inclusion_tiles,
    leaf_hash,
    leaf_hashes,
    multiproof_tiles,
    prove_inclusions,
    prove_multi,
    verify_inclusions,
    verify_multi,
)
from measure import OURS, Floor, Goal, Operation, Skipped, Way, timed

if TYPE_CHECKING:
    import pymerkle

__all__ = ["COUNT", "OPERATIONS", "SIZE", "Tree", "prove", "verify"]

SUITE = "c2sp"
SIZE = 1 << 20
COUNT = 16_384
TOGETHER = 8_192
"""As many leaves as one multiproof takes within its bound on hashes."""

PEER_SIZE = 16_384
PEER_COUNT = 1_024

Tiles = dict[tuple[int, int], TileTree]


class Tree:
    """A tree's root, and every tile that proofs are read from."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items = [number.to_bytes(32, "big") for number in range(size)]
        frontier, full = Frontier(SUITE).append(leaf_hashes(SUITE, self.items))
        self.root = frontier.root()
        self.hashes = {(level, index): hashes for level, index, hashes in full}
        for level, tail in enumerate(frontier.tails()):
            self.hashes[(level, size >> (8 * level) >> 8)] = tail
        self.tiles = build(list(self.hashes), self.hashes)

    def spread(self, count: int) -> list[int]:
        """Indices all over the tree, ascending, no two alike where the size is a power of two."""
        return sorted(number * 2_654_435_761 % self.size for number in range(count))

    def leaves(self, indices: list[int]) -> bytes:
        return b"".join(leaf_hash(SUITE, self.items[index]) for index in indices)


def build(names: list[tuple[int, int]], hashes: Mapping[tuple[int, int], bytes]) -> Tiles:
    """The named tiles with the nodes over their hashes."""
    return dict(zip(names, TileTree.build(SUITE, [hashes[name] for name in names]), strict=True))


def prove(tree: Tree, indices: list[int]) -> list[list[bytes]]:
    """All proofs in one call, from the tiles that they need."""
    needed = {name: tree.tiles[name] for name in inclusion_tiles(indices, tree.size)}
    return prove_inclusions(SUITE, indices, tree.size, needed)


def verify(tree: Tree, leaves: bytes, indices: list[int], proofs: list[list[bytes]]) -> None:
    verify_inclusions(SUITE, leaves, indices, tree.size, proofs, tree.root)


def prove_together(tree: Tree, indices: list[int]) -> bytes:
    """One proof for all, from the tiles that it needs."""
    needed = {name: tree.tiles[name] for name in multiproof_tiles(indices, tree.size)}
    return prove_multi(SUITE, indices, tree.size, needed)


def prove_stored(tree: Tree, indices: list[int]) -> bytes:
    """The same from tiles as they are stored: all their nodes are hashed first."""
    names = multiproof_tiles(indices, tree.size)
    return prove_multi(SUITE, indices, tree.size, build(names, tree.hashes))


def make_peer_tree() -> pymerkle.InmemoryTree:
    """The same tree on both sides: the roots are compared before anything is measured."""
    ours = Tree(PEER_SIZE)
    tree = peers.append_pymerkle(ours.items)
    if tree.get_root() != ours.root:
        raise AssertionError("pymerkle's tree has another root: nothing to compare")
    return tree


def prepare_prove_block(directory: Path) -> Mapping[str, Way | Skipped]:
    """Leaves that stand side by side share nearly all of their proofs."""
    tree = Tree(SIZE)
    begin = SIZE // 3
    return {OURS: timed(partial(prove, tree, list(range(begin, begin + COUNT))), COUNT)}


def prepare_prove_stored(directory: Path) -> Mapping[str, Way | Skipped]:
    tree = Tree(SIZE)
    return {OURS: timed(partial(prove_stored, tree, tree.spread(TOGETHER)), TOGETHER)}


def prepare_prove(together: bool, directory: Path) -> Mapping[str, Way | Skipped]:
    count = TOGETHER if together else COUNT
    tree, peer = Tree(SIZE), make_peer_tree()
    indices, few = tree.spread(count), list(range(0, PEER_SIZE, PEER_SIZE // PEER_COUNT))
    work = partial(prove_together if together else prove, tree, indices)
    return {
        OURS: timed(work, count),
        f"pymerkle, {PEER_SIZE:,} leaves": timed(
            lambda: peers.prove_pymerkle(peer, few), PEER_COUNT
        ),
    }


def prepare_verify(together: bool, directory: Path) -> Mapping[str, Way | Skipped]:
    count = TOGETHER if together else COUNT
    tree, peer = Tree(SIZE), make_peer_tree()
    indices, few = tree.spread(count), list(range(0, PEER_SIZE, PEER_SIZE // PEER_COUNT))
    leaves, peer_leaves = tree.leaves(indices), [peer.get_leaf(index + 1) for index in few]
    peer_root, peer_proofs = peer.get_root(), peers.prove_pymerkle(peer, few)
    if together:
        proof = prove_together(tree, indices)
        work = partial(verify_multi, SUITE, leaves, indices, SIZE, proof, tree.root)
    else:
        work = partial(verify, tree, leaves, indices, prove(tree, indices))
    return {
        OURS: timed(work, count),
        f"pymerkle, {PEER_SIZE:,} leaves": timed(
            lambda: peers.verify_pymerkle(peer_leaves, peer_root, peer_proofs), PEER_COUNT
        ),
    }


OPERATIONS = [
    Operation(
        id="P6-prove",
        what=f"prove inclusion of {COUNT:,} leaves spread over 2^20, a proof each, from Python",
        unit="leaves/s",
        floor=None,
        goal=Goal("value", 250_000),
        prepare=partial(prepare_prove, False),
    ),
    Operation(
        id="P6-prove-block",
        what=f"prove inclusion of {COUNT:,} leaves side by side, as a block's, from Python",
        unit="leaves/s",
        floor=None,
        goal=Goal("value", 250_000),
        prepare=prepare_prove_block,
    ),
    Operation(
        id="P6-verify",
        what=f"verify inclusion of {COUNT:,} of 2^20 leaves, a proof each, from Python",
        unit="leaves/s",
        floor=Floor("value", 100_000),
        goal=Goal("value", 250_000),
        prepare=partial(prepare_verify, False),
    ),
    Operation(
        id="P6-prove-batch",
        what=f"prove inclusion of {TOGETHER:,} of 2^20 leaves in one multiproof",
        unit="leaves/s",
        floor=None,
        goal=Goal("value", 1_000_000),
        prepare=partial(prepare_prove, True),
    ),
    Operation(
        id="P6-prove-stored",
        what="the same from tiles as stored, whose inner nodes are hashed first",
        unit="leaves/s",
        floor=None,
        goal=None,
        prepare=prepare_prove_stored,
    ),
    Operation(
        id="P6-verify-batch",
        what=f"verify inclusion of {TOGETHER:,} of 2^20 leaves in one multiproof",
        unit="leaves/s",
        floor=None,
        goal=Goal("value", 1_000_000),
        prepare=partial(prepare_verify, True),
    ),
]
