"""Weigh the boundary between Python and Rust: nanoseconds an item, for batches of 1 to 100,000.

What an item costs alone, above what it costs in a large batch, is the crossing and what the call
has to do once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from append import append, make_items
from inclusion import Tree, prove, verify
from ledgercore._core import leaf_hashes
from ledgercore.primitives import verify_signatures
from signatures import sign

__all__ = ["BATCHES", "measure_boundary"]

BATCHES = (1, 10, 100, 1_000, 10_000, 100_000)
TREE_SIZE = 1 << 17
TURN_S = 0.02
"""A turn repeats the call for at least so long: a short one is below what a clock can tell."""


def measure_boundary(rounds: int, batches: tuple[int, ...] = BATCHES) -> list[dict[str, Any]]:
    """A row an operation and batch; batches of one operation take turns."""
    rows = []
    for what, prepare in _operations(max(batches)):
        calls = [(batch, prepare(batch)) for batch in batches]
        costs: dict[int, list[float]] = {batch: [] for batch in batches}
        for number in range(rounds + 1):
            for batch, call in calls:
                cost = _turn(call) / batch
                if number:
                    costs[batch].append(cost)
        rows += [
            {
                "operation": what,
                "batch": batch,
                "ns_an_item": statistics.median(found),
                "range": (min(found), max(found)),
            }
            for batch, found in costs.items()
        ]
    return rows


def _turn(call: Callable[[], object]) -> float:
    """Nanoseconds of one call, over as many as fill a turn."""
    calls, begin = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begin) < TURN_S or not calls:
        call()
        calls += 1
    return seconds / calls * 1e9


def _operations(most: int) -> Iterator[tuple[str, Callable[[int], Callable[[], object]]]]:
    """What is weighed, and how its call is made for a batch; made one after another."""
    items = make_items(most)
    yield (
        "leaf hash, 256 B",
        lambda batch: _with(items[:batch], lambda some: leaf_hashes("std", some)),
    )
    yield "append, 256 B", lambda batch: _with(items[:batch], lambda some: append("std", some))
    signed = sign(min(most, 16_384))
    signed = (signed * (most // len(signed) + 1))[:most]
    columns = [list(column) for column in zip(*signed, strict=True)]
    yield (
        "signature verify",
        lambda batch: _with(
            [column[:batch] for column in columns], lambda some: verify_signatures(*some)
        ),
    )
    tree = Tree(TREE_SIZE)
    yield "inclusion verify", lambda batch: _verify_call(tree, tree.spread(batch))


def _with(some: Any, work: Callable[[Any], object]) -> Callable[[], object]:
    """The call alone: what it is given was made before."""
    return lambda: work(some)


def _verify_call(tree: Tree, indices: list[int]) -> Callable[[], object]:
    leaves, proofs = tree.leaves(indices), prove(tree, indices)
    return lambda: verify(tree, leaves, indices, proofs)
