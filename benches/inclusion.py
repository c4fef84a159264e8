"""Prove and verify inclusion from Python, in a tree of 16,384 leaves, suite c2sp."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore._core import (
    Frontier,
    inclusion_tiles,
    leaf_hash,
    leaf_hashes,
    prove_inclusions,
    verify_inclusions,
)
from measure import OURS, Floor, Operation, Way, timed

__all__ = ["OPERATIONS"]

SUITE = "c2sp"
SIZE = 16_384
COUNT = 4_096
PEER_COUNT = 1_024
WIDTH = 256

Tiles = dict[tuple[int, int], bytes]


def make_tiles(items: list[bytes]) -> tuple[bytes, Tiles]:
    """The root, and every tile that proofs are read from."""
    frontier, full = Frontier(SUITE).append(leaf_hashes(SUITE, items))
    tiles = {(level, index): hashes for level, index, hashes in full}
    for level, tail in enumerate(frontier.tails()):
        tiles[(level, SIZE >> (8 * level) >> 8)] = tail
    return frontier.root(), tiles


def prove(indices: list[int], tiles: Tiles) -> list[list[bytes]]:
    """All proofs in one call, from the tiles that they need."""
    needed = {name: tiles[name] for name in inclusion_tiles(indices, SIZE)}
    return prove_inclusions(SUITE, indices, SIZE, needed)


def prepare(verify: bool, directory: Path) -> Mapping[str, Way]:
    """The same tree on both sides; the roots are compared before anything is measured."""
    items = [number.to_bytes(400, "big") for number in range(SIZE)]
    indices = [number * 2_654_435_761 % SIZE for number in range(COUNT)]
    root, tiles = make_tiles(items)
    tree = peers.append_pymerkle(items)
    if tree.get_root() != root:
        raise AssertionError("pymerkle's tree has another root: nothing to compare")
    few = indices[:PEER_COUNT]
    if not verify:
        return {
            OURS: timed(lambda: prove(indices, tiles), COUNT),
            "pymerkle": timed(lambda: peers.prove_pymerkle(tree, few), PEER_COUNT),
        }
    leaves = [leaf_hash(SUITE, items[index]) for index in indices]
    proofs, peer_proofs = prove(indices, tiles), peers.prove_pymerkle(tree, few)
    joined = b"".join(leaves)
    return {
        OURS: timed(lambda: verify_inclusions(SUITE, joined, indices, SIZE, proofs, root), COUNT),
        "pymerkle": timed(
            lambda: peers.verify_pymerkle(leaves[:PEER_COUNT], root, peer_proofs), PEER_COUNT
        ),
    }


OPERATIONS = [
    Operation(
        id="inclusion-prove",
        what="prove inclusion, 16,384 leaves, in a batch",
        unit="proofs/s",
        floor=None,
        prepare=partial(prepare, False),
    ),
    Operation(
        id="inclusion-verify",
        what="verify inclusion, 16,384 leaves, in a batch",
        unit="proofs/s",
        floor=Floor("value", 100_000),
        prepare=partial(prepare, True),
    ),
]
