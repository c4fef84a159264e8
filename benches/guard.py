"""Guard against regressions: fail where ours falls behind what it was beside a peer.

``python benches/guard.py [--control] [--only TEXT]``

No seconds are compared but ratios of processor time, each side the best of several turns, on one
thread: neither a busy machine nor a slow one moves them much. A limit is about half of the ratio
that was measured when it was set, so that noise does not trip it and losing a kernel, a batch or a
buffer does; an operation below its limit gets two more chances. ``--control`` makes ours do its
work several times over, and fails unless every guard trips.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import append
import inclusion
import peers
import signatures
import submit
from ledgercore import Ledger, build_info, testing
from ledgercore._core import leaf_hashes

__all__ = ["GUARDS", "Guard", "check", "measure_ratio"]

TURNS = 5
CHANCES = 3
SLOWED = 8
"""Where a peer is slow beside the processor, a quarter of our rate may still be above a limit."""

Work = tuple[Callable[[], object], int]
"""What is done once, and how many items that is."""


@dataclass(frozen=True)
class Guard:
    """An operation, and how many times the peer's rate ours must have."""

    name: str
    limit: float
    prepare: Callable[[Path], tuple[Work, Work]]
    """Ours and the peer's, in a directory of their own."""


def guard_signatures(directory: Path) -> tuple[Work, Work]:
    signed = signatures.sign(2_048)
    few = signed[:256]
    ours = signatures.verify_in_batches(signed, len(signed))
    return (ours, len(signed)), (lambda: peers.verify_cryptography(few), len(few))


def guard_leaves(directory: Path) -> tuple[Work, Work]:
    items = append.make_items(16_384)
    few = items[:4_096]
    return (
        (lambda: leaf_hashes("std", items), len(items)),
        (lambda: peers.hash_blake3(few), len(few)),
    )


def guard_inclusion(directory: Path) -> tuple[Work, Work]:
    tree = inclusion.Tree(16_384)
    peer = peers.append_pymerkle(tree.items)
    indices = tree.spread(2_048)
    few = indices[:256]
    proofs, leaves = inclusion.prove(tree, indices), tree.leaves(indices)
    peer_proofs, root = peers.prove_pymerkle(peer, few), peer.get_root()
    peer_leaves = [peer.get_leaf(index + 1) for index in few]
    return (
        (lambda: inclusion.verify(tree, leaves, indices, proofs), len(indices)),
        (lambda: peers.verify_pymerkle(peer_leaves, root, peer_proofs), len(few)),
    )


def guard_submit(directory: Path) -> tuple[Work, Work]:
    """Each turn submits records that were signed before: as many as all turns can ask for."""
    together, turns = 2_048, count()
    path = submit.create_ledger(directory / "guard.ledger")
    with Ledger.open(path) as ledger:
        records = testing.signed_records(
            ledger, signers=submit.SIGNERS, count=together * (TURNS + 1) * SLOWED
        )
    rows = [number.to_bytes(submit.RECORD_BYTES, "big") for number in range(together)]
    files = (directory / f"peer-{number}" for number in count())

    def ours() -> None:
        begin = next(turns) * together
        with Ledger.open(path) as ledger:
            outcomes = ledger.submit_many(records[begin : begin + together])
        if not all(isinstance(each, int) for each in outcomes):
            raise AssertionError("records were refused: nothing was measured")

    return (ours, together), (lambda: peers.store_sqlite(next(files), rows), together)


KERNELS = build_info()

GUARDS = [
    Guard(
        "signatures in a batch beside cryptography",
        {"portable": 1.5, "avx2": 10, "avx512ifma": 30}[KERNELS["signature_kernel"]],
        guard_signatures,
    ),
    Guard(
        "leaf hashes beside blake3",
        {"blake3 AVX512": 4}.get(KERNELS["hash_kernel"], 2),
        guard_leaves,
    ),
    Guard("inclusion verified beside pymerkle", 9, guard_inclusion),
    Guard("records submitted beside SQLite storing them", 0.16, guard_submit),
]


def measure_ratio(guard: Guard, slowed: int = 1) -> float:
    """Our rate over the peer's, by processor time, after a turn of each that does not count."""
    with tempfile.TemporaryDirectory() as directory:
        (ours, own_items), (peer, peer_items) = guard.prepare(Path(directory))
        own_best = peer_best = float("inf")
        for number in range(TURNS + 1):
            own, other = _seconds(ours, slowed), _seconds(peer, 1)
            if number:
                own_best, peer_best = min(own_best, own), min(peer_best, other)
    return (own_items / own_best) / (peer_items / peer_best)


def _seconds(work: Callable[[], object], times: int) -> float:
    """Processor time of all threads: waiting for others does not count."""
    gc.collect()
    begin = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - begin


def check(guards: Sequence[Guard], slowed: int = 1, chances: int = CHANCES) -> list[Guard]:
    """The guards that tripped: that were below their limit each time."""
    tripped = []
    for guard in guards:
        for _ in range(chances):
            ratio = measure_ratio(guard, slowed)
            print(f"{guard.name}: {ratio:.2f} times, want {guard.limit:g}", flush=True)
            if ratio >= guard.limit:
                break
        else:
            tripped.append(guard)
    return tripped


def main() -> int:
    """0 where every guard holds, or with ``--control`` where every one trips."""
    parser = argparse.ArgumentParser(description="Fail where ours falls behind beside its peers.")
    parser.add_argument("--control", action="store_true", help="slow ours: every guard must trip")
    parser.add_argument("--only", default="", help="guards whose name contains this text")
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # read once, when the core first uses its threads
    guards = [guard for guard in GUARDS if arguments.only in guard.name]
    if not guards:
        parser.error(f"want a part of one of: {', '.join(guard.name for guard in GUARDS)}")
    if arguments.control:
        tripped = check(guards, SLOWED, chances=1)
        print(f"slowed {SLOWED} times: {len(tripped)} of {len(guards)} guards tripped")
        return int(tripped != guards)
    tripped = check(guards)
    print("; ".join(f"slower: {guard.name}" for guard in tripped) or "no guard tripped")
    return int(bool(tripped))


if __name__ == "__main__":
    sys.exit(main())
