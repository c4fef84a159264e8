"""Append to a tree in memory through the batch call: leaf hashes, tree, root; 256-byte items."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore._core import Frontier, leaf_hashes
from measure import OURS, Floor, Goal, Operation, Skipped, Way, timed

__all__ = ["COUNT", "ITEM_BYTES", "OPERATIONS", "append", "make_items"]

COUNT = 262_144
PEER_COUNT = 16_384
ITEM_BYTES = 256


def make_items(count: int) -> list[bytes]:
    """Items of which no two are alike."""
    return [number.to_bytes(ITEM_BYTES, "big") for number in range(count)]


def append(suite: str, items: list[bytes]) -> None:
    """The tree's new root after all of them."""
    frontier, _ = Frontier(suite).append(leaf_hashes(suite, items))
    frontier.root()


def prepare(suite: str, directory: Path) -> Mapping[str, Way | Skipped]:
    """The peer with the same hash as the suite."""
    items = make_items(COUNT)
    few = items[:PEER_COUNT]
    ways = {OURS: timed(lambda: append(suite, items), COUNT)}
    if suite == "c2sp":
        ways["pymerkle"] = timed(lambda: peers.append_pymerkle(few), PEER_COUNT)
    else:
        ways["blake3 loop, no tree"] = timed(lambda: peers.hash_blake3(few), PEER_COUNT)
    return ways


OPERATIONS = [
    Operation(
        id=name,
        what=f"append in memory in a batch, suite {suite}, 256-byte items",
        unit="items/s",
        floor=Floor("value", 1_000_000),
        goal=Goal("value", 5_000_000),
        prepare=partial(prepare, suite),
    )
    for name, suite in (("P3", "std"), ("P3-c2sp", "c2sp"))
]
