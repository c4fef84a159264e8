"""Append to a tree in memory through the batch call: leaf hashes, tree, root; 400-byte items."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore._core import Frontier, leaf_hashes
from measure import OURS, Floor, Operation, Way, timed

__all__ = ["OPERATIONS"]

COUNT = 262_144
PEER_COUNT = 16_384
ITEM_BYTES = 400


def append(suite: str, items: list[bytes]) -> None:
    """The tree's new root after all of them."""
    frontier, _ = Frontier(suite).append(leaf_hashes(suite, items))
    frontier.root()


def prepare(suite: str, directory: Path) -> Mapping[str, Way]:
    """The peer with the same hash as the suite."""
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(COUNT)]
    few = items[:PEER_COUNT]
    ways = {OURS: timed(lambda: append(suite, items), COUNT)}
    if suite == "c2sp":
        ways["pymerkle"] = timed(lambda: peers.append_pymerkle(few), PEER_COUNT)
    else:
        ways["blake3 loop, no tree"] = timed(lambda: peers.hash_blake3(few), PEER_COUNT)
    return ways


OPERATIONS = [
    Operation(
        id=f"append-memory-{suite}",
        what=f"append in memory, suite {suite}, 400-byte items",
        unit="items/s",
        floor=Floor("value", 1_000_000),
        prepare=partial(prepare, suite),
    )
    for suite in ("std", "c2sp")
]
