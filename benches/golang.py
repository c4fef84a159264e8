"""Measure beside Go's transparency logs, where the Go toolchain is present.

``tlog`` in memory, as the checksum database uses it, and Tessera's POSIX driver on the same disk.
The program is in ``go/``, its modules pinned; each turn is a process of its own that tells the
seconds of the measured part.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from append import COUNT as APPENDED
from append import append, make_items
from inclusion import COUNT, SIZE, Tree, prove, verify
from measure import OURS, Operation, Skipped, Way, timed
from submit import BATCHES, create_ledger, make_ours, submit_in_batches
from submit import COUNT as TOGETHER

__all__ = ["OPERATIONS"]

SOURCE = Path(__file__).resolve().parent / "go"
PLACE = TemporaryDirectory(prefix="ledgercore-bench-")
"""Where the program is built; removed when the process ends."""


@cache
def build() -> Path | Skipped:
    """Compile the program once; the reason where that is not possible."""
    if shutil.which("go") is None:
        return Skipped("the Go toolchain is not installed")
    program = Path(PLACE.name) / "peers"
    command = ["go", "build", "-mod=readonly", "-o", str(program), "."]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    if done.returncode:
        return Skipped(f"go build failed: {done.stderr.strip().splitlines()[-1]}")
    return program


def run(*arguments: object) -> Way | Skipped:
    """One measurement of the program."""
    program = build()
    if isinstance(program, Skipped):
        return program
    command = [str(program), *map(str, arguments)]

    def way() -> tuple[int, float]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        return result["items"], result["seconds"]

    return way


def run_tessera(directory: Path, entries: int) -> Way | Skipped:
    """A new log each turn, on the same disk, removed when it was measured."""
    numbers = count()
    first = run("tessera-append", directory / "log", entries)
    if isinstance(first, Skipped):
        return first

    def way() -> tuple[int, float]:
        log = directory / f"log-{next(numbers)}"
        measured = run("tessera-append", log, entries)
        assert not isinstance(measured, Skipped)
        found = measured()
        shutil.rmtree(log)
        return found

    return way


def prepare_append(directory: Path) -> Mapping[str, Way | Skipped]:
    items = make_items(APPENDED)
    return {
        OURS: timed(lambda: append("c2sp", items), APPENDED),
        "tlog, Go": run("tlog-append", APPENDED),
    }


def prepare_inclusion(what: str, directory: Path) -> Mapping[str, Way | Skipped]:
    tree = Tree(SIZE)
    indices = tree.spread(COUNT)
    if what == "prove":
        ours = timed(lambda: prove(tree, indices), COUNT)
    else:
        leaves, proofs = tree.leaves(indices), prove(tree, indices)
        ours = timed(lambda: verify(tree, leaves, indices, proofs), COUNT)
    return {OURS: ours, "tlog, Go": run(f"tlog-{what}", SIZE, COUNT)}


def prepare_submit(directory: Path) -> Mapping[str, Way | Skipped]:
    path = create_ledger(directory / "bench.ledger")
    return {
        OURS: make_ours(path, submit_in_batches, BATCHES * TOGETHER),
        "Tessera POSIX, no signers": run_tessera(directory, 4 * TOGETHER),
    }


OPERATIONS = [
    Operation(
        id="P3-c2sp-go",
        what="append in memory, suite c2sp, 256-byte items, beside Go",
        unit="items/s",
        floor=None,
        prepare=prepare_append,
    ),
    Operation(
        id="P5-batches-go",
        what="records verified, durable, published; the peer verifies no signatures",
        unit="records/s",
        floor=None,
        prepare=prepare_submit,
    ),
    *(
        Operation(
            id=f"P6-{what}-go",
            what=f"{what} inclusion of {COUNT:,} of 2^20 leaves, beside Go in memory",
            unit="leaves/s",
            floor=None,
            prepare=partial(prepare_inclusion, what),
        )
        for what in ("prove", "verify")
    ),
]
