"""Keep and prove the states of a million objects; no package of PyPI that works does the same.

The bound beside the updates is the hashing alone: a key, a state, a leaf and as many nodes as an
update makes on its way to the root, one after the other in the ``blake3`` package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import blake3

from ledgercore._core import Map, verify_states
from measure import OURS, Floor, Goal, Operation, Way, timed

__all__ = ["OPERATIONS"]

COUNT = 1_000_000
BATCH = 4_096
PROOFS = 16_384
STATE_BYTES = 200


def name(number: int) -> bytes:
    return b"consent/" + number.to_bytes(32, "big")


def states(begin: int, end: int) -> list[tuple[bytes, bytes]]:
    return [(name(number), number.to_bytes(STATE_BYTES, "big")) for number in range(begin, end)]


def hash_update(count: int) -> None:
    """The hashes of so many new states, in a map that holds ``COUNT``."""
    nodes = math.ceil(math.log2(COUNT / count)) + 1
    for object_name, value in states(0, count):
        blake3.blake3(object_name).digest()
        blake3.blake3(value).digest()
        for _ in range(nodes + 1):
            blake3.blake3(bytes(64)).digest()


def prepare_update(directory: Path) -> Mapping[str, Way]:
    """New states of 4,096 objects among a million."""
    whole = Map("std").update(states(0, COUNT))
    step = COUNT // BATCH
    changes = [(name(number * step), bytes(STATE_BYTES)) for number in range(BATCH)]
    return {
        OURS: timed(lambda: whole.update(changes).root(), BATCH),
        "blake3 loop, no map": timed(lambda: hash_update(BATCH), BATCH),
    }


def prepare_build(directory: Path) -> Mapping[str, Way]:
    """What opening a ledger does with the states that it finds."""
    changes = states(0, COUNT)
    return {OURS: timed(lambda: Map("std").update(changes).root(), len(changes))}


def prepare_prove(directory: Path) -> Mapping[str, Way]:
    whole = Map("std").update(states(0, COUNT))
    absent = [(name(COUNT + number), None) for number in range(PROOFS)]
    return {OURS: timed(lambda: whole.prove_all(absent), PROOFS)}


def prepare_verify(directory: Path) -> Mapping[str, Way]:
    whole = Map("std").update(states(0, COUNT))
    absent = [(name(COUNT + number), None) for number in range(PROOFS)]
    proofs, root = [proof.encode() for proof in whole.prove_all(absent)], whole.root()
    return {OURS: timed(lambda: verify_states("std", proofs, root), PROOFS)}


def prepare_bytes(directory: Path) -> Mapping[str, Way]:
    """No time is measured: bytes stand for items, proofs for seconds."""
    whole = Map("std").update(states(0, COUNT))
    absent = [(name(COUNT + number), None) for number in range(PROOFS)]
    one = len(whole.prove_multi(absent).encode())
    each = sum(len(proof.encode()) for proof in whole.prove_all(absent))
    return {OURS: lambda: (each, PROOFS), "one proof of all": lambda: (one, PROOFS)}


OPERATIONS = [
    Operation("P11-prove", "prove absence among 1 M objects, in a batch", "proofs/s",
              Floor("value", 100_000), prepare_prove, Goal("value", 100_000)),
    Operation("P11-verify", "verify absence among 1 M objects, in a batch", "proofs/s",
              Floor("value", 100_000), prepare_verify, Goal("value", 100_000)),
    Operation("P11-bytes", "an absence proof among 1 M objects, 16,384 of them", "bytes/proof",
              None, prepare_bytes, Goal("value", 1_024), less_is_better=True),
    Operation("state-update", "new states of 4,096 objects among 1 M", "states/s",
              None, prepare_update),
    Operation("state-build", "a map of 1 M states", "states/s", None, prepare_build),
]  # fmt: skip
