"""Hash a whole tree of 2^20 leaves on one core: nanoseconds for each inner node, suite std.

The peer is BLAKE3 itself: the library over as many 64-byte blocks as the tree has nodes, on one
thread, which is what one core can hash at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import blake3

from measure import OURS, Goal, Operation, Skipped, Way, timed

__all__ = ["OPERATIONS"]

LEAVES = 1 << 20
NODE_BYTES = 64
PROGRAM = """
import sys, time
from ledgercore._core import leaf_hash, tree_root
leaves = leaf_hash("std", b"leaf") * int(sys.argv[1])
tree_root("std", leaves)
for line in sys.stdin:
    begin = time.perf_counter()
    tree_root("std", leaves)
    print(time.perf_counter() - begin, flush=True)
"""


def on_one_core() -> Way:
    """A process of its own, for how many threads the core uses is decided when it begins."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(LEAVES)],
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run() -> tuple[int, float]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return LEAVES - 1, float(child.stdout.readline())

    return run


def prepare(directory: Path) -> Mapping[str, Way | Skipped]:
    data = bytes(LEAVES * NODE_BYTES)
    return {
        OURS: on_one_core(),
        "blake3, as many blocks": timed(lambda: blake3.blake3(data).digest(), LEAVES),
    }


OPERATIONS = [
    Operation(
        id="P2",
        what="root of a tree of 2^20 leaves on one core, suite std",
        unit="ns/node",
        floor=None,
        goal=Goal("value", 12),
        less_is_better=True,
        units_a_second=1e9,
        prepare=prepare,
    )
]
